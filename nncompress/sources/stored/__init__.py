"""Rows as they are stored: one file for each kind of container, none of which reads all rows."""
