"""Random numbers, each determined by purpose and position: noise, and the order of rows."""
