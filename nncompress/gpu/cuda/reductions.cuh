// Minima, and sums in a fixed order, so that results are the same in every run.

__device__ __forceinline__ double warp_sum(double value) {
    for (int offset = WARP / 2; offset > 0; offset /= 2)
        value += __shfl_xor_sync(ALL_LANES, value, offset);
    return value;
}

// Returns the sum over a block of whole warps, in its first warp.
// `scratch` holds a number for each warp; the block may use it again after its next barrier.
__device__ __forceinline__ double block_sum(double value, double* scratch) {
    int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    value = warp_sum(value);
    if (lane == 0) scratch[warp] = value;
    __syncthreads();
    if (warp == 0) {
        value = lane < blockDim.x / WARP ? scratch[lane] : 0.0;
        value = warp_sum(value);
    }
    __syncthreads();
    return value;
}

// Returns the sum of many numbers, in the block's first warp.
__device__ __forceinline__ double block_sum_of(const double* values, int count, double* scratch) {
    double total = 0.0;
    for (int i = threadIdx.x; i < count; i += blockDim.x) total += values[i];
    return block_sum(total, scratch);
}

__device__ __forceinline__ unsigned warp_min(unsigned value) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
    for (int offset = WARP / 2; offset > 0; offset /= 2)
        value = min(value, __shfl_xor_sync(ALL_LANES, value, offset));
    return value;
#else
    return __reduce_min_sync(ALL_LANES, value);
#endif
}

// Integers in the same order as floats (0 and -0 are equal).
__device__ __forceinline__ unsigned to_ordered(float value) {
    unsigned bits = __float_as_uint(value + 0.0f);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
