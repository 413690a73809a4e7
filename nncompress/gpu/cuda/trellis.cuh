// The path of lowest cost through a trellis of 2**STATE_BITS states, a row for each warp: the twin
// of `cpu/trellis.py`, which documents the mathematics and its sources, with the same levels.

#define STATES (1 << STATE_BITS)
#define HALF (STATES / 2)
#define TURNS ((HALF + WARP - 1) / WARP)  // turns in which a warp goes through pairs of states
#define WORDS (2 * TURNS)  // words that hold the choices of an axis: a bit for each state
#define LOADED (WARP / WORDS)  // axes whose choices a warp holds in one register each
#define BATCH (WARP / 4)  // axes whose branch costs a warp computes at once
#define UNREACHED 16000
#define RESOLUTION 256.0f  // units of a path's cost in a squared step

struct __align__(4) Costs2 { short first, second; };

struct Level { int k; float cost; };

// The best magnitude on a branch, for a coordinate's size.
__device__ __forceinline__ Level best_level(float size, int branch, const Scale& scale, float lam) {
    int quantizer = branch & 1, odd = branch >> 1 ^ quantizer;
    float nearest = __fsub_rn(0.25f * __fadd_rn(size, (float)quantizer), 0.5f * (float)odd);
    int k = 2 * (int)__fadd_rn(fmaxf(nearest, 0.0f), 0.5f) + odd;
    float error = __fsub_rn(size, scale.value_of(quantizer, k));
    float bits = scale.bits_of(quantizer, k);
    Level best = {k, __fadd_rn(__fmul_rn(error, error), __fmul_rn(lam, bits))};
    if (k >= 2) {
        error = __fsub_rn(size, scale.value_of(quantizer, k - 2));
        bits = scale.bits_of(quantizer, k - 2);
        float cost = __fadd_rn(__fmul_rn(error, error), __fmul_rn(lam, bits));
        if (cost < best.cost) best = {k - 2, cost};
    }
    return best;
}

// Advances by one step, taking the cheaper of the two ways into each state. Lane w gets word w of
// the choices: bit i of word 2j + b is that of state 2(32j + i) + b.
__device__ __forceinline__ unsigned advance(
    const short* old, short* fresh, const short* branches, const int (&labels)[TURNS]) {
    int lane = threadIdx.x % WARP;
    unsigned word = 0;
#pragma unroll
    for (int turn = 0; turn < TURNS; ++turn) {
        int pair = turn * WARP + lane;
        bool first = false, second = false;
        if (pair < HALF) {
            short one = branches[labels[turn]], other = branches[labels[turn] ^ 2];
            short low = old[pair], high = old[pair + HALF];
            short a = (short)(low + one), b = (short)(high + other);
            first = (short)(b - a) < 0;
            short c = (short)(low + other), d = (short)(high + one);
            second = (short)(d - c) < 0;
            ((Costs2*)fresh)[pair] = {first ? b : a, second ? d : c};
        }
        unsigned firsts = __ballot_sync(ALL_LANES, first);
        unsigned seconds = __ballot_sync(ALL_LANES, second);
        if (lane == 2 * turn) word = firsts;
        if (lane == 2 * turn + 1) word = seconds;
    }
    return word;
}

// `rows` float32 (n, T), in steps; `levels` int16 (n, T), written; `offsets` (n,), the number that
// a row's class adds to `axis_scales` (T,); `labels` (STATES,), the branches for input 0;
// `choices` has room for T rounded up to a multiple of 32, times WORDS, for each warp.
extern "C" __global__ void walk(
    const float* __restrict__ rows, short* __restrict__ levels, const int* __restrict__ offsets,
    const int* __restrict__ axis_scales, const float* __restrict__ points,
    const float* __restrict__ bits, const int* __restrict__ shifts,
    const unsigned char* __restrict__ labels, float lam, unsigned* choices, int num_rows,
    int num_axes, int num_scales) {
    SHARED_MEMORY(memory);
    int lane = threadIdx.x % WARP, warps = blockDim.x / WARP, warp = threadIdx.x / WARP;
    int number = blockIdx.x * warps + warp;
    short* costs = (short*)memory + warp * (2 * STATES + 4 * BATCH);
    short* branches = costs + 2 * STATES;
    choices += (long long)number * ((num_axes + WARP - 1) / WARP * WARP) * WORDS;
    int own_labels[TURNS];
#pragma unroll
    for (int turn = 0; turn < TURNS; ++turn)
        own_labels[turn] = labels[min(turn * WARP + lane, HALF - 1)];
    const float most = (float)((UNREACHED - 1) / STATE_BITS);

    for (int n = number; n < num_rows; n += gridDim.x * warps) {
        const float* row = rows + (long long)n * num_axes;
        int offset = offsets[n];
        for (int state = lane; state < STATES; state += WARP)
            costs[state] = state ? UNREACHED : 0;
        for (int first = 0; first < num_axes; first += BATCH) {
            // Four lanes share the branches of an axis.
            int t = first + lane / 4;
            float cost = 0.0f;
            if (t < num_axes) {
                int m = scale_index(axis_scales[t], offset, num_scales);
                Scale scale = scale_at(m, points, bits, shifts);
                cost = best_level(fabsf(row[t]), lane % 4, scale, lam).cost;
            }
            float least = fminf(cost, __shfl_xor_sync(ALL_LANES, cost, 1));
            least = fminf(least, __shfl_xor_sync(ALL_LANES, least, 2));
            float above = __fmul_rn(__fsub_rn(cost, least), RESOLUTION);
            branches[lane] = (short)__fadd_rn(fminf(above, most), 0.5f);
            __syncwarp();
            for (int i = 0; i < BATCH && first + i < num_axes; ++i) {
                int odd = (first + i) & 1;
                unsigned word = advance(
                    costs + odd * STATES, costs + (1 - odd) * STATES, branches + 4 * i,
                    own_labels);
                if (lane < WORDS) choices[(long long)(first + i) * WORDS + lane] = word;
                __syncwarp();
            }
        }
        // Costs wrap around, so they are compared relative to one of them; the first of equals wins.
        const short* ends = costs + (num_axes & 1) * STATES;
        unsigned key = 0xffffffffu;
        for (int end = lane; end < STATES; end += WARP) {
            unsigned difference = (unsigned)((short)(ends[end] - ends[0]) + 32768);
            key = min(key, difference << 16 | (unsigned)end);
        }
        int state = (int)(warp_min(key) & 0xffffu);
        for (int first = (num_axes - 1) / WARP * WARP; first >= 0; first -= WARP) {
            int branch = 0;  // of axis `first + lane`
            for (int part = first + WARP - LOADED; part >= first; part -= LOADED) {
                if (part >= num_axes) continue;
                unsigned word = choices[(long long)part * WORDS + lane];
                for (int i = min(LOADED, num_axes - part) - 1; i >= 0; --i) {
                    int pair = state >> 1, input = state & 1;
                    unsigned choice = __shfl_sync(
                        ALL_LANES, word, i * WORDS + 2 * (pair / WARP) + input);
                    state = pair | (int)(choice >> pair % WARP & 1) * HALF;
                    if (lane == part + i - first) branch = labels[state] ^ input << 1;
                }
            }
            int t = first + lane;
            if (t < num_axes) {
                int m = scale_index(axis_scales[t], offset, num_scales);
                Scale scale = scale_at(m, points, bits, shifts);
                int k = best_level(fabsf(row[t]), branch, scale, lam).k;
                levels[(long long)n * num_axes + t] = (short)(row[t] >= 0.0f ? k : -k);
            }
        }
        __syncwarp();
    }
}
