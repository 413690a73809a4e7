"""CUDA kernels, and their launches through CuPy."""
