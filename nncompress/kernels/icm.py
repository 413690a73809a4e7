"""Better codes for a fixed codebook: iterated conditional modes with perturbation.

Source: Martinez et al., "Revisiting additive quantization", ECCV 2016, section 3 (ICM and its
perturbation), and "LSQ++", ECCV 2018. For a row x with codes k_1 ... k_M the objective is
``||x - sum c||^2``, which is, up to ``||x||^2``, the sum over groups of ``||c||^2 - 2 x.c`` and
over pairs of groups of ``2 c.c'``: the unary terms come from the product of rows and codebook, the
pairwise ones from the codebook's Gram matrix.
"""

import numpy as np
from numba import njit

from nncompress.kernels.elementary import INLINE, JIT
from nncompress.kernels.philox import philox
from nncompress.kernels.product import product

TILE_ROWS = 256
_U = np.uint32


@njit(**INLINE)
def _random_below(bits, size):
    """Maps 32 random bits to ``0 ... size-1``."""
    return np.int64((np.uint64(bits) * np.uint64(size)) >> np.uint64(32))


@njit(**JIT)
def _conditional_costs(costs, unary, gram, codes, group, num_codewords):
    """Fills the cost of each codeword of a group, given the codes of the other groups."""
    first = group * num_codewords
    for k in range(num_codewords):
        costs[k] = unary[first + k]
    for other in range(codes.size):
        if other != group:
            row = gram[other * num_codewords + codes[other], first : first + num_codewords]
            for k in range(num_codewords):
                costs[k] += row[k]


@njit(**JIT)
def _cost(unary, gram, codes, num_codewords):
    """Returns the objective less ``||x||^2``; ``gram`` holds twice the inner products."""
    total = unary.dtype.type(0)
    for group in range(codes.size):
        chosen = group * num_codewords + codes[group]
        total += unary[chosen]
        for other in range(group):
            total += gram[chosen, other * num_codewords + codes[other]]
    return total


@njit(**JIT)
def _sweep(costs, unary, gram, codes, num_codewords, order):
    """Sets each group's code to the best one given the others, and tells whether any changed."""
    changed = False
    for position in range(order.size):
        group = order[position]
        _conditional_costs(costs, unary, gram, codes, group, num_codewords)
        best = codes[group]
        for k in range(num_codewords):
            if costs[k] < costs[best]:
                best = k
        if best != codes[group]:
            codes[group] = best
            changed = True
    return changed


@njit(**JIT)
def improve(
    thread, threads, barrier, x, codebook_t, norms, gram, codes, first_row, seed_words, stream,
    position, trials, perturbed, sweeps,
):  # fmt: skip
    """Improves the codes of rows, each tile of rows by one thread.

    Each trial gives some groups of a row a random code and runs ICM from there; its codes are kept
    if they are better. The first trial starts from the codes as they are.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: Not used: rows do not depend on each other.
        x: ``(n, D)``, C-contiguous.
        codebook_t: The codebook transposed, ``(D, L)``.
        norms: Squared norms of the codewords, ``(L,)``.
        gram: Twice the inner products of the codewords, ``(L, L)``.
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
    unary = np.empty((min(TILE_ROWS, num_rows), num_logits), x.dtype)
    costs = np.empty(num_codewords, x.dtype)
    trial_codes = np.empty(num_codebooks, np.int32)
    order = np.empty(num_codebooks, np.int64)
    k0, k1 = seed_words[0], seed_words[1]
    margin = x.dtype.type(1e-6)
    for first in range(thread * TILE_ROWS, num_rows, threads * TILE_ROWS):
        n = min(TILE_ROWS, num_rows - first)
        product(x[first : first + n], False, codebook_t, unary[:n], False)
        for i in range(n):
            terms = unary[i]
            for unit in range(num_logits):
                terms[unit] = norms[unit] - terms[unit] - terms[unit]
            current = codes[first + i]
            row = _U(first_row + first + i)
            best = _cost(terms, gram, current, num_codewords)
            for trial in range(trials + 1):
                trial_codes[:] = current
                if trial > 0:
                    for change in range(perturbed):
                        words = philox(
                            row, _U(trial), _U(position), _U(stream | (change + 1) << 8), k0, k1
                        )
                        group = _random_below(words[0], num_codebooks)
                        trial_codes[group] = _random_below(words[1], num_codewords)
                for group in range(num_codebooks):
                    order[group] = group
                for group in range(num_codebooks - 1, 0, -1):
                    words = philox(
                        row, _U(trial), _U(position), _U(stream | (group + 1) << 20), k0, k1
                    )
                    other = _random_below(words[0], group + 1)
                    order[group], order[other] = order[other], order[group]
                for _ in range(sweeps):
                    if not _sweep(costs, terms, gram, trial_codes, num_codewords, order):
                        break
                cost = _cost(terms, gram, trial_codes, num_codewords)
                # What is no more than rounding is no improvement.
                if cost < best - margin * abs(best):
                    best = cost
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
