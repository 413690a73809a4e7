// The values and costs of levels: the twin of `value_of` and `bits_of` in `cpu/trellis.py`. Each
// operation rounds by itself, as there, so that the results are the same.
// Shapes: n rows, T axes; tables have a row for each scale.

#define POINTS 4  // levels whose values are in a table
#define SYMBOLS 16  // the last one announces larger levels
#define QUANTIZERS 2

// A scale's tables.
struct Scale {
    const float* points;  // (QUANTIZERS, POINTS)
    const float* bits;  // (QUANTIZERS, SYMBOLS)
    int shift;

    __device__ __forceinline__ float value_of(int quantizer, int k) const {
        return k < POINTS ? points[POINTS * quantizer + k] : (float)(2 * k - quantizer);
    }

    // The number of bits of a level's magnitude and sign.
    __device__ __forceinline__ float bits_of(int quantizer, int k) const {
        int symbol = k >> shift;
        float total = (float)(shift + (k > 0));
        if (symbol >= SYMBOLS - 1) {
            int rest = symbol - (SYMBOLS - 1) + 1;
            total = __fadd_rn(total, (float)(4 + 31 - __clz(rest)));
            symbol = SYMBOLS - 1;
        }
        return __fadd_rn(total, bits[SYMBOLS * quantizer + symbol]);
    }
};

// The scale, of `num_scales`, that an axis has in a row of a class.
__device__ __forceinline__ int scale_index(int axis_scale, int offset, int num_scales) {
    return min(max(axis_scale + offset, 0), num_scales - 1);
}

__device__ __forceinline__ Scale scale_at(
    int m, const float* points, const float* bits, const int* shifts) {
    return {points + QUANTIZERS * POINTS * m, bits + QUANTIZERS * SYMBOLS * m, shifts[m]};
}

// The branch of the trellis that a level takes: quantizer 0 has 0 and 2, quantizer 1 has 3 and 1.
__device__ __forceinline__ int branch_of(int quantizer, int parity) {
    return quantizer ? 3 - 2 * parity : 2 * parity;
}

// The state that a level leads to from a state whose branch for input 0 is `label`.
__device__ __forceinline__ int next_state(int state, int label, int parity, int num_states) {
    int input = branch_of(label & 1, parity) != label;
    return (2 * state + input) & (num_states - 1);
}
