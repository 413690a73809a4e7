"""File formats defined by others, and files that appear whole or not at all."""
