// Hardware features that the kernels use beyond plain CUDA: asynchronous copies into shared
// memory, and products of small matrices on the tensor cores.
//
// Source: NVIDIA, "Parallel Thread Execution ISA", sections on cp.async and mma.m16n8k8. GPUs
// older than compute capability 8.0 have neither for 32-bit numbers, and use ordinary copies and
// arithmetic instead.

#define WARP 32
#define ALL_LANES 0xffffffffu

// The shared memory that a kernel is launched with.
#define SHARED_MEMORY(name) extern __shared__ __align__(16) unsigned char name[]

struct __align__(8) Numbers2 { float a, b; };
struct __align__(16) Numbers4 { float a, b, c, d; };

template <int COUNT> struct Numbers;
template <> struct Numbers<1> { typedef float Type; };
template <> struct Numbers<2> { typedef Numbers2 Type; };
template <> struct Numbers<4> { typedef Numbers4 Type; };

// Copies COUNT floats, or zeros if the source is not valid; complete after `wait_for_copies`.
template <int COUNT>
__device__ __forceinline__ void copy_async(float* shared, const float* global, bool valid) {
#if __CUDA_ARCH__ >= 800
    unsigned target = (unsigned)__cvta_generic_to_shared(shared);
    if (COUNT == 4)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                     :: "r"(target), "l"(global), "r"(valid ? 16 : 0) : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;"
                     :: "r"(target), "l"(global), "n"(4 * COUNT), "r"(valid ? 4 * COUNT : 0)
                     : "memory");
#else
    typedef typename Numbers<COUNT>::Type Type;
    Type value = {};
    if (valid) value = *(const Type*)global;
    *(Type*)shared = value;
#endif
}

// Ends a group of copies, which may be empty.
__device__ __forceinline__ void commit_copies() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits until at most PENDING of this thread's latest groups are in progress.
template <int PENDING>
__device__ __forceinline__ void wait_for_copies() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" :: "n"(PENDING) : "memory");
#endif
}

// Rounds to the ten fractional bits that the tensor cores read.
__device__ __forceinline__ float round_to_tf32(float x) {
#if __CUDA_ARCH__ >= 800
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return __uint_as_float(bits);
#else
    return x;
#endif
}

// Adds the product of a 16 x 8 and an 8 x 8 matrix, which are spread over a warp. With g = lane / 4
// and t = lane % 4, a lane has
//   of the first:  (g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4);
//   of the second: (t, g), (t + 4, g);
//   of the sum:    (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1).
__device__ __forceinline__ void multiply(
    float (&sum)[4], const float (&first)[4], const float (&second)[2]) {
#if __CUDA_ARCH__ >= 800
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(__float_as_uint(first[0])), "r"(__float_as_uint(first[1])),
          "r"(__float_as_uint(first[2])), "r"(__float_as_uint(first[3])),
          "r"(__float_as_uint(second[0])), "r"(__float_as_uint(second[1])));
#else
    int lane = threadIdx.x % WARP;
    int row = lane / 4, column = 2 * (lane % 4);
#pragma unroll
    for (int k = 0; k < 8; ++k) {
        int half = k / 4;
        float upper = __shfl_sync(ALL_LANES, first[2 * half], 4 * row + k % 4);
        float lower = __shfl_sync(ALL_LANES, first[2 * half + 1], 4 * row + k % 4);
        float left = __shfl_sync(ALL_LANES, second[half], 4 * column + k % 4);
        float right = __shfl_sync(ALL_LANES, second[half], 4 * (column + 1) + k % 4);
        sum[0] += upper * left;
        sum[1] += upper * right;
        sum[2] += lower * left;
        sum[3] += lower * right;
    }
#endif
}

__device__ __forceinline__ float half_to_float(unsigned short bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}
