"""Jobs over tables of any size: learning a model on a sample, and encoding rows in blocks."""
