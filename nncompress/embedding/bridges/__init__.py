"""What other libraries use a compressed embedding as; each module needs its library."""
