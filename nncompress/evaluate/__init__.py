"""Measuring how well a compressed table preserves the original, and choosing its size by that."""
