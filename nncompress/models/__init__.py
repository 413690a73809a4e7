"""Compressing the tables inside models: a folder or file in, a smaller one out."""
