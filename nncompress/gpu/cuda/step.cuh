// The rest of a training step: gathering rows, Gumbel-softmax and its gradient, the optimizer.
//
// Source of the mathematics: `autoencoder/chain.py`. Shapes: n rows, D columns, M groups of K
// codewords, L = M*K.

// The state that changes from step to step. It is followed by the learning rates of the planned
// steps, then their temperatures, `capacity` of each.
struct Plan {
    long long iteration; // of the current step
    long long first;     // of the planned steps
    long long capacity;
};

__device__ __forceinline__ double planned(const Plan* plan, int which) {
    const double* numbers = (const double*)(plan + 1);
    return numbers[which * plan->capacity + plan->iteration - plan->first];
}

#if FULL_PRECISION
__device__ __forceinline__ float exponential_of(float x) { return expf(x); }
__device__ __forceinline__ float logarithm_of(float x) { return logf(x); }
__device__ __forceinline__ float log_one_plus(float x) { return log1pf(x); }
__device__ __forceinline__ float quotient(float x, float y) { return x / y; }
#else
__device__ __forceinline__ float exponential_of(float x) { return __expf(x); }
__device__ __forceinline__ float logarithm_of(float x) { return __logf(x); }
__device__ __forceinline__ float quotient(float x, float y) { return __fdividef(x, y); }
// For x in 0 ... 1; where the logarithm would lose digits, the first terms of its series.
__device__ __forceinline__ float log_one_plus(float x) {
    if (x < 0.015625f) return x * (1.0f - x * (0.5f - x * (0.33333333f - x * 0.25f)));
    return __logf(1.0f + x);
}
#endif

#define LOG_EPS 1e-8f

// Copies a batch's rows, a warp a row, and their weights.
extern "C" __global__ void gather(
    const Plan* plan,
    const void* table,         // normalized rows, (num_rows, D)
    int is_half,               // float16, else float32
    const float* weights,      // (num_rows,), or null: all 1
    float* x,                  // (rows, D)
    float* factors,            // (rows,)
    unsigned num_rows,
    unsigned long long epoch_samples,  // num_rows, plus the rows that short batches lack
    int dim,
    int batch_size,            // of a full batch
    int first_row,             // in the batch
    int rows,
    int batches,               // whose rows the table holds, one after the other
    int is_shuffled,           // otherwise: whether to take rows in each epoch's random order
    unsigned stream, unsigned key0, unsigned key1) {
    int row = (blockIdx.x * blockDim.x + threadIdx.x) / WARP, lane = threadIdx.x % WARP;
    if (row >= rows) return;
    unsigned long long source;
    if (is_shuffled) {
        unsigned long long sample =
            (unsigned long long)plan->iteration * batch_size + first_row + row;
        source = shuffled(
            (unsigned)(sample % epoch_samples), num_rows, sample / epoch_samples, stream, key0,
            key1);
    } else {
        source = plan->iteration % batches * batch_size + first_row + row;
    }
    float* out = x + (long long)row * dim;
    if (is_half) {
        const unsigned short* values = (const unsigned short*)table + source * dim;
        for (int i = lane; i < dim; i += WARP) out[i] = half_to_float(values[i]);
    } else {
        const float* values = (const float*)table + source * dim;
        for (int i = lane; i < dim; i += WARP) out[i] = values[i];
    }
    if (lane == 0) factors[row] = weights ? weights[source] : 1.0f;
}

// Sums and maxima over a team of `lanes` neighbours in a warp, for all of them.
__device__ __forceinline__ float team_sum(float value, int lanes) {
    for (int offset = lanes / 2; offset > 0; offset /= 2)
        value += __shfl_xor_sync(ALL_LANES, value, offset);
    return value;
}

__device__ __forceinline__ float team_max(float value, int lanes) {
    for (int offset = lanes / 2; offset > 0; offset /= 2)
        value = fmaxf(value, __shfl_xor_sync(ALL_LANES, value, offset));
    return value;
}

// Turns the encoder's outputs into probabilities, a team of `lanes` threads a row and group.
extern "C" __global__ void gumbel_softmax(
    const Plan* plan,
    float* p,                  // (rows, L): outputs before the bias, then probabilities
    float* q,                  // (rows, L): derivatives of the softmax's arguments by the outputs
    const float* bias,         // (L,)
    const float* given,        // (rows, L): Gumbel noise, or null: the generator's
    double* certain,           // (blocks,): sums of the largest probabilities
    int first_row, int rows, int num_codebooks, int num_codewords, int lanes,
    unsigned stream, unsigned key0, unsigned key1) {
    __shared__ double scratch[WARP];
    long long team = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / lanes;
    int lane = threadIdx.x % lanes;
    bool valid = team < (long long)rows * num_codebooks;
    if (!valid) team = 0;  // takes part but stores nothing
    int row = (int)(team / num_codebooks), group = (int)(team % num_codebooks);
    int quads = (num_codewords + 3) / 4;
    long long place = team * num_codewords;
    float inverse_tau = 1.0f / (float)planned(plan, 1);
    unsigned low = (unsigned)plan->iteration;
    unsigned high = stream | (unsigned)(plan->iteration >> 32) << 8;

    float top = -3.402823466e38f;
    for (int quad = lane; quad < quads; quad += lanes) {
        Words words = {};
        if (!given)
            words = philox(
                {(unsigned)(first_row + row), (unsigned)(group * quads + quad), low, high},
                key0, key1);
        unsigned bits[4] = {words.a, words.b, words.c, words.d};
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            int k = 4 * quad + j;
            if (k >= num_codewords) break;
            float draw = given ? expf(-given[place + k]) : exponential(bits[j]);
            float v = p[place + k] + bias[group * num_codewords + k];
            // The logit is the logarithm of t = softplus(v) + eps, and Gumbel noise is minus the
            // logarithm of an Exponential(1) draw, so their sum is a single logarithm.
            float small = exponential_of(-fabsf(v));
            float t = fmaxf(v, 0.0f) + log_one_plus(small) + LOG_EPS;
            float sigmoid = quotient(v > 0.0f ? 1.0f : small, 1.0f + small);
            float argument = logarithm_of(quotient(t, draw)) * inverse_tau;
            if (valid) {
                p[place + k] = argument;
                q[place + k] = quotient(sigmoid, t) * inverse_tau;
            }
            top = fmaxf(top, argument);
        }
    }
    top = team_max(top, lanes);
    float total = 0.0f;
    for (int quad = lane; quad < quads; quad += lanes)
        for (int k = 4 * quad; k < min(4 * quad + 4, num_codewords); ++k) {
            float value = valid ? exponential_of(p[place + k] - top) : 1.0f;
            if (valid) p[place + k] = value;
            total += value;
        }
    // The largest term of each sum is exp(0).
    float largest = 1.0f / team_sum(total, lanes);
    if (valid)
        for (int quad = lane; quad < quads; quad += lanes)
            for (int k = 4 * quad; k < min(4 * quad + 4, num_codewords); ++k)
                p[place + k] *= largest;
    double sum = block_sum(valid && lane == 0 ? largest : 0.0f, scratch);
    if (threadIdx.x == 0) certain[blockIdx.x] = sum;
}

// Turns gradients of the probabilities into those of the encoder's outputs.
extern "C" __global__ void softmax_gradient(
    float* gradient,           // (rows, L)
    const float* p, const float* q, int rows, int num_codebooks, int num_codewords, int lanes) {
    long long team = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / lanes;
    int lane = threadIdx.x % lanes;
    bool valid = team < (long long)rows * num_codebooks;
    long long place = valid ? team * num_codewords : 0;
    int quads = (num_codewords + 3) / 4;
    float mean = 0.0f;
    for (int quad = lane; quad < quads; quad += lanes)
        for (int k = 4 * quad; k < min(4 * quad + 4, num_codewords); ++k)
            mean += p[place + k] * gradient[place + k];
    mean = team_sum(mean, lanes);
    if (!valid) return;
    for (int quad = lane; quad < quads; quad += lanes)
        for (int k = 4 * quad; k < min(4 * quad + 4, num_codewords); ++k)
            gradient[place + k] =
                (gradient[place + k] - mean) * p[place + k] * q[place + k];
}

__device__ __forceinline__ float added_up(
    const float* gradients, long long index, int parts, long long stride) {
    float total = gradients[index];
    for (int part = 1; part < parts; ++part) total += gradients[part * stride + index];
    return total;
}

// Adds a share of the parameters to their gradients, before they are clipped.
extern "C" __global__ void add_decay(
    const float* parameters,   // (size,)
    float* gradients,          // (parts, size): the first part is added to
    long long size, float decay) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < size) gradients[i] += decay * parameters[i];
}

// Sums the squares of the gradients, a part of them for each block.
extern "C" __global__ void gradient_norm(
    const float* gradients,    // (parts, size)
    int parts, long long size,
    double* norms) {           // (blocks,)
    __shared__ double scratch[WARP];
    double total = 0.0;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < size;
         i += (long long)gridDim.x * blockDim.x) {
        double value = added_up(gradients, i, parts, size);
        total += value * value;
    }
    total = block_sum(total, scratch);
    if (threadIdx.x == 0) norms[blockIdx.x] = total;
}

// Makes the optimizer's step: Adam's, or that of SGD if there are no moments. The last block to
// finish adds the step's loss and certainty to the means, and advances to the next step.
extern "C" __global__ void descend(
    Plan* plan,
    float* parameters,         // (size,)
    const float* gradients,    // (parts, size)
    int parts, long long size,
    float* first, float* second,   // (size,), or null
    float new1, float new2, float eps,
    const double* norms,       // (norm_blocks,), or null
    int norm_blocks, double max_norm,
    float decay,               // share of the parameters added to clipped gradients, or 0
    const double* squares, int square_blocks,
    const double* certain, int certain_blocks,
    double* means,             // (3,): loss, maxp and weighted loss, summed over steps
    double loss_factor, double maxp_factor,
    unsigned* arrived) {       // (1,), 0 before and after
    __shared__ double scratch[WARP];
    __shared__ float shared_factor;
    __shared__ bool is_last;
    if (norms) {
        double total = block_sum_of(norms, norm_blocks, scratch);
        if (threadIdx.x == 0) {
            double norm = sqrt(total);
            shared_factor = norm > max_norm ? (float)(max_norm / norm) : 1.0f;
        }
        __syncthreads();
    }
    float factor = norms ? shared_factor : 1.0f, rate = (float)planned(plan, 0);
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < size) {
        float gradient = factor * added_up(gradients, i, parts, size);
        if (decay != 0.0f) gradient += decay * parameters[i];
        if (first) {
            float m = first[i], v = second[i];
            m += new1 * (gradient - m);
            v += new2 * (gradient * gradient - v);
            first[i] = m;
            second[i] = v;
            parameters[i] -= rate / (sqrtf(v) + eps) * m;
        } else {
            parameters[i] -= rate * gradient;
        }
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        is_last = atomicAdd(arrived, 1u) == gridDim.x - 1;
    }
    __syncthreads();
    if (!is_last) return;
    double square = 0.0, weighted = 0.0;
    for (int j = threadIdx.x; j < square_blocks; j += blockDim.x) {
        square += squares[2 * j];
        weighted += squares[2 * j + 1];
    }
    square = block_sum(square, scratch);
    weighted = block_sum(weighted, scratch);
    double sure = block_sum_of(certain, certain_blocks, scratch);
    if (threadIdx.x == 0) {
        means[0] += square * loss_factor;
        means[1] += sure * maxp_factor;
        means[2] += weighted * loss_factor;
        plan->iteration += 1;
        *arrived = 0;
    }
}
