// Factors of compressed matrices, whose integers are read in packed form: the twin of
// `cpu/chosen_rows.py` and `cpu/shared_blocks.py`, which document what is computed. Sums have a
// fixed order: numbers that are added up in one place are sorted by it first.
// Shapes: L rows of a matrix (m, n), or of a product; s units a row, k units in all.

#define COLUMNS 8  // columns of a product that a thread holds at once

// Reads an integer whose bits begin at bit number `bit` of some bytes, lowest bit first.
__device__ __forceinline__ unsigned read_number(
    const unsigned char* packed, long long bit, int bits) {
    const unsigned char* first = packed + (bit >> 3);
    int shift = (int)(bit & 7), num_bytes = (shift + bits + 7) >> 3;
    unsigned long long found = 0;
    for (int i = 0; i < num_bytes; ++i) found |= (unsigned long long)first[i] << 8 * i;
    return (unsigned)(found >> shift & ((1ull << bits) - 1));
}

// Rows of units; unit j is `j * step` plus integer j of the row.
struct Units {
    const unsigned char* packed;  // (m, row_bytes)
    int row_bytes, bits, step;

    __device__ __forceinline__ int at(long long row, int j) const {
        return (int)read_number(packed + row * row_bytes, (long long)j * bits, bits) + j * step;
    }
};

// Unpacks units, one for each thread. `ids` (L,); `units` (L, s), written.
extern "C" __global__ void unpack_units(
    const unsigned char* __restrict__ packed, int row_bytes, int bits, int step, int count,
    const long long* __restrict__ ids, int* __restrict__ units, long long size) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= size) return;
    Units all = {packed, row_bytes, bits, step};
    units[i] = all.at(ids[i / count], (int)(i % count));
}

// Adds up rows of a table, some columns of a row for each block. `values` (m, s) or null; `table`
// (k, n); `rows` (L, n), written. `chunks` blocks make up a row.
extern "C" __global__ void add_up_rows(
    const unsigned char* __restrict__ packed, int row_bytes, int bits, int step, int count,
    const float* __restrict__ values, const float* __restrict__ table,
    const long long* __restrict__ ids, float* __restrict__ rows, int dim, int chunks) {
    SHARED_MEMORY(memory);
    int* units = (int*)memory;
    float* shares = (float*)(units + blockDim.x);
    Units all = {packed, row_bytes, bits, step};
    long long i = blockIdx.x / chunks, row = ids[i];
    int column = (int)(blockIdx.x % chunks) * blockDim.x + threadIdx.x;
    float total = 0.0f;
    for (int first = 0; first < count; first += blockDim.x) {
        int j = first + threadIdx.x;
        if (j < count) {
            units[threadIdx.x] = all.at(row, j);
            shares[threadIdx.x] = values ? values[row * count + j] : 1.0f;
        }
        __syncthreads();
        int here = min(count - first, (int)blockDim.x);
        if (column < dim)
            for (int other = 0; other < here; ++other)
                total += shares[other] * table[(long long)units[other] * dim + column];
        __syncthreads();
    }
    if (column < dim) rows[i * dim + column] = total;
}

// Multiplies by a matrix of such rows, given the products with its table: a row of the matrix for
// each thread, COLUMNS columns of the products for each block. `products` (k, N); `bias` (m,) or
// null; `out` (N, m), written. `chunks` blocks have the same rows.
extern "C" __global__ void multiply_rows(
    const unsigned char* __restrict__ packed, int row_bytes, int bits, int step, int count,
    const float* __restrict__ values, const float* __restrict__ products,
    const float* __restrict__ bias, float* __restrict__ out, int num_rows, int num_columns,
    int chunks) {
    int row = (int)(blockIdx.x / chunks) * blockDim.x + threadIdx.x;
    int first = (int)(blockIdx.x % chunks) * COLUMNS;
    if (row >= num_rows) return;
    Units all = {packed, row_bytes, bits, step};
    int width = min(COLUMNS, num_columns - first);
    float totals[COLUMNS];
#pragma unroll
    for (int c = 0; c < COLUMNS; ++c) totals[c] = bias ? bias[row] : 0.0f;
    for (int j = 0; j < count; ++j) {
        const float* source = products + (long long)all.at(row, j) * num_columns + first;
        float share = values ? values[(long long)row * count + j] : 1.0f;
#pragma unroll
        for (int c = 0; c < COLUMNS; ++c)
            if (c < width) totals[c] += share * source[c];
    }
#pragma unroll
    for (int c = 0; c < COLUMNS; ++c)
        if (c < width) out[(long long)(first + c) * num_rows + row] = totals[c];
}

// Adds up the gradients of a table's rows, some columns of a row for each block. `order` (L*s,):
// the numbers i*s + j, sorted by their units; `ends` (k,): how many belong to a unit or one before
// it; `of_rows` (L, n); `of_table` (k, n), written.
extern "C" __global__ void sum_by_unit(
    const long long* __restrict__ order, const long long* __restrict__ ends, int count,
    const float* __restrict__ values, const long long* __restrict__ ids,
    const float* __restrict__ of_rows, float* __restrict__ of_table, int dim, int chunks) {
    long long unit = blockIdx.x / chunks;
    int column = (int)(blockIdx.x % chunks) * blockDim.x + threadIdx.x;
    if (column >= dim) return;
    float total = 0.0f;
    for (long long place = unit ? ends[unit - 1] : 0; place < ends[unit]; ++place) {
        long long i = order[place] / count, j = order[place] % count;
        float share = values ? values[ids[i] * count + j] : 1.0f;
        total += share * of_rows[i * dim + column];
    }
    of_table[unit * dim + column] = total;
}

// Multiplies gradients of rows by the table's rows that they consist of, a pair for each warp.
// `units` (L, s); `products` (L, s), written.
extern "C" __global__ void multiply_by_unit(
    const int* __restrict__ units, int count, const float* __restrict__ table,
    const float* __restrict__ of_rows, float* __restrict__ products, int dim, long long size) {
    int lane = threadIdx.x % WARP;
    long long pair = (long long)blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (pair >= size) return;
    const float* one = table + (long long)units[pair] * dim;
    const float* other = of_rows + pair / count * dim;
    double total = 0.0;
    for (int column = lane; column < dim; column += WARP)
        total += (double)one[column] * other[column];
    total = warp_sum(total);
    if (lane == 0) products[pair] = (float)total;
}

// Finds the places of rows' entries in the centroids (c, block_size), an entry for each thread.
// `ids` (L,); `places` (L, n), written.
extern "C" __global__ void find_places(
    const unsigned char* __restrict__ packed, int bits, int block_size,
    const long long* __restrict__ ids, int* __restrict__ places, int dim, long long size) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= size) return;
    long long entry = ids[i / dim] * dim + i % dim;
    int number = (int)read_number(packed, entry / block_size * bits, bits);
    places[i] = number * block_size + (int)(entry % block_size);
}

// Writes rows whose entries are those of centroids, one for each thread. `rows` (L, n), written.
extern "C" __global__ void decode_blocks(
    const unsigned char* __restrict__ packed, int bits, int block_size,
    const float* __restrict__ centroids, const long long* __restrict__ ids,
    float* __restrict__ rows, int dim, long long size) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= size) return;
    long long entry = ids[i / dim] * dim + i % dim;
    int number = (int)read_number(packed, entry / block_size * bits, bits);
    rows[i] = centroids[number * block_size + entry % block_size];
}

// Adds up numbers that belong to the same place, a place for each block. `order` and `ends` as
// above; `sums` is written.
extern "C" __global__ void sum_by_place(
    const long long* __restrict__ order, const long long* __restrict__ ends,
    const float* __restrict__ numbers, float* __restrict__ sums) {
    __shared__ double scratch[WARP];
    long long place = blockIdx.x;
    double total = 0.0;
    for (long long i = (place ? ends[place - 1] : 0) + threadIdx.x; i < ends[place];
         i += blockDim.x)
        total += numbers[order[i]];
    total = block_sum(total, scratch);
    if (threadIdx.x == 0) sums[place] = (float)total;
}
