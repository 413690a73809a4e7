// Statistics of levels, and the choice of row classes: the twin of `cpu/level_counts.py`.

// Sums of sizes are integers in units of 2**-32 steps, so that their order does not matter.
#define SUM_UNITS 4294967296.0

typedef unsigned long long Whole;  // in two's complement, so that negative numbers add up too

// Chooses each row's class, a row for each warp. `rows` float32 (n, T), in steps; `chosen` (n,),
// written; `offsets` and `fees` (R,); `look_up` (num_scales, num_sizes).
extern "C" __global__ void choose_classes(
    const float* __restrict__ rows, int* __restrict__ chosen, const int* __restrict__ axis_scales,
    const int* __restrict__ offsets, const float* __restrict__ fees,
    const float* __restrict__ look_up, int num_rows, int num_axes, int num_classes,
    int num_scales, int num_sizes) {
    int lane = threadIdx.x % WARP;
    int n = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (n >= num_rows) return;
    const float* row = rows + (long long)n * num_axes;
    unsigned smallest = 0xffffffffu, place = 0;
    for (int r = lane; r < num_classes; r += WARP) {
        int offset = offsets[r];
        float total = fees[r];
        for (int t = 0; t < num_axes; ++t) {
            int size = (int)fminf(4.0f * fabsf(row[t]), (float)(num_sizes - 1));
            int m = scale_index(axis_scales[t], offset, num_scales);
            total = __fadd_rn(total, look_up[(long long)m * num_sizes + size]);
        }
        unsigned key = to_ordered(total);
        if (key < smallest) {
            smallest = key;
            place = (unsigned)r;
        }
    }
    unsigned best = warp_min(smallest);
    place = warp_min(smallest == best ? place : 0xffffffffu);
    if (lane == 0) chosen[n] = (int)place;
}

// Counts levels, a row for each thread. `errors` and `spent` float64 (n,) are written; `counts`
// (num_scales, 2, 16), `sums` and `numbers` (num_scales, 2, 4) are added to.
extern "C" __global__ void count_levels(
    const float* __restrict__ rows, const short* __restrict__ levels,
    const int* __restrict__ offsets, double* __restrict__ errors, double* __restrict__ spent,
    Whole* counts, Whole* sums, Whole* numbers, const int* __restrict__ axis_scales,
    const float* __restrict__ points, const float* __restrict__ bits,
    const int* __restrict__ shifts, const unsigned char* __restrict__ labels, int num_rows,
    int num_axes, int num_scales, int num_states) {
    SHARED_MEMORY(memory);
    int num_symbols = num_scales * QUANTIZERS * SYMBOLS;
    int num_points = num_scales * QUANTIZERS * POINTS;
    Whole* own_sums = (Whole*)memory;
    unsigned* own_counts = (unsigned*)(own_sums + num_points);
    unsigned* own_numbers = own_counts + num_symbols;
    for (int i = threadIdx.x; i < num_symbols; i += blockDim.x) own_counts[i] = 0;
    for (int i = threadIdx.x; i < num_points; i += blockDim.x) {
        own_sums[i] = 0;
        own_numbers[i] = 0;
    }
    __syncthreads();
    int n = blockIdx.x * blockDim.x + threadIdx.x;
    if (n < num_rows) {
        const float* row = rows + (long long)n * num_axes;
        const short* row_levels = levels + (long long)n * num_axes;
        int offset = offsets[n], state = 0;
        double error = 0.0, total = 0.0;
        for (int t = 0; t < num_axes; ++t) {
            int m = scale_index(axis_scales[t], offset, num_scales);
            Scale scale = scale_at(m, points, bits, shifts);
            int label = labels[state], quantizer = label & 1;
            int level = row_levels[t], k = level < 0 ? -level : level;
            float size = level > 0 ? row[t] : -row[t];
            double away = (double)__fsub_rn(size, scale.value_of(quantizer, k));
            error = __dadd_rn(error, __dmul_rn(away, away));
            total = __dadd_rn(total, (double)scale.bits_of(quantizer, k));
            int table = QUANTIZERS * m + quantizer;
            atomicAdd(own_counts + SYMBOLS * table + min(k >> scale.shift, SYMBOLS - 1), 1u);
            if (k < POINTS) {
                long long whole = llrint((double)size * SUM_UNITS);
                atomicAdd(own_sums + POINTS * table + k, (Whole)whole);
                atomicAdd(own_numbers + POINTS * table + k, 1u);
            }
            state = next_state(state, label, k & 1, num_states);
        }
        errors[n] = error;
        spent[n] = total;
    }
    __syncthreads();
    for (int i = threadIdx.x; i < num_symbols; i += blockDim.x)
        if (own_counts[i]) atomicAdd(counts + i, (Whole)own_counts[i]);
    for (int i = threadIdx.x; i < num_points; i += blockDim.x) {
        if (own_numbers[i] == 0) continue;
        atomicAdd(sums + i, own_sums[i]);
        atomicAdd(numbers + i, (Whole)own_numbers[i]);
    }
}
