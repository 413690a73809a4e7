"""Stored rows: one file for each kind of container, none of which reads all rows at once."""
