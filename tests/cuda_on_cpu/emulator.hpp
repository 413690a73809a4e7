// Runs CUDA kernels on a CPU, so that their logic can be tested without a GPU.
//
// The threads of a block are fibers that take turns: one runs until it waits for others, at a
// barrier or in an operation of its warp. Blocks run one after the other. What a GPU leaves open is
// made hostile: threads run in ascending, descending or changing order, shared memory begins as
// NaN, and asynchronous copies happen no sooner than they are waited for. Mistakes that a GPU would
// not report end the process with a message.
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#define __device__
#define __global__
#define __forceinline__ inline
#define __shared__ static
#define __align__(n) alignas(n)
#define __launch_bounds__(...)
#define __grid_constant__
#define __restrict__

using std::max;
using std::min;

struct Dim3 { unsigned x, y, z; };
static Dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {

const int WARP_SIZE = 32;
const size_t STACK = 256 << 10, GUARD = 64;
static int order = 0;  // 0 ascending, 1 descending, 2 changing

[[noreturn]] inline void fail(const char* what) {
    fprintf(stderr, "emulator: block %u, thread %u: %s\n", blockIdx.x, threadIdx.x, what);
    abort();
}

struct Copy { void* target; const void* source; size_t bytes; bool valid; };
struct Thread {
    ucontext_t context;
    std::unique_ptr<char[]> stack{new char[STACK]};
    bool done;
    std::deque<std::vector<Copy>> groups;  // the last one is open
};
struct Group {  // a warp, or a block: who waits for whom
    int size, arrived, gone;
    unsigned generation;
};
struct Warp : Group { alignas(16) unsigned char slots[WARP_SIZE][64]; };

static std::vector<Thread> threads;
static std::vector<Warp> warps;
static Group block;
static ucontext_t scheduler;
static std::vector<unsigned char> shared;
static void (*body)(void*);
static void* body_arguments;

inline void yield() {
    unsigned self = threadIdx.x;
    swapcontext(&threads[self].context, &scheduler);
}

inline void wait(Group& group) {
    unsigned generation = group.generation;
    if (++group.arrived + group.gone == group.size) {
        group.arrived = 0;
        ++group.generation;
        return;
    }
    while (group.generation == generation) yield();
}

inline void leave(Group& group) {
    ++group.gone;
    if (group.arrived && group.arrived + group.gone == group.size) {
        group.arrived = 0;
        ++group.generation;
    }
}

inline Warp& warp() { return warps[threadIdx.x / WARP_SIZE]; }

inline void wait_for_warp() {
    if (warp().gone) fail("an operation of the warp after one of its threads returned");
    wait(warp());
}

// Gives each thread of a warp what the thread `from` has.
template <class T>
T exchange(T value, int from) {
    static_assert(sizeof(T) <= 64);
    memcpy(warp().slots[threadIdx.x % WARP_SIZE], &value, sizeof(T));
    wait_for_warp();
    memcpy(&value, warp().slots[from], sizeof(T));
    wait_for_warp();
    return value;
}

inline void complete(const std::vector<Copy>& group) {
    for (const Copy& copy : group)
        if (copy.valid) memcpy(copy.target, copy.source, copy.bytes);
        else memset(copy.target, 0, copy.bytes);
}

inline void run_thread() {
    body(body_arguments);
    Thread& self = threads[threadIdx.x];
    if (self.groups.size() > 1 || !self.groups.back().empty())
        fail("returned with copies under way");
    self.done = true;
    leave(block);
    leave(warp());
    swapcontext(&self.context, &scheduler);
}

inline void run_block(int count) {
    memset(shared.data(), 0xff, shared.size());  // NaN as any floating-point number
    if ((int)threads.size() < count) threads = std::vector<Thread>(count);
    warps.assign((count + WARP_SIZE - 1) / WARP_SIZE, Warp{});
    for (int i = 0; i < (int)warps.size(); ++i)
        warps[i].size = min(WARP_SIZE, count - i * WARP_SIZE);
    block = Group{count, 0, 0, 0};
    for (int i = 0; i < count; ++i) {
        Thread& thread = threads[i];
        thread.done = false;
        thread.groups.assign(1, {});
        getcontext(&thread.context);
        thread.context.uc_stack.ss_sp = thread.stack.get();
        thread.context.uc_stack.ss_size = STACK;
        thread.context.uc_link = nullptr;
        makecontext(&thread.context, (void (*)())run_thread, 0);
    }
    int left = count;
    unsigned state = 1;
    for (long rounds = 0; left; ++rounds) {
        if (rounds > 50'000'000) fail("the block waits forever");
        state = state * 1664525u + 1013904223u;
        unsigned start = order == 2 ? state >> 8 : 0;
        for (int i = 0; i < count; ++i) {
            unsigned place = (i + start) % count;
            unsigned number = order == 1 || (order == 2 && rounds % 2) ? count - 1 - place : place;
            if (threads[number].done) continue;
            threadIdx = {number, 0, 0};
            swapcontext(&scheduler, &threads[number].context);
            left -= threads[number].done;
        }
    }
    for (size_t i = shared.size() - GUARD; i < shared.size(); ++i)
        if (shared[i] != 0xff) fail("wrote beyond the shared memory it was launched with");
}

template <class... A, size_t... I>
void launch(void (*kernel)(A...), std::index_sequence<I...>, void** given, int blocks, int count,
            int bytes) {
    typedef std::tuple<void (*)(A...), A...> Call;
    Call call(kernel, *(std::remove_reference_t<A>*)given[I]...);
    body = [](void* p) {
        Call copy = *(Call*)p;
        std::apply([](auto kernel, auto... arguments) { kernel(arguments...); }, copy);
    };
    body_arguments = &call;
    shared.resize((size_t)bytes + GUARD);
    gridDim = {(unsigned)blocks, 1, 1};
    blockDim = {(unsigned)count, 1, 1};
    for (int i = 0; i < blocks; ++i) {
        blockIdx = {(unsigned)i, 0, 0};
        run_block(count);
    }
}

template <class... A>
void launch(void (*kernel)(A...), void** given, int blocks, int count, int bytes) {
    launch(kernel, std::index_sequence_for<A...>(), given, blocks, count, bytes);
}

}  // namespace emulator

extern "C" void emulator_set_order(int order) { emulator::order = order; }

// What CUDA provides.
struct alignas(16) float4 { float x, y, z, w; };
inline unsigned __float_as_uint(float x) {
    unsigned bits;
    memcpy(&bits, &x, 4);
    return bits;
}
inline float __uint_as_float(unsigned bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}
inline void __syncthreads() { emulator::wait(emulator::block); }
inline void __syncwarp(unsigned = 0) { emulator::wait_for_warp(); }
inline void __threadfence() {}
inline unsigned __umulhi(unsigned a, unsigned b) { return (uint64_t)a * b >> 32; }
inline float __logf(float x) { return logf(x); }
inline float __expf(float x) { return expf(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __fadd_rn(float x, float y) { return x + y; }
inline float __fsub_rn(float x, float y) { return x - y; }
inline float __fmul_rn(float x, float y) { return x * y; }
inline double __dadd_rn(double x, double y) { return x + y; }
inline double __dmul_rn(double x, double y) { return x * y; }
inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
template <class T> T __shfl_sync(unsigned, T value, int from) {
    return emulator::exchange(value, from % 32);
}
template <class T> T __shfl_xor_sync(unsigned, T value, int mask) {
    return emulator::exchange(value, (threadIdx.x % 32) ^ mask);
}
template <class T> T __shfl_up_sync(unsigned, T value, int by) {
    int lane = threadIdx.x % 32;
    return emulator::exchange(value, lane < by ? lane : lane - by);
}
inline unsigned __ballot_sync(unsigned, bool vote) {
    unsigned votes = 0;
    memcpy(emulator::warp().slots[threadIdx.x % 32], &vote, 1);
    emulator::wait_for_warp();
    for (int i = 0; i < 32; ++i) votes |= (unsigned)emulator::warp().slots[i][0] << i;
    emulator::wait_for_warp();
    return votes;
}
template <class F> unsigned reduce_over_warp(unsigned value, F add) {
    memcpy(emulator::warp().slots[threadIdx.x % 32], &value, 4);
    emulator::wait_for_warp();
    memcpy(&value, emulator::warp().slots[0], 4);
    for (int i = 1; i < 32; ++i) {
        unsigned other;
        memcpy(&other, emulator::warp().slots[i], 4);
        value = add(value, other);
    }
    emulator::wait_for_warp();
    return value;
}
inline unsigned __reduce_min_sync(unsigned, unsigned value) {
    return reduce_over_warp(value, [](unsigned a, unsigned b) { return min(a, b); });
}
inline unsigned __reduce_add_sync(unsigned, unsigned value) {
    return reduce_over_warp(value, [](unsigned a, unsigned b) { return a + b; });
}
template <class T> T atomicAdd(T* place, std::type_identity_t<T> value) {
    T old = *place;
    *place = old + value;
    return old;
}

// What `primitives.cuh` provides.
#define WARP 32
#define ALL_LANES 0xffffffffu
#define SHARED_MEMORY(name) unsigned char* name = emulator::shared.data()

template <int COUNT> void copy_async(float* target, const float* source, bool valid) {
    size_t bytes = 4 * COUNT;
    unsigned char* place = (unsigned char*)target;
    if (place < emulator::shared.data() ||
        place + bytes > emulator::shared.data() + emulator::shared.size() - emulator::GUARD)
        emulator::fail("copied beyond the shared memory it was launched with");
    if ((uintptr_t)source % bytes || (place - emulator::shared.data()) % bytes)
        emulator::fail("copied from or to an address that is not aligned");
    memset(target, 0xff, bytes);
    emulator::threads[threadIdx.x].groups.back().push_back({target, source, bytes, valid});
}
inline void commit_copies() { emulator::threads[threadIdx.x].groups.push_back({}); }
template <int PENDING> void wait_for_copies() {
    auto& groups = emulator::threads[threadIdx.x].groups;
    while (groups.size() > PENDING + 1) {
        emulator::complete(groups.front());
        groups.pop_front();
    }
}
inline float round_to_tf32(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    bits = (bits + 0x1000) & 0xffffe000;
    memcpy(&x, &bits, 4);
    return x;
}
// As an A100 adds (Fasi et al., "Numerical behavior of NVIDIA tensor cores", PeerJ Computer Science
// 2021): four products and the sum exactly, and then rounded towards zero.
inline float toward_zero(double exact) {
    float rounded = (float)exact;
    return std::fabs((double)rounded) > std::fabs(exact) ? std::nextafterf(rounded, 0.0f) : rounded;
}
inline void multiply(float (&sum)[4], const float (&first)[4], const float (&second)[2]) {
    auto& slots = emulator::warp().slots;
    int lane = threadIdx.x % 32, row = lane / 4, column = 2 * (lane % 4);
    float* mine = (float*)slots[lane];
    memcpy(mine, first, 16);
    memcpy(mine + 4, second, 8);
    emulator::wait_for_warp();
    for (int half = 0; half < 2; ++half) {
        double exact[4] = {sum[0], sum[1], sum[2], sum[3]};
        for (int k = 0; k < 4; ++k) {
            const float* a = (const float*)slots[4 * row + k] + 2 * half;
            double left = ((const float*)slots[4 * column + k])[4 + half];
            double right = ((const float*)slots[4 * (column + 1) + k])[4 + half];
            exact[0] += a[0] * left;
            exact[1] += a[0] * right;
            exact[2] += a[1] * left;
            exact[3] += a[1] * right;
        }
        for (int i = 0; i < 4; ++i) sum[i] = toward_zero(exact[i]);
    }
    emulator::wait_for_warp();
}
inline float half_to_float(unsigned short bits) {
    _Float16 value;
    memcpy(&value, &bits, 2);
    return (float)value;
}
