"""Better codes for a fixed codebook: iterated conditional modes with perturbation.

Source: Martinez et al., "Revisiting additive quantization", ECCV 2016, section 3 (ICM and its
perturbation), and "LSQ++", ECCV 2018. For a row x with codes k_1 ... k_M the objective is
``||x - sum c||^2``, which is, up to ``||x||^2``, the sum over groups of ``||c||^2 - 2 x.c`` and
over pairs of groups of ``2 c.c'``: the unary terms come from the product of rows and codebook, the
pairwise ones from the codebook's Gram matrix.
"""

import llvmlite.ir as ir
import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from nncompress.kernels.elementary import INLINE, JIT
from nncompress.kernels.philox import philox
from nncompress.kernels.product import VECTOR_BYTES, product

TILE_ROWS = 256
_U = np.uint32


@njit(**INLINE)
def _random_below(bits, size):
    """Maps 32 random bits to ``0 ... size-1``."""
    return np.int64((np.uint64(bits) * np.uint64(size)) >> np.uint64(32))


@intrinsic
def _gather_sum(typingctx, costs, unary, gram, codes, sizes):
    """Adds up rows of a matrix that codes choose, in vector registers.

    ``costs[k] = unary[k] + sum over m of gram[m*K + codes[m], k]`` for k below K.

    Args:
        typingctx: Numba's.
        costs: Address of K float32.
        unary: Address of K float32.
        gram: Address of the first of K columns of a float32 matrix of ``L`` columns.
        codes: Address of M int32.
        sizes: M, K and L.
    """

    def codegen(context, builder, signature, arguments):
        lanes = VECTOR_BYTES // 4
        wide, int32, real = ir.IntType(64), ir.IntType(32), ir.FloatType()
        vector, flags = ir.VectorType(real, lanes), ir.VectorType(ir.IntType(1), lanes)
        suffix, module, pointer = f"v{lanes}f32", builder.module, vector.as_pointer()

        def external(name, result, *operands):
            return cgutils.get_or_insert_function(module, ir.FunctionType(result, operands), name)

        masked_load = external(
            f"llvm.masked.load.{suffix}.p0", vector, pointer, int32, flags, vector
        )
        masked_store = external(
            f"llvm.masked.store.{suffix}.p0", ir.VoidType(), vector, pointer, int32, flags
        )
        costs, unary, gram, codes, sizes = arguments
        count, width, columns = (builder.extract_value(sizes, i) for i in range(3))
        nothing = ir.Constant(vector, [0.0] * lanes)
        steps = ir.Constant(ir.VectorType(wide, lanes), list(range(lanes)))

        def address(base, offset, kind):
            return builder.inttoptr(builder.add(base, builder.mul(offset, wide(4))), kind)

        def load(base, offset, mask):
            return builder.call(
                masked_load, [address(base, offset, pointer), int32(4), mask, nothing]
            )

        with cgutils.for_range_slice(builder, wide(0), width, wide(lanes), wide) as (k, _):
            left = builder.sub(width, k)
            first = builder.insert_element(ir.Constant(steps.type, ir.Undefined), left, int32(0))
            zeros = ir.Constant(ir.VectorType(int32, lanes), [0] * lanes)
            mask = builder.icmp_signed(
                "<",
                steps,
                builder.shuffle_vector(first, ir.Constant(steps.type, ir.Undefined), zeros),
            )
            sums = [cgutils.alloca_once(builder, vector) for _ in range(4)]
            builder.store(load(unary, k, mask), sums[0])
            for slot in sums[1:]:
                builder.store(nothing, slot)

            def add(other, slot, k=k, mask=mask):
                code = builder.load(address(codes, other, int32.as_pointer()))
                row = builder.add(builder.mul(other, width), builder.sext(code, wide))
                found = load(gram, builder.add(builder.mul(row, columns), k), mask)
                builder.store(builder.fadd(builder.load(slot), found), slot)

            whole = builder.and_(count, wide(-4))
            # Four sums at once: one would wait for each addition to end.
            with cgutils.for_range_slice(builder, wide(0), whole, wide(4), wide) as (m, _):
                for i, slot in enumerate(sums):
                    add(builder.add(m, wide(i)), slot)
            with cgutils.for_range_slice(builder, whole, count, wide(1), wide) as (m, _):
                add(m, sums[0])
            total = builder.fadd(
                builder.fadd(builder.load(sums[0]), builder.load(sums[1])),
                builder.fadd(builder.load(sums[2]), builder.load(sums[3])),
            )
            builder.call(masked_store, [total, address(costs, k, pointer), int32(4), mask])
        return context.get_dummy_value()

    signature = types.void(
        types.int64, types.int64, types.int64, types.int64, types.UniTuple(types.int64, 3)
    )
    return signature, codegen


@njit(**INLINE)
def _conditional_costs(costs, unary, gram, codes, group):
    """Fills the cost of each codeword of a group, given the codes of the other groups."""
    first = group * costs.size
    _gather_sum(
        np.int64(costs.ctypes.data),
        np.int64(unary.ctypes.data + 4 * first),
        np.int64(gram.ctypes.data + 4 * first),
        np.int64(codes.ctypes.data),
        (np.int64(codes.size), np.int64(costs.size), np.int64(gram.shape[1])),
    )


@njit(**JIT)
def _sweep(costs, unary, gram, codes, order):
    """Sets each group's code to the best one given the others; returns what that gains."""
    gain = costs.dtype.type(0)
    for position in range(order.size):
        group = order[position]
        _conditional_costs(costs, unary, gram, codes, group)
        old = codes[group]
        best, least = old, costs[old]
        for k in range(costs.size):
            less = costs[k] < least
            best = np.int32(k) if less else best
            least = costs[k] if less else least
        gain += costs[old] - least
        codes[group] = best
    return gain


@njit(**JIT)
def improve(
    thread, threads, barrier, x, codebook_t, norms, gram, codes, first_row, seed_words, stream,
    position, trials, perturbed, sweeps,
):  # fmt: skip
    """Improves the codes of rows, each tile of rows by one thread.

    Each trial gives some groups of a row a random code and runs ICM from there; its codes are kept
    if they are better. Before the first trial, ICM runs from the codes as they are.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: Not used: rows do not depend on each other.
        x: float32 ``(n, D)``, C-contiguous.
        codebook_t: The codebook transposed, ``(D, L)``.
        norms: Squared norms of the codewords, ``(L,)``.
        gram: Twice the inner products of the codewords, ``(L, L)``, and 0 within a group.
        codes: int32 ``(n, M)``, improved in place.
        first_row: Number of the first row, for the random numbers.
        seed_words: uint32 ``(2,)``: low and high half of the seed.
        stream: Which random numbers.
        position: Which draw.
        trials: How many perturbations to try.
        perturbed: How many groups each changes.
        sweeps: The most sweeps of ICM in a trial.
    """
    num_rows, num_codebooks = codes.shape
    num_logits = norms.size
    num_codewords = num_logits // num_codebooks
    height = min(TILE_ROWS, num_rows)
    unary = np.empty((height, num_logits), x.dtype)
    costs = np.empty(num_codewords, x.dtype)
    trial_codes = np.empty(num_codebooks, np.int32)
    order = np.arange(num_codebooks)
    k0, k1 = seed_words[0], seed_words[1]
    # What gains no more than rounding may lose is no improvement.
    margin = x.dtype.type(1e-5)
    for first in range(thread * TILE_ROWS, num_rows, threads * TILE_ROWS):
        n = min(TILE_ROWS, num_rows - first)
        product(x[first : first + n], False, codebook_t, unary[:n], False)
        for i in range(n):
            terms = unary[i]
            size = x.dtype.type(0)
            for unit in range(num_logits):
                terms[unit] = norms[unit] - terms[unit] - terms[unit]
            for j in range(x.shape[1]):
                size += x[first + i, j] * x[first + i, j]
            current = codes[first + i]
            row = _U(first_row + first + i)
            for trial in range(trials + 1):
                trial_codes[:] = current
                gain = x.dtype.type(0)
                if trial > 0:
                    for change in range(perturbed):
                        words = philox(
                            row, _U(trial), _U(position), _U(stream | (change + 1) << 8), k0, k1
                        )
                        group = _random_below(words[0], num_codebooks)
                        _conditional_costs(costs, terms, gram, trial_codes, group)
                        code = np.int32(_random_below(words[1], num_codewords))
                        gain += costs[trial_codes[group]] - costs[code]
                        trial_codes[group] = code
                for group in range(num_codebooks):
                    order[group] = group
                for group in range(num_codebooks - 1, 0, -1):
                    words = philox(
                        row, _U(trial), _U(position), _U(stream | (group + 1) << 20), k0, k1
                    )
                    other = _random_below(words[0], group + 1)
                    order[group], order[other] = order[other], order[group]
                for _ in range(sweeps):
                    gained = _sweep(costs, terms, gram, trial_codes, order)
                    gain += gained
                    if gained <= margin * size:
                        break
                if gain > margin * size:
                    current[:] = trial_codes


@njit(**JIT)
def tally(thread, threads, barrier, x, codes, num_codewords, counts, sums):
    """Adds rows to what the least-squares codebook is made from, each group by one thread.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: Not used: groups do not depend on each other.
        x: ``(n, D)``.
        codes: int32 ``(n, M)``.
        num_codewords: K.
        counts: float64 ``(L, L)``: how often two codewords are used together. Rows of later
            groups than the column's are added to, the others are left as they are.
        sums: float64 ``(L, D)``: the sum of the rows that use a codeword.
    """
    for group in range(thread, codes.shape[1], threads):
        for i in range(codes.shape[0]):
            unit = group * num_codewords + codes[i, group]
            row, total = x[i], sums[unit]
            for j in range(row.size):
                total[j] += row[j]
            for other in range(group + 1):
                counts[unit, other * num_codewords + codes[i, other]] += 1
