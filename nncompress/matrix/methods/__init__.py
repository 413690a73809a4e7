"""Ways to compress a matrix, each with the factors that it makes."""
