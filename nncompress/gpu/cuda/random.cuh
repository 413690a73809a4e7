// Random numbers by position, and the random order of rows. Philox's twin is in
// `random/noise.py`.

struct Words { unsigned a, b, c, d; };

// Philox4x32-10: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.
__device__ __forceinline__ Words philox(Words counter, unsigned key0, unsigned key1) {
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        unsigned high0 = __umulhi(counter.a, 0xD2511F53u), low0 = counter.a * 0xD2511F53u;
        unsigned high1 = __umulhi(counter.c, 0xCD9E8D57u), low1 = counter.c * 0xCD9E8D57u;
        counter = {high1 ^ counter.b ^ key0, low1, high0 ^ counter.d ^ key1, low0};
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return counter;
}

// Turns 32 random bits into an Exponential(1) draw: minus the logarithm of w = 1 - v. Both are
// computed from the bits so that each is precise where it is small.
__device__ __forceinline__ float exponential(unsigned bits) {
    float v = (float)bits * 2.3283064365386963e-10f + 1.1641532182693481e-10f;
    float w = (float)(~bits) * 2.3283064365386963e-10f + 1.1641532182693481e-10f;
#if FULL_PRECISION
    return (v - (1.0f - w)) - logf(w);
#else
    if (v < 0.015625f) return v * (1.0f + v * (0.5f + v * (0.33333333f + v * 0.25f)));
    return -__logf(w);
#endif
}

// The finalizer of MurmurHash3 (Appleby): every bit of the result depends on every bit given.
__device__ __forceinline__ unsigned mixed(unsigned x) {
    x ^= x >> 16;
    x *= 0x85EBCA6Bu;
    x ^= x >> 13;
    x *= 0xC2B2AE35u;
    return x ^ (x >> 16);
}

#define FEISTEL_ROUNDS 8

// The row at a position in an epoch's random order of `size` rows. A Feistel network permutes the
// numbers below a power of four, and is applied until the result is below `size`: Black and
// Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002, section 3 (cycle walking);
// Mitchell et al., "Bandwidth-Optimal Random Shuffling for GPUs", ACM Trans. Parallel Comput. 2022.
__device__ __forceinline__ unsigned shuffled(
    unsigned position, unsigned size, unsigned long long epoch, unsigned stream,
    unsigned key0, unsigned key1) {
    unsigned keys[FEISTEL_ROUNDS];
#pragma unroll
    for (int i = 0; i < FEISTEL_ROUNDS; i += 4) {
        Words words = philox(
            {(unsigned)epoch, (unsigned)(epoch >> 32), (unsigned)i, stream}, key0, key1);
        keys[i] = words.a;
        keys[i + 1] = words.b;
        keys[i + 2] = words.c;
        keys[i + 3] = words.d;
    }
    int half = 1;
    while (half < 16 && (1u << (2 * half)) < size) ++half;
    unsigned mask = (1u << half) - 1;
    do {
        unsigned left = position >> half, right = position & mask;
#pragma unroll
        for (int i = 0; i < FEISTEL_ROUNDS; ++i) {
            unsigned next = left ^ (mixed(right ^ keys[i]) & mask);
            left = right;
            right = next;
        }
        position = left << half | right;
    } while (position >= size);
    return position;
}
