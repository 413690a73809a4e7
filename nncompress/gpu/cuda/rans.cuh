// Writing levels as bytes, a block of rows for each thread: the twin of `cpu/rans.py`, which names
// the source. The contents of a block are documented bit for bit in docs/file-format.md.

#define PRECISION 12  // bits of frequencies
#define LOW (1u << 16)
#define FREE_SIGNS 16  // kept in the first state

// A block that is being written, from its end to its beginning, or only measured.
struct Writer {
    unsigned state;
    int words;  // so far
    unsigned char* end;  // of the words; null: nothing is written

    __device__ __forceinline__ void shorten() {
        ++words;
        if (end) {
            end[-2 * words] = (unsigned char)state;
            end[-2 * words + 1] = (unsigned char)(state >> 8);
        }
        state >>= 16;
    }

    __device__ __forceinline__ void push(unsigned frequency, unsigned start) {
        if (state >> (32 - PRECISION) >= frequency) shorten();
        state = (state / frequency << PRECISION) + state % frequency + start;
    }

    __device__ __forceinline__ void push_bits(unsigned value, int count) {
        if (count == 0) return;
        if (state >> (32 - count)) shorten();
        state = state << count | value;
    }
};

// Writes blocks, or only their lengths if `data` is null. `lengths` and `places` int64 (blocks,):
// the bytes of each, and where it begins; `levels` int16 (n, T); `classes` (n,).
extern "C" __global__ void write_blocks(
    long long* lengths, const long long* places, unsigned char* data,
    const short* __restrict__ levels, const unsigned char* __restrict__ classes,
    const int* __restrict__ axis_scales, const int* __restrict__ class_offsets,
    const int* __restrict__ shifts, const unsigned char* __restrict__ labels,
    const unsigned short* __restrict__ frequencies, const unsigned short* __restrict__ starts,
    const unsigned short* __restrict__ class_frequencies,
    const unsigned short* __restrict__ class_starts, int num_rows, int num_axes, int num_scales,
    int num_states, int block_rows) {
    long long block = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (block * block_rows >= num_rows) return;
    int first = (int)block * block_rows, last = min(first + block_rows, num_rows) - 1;
    unsigned char* begin = data ? data + places[block] : nullptr;
    // If the length is odd, the last state has no fourth byte; its other three come first.
    Writer writer = {LOW, 0, data ? begin + 3 + (lengths[block] - 3) / 2 * 2 : nullptr};
    for (int n = last; n >= first; --n) {
        const short* row = levels + (long long)n * num_axes;
        int state = 0, nonzero = 0;
        for (int t = 0; t < num_axes; ++t) {
            int level = row[t];
            if (level) {
                if (n == last && nonzero < FREE_SIGNS && level < 0) writer.state |= 1u << nonzero;
                ++nonzero;
            }
            state = next_state(state, labels[state], level & 1, num_states);
        }
        int row_class = classes[n], offset = class_offsets[row_class];
        for (int t = num_axes - 1; t >= 0; --t) {
            int level = row[t], k = level < 0 ? -level : level;
            // Both possible previous states have the same quantizer.
            int input = state & 1, before = state >> 1;
            int quantizer = labels[before] & 1;
            if (labels[before] != (branch_of(quantizer, k & 1) ^ input << 1))
                before |= num_states >> 1;
            state = before;
            int m = scale_index(axis_scales[t], offset, num_scales), shift = shifts[m];
            if (k) {
                if (n < last || nonzero > FREE_SIGNS) writer.push_bits(level < 0, 1);
                --nonzero;
            }
            writer.push_bits((unsigned)k & ((1u << shift) - 1), shift);
            int symbol = k >> shift;
            if (symbol >= SYMBOLS - 1) {
                unsigned rest = (unsigned)(symbol - (SYMBOLS - 1) + 1);
                int length = 31 - __clz((int)rest);
                writer.push_bits(rest - (1u << length), length);
                writer.push_bits((unsigned)length, 4);
                symbol = SYMBOLS - 1;
            }
            int place = (QUANTIZERS * m + quantizer) * SYMBOLS + symbol;
            writer.push(frequencies[place], starts[place]);
        }
        writer.push(class_frequencies[row_class], class_starts[row_class]);
    }
    unsigned top = writer.state >> 24;
    if (data) {
        for (int i = 0; i < 3; ++i) begin[i] = (unsigned char)(writer.state >> 8 * i);
        if (top) *writer.end = (unsigned char)top;
    } else {
        lengths[block] = 3 + 2 * writer.words + (top > 0);
    }
}
