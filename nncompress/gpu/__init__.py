"""What runs on a GPU: CUDA kernels, and what launches them through CuPy."""
