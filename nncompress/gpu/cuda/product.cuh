// Matrix products on the tensor cores, one or two in a launch, each with a final operation.
//
// A block computes one tile of one result (or of one part of it, if the common dimension is divided
// into parts). It goes along the common dimension in chunks, which are copied into shared memory
// some chunks ahead. If a tile is small, its warps share the chunk instead of the tile.
// All numbers are float32; the tensor cores read them rounded to TF32. In full precision each
// number is the sum of two TF32 numbers, and three of the four products of the parts are added up
// (Ootomo and Yokota, "Recovering single precision accuracy from Tensor Cores", IJHPCA 2022, section 3).

// The layouts of the operands: the first as (m, k) or (k, m), the second as (n, k) or (k, n).
enum Form { ROWS_BY_ROWS = 0, ROWS_BY_COLUMNS = 1, COLUMNS_BY_COLUMNS = 2 };

// The final operation on each number of the product.
enum Ending {
    PLAIN = 0,          // nothing
    HIDDEN = 1,         // tanh of the number plus its column's bias
    RESIDUAL = 2,       // the number minus `other`, times the row's factor; and sums of squares
    HIDDEN_GRADIENT = 3 // the number times one minus the square of `other`
};

// Addresses of arrays, sizes and numbers; the same structure is in `gpu/products.py` (_PRODUCT).
struct Product {
    const float* first;
    const float* second;
    float* out;            // (parts, m, n)
    const float* bias;     // (n,)
    const float* other;    // (m, n)
    const float* factors;  // (m,), the rows' weights
    double* squares;       // (blocks, 2): sums of squares, and of weighted squares
    float* sums;           // (parts, m): sums of the first operand over the common dimension
    long long out_stride;  // between parts of `out`
    long long sums_stride; // between parts of `sums`
    int m, n, k;
    int form, ending;
    int parts;             // of the common dimension
    int adding;            // whether to add to `out` and `sums`
    float scale;           // of the residuals
};

struct Products { Product items[2]; };

// The way to compute a tile of ROWS x COLUMNS: in chunks of DEPTH, STAGES of them in shared
// memory, by warps arranged DOWN x ACROSS x ALONG (the common dimension).
template <int ROWS_, int COLUMNS_, int DEPTH_, int STAGES_, int DOWN_, int ACROSS_, int ALONG_>
struct Tile {
    static const int ROWS = ROWS_, COLUMNS = COLUMNS_, DEPTH = DEPTH_, STAGES = STAGES_;
    static const int DOWN = DOWN_, ACROSS = ACROSS_, ALONG = ALONG_;
    static const int THREADS = WARP * DOWN * ACROSS * ALONG;
    static const int WARP_ROWS = ROWS / DOWN, WARP_COLUMNS = COLUMNS / ACROSS;
    static const int WARP_DEPTH = DEPTH / ALONG;
    // Padding of each row of shared memory, so that a warp's accesses hit different banks.
    static const int OUT_STRIDE = COLUMNS + 4;
};

// A chunk of an operand in shared memory. `SIZE` is the operand's own dimension in a tile; the
// common dimension goes along the chunk's rows (ALONG_ROWS) or across them.
template <int SIZE, int DEPTH, bool ALONG_ROWS>
struct Chunk {
    static const int STRIDE = ALONG_ROWS ? DEPTH + 4 : SIZE + 8;
    static const int NUMBERS = (ALONG_ROWS ? SIZE : DEPTH) * STRIDE;

    static __device__ __forceinline__ float get(const float* chunk, int index, int depth) {
        return ALONG_ROWS ? chunk[index * STRIDE + depth] : chunk[depth * STRIDE + index];
    }

    // Copies the existing part of the chunk, and zeros for the rest.
    template <int THREADS>
    static __device__ __forceinline__ void load(
        float* chunk, const float* operand, int first, int size, int depth, int end, int row) {
        const int INNER = (ALONG_ROWS ? DEPTH : SIZE) / VECTOR;
        const int COPIES = (ALONG_ROWS ? SIZE : DEPTH) * INNER;
#pragma unroll 4
        for (int i = threadIdx.x; i < COPIES; i += THREADS) {
            int outer = i / INNER, inner = (i % INNER) * VECTOR;
            int index = first + (ALONG_ROWS ? outer : inner);
            int common = depth + (ALONG_ROWS ? inner : outer);
            bool valid = index < size && common < end;
            long long place = ALONG_ROWS ? (long long)index * row + common
                                         : (long long)common * row + index;
            copy_async<VECTOR>(chunk + outer * STRIDE + inner, operand + (valid ? place : 0), valid);
        }
    }
};

__device__ __forceinline__ void multiply_parts(
    float (&sum)[4], const float (&first)[4], const float (&second)[2]) {
    float first_high[4], second_high[2];
#pragma unroll
    for (int i = 0; i < 4; ++i) first_high[i] = round_to_tf32(first[i]);
#pragma unroll
    for (int i = 0; i < 2; ++i) second_high[i] = round_to_tf32(second[i]);
#if FULL_PRECISION
    float first_low[4], second_low[2];
#pragma unroll
    for (int i = 0; i < 4; ++i) first_low[i] = round_to_tf32(first[i] - first_high[i]);
#pragma unroll
    for (int i = 0; i < 2; ++i) second_low[i] = round_to_tf32(second[i] - second_high[i]);
    // The tensor cores round every sum towards zero, so long sums are computed outside of them.
    float part[4] = {};
    multiply(part, first_low, second_high);
    multiply(part, first_high, second_low);
    multiply(part, first_high, second_high);
#pragma unroll
    for (int i = 0; i < 4; ++i) sum[i] += part[i];
#else
    multiply(sum, first_high, second_high);
#endif
}

// Applies the final operation to a number of the product, and stores the result.
__device__ __forceinline__ void finish(
    const Product& p, float value, int row, int column, float* out, float& square,
    float& weighted) {
    long long place = (long long)row * p.n + column;
    if (p.ending == HIDDEN) {
        value = tanhf(value + p.bias[column]);
    } else if (p.ending == HIDDEN_GRADIENT) {
        float h = p.other[place];
        value *= 1.0f - h * h;
    } else if (p.ending == RESIDUAL) {
        value -= p.other[place];
        float factor = p.factors[row], size = value * value;
        square += size;
        weighted += factor * size;
        value *= factor * p.scale;
    }
    out[place] = p.adding ? out[place] + value : value;
}

template <class T, bool FIRST_ALONG, bool SECOND_ALONG>
__device__ void make_tile(const Product& p, int block, float* shared) {
    typedef Chunk<T::ROWS, T::DEPTH, FIRST_ALONG> First;
    typedef Chunk<T::COLUMNS, T::DEPTH, SECOND_ALONG> Second;
    const int STAGE = First::NUMBERS + Second::NUMBERS;
    const int DOWN_TILES = T::WARP_ROWS / 16, ACROSS_TILES = T::WARP_COLUMNS / 8;

    int down = (p.m + T::ROWS - 1) / T::ROWS, across = (p.n + T::COLUMNS - 1) / T::COLUMNS;
    int part = block / (down * across), tile = block % (down * across);
    int first_row = tile / across * T::ROWS, first_column = tile % across * T::COLUMNS;
    int chunks = (p.k + T::DEPTH - 1) / T::DEPTH;
    int part_chunks = (chunks + p.parts - 1) / p.parts;
    int start = part * part_chunks * T::DEPTH;
    int end = min(p.k, start + part_chunks * T::DEPTH);
    chunks = end > start ? (end - start + T::DEPTH - 1) / T::DEPTH : 0;

    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    int g = lane / 4, t = lane % 4;
    int warp_along = warp / (T::DOWN * T::ACROSS);
    int warp_row = warp / T::ACROSS % T::DOWN * T::WARP_ROWS;
    int warp_column = warp % T::ACROSS * T::WARP_COLUMNS;

    auto load = [&](int chunk) {
        if (chunk < chunks) {
            float* stage = shared + chunk % T::STAGES * STAGE;
            int depth = start + chunk * T::DEPTH;
            First::template load<T::THREADS>(
                stage, p.first, first_row, p.m, depth, end, FIRST_ALONG ? p.k : p.m);
            Second::template load<T::THREADS>(
                stage + First::NUMBERS, p.second, first_column, p.n, depth, end,
                SECOND_ALONG ? p.k : p.n);
        }
        commit_copies();  // an empty group keeps the count right
    };

    float sum[DOWN_TILES][ACROSS_TILES][4] = {};
    float total = 0.0f;  // of a row of the result, over the common dimension
    bool totalling = p.sums && first_column == 0 && threadIdx.x < T::ROWS;
#pragma unroll
    for (int chunk = 0; chunk < T::STAGES - 1; ++chunk) load(chunk);
    for (int chunk = 0; chunk < chunks; ++chunk) {
        wait_for_copies<T::STAGES - 2>();
        __syncthreads();  // the chunk has arrived, and all threads are done with the previous one
        load(chunk + T::STAGES - 1);
        const float* first = shared + chunk % T::STAGES * STAGE;
        const float* second = first + First::NUMBERS;
#pragma unroll
        for (int step = 0; step < T::WARP_DEPTH; step += 8) {
            int depth = warp_along * T::WARP_DEPTH + step + t;
            float a[DOWN_TILES][4], b[ACROSS_TILES][2];
#pragma unroll
            for (int i = 0; i < DOWN_TILES; ++i)
#pragma unroll
                for (int j = 0; j < 4; ++j)
                    a[i][j] = First::get(
                        first, warp_row + 16 * i + g + j % 2 * 8, depth + j / 2 * 4);
#pragma unroll
            for (int i = 0; i < ACROSS_TILES; ++i)
#pragma unroll
                for (int j = 0; j < 2; ++j)
                    b[i][j] = Second::get(second, warp_column + 8 * i + g, depth + j * 4);
#pragma unroll
            for (int i = 0; i < DOWN_TILES; ++i)
#pragma unroll
                for (int j = 0; j < ACROSS_TILES; ++j) multiply_parts(sum[i][j], a[i], b[j]);
        }
        if (totalling)
            for (int depth = 0; depth < T::DEPTH; ++depth)
                total += First::get(first, threadIdx.x, depth);
    }
    wait_for_copies<0>();
    __syncthreads();

    // Through shared memory: the results of warps that shared chunks are added up, and whole rows
    // are stored.
    float* mine = shared + warp_along * T::ROWS * T::OUT_STRIDE;
#pragma unroll
    for (int i = 0; i < DOWN_TILES; ++i)
#pragma unroll
        for (int j = 0; j < ACROSS_TILES; ++j) {
            float* corner = mine + (warp_row + 16 * i + g) * T::OUT_STRIDE
                            + warp_column + 8 * j + 2 * t;
            corner[0] = sum[i][j][0];
            corner[1] = sum[i][j][1];
            corner[8 * T::OUT_STRIDE] = sum[i][j][2];
            corner[8 * T::OUT_STRIDE + 1] = sum[i][j][3];
        }
    __syncthreads();
    float* out = p.out + part * p.out_stride;
    float square = 0.0f, weighted = 0.0f;
    for (int i = threadIdx.x; i < T::ROWS * T::COLUMNS; i += T::THREADS) {
        int row = i / T::COLUMNS, column = i % T::COLUMNS;
        float value = 0.0f;
#pragma unroll
        for (int along = 0; along < T::ALONG; ++along)
            value += shared[(along * T::ROWS + row) * T::OUT_STRIDE + column];
        row += first_row;
        column += first_column;
        if (row < p.m && column < p.n) finish(p, value, row, column, out, square, weighted);
    }
    if (totalling && first_row + threadIdx.x < p.m) {
        float* sums = p.sums + part * p.sums_stride + first_row;
        sums[threadIdx.x] = p.adding ? sums[threadIdx.x] + total : total;
    }
    if (p.ending == RESIDUAL) {
        __syncthreads();
        double* scratch = (double*)shared;
        double sums[2] = {block_sum(square, scratch), block_sum(weighted, scratch)};
        if (threadIdx.x == 0) {
            p.squares[2 * block] = sums[0];
            p.squares[2 * block + 1] = sums[1];
        }
    }
}

// The first `first_blocks` blocks compute the first product, the others the second.
template <class T>
__device__ __forceinline__ void make_products(const Products& products, int first_blocks) {
    SHARED_MEMORY(memory);
    float* shared = (float*)memory;
    int block = blockIdx.x;
    bool is_first = block < first_blocks;
    const Product& p = products.items[is_first ? 0 : 1];
    if (!is_first) block -= first_blocks;
    if (p.form == ROWS_BY_ROWS)
        make_tile<T, true, true>(p, block, shared);
    else if (p.form == ROWS_BY_COLUMNS)
        make_tile<T, true, false>(p, block, shared);
    else
        make_tile<T, false, false>(p, block, shared);
}

#define PRODUCTS(kernel, ...) \
    extern "C" __global__ void __launch_bounds__(Tile<__VA_ARGS__>::THREADS) kernel( \
        const __grid_constant__ Products products, int first_blocks) { \
        make_products<Tile<__VA_ARGS__>>(products, first_blocks); \
    }

// The same sizes are in `gpu/products.py` (TILES).
PRODUCTS(products_small, 16, 32, 64, 4, 1, 1, 4)
PRODUCTS(products_medium, 64, 64, 32, 3, 2, 2, 1)
PRODUCTS(products_large, 128, 128, 16, 4, 2, 4, 1)
