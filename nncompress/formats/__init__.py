"""File formats that others define, and files that appear whole or not at all."""
