// Improving codes for a fixed codebook, and the sums from which a better codebook is computed.
//
// These are the twins of `cpu/icm.py` (sampling and ICM), `cpu/beam.py` (beam search) and
// `cpu/tally.py`, which document the mathematics and its sources. They draw the same random
// numbers, so codes differ only where costs are equal up to rounding.
// Shapes: n rows, D columns, M groups of K codewords, L = M*K.

// The least gain of a row's codes per unit of the row's square: less may be rounding.
#define ROUNDING 1e-5f
#define ROW_THREADS 128  // of a block, one row for each warp; also in `refinement/engines/gpu.py`
#define BISECTIONS 24

// One number, or four at a time if the lengths of rows allow it.
__device__ __forceinline__ float plus(float a, float b) { return a + b; }
__device__ __forceinline__ float minus(float a, float b) { return a - b; }
__device__ __forceinline__ void spread(float value, float& out) { out = value; }
__device__ __forceinline__ float4 plus(float4 a, float4 b) {
    return {a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w};
}
__device__ __forceinline__ float4 minus(float4 a, float4 b) {
    return {a.x - b.x, a.y - b.y, a.z - b.z, a.w - b.w};
}
__device__ __forceinline__ void spread(float value, float4& out) {
    out = {value, value, value, value};
}

__device__ __forceinline__ unsigned warp_total(unsigned value) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
    for (int offset = WARP / 2; offset > 0; offset /= 2)
        value += __shfl_xor_sync(ALL_LANES, value, offset);
    return value;
#else
    return __reduce_add_sync(ALL_LANES, value);
#endif
}

// The inverse of `to_ordered`.
__device__ __forceinline__ float from_ordered(unsigned bits) {
    return __uint_as_float(bits & 0x80000000u ? bits & 0x7fffffffu : ~bits);
}

// Maps 32 random bits to 0 ... size - 1.
__device__ __forceinline__ int random_below(unsigned bits, int size) {
    return (int)__umulhi(bits, (unsigned)size);
}

// Returns to all lanes the first k with the least `costs[k] - temperature * noise[k]`.
template <bool NOISY>
__device__ __forceinline__ int least(
    const float* costs, const float* noise, float temperature, int length) {
    unsigned smallest = 0xffffffffu, place = 0;
    for (int k = threadIdx.x % WARP; k < length; k += WARP) {
        float value = NOISY ? fmaf(-temperature, noise[k], costs[k]) : costs[k];
        unsigned key = to_ordered(value);
        if (key < smallest) {
            smallest = key;
            place = k;
        }
    }
    unsigned best = warp_min(smallest);
    return (int)warp_min(smallest == best ? place : 0xffffffffu);
}

// Returns `start + constant + the sum over m of rows[units[m] * columns]`.
template <class T, class Unit>
__device__ __forceinline__ T gather_sum(
    T start, T constant, const T* __restrict__ rows, const Unit* units, int count, int columns) {
    T sums[4] = {start, constant, T{}, T{}};
    int m = 0;
    for (; m + 4 <= count; m += 4) {
#pragma unroll
        for (int j = 0; j < 4; ++j)
            sums[j] = plus(sums[j], rows[(long long)units[m + j] * columns]);
    }
    for (; m < count; ++m) sums[0] = plus(sums[0], rows[(long long)units[m] * columns]);
    return plus(plus(sums[0], sums[1]), plus(sums[2], sums[3]));
}

// Returns the costs of codewords by themselves, `||c||^2 - 2 x.c`.
template <class T>
__device__ __forceinline__ T unary_term(T norms, T product) {
    return minus(minus(norms, product), product);
}

// A row that a warp works on, in shared memory.
struct Row {
    float* table;  // (L,): the cost of each codeword, given the other groups' codes
    int* codes;    // (M,)
    const float* gram;
    int num_codebooks, num_codewords;

    __device__ __forceinline__ int length() const { return num_codebooks * num_codewords; }
};

__device__ __forceinline__ Row row_of_warp(
    unsigned char* memory, const float* gram, int num_codebooks, int num_codewords) {
    int length = (num_codebooks * num_codewords + 3) / 4 * 4, warp = threadIdx.x / WARP;
    float* table = (float*)memory + (long long)warp * (length + (num_codebooks + 3) / 4 * 4);
    return {table, (int*)(table + length), gram, num_codebooks, num_codewords};
}

template <class T>
__device__ __forceinline__ void fill_table(
    const Row& row, const float* norms, const float* products, float* kept) {
    const int WIDE = sizeof(T) / sizeof(float);
    int length = row.length() / WIDE;
    T nothing;
    spread(0.0f, nothing);
    for (int k = threadIdx.x % WARP; k < length; k += WARP) {
        T term = unary_term(((const T*)norms)[k], ((const T*)products)[k]);
        T cost = gather_sum(
            term, nothing, (const T*)row.gram + k, row.codes, row.num_codebooks, length);
        ((T*)row.table)[k] = cost;
        if (kept) ((T*)kept)[k] = cost;
    }
}

// Fills the table for a row's codes, and copies it to `kept` unless that is null.
__device__ __forceinline__ void fill(
    const Row& row, const float* norms, const float* products, float* kept) {
    int lane = threadIdx.x % WARP;
    // For now, the codes are numbers of codewords.
    for (int m = lane; m < row.num_codebooks; m += WARP)
        row.codes[m] += m * row.num_codewords;
    __syncwarp();
    if (row.length() % 4 == 0)
        fill_table<float4>(row, norms, products, kept);
    else
        fill_table<float>(row, norms, products, kept);
    __syncwarp();
    for (int m = lane; m < row.num_codebooks; m += WARP)
        row.codes[m] -= m * row.num_codewords;
    __syncwarp();
}

template <class T>
__device__ __forceinline__ void exchange(
    float* table, const float* __restrict__ fresh, const float* __restrict__ old, int length) {
    length /= sizeof(T) / sizeof(float);
#pragma unroll 4
    for (int k = threadIdx.x % WARP; k < length; k += WARP)
        ((T*)table)[k] = plus(((T*)table)[k], minus(((const T*)fresh)[k], ((const T*)old)[k]));
}

// Changes a code and updates the table; returns the gain.
__device__ __forceinline__ float change(const Row& row, int group, int code) {
    int first = group * row.num_codewords, length = row.length();
    int old = first + row.codes[group], fresh = first + code;
    float gain = row.table[old] - row.table[fresh];
    __syncwarp();
    const float* added = row.gram + (long long)fresh * length;
    const float* removed = row.gram + (long long)old * length;
    if (length % 4 == 0)
        exchange<float4>(row.table, added, removed, length);
    else
        exchange<float>(row.table, added, removed, length);
    if (threadIdx.x % WARP == 0) row.codes[group] = code;
    __syncwarp();
    return gain;
}

// Draws a new code for each group, given the others; returns the gain.
__device__ __forceinline__ float sample(
    const Row& row, const float* noise, int places, float temperature, Words words) {
    float gain = 0.0f;
    unsigned state = words.a;
    int group = random_below(words.b, row.num_codebooks);
    for (int i = 0; i < row.num_codebooks; ++i) {
        state = state * 1664525u + 1013904223u;
        const float* draws = noise + random_below(state, places);
        int code = least<true>(
            row.table + group * row.num_codewords, draws, temperature, row.num_codewords);
        if (code != row.codes[group]) gain += change(row, group, code);
        if (++group == row.num_codebooks) group = 0;
    }
    return gain;
}

// Sets each group's code to the best one given the others until none changes (ICM).
__device__ __forceinline__ float descend_row(const Row& row, float margin, int sweeps) {
    float gain = 0.0f;
    int group = 0, unchanged = 0;
    for (int i = 0; i < sweeps * row.num_codebooks; ++i) {
        const float* costs = row.table + group * row.num_codewords;
        int code = least<false>(costs, nullptr, 0.0f, row.num_codewords);
        ++unchanged;
        if (costs[row.codes[group]] - costs[code] > margin) {
            gain += change(row, group, code);
            unchanged = 1;
        }
        if (unchanged == row.num_codebooks) break;
        if (++group == row.num_codebooks) group = 0;
    }
    return gain;
}

// Samples the codes of rows, with one sweep over the groups for each temperature; a warp a row.
extern "C" __global__ void __launch_bounds__(ROW_THREADS) relax(
    const float* __restrict__ products,      // (n, L): x @ codebook'
    const float* __restrict__ norms,         // (L,): squared norms of the codewords
    const float* __restrict__ gram,          // (L, L): twice their products, 0 within a group
    int* codes,                              // (n, M), replaced
    int num_rows, int num_codebooks, int num_codewords,
    const float* __restrict__ noise,         // (places + K,)
    int places, unsigned first_row, unsigned position, unsigned stream,
    unsigned key0, unsigned key1,
    const float* __restrict__ temperatures,  // (sweeps,)
    int sweeps) {
    SHARED_MEMORY(memory);
    int lane = threadIdx.x % WARP;
    int number = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (number >= num_rows) return;
    Row row = row_of_warp(memory, gram, num_codebooks, num_codewords);
    int* current = codes + (long long)number * num_codebooks;
    for (int m = lane; m < num_codebooks; m += WARP) row.codes[m] = current[m];
    fill(row, norms, products + (long long)number * row.length(), nullptr);
    for (int sweep = 0; sweep < sweeps; ++sweep) {
        Words words = philox({first_row + number, (unsigned)sweep, position, stream}, key0, key1);
        sample(row, noise, places, temperatures[sweep], words);
    }
    for (int m = lane; m < num_codebooks; m += WARP) current[m] = row.codes[m];
}

// Improves the codes of rows, a warp a row: each trial samples them once and runs ICM from there.
extern "C" __global__ void __launch_bounds__(ROW_THREADS) improve(
    float* products,                         // (n, L); replaced by the best codes' tables
    const float* __restrict__ norms,         // this and the following as in `relax`
    const float* __restrict__ gram,
    int* codes,                              // (n, M), improved in place
    int num_rows, int num_codebooks, int num_codewords,
    const float* __restrict__ noise,
    int places, unsigned first_row, unsigned position, unsigned stream,
    unsigned key0, unsigned key1,
    const float* __restrict__ x,             // (n, D)
    int dim, float temperature, int trials, int sweeps) {
    SHARED_MEMORY(memory);
    int lane = threadIdx.x % WARP;
    int number = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (number >= num_rows) return;
    Row row = row_of_warp(memory, gram, num_codebooks, num_codewords);
    float size = 0.0f;
    for (int j = lane; j < dim; j += WARP) {
        float value = x[(long long)number * dim + j];
        size += value * value;
    }
    float margin = ROUNDING * (float)warp_sum(size);
    int* current = codes + (long long)number * num_codebooks;
    float* kept = products + (long long)number * row.length();
    for (int m = lane; m < num_codebooks; m += WARP) row.codes[m] = current[m];
    fill(row, norms, kept, kept);
    bool is_kept = true;  // whether the row is the same as the kept one
    for (int trial = 0; trial <= trials; ++trial) {
        if (!is_kept) {
            for (int m = lane; m < num_codebooks; m += WARP) row.codes[m] = current[m];
            for (int k = lane; k < row.length(); k += WARP) row.table[k] = kept[k];
            __syncwarp();
        }
        float gain = 0.0f;
        if (trial > 0) {
            Words words =
                philox({first_row + number, (unsigned)trial, position, stream}, key0, key1);
            gain += sample(row, noise, places, temperature, words);
        }
        gain += descend_row(row, margin, sweeps);
        is_kept = gain > margin;
        if (is_kept) {
            for (int m = lane; m < num_codebooks; m += WARP) current[m] = row.codes[m];
            for (int k = lane; k < row.length(); k += WARP) kept[k] = row.table[k];
        }
        __syncwarp();
    }
}

// The shared memory of a block that searches; its size is also in `refinement/engines/gpu.py`.
struct __align__(16) BlockScratch {
    double sums[WARP];
    unsigned numbers[2][WARP];
    int best;
};

// Sums of integers and minima over a block, for all threads. The scratch has two parts that
// alternate, so that one barrier is enough.
template <bool MINIMUM>
__device__ __forceinline__ unsigned over_block(unsigned value, BlockScratch& scratch, int& turn) {
    int lane = threadIdx.x % WARP, warps = blockDim.x / WARP;
    value = MINIMUM ? warp_min(value) : warp_total(value);
    if (lane == 0) scratch.numbers[turn][threadIdx.x / WARP] = value;
    __syncthreads();
    value = lane < warps ? scratch.numbers[turn][lane] : (MINIMUM ? 0xffffffffu : 0u);
    turn = 1 - turn;
    return MINIMUM ? warp_min(value) : warp_total(value);
}

// Returns to all threads a limit that `wanted` costs or a few more do not exceed.
__device__ __forceinline__ float limit_of(
    const float* costs, int total, int wanted, BlockScratch& scratch, int& turn) {
    unsigned smallest = 0xffffffffu, largest = 0u;
    for (int i = threadIdx.x; i < total; i += blockDim.x) {
        unsigned key = to_ordered(costs[i]);
        smallest = min(smallest, key);
        largest = max(largest, key);
    }
    float low = from_ordered(over_block<true>(smallest, scratch, turn));
    float high = from_ordered(~over_block<true>(~largest, scratch, turn));
    for (int i = 0; i < BISECTIONS; ++i) {
        float middle = low + 0.5f * (high - low);
        unsigned count = 0;
        for (int j = threadIdx.x; j < total; j += blockDim.x) count += costs[j] <= middle;
        count = over_block<false>(count, scratch, turn);
        if (count >= wanted) {
            high = middle;
            if (count == wanted) break;
        } else {
            low = middle;
        }
    }
    return high;
}

// Lists the first `most` candidates that do not exceed a limit, in order; returns their number.
__device__ __forceinline__ int choose(
    const float* costs, int total, float limit, int most, int* chosen, float* chosen_costs,
    BlockScratch& scratch, int& turn) {
    int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    int part = (total + blockDim.x - 1) / blockDim.x * WARP;
    int begin = warp * part, end = min(total, begin + part);
    int found = 0;
    for (int i = begin; i < end; i += WARP)
        found += __popc(__ballot_sync(ALL_LANES, i + lane < end && costs[i + lane] <= limit));
    if (lane == 0) scratch.numbers[turn][warp] = found;
    __syncthreads();
    int of_lane = lane < warps ? scratch.numbers[turn][lane] : 0;
    turn = 1 - turn;
    int place = warp_total(lane < warp ? of_lane : 0), all = warp_total(of_lane);
    for (int i = begin; i < end && place < most; i += WARP) {
        bool keeps = i + lane < end && costs[i + lane] <= limit;
        unsigned votes = __ballot_sync(ALL_LANES, keeps);
        int mine = place + __popc(votes & ((1u << lane) - 1));
        if (keeps && mine < most) {
            chosen[mine] = i + lane;
            chosen_costs[mine] = costs[i + lane];
        }
        place += __popc(votes);
    }
    return min(all, most);
}

// Fills the cost of each path with each codeword of the next group, `(count, K)`.
template <class T>
__device__ __forceinline__ void extend(
    float* costs, const unsigned short* paths, int stride, const float* totals, int count,
    int step, int group, const float* norms, const float* products, const float* pairs,
    int num_codebooks, int num_codewords) {
    const int WIDE = sizeof(T) / sizeof(float);
    int columns = num_codewords / WIDE, first = group * columns;
    const T* block = (const T*)pairs + (long long)first * num_codebooks * num_codewords;
    for (int i = threadIdx.x; i < count * columns; i += blockDim.x) {
        int path = i / columns, k = i % columns;
        T term = unary_term(((const T*)norms)[first + k], ((const T*)products)[first + k]);
        T constant;
        spread(totals[path], constant);
        ((T*)costs)[i] =
            gather_sum(term, constant, block + k, paths + path * stride, step, columns);
    }
}

template <class T>
__device__ __forceinline__ void exchange_pointers(T*& one, T*& other) {
    T* before = one;
    one = other;
    other = before;
}

template <bool IN_SHARED>
__device__ __forceinline__ void search_rows(
    const float* __restrict__ products, const float* __restrict__ norms,
    const float* __restrict__ pairs, const float* __restrict__ x,
    const int* __restrict__ order, int* codes, int num_rows, int dim, int num_codebooks,
    int num_codewords, int width, unsigned char* memory, unsigned char* scratch,
    long long scratch_bytes) {
    // In shared memory: each path's cost before and after a step, and where it came from. There or
    // in the block's part of `scratch`: candidates' costs, and each path's codewords in the order
    // of the groups, before and after a step. Rows are an odd number of words apart, so that those
    // of neighbouring threads are in different banks.
    BlockScratch& shared = *(BlockScratch*)memory;
    memory += sizeof(BlockScratch);
    float* totals = (float*)memory;
    float* next_totals = totals + width;
    int* chosen = (int*)(next_totals + width);
    unsigned char* large = IN_SHARED ? memory + (3 * width + 3) / 4 * 16
                                     : scratch + blockIdx.x * scratch_bytes;
    int stride = 2 * ((num_codebooks + 1) / 2 | 1);
    float* costs = (float*)large;
    unsigned short* paths = (unsigned short*)(costs + (long long)width * num_codewords);
    unsigned short* next_paths = paths + (long long)width * stride;

    int length = num_codebooks * num_codewords, turn = 0;
    for (int number = blockIdx.x; number < num_rows; number += gridDim.x) {
        const float* product = products + (long long)number * length;
        int count = 1;
        if (threadIdx.x == 0) totals[0] = 0.0f;
        __syncthreads();
        for (int step = 0; step < num_codebooks; ++step) {
            int group = order[step];
            if (num_codewords % 4 == 0)
                extend<float4>(
                    costs, paths, stride, totals, count, step, group, norms, product,
                    pairs, num_codebooks, num_codewords);
            else
                extend<float>(
                    costs, paths, stride, totals, count, step, group, norms, product,
                    pairs, num_codebooks, num_codewords);
            __syncthreads();
            int total = count * num_codewords;
            float limit = __uint_as_float(0x7f800000u);  // infinity
            if (total > width) limit = limit_of(costs, total, width, shared, turn);
            count = choose(
                costs, total, limit, width, chosen, next_totals, shared, turn);
            __syncthreads();
            int first = group * num_codewords;
            for (int i = threadIdx.x; i < count * (step + 1); i += blockDim.x) {
                int path = i / (step + 1), place = i % (step + 1);
                int source = chosen[path] / num_codewords, code = chosen[path] % num_codewords;
                next_paths[path * stride + place] =
                    place < step ? paths[source * stride + place] : first + code;
            }
            __syncthreads();
            exchange_pointers(paths, next_paths);
            exchange_pointers(totals, next_totals);
        }

        int* current = codes + (long long)number * num_codebooks;
        double cost = 0.0, size = 0.0;
        for (int step = threadIdx.x; step < num_codebooks; step += blockDim.x) {
            int group = order[step], code = current[group];
            int unit = group * num_codewords + code;
            cost += unary_term(norms[unit], product[unit]);
            for (int earlier = 0; earlier < step; ++earlier) {
                int other = order[earlier];
                other = other * num_codewords + current[other];
                cost += pairs[((long long)group * length + other) * num_codewords + code];
            }
        }
        for (int j = threadIdx.x; j < dim; j += blockDim.x) {
            double value = x[(long long)number * dim + j];
            size += value * value;
        }
        cost = block_sum(cost, shared.sums);
        size = block_sum(size, shared.sums);
        if (threadIdx.x < WARP) {
            int best = least<false>(totals, nullptr, 0.0f, count);
            bool is_better = (float)cost - totals[best] > ROUNDING * (float)size;
            if (threadIdx.x == 0) shared.best = is_better ? best : -1;
        }
        __syncthreads();
        if (shared.best >= 0)
            for (int step = threadIdx.x; step < num_codebooks; step += blockDim.x) {
                int group = order[step];
                current[group] = paths[shared.best * stride + step] - group * num_codewords;
            }
    }
}

// Replaces the codes of rows where beam search finds better ones; a block has one row at a time.
extern "C" __global__ void search(
    const float* __restrict__ products,  // (n, L): x @ codebook'
    const float* __restrict__ norms,     // (L,): squared norms of the codewords
    const float* __restrict__ pairs,     // (M, L, K): twice a group's products with all codewords
    const float* __restrict__ x,         // (n, D)
    const int* __restrict__ order,       // (M,), the groups in the order in which they are decided
    int* codes,                          // (n, M), improved in place
    int num_rows, int dim, int num_codebooks, int num_codewords,
    int width,                           // the number of paths
    unsigned char* scratch,              // null if shared memory is enough
    long long scratch_bytes) {           // for each block
    SHARED_MEMORY(memory);
    if (scratch)
        search_rows<false>(
            products, norms, pairs, x, order, codes, num_rows, dim, num_codebooks, num_codewords,
            width, memory, scratch, scratch_bytes);
    else
        search_rows<true>(
            products, norms, pairs, x, order, codes, num_rows, dim, num_codebooks, num_codewords,
            width, memory, scratch, scratch_bytes);
}

// Adds up the weights of the rows that use two codewords together, a warp a row. The weights are
// integers in some unit, because sums of floating-point numbers would depend on their order, which
// changes from run to run.
extern "C" __global__ void count_pairs(
    const int* __restrict__ codes,          // (n, M)
    const long long* __restrict__ weights,  // (n,)
    unsigned long long* counts,             // (L, L), added to on and below the diagonal
    unsigned char* used,                    // (L,): set if a row uses the codeword
    int num_rows, int num_codebooks, int num_codewords) {
    int lane = threadIdx.x % WARP;
    int number = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (number >= num_rows) return;
    const int* row = codes + (long long)number * num_codebooks;
    unsigned long long weight = (unsigned long long)weights[number];
    long long length = (long long)num_codebooks * num_codewords;
    for (int group = 0; group < num_codebooks; ++group) {
        int unit = group * num_codewords + row[group];
        if (lane == 0) used[unit] = 1;
        for (int other = lane; other <= group; other += WARP)
            atomicAdd(&counts[unit * length + other * num_codewords + row[other]], weight);
    }
}

// Adds up the rows that use each codeword. A thread has a column and its sums to itself, so the
// order of additions is that of the rows. A block takes some codewords of a group, as many columns
// as it has threads, and one of `slices` parts of the rows.
extern "C" __global__ void __launch_bounds__(ROW_THREADS, 8) add_rows(
    const float* __restrict__ x,            // (n, D)
    const double* __restrict__ weights,     // (n,)
    const int* __restrict__ codes,          // (M, n)
    double* sums,                           // (slices, L, D), added to
    int num_rows, int dim, int num_codebooks, int num_codewords, int tile, int slices) {
    const int AHEAD = 8;  // rows to read together, to wait for memory only once
    SHARED_MEMORY(memory);
    double* own = (double*)memory + threadIdx.x;
    int tiles = (num_codewords + tile - 1) / tile, rest = blockIdx.x;
    int column_tiles = (dim + blockDim.x - 1) / blockDim.x;
    int column = rest % column_tiles * blockDim.x + threadIdx.x;
    rest /= column_tiles;
    int first = rest % tiles * tile;
    int count = min(tile, num_codewords - first);
    rest /= tiles;
    int group = rest % num_codebooks, slice = rest / num_codebooks;
    int readable = min(column, dim - 1);
    codes += (long long)group * num_rows;
    for (int k = 0; k < count; ++k) own[k * blockDim.x] = 0.0;

    int part = (num_rows + slices - 1) / slices;
    int begin = min(slice * part, num_rows), end = min(begin + part, num_rows);
    for (int base = begin; base < end; base += WARP) {
        int mine = base + threadIdx.x % WARP;
        int code = mine < end ? codes[mine] - first : -1;
        unsigned left = __ballot_sync(ALL_LANES, code >= 0 && code < count);
        while (left) {
            float values[AHEAD];
            double factors[AHEAD];
            int places[AHEAD];
            int together = __popc(left);
#pragma unroll
            for (int j = 0; j < AHEAD; ++j) {
                int row = base + (left ? __ffs(left) - 1 : 0);
                places[j] = codes[row] - first;
                factors[j] = weights[row];
                values[j] = x[(long long)row * dim + readable];
                left &= left - 1;
            }
#pragma unroll
            for (int j = 0; j < AHEAD; ++j)
                if (j < together) own[places[j] * blockDim.x] += factors[j] * values[j];
        }
    }
    if (column >= dim) return;
    long long unit = (long long)group * num_codewords + first;
    double* out = sums + ((long long)slice * num_codebooks * num_codewords + unit) * dim + column;
    for (int k = 0; k < count; ++k) out[(long long)k * dim] += own[k * blockDim.x];
}
