"""Improving codes for a fixed codebook, one group at a time, by Gibbs sampling followed by ICM.

Source: Martinez et al., "Revisiting additive quantization", ECCV 2016, section 3 (iterated
conditional modes, and the perturbation between its runs); Geman and Geman, "Stochastic Relaxation,
Gibbs Distributions, and the Bayesian Restoration of Images", PAMI 1984 (ICM's random form, and its
annealing).

For a row x with codes k_1 ... k_M the objective is ``||x - sum c||^2``, which is, up to
``||x||^2``, the sum over groups of ``||c||^2 - 2 x.c`` and over pairs of groups of ``2 c.c'``: the
unary terms come from the product of rows and codebook, the pairwise ones from the codebook's Gram
matrix. Each row has a table of the cost of each codeword in its group, given the other groups'
codes. A change of one code changes the table by two rows of the Gram matrix, so that only changes
are expensive, and reading is cheap.
"""

import numpy as np
from numba import njit

from nncompress.cpu.arena import empty_rows
from nncompress.cpu.elementary import INLINE, JIT
from nncompress.cpu.intrinsics import load
from nncompress.cpu.philox import philox
from nncompress.cpu.product import product
from nncompress.cpu.vectors import add, better, exchange, gather_sum

_TABLE_NUMBERS = 131_072  # in the tables of a tile of rows, so that they stay in the cache
_FILL_COLUMNS = 64
_U = np.uint32


@njit(**INLINE)
def _random_below(bits, size):
    """Maps 32 random bits to ``0 ... size-1``."""
    return np.int64((np.uint64(bits) * np.uint64(size)) >> np.uint64(32))


@njit(**INLINE)
def _tile_rows(length):
    """Returns the number of rows in a tile."""
    return min(max(_TABLE_NUMBERS // length, 16), 256)


@njit(**INLINE)
def unary_terms(unary, x, codewords, norms):
    """Fills ``norms - 2 x @ codebook.T``, ``(n, L)``; the codewords are packed as columns."""
    product(x, np.bool_(False), codewords, unary, np.bool_(False))
    for i in range(unary.shape[0]):
        terms = unary[i]
        for unit in range(norms.size):
            terms[unit] = norms[unit] - terms[unit] - terms[unit]


@njit(**INLINE)
def rounding_margin(row):
    """Returns the least gain that is an improvement of a row's codes and not rounding."""
    size = row.dtype.type(0)
    for j in range(row.size):
        size += row[j] * row[j]
    return row.dtype.type(1e-5) * size


@njit(**INLINE)
def _fill(tables, gram, codes, units):
    """Turns unary terms, ``(n, L)``, into tables of costs; ``units`` is scratch, int32 ``(n, M)``.

    All rows use a few columns of the Gram matrix before the next ones, so that columns are read
    from the nearest caches.
    """
    num_codebooks, length = codes.shape[1], gram.shape[0]
    num_codewords = length // num_codebooks
    for i in range(codes.shape[0]):
        for group in range(num_codebooks):
            units[i, group] = group * num_codewords + codes[i, group]
    for first in range(0, length, _FILL_COLUMNS):
        columns = np.int64(gram.ctypes.data + 4 * first)
        sizes = (
            np.int64(num_codebooks), np.int64(min(_FILL_COLUMNS, length - first)),
            np.int64(length),
        )  # fmt: skip
        for i in range(codes.shape[0]):
            table = np.int64(tables[i].ctypes.data + 4 * first)
            gather_sum(table, table, columns, np.int64(units[i].ctypes.data), sizes)


@njit(**INLINE)
def _set(total, table, gram, codes, group, num_codewords, code):
    """Changes a code and writes the new table; returns the gain."""
    first = group * num_codewords
    old, new = first + codes[group], first + code
    zero = np.float32(0)
    gain = load(zero, table, old) - load(zero, table, new)
    base, row_bytes = np.int64(gram.ctypes.data), np.int64(4 * gram.shape[1])
    exchange(total, table, base + new * row_bytes, base + old * row_bytes, np.int64(gram.shape[1]))
    codes[group] = code
    return gain


@njit(**INLINE)
def _copy(source, target):
    """Copies an array; an assignment would also compile its error for mismatched shapes."""
    for i in range(source.size):
        target[i] = source[i]


@njit(**JIT)
def _sample(total, table, gram, codes, noise, temperature, words):
    """Draws a new code for each group, given the others.

    A code has a probability proportional to ``exp(-cost / temperature)``: it has the smallest cost
    minus temperature times Gumbel noise (Maddison et al., "A* Sampling", NIPS 2014, section 2).

    Args:
        total: Address of the table of costs after the first change.
        table: Address of the table of costs before it; may be the same.
        gram: Twice the inner products of the codewords, ``(L, L)``.
        codes: int32 ``(M,)``, replaced.
        noise: Gumbel(0, 1) draws, float32.
        temperature: float32.
        words: Four random words.

    Returns:
        The gain, and the address of the table of the new codes.
    """
    num_codebooks = codes.size
    num_codewords = gram.shape[0] // num_codebooks
    places = noise.size - num_codewords
    draws = np.int64(noise.ctypes.data)
    length = np.int64(num_codewords)
    zero = np.float32(0)
    gain = zero
    state = words[0]
    group = _random_below(words[1], num_codebooks)
    for _ in range(num_codebooks):
        # Numerical Recipes' congruential generator, whose upper bits choose a place in the noise.
        state = _U(state * _U(1664525) + _U(1013904223))
        drawn = draws + 4 * _random_below(state, places)
        costs = table + 4 * group * num_codewords
        code = better(costs, drawn, temperature, zero, np.int64(codes[group]), length)
        if code != codes[group]:
            gain += _set(total, table, gram, codes, group, num_codewords, code)
            table = total
        group += 1
        if group == num_codebooks:
            group = 0
    return gain, table


@njit(**JIT)
def _descend(total, table, gram, codes, margin, sweeps):
    """Sets each group's code to the best one given the others until none changes (ICM).

    Args:
        total: Address of the table of costs after the first change.
        table: Address of the table of costs before it; may be the same.
        gram: Twice the inner products of the codewords, ``(L, L)``.
        codes: int32 ``(M,)``, replaced.
        margin: The least gain of a change.
        sweeps: The most sweeps.

    Returns:
        The gain, the address of the table of the new codes, and whether no change of a single code
        would gain more.
    """
    num_codebooks = codes.size
    num_codewords = gram.shape[0] // num_codebooks
    length = np.int64(num_codewords)
    zero = np.float32(0)
    gain = zero
    group, unchanged = 0, 0
    for _ in range(sweeps * num_codebooks):
        costs = table + 4 * group * num_codewords
        unchanged += 1
        code = better(costs, None, zero, margin, np.int64(codes[group]), length)
        if code != codes[group]:
            gain += _set(total, table, gram, codes, group, num_codewords, code)
            table = total
            unchanged = 1
        if unchanged == num_codebooks:
            break
        group += 1
        if group == num_codebooks:
            group = 0
    return gain, table, unchanged == num_codebooks


@njit(**JIT)
def _choose_greedily(table, gram, codes, order):
    """Gives each group the codeword that costs least, given those of the groups before.

    Args:
        table: Address of the unary terms; they become the table of costs.
        gram: Twice the inner products of the codewords, ``(L, L)``, and 0 within a group.
        codes: int32 ``(M,)``, replaced.
        order: ``(M,)``, the groups in the order in which they are decided.
    """
    length = np.int64(gram.shape[0])
    num_codewords = np.int64(length // codes.size)
    zero, first_code = np.float32(0), np.int64(0)
    base = np.int64(gram.ctypes.data)
    for step in range(order.size):
        first = np.int64(order[step] * num_codewords)
        code = better(table + 4 * first, None, zero, zero, first_code, num_codewords)
        codes[order[step]] = code
        add(table, base + 4 * length * (first + code), length)


@njit(**JIT)
def _try_samples(
    kept_table, changed_table, gram, current, trial_codes, numbers, seed_words, noise, temperature,
    margin, trials, sweeps,
):  # fmt: skip
    """Improves a row's codes by ICM, starting from the codes as they are and from samples of them.

    Args:
        kept_table: float32 ``(L,)``: the table of costs of the codes, updated with them.
        changed_table: float32 ``(L,)``, scratch.
        gram: Twice the inner products of the codewords, ``(L, L)``, and 0 within a group.
        current: int32 ``(M,)``: the codes, improved.
        trial_codes: int32 ``(M,)``, scratch.
        numbers: Counter of the random numbers: the row, the position of the draw, and its stream.
        seed_words: uint32 ``(2,)``: low and high half of the seed.
        noise: Gumbel(0, 1) draws, float32.
        temperature: Temperature of the sampling.
        margin: The least gain of a change.
        trials: Number of samples.
        sweeps: Largest number of sweeps of ICM in a trial.
    """
    row, position, stream = numbers
    kept, total = np.int64(kept_table.ctypes.data), np.int64(changed_table.ctypes.data)
    settled = False  # whether ICM has nothing left to improve in the current codes
    _copy(current, trial_codes)
    for trial in range(trials + 1):
        table, gain = kept, np.float32(0)
        if trial > 0:
            words = philox(row, _U(trial), position, stream, seed_words[0], seed_words[1])
            gain, table = _sample(total, kept, gram, trial_codes, noise, temperature, words)
            if table == kept and settled:
                continue
        more, table, ended = _descend(total, table, gram, trial_codes, margin, sweeps)
        if gain + more > margin:
            _copy(trial_codes, current)
            _copy(changed_table, kept_table)
            settled = ended
        elif table == kept:
            settled = ended
        else:
            _copy(current, trial_codes)


@njit(**JIT)
def relax(
    thread, threads, barrier, x, codewords, norms, gram, codes, first_row, seed_words, stream,
    position, noise, temperatures,
):  # fmt: skip
    """Samples the codes of rows, with one sweep over the groups for each temperature.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: Not used: rows do not depend on each other.
        x: float32 ``(n, D)``, C-contiguous.
        codewords: The codebook's transpose, ``(D, L)``, packed by ``panels.py``.
        norms: Squared norms of the codewords, ``(L,)``.
        gram: Twice the inner products of the codewords, ``(L, L)``, and 0 within a group.
        codes: int32 ``(n, M)``, replaced.
        first_row: Number of the first row, for the random numbers.
        seed_words: uint32 ``(2,)``: low and high half of the seed.
        stream: Stream of the random numbers, one of ``random.noise.Stream``.
        position: Number of the draw within the stream.
        noise: Gumbel(0, 1) draws, float32; reading may begin anywhere before the last K numbers.
        temperatures: float32, in units of squared distance.
    """
    num_rows = codes.shape[0]
    height = _tile_rows(norms.size)
    tables = empty_rows(min(height, num_rows), norms.size)
    units = np.empty((len(tables), codes.shape[1]), np.int32)
    for first in range(thread * height, num_rows, threads * height):
        n = min(height, num_rows - first)
        unary_terms(tables[:n], x[first : first + n], codewords, norms)
        _fill(tables, gram, codes[first : first + n], units)
        for i in range(n):
            table, current = np.int64(tables[i].ctypes.data), codes[first + i]
            row = _U(first_row + first + i)
            for sweep in range(temperatures.size):
                words = philox(
                    row, _U(sweep), _U(position), _U(stream), seed_words[0], seed_words[1]
                )
                _sample(table, table, gram, current, noise, temperatures[sweep], words)


@njit(**JIT)
def improve(
    thread, threads, barrier, x, codewords, norms, gram, codes, first_row, seed_words, stream,
    position, noise, temperature, trials, sweeps,
):  # fmt: skip
    """Improves the codes of rows, each tile of rows by one thread.

    Each trial samples a row's codes once and runs ICM from there; its codes are kept if they are
    better. Before the first trial, ICM runs from the codes as they are.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: Not used: rows do not depend on each other.
        x: float32 ``(n, D)``, C-contiguous.
        codewords: The codebook's transpose, ``(D, L)``, packed by ``panels.py``.
        norms: Squared norms of the codewords, ``(L,)``.
        gram: Twice the inner products of the codewords, ``(L, L)``, and 0 within a group.
        codes: int32 ``(n, M)``, improved in place.
        first_row: Number of the first row, for the random numbers.
        seed_words: uint32 ``(2,)``: low and high half of the seed.
        stream: Stream of the random numbers, one of ``random.noise.Stream``.
        position: Number of the draw within the stream.
        noise: Gumbel(0, 1) draws, float32; reading may begin anywhere before the last K numbers.
        temperature: Temperature of the sampling, in units of squared distance.
        trials: Number of samples tried for each row.
        sweeps: Largest number of sweeps of ICM in a trial.
    """
    num_rows, num_codebooks = codes.shape
    height = _tile_rows(norms.size)
    tables = empty_rows(min(height, num_rows), norms.size)
    units = np.empty((len(tables), num_codebooks), np.int32)
    changed_table = empty_rows(1, norms.size)[0]
    trial_codes = np.empty(num_codebooks, np.int32)
    for first in range(thread * height, num_rows, threads * height):
        n = min(height, num_rows - first)
        unary_terms(tables[:n], x[first : first + n], codewords, norms)
        _fill(tables, gram, codes[first : first + n], units)
        for i in range(n):
            margin = rounding_margin(x[first + i])
            numbers = _U(first_row + first + i), _U(position), _U(stream)
            _try_samples(
                tables[i], changed_table, gram, codes[first + i], trial_codes, numbers, seed_words,
                noise, temperature, margin, trials, sweeps,
            )  # fmt: skip


@njit(**JIT)
def find(
    thread, threads, barrier, x, codewords, norms, gram, codes, first_row, seed_words, stream,
    position, noise, order, temperature, trials, sweeps,
):  # fmt: skip
    """Finds the codes of rows: those of a greedy choice, improved as ``improve`` does.

    The greedy choice is that of beam search with one path. The table starts as that of no codes,
    and each choice adds one row of the Gram matrix to it, so that in the end it is the table of
    all codes.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: Not used: rows do not depend on each other.
        x: float32 ``(n, D)``, C-contiguous.
        codewords: The codebook's transpose, ``(D, L)``, packed by ``panels.py``.
        norms: Squared norms of the codewords, ``(L,)``.
        gram: Twice the inner products of the codewords, ``(L, L)``, and 0 within a group.
        codes: int32 ``(n, M)``, replaced.
        first_row: Number of the first row, for the random numbers.
        seed_words: uint32 ``(2,)``: low and high half of the seed.
        stream: Stream of the random numbers, one of ``random.noise.Stream``.
        position: Number of the draw within the stream.
        noise: Gumbel(0, 1) draws, float32; reading may begin anywhere before the last K numbers.
        order: ``(M,)``, the groups in the order in which they are decided.
        temperature: Temperature of the sampling, in units of squared distance.
        trials: Number of samples tried for each row.
        sweeps: Largest number of sweeps of ICM in a trial.
    """
    num_rows, num_codebooks = codes.shape
    height = _tile_rows(norms.size)
    tables = empty_rows(min(height, num_rows), norms.size)
    changed_table = empty_rows(1, norms.size)[0]
    trial_codes = np.empty(num_codebooks, np.int32)
    for first in range(thread * height, num_rows, threads * height):
        n = min(height, num_rows - first)
        unary_terms(tables[:n], x[first : first + n], codewords, norms)
        for i in range(n):
            _choose_greedily(np.int64(tables[i].ctypes.data), gram, codes[first + i], order)
            margin = rounding_margin(x[first + i])
            numbers = _U(first_row + first + i), _U(position), _U(stream)
            _try_samples(
                tables[i], changed_table, gram, codes[first + i], trial_codes, numbers, seed_words,
                noise, temperature, margin, trials, sweeps,
            )  # fmt: skip
