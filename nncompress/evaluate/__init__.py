"""Measuring what a compressed table keeps, and choosing its size by it."""
