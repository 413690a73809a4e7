"""Reading integers that ``embedding.packing`` has packed side by side."""

import llvmlite.ir as ir
import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from nncompress.cpu.elementary import INLINE
from nncompress.cpu.intrinsics import load, store

_GROUP, _HALF = 8, 4  # numbers that begin and end on a byte, and as many as 64 bits hold
_WIDEST = 16  # bits of each, so that 64 bits from a byte on hold the second half of a group
_WORD_BYTES = 8
_WIDE, _INT = ir.IntType(64), ir.IntType(32)
_WORDS, _INTS = ir.VectorType(_WIDE, _HALF), ir.VectorType(_INT, _HALF)


@intrinsic
def _spread(typingctx, word, bits, target):
    """Writes the four lowest integers of a word.

    Args:
        typingctx: Numba's typing context.
        word: uint64.
        bits: Bits of each, int64, at most 16.
        target: Address to write them to, int32.
    """

    def codegen(context, builder, signature, arguments):
        word, bits, target = arguments

        def splat(value):
            undefined = ir.Constant(_WORDS, ir.Undefined)
            one = builder.insert_element(undefined, value, _INT(0))
            return builder.shuffle_vector(one, undefined, ir.Constant(_INTS, [0] * _HALF))

        shifts = builder.mul(splat(bits), ir.Constant(_WORDS, list(range(_HALF))))
        mask = builder.sub(builder.shl(_WIDE(1), bits), _WIDE(1))
        found = builder.and_(builder.lshr(splat(word), shifts), splat(mask))
        place = builder.inttoptr(target, _INTS.as_pointer())
        builder.store(builder.trunc(found, _INTS), place, align=4)
        return context.get_dummy_value()

    return types.void(types.uint64, types.int64, types.int64), codegen


@njit(**INLINE)
def read_numbers(address, num_bytes, bits, first, target, count):
    """Unpacks integers.

    Args:
        address: Address of the first byte, int64.
        num_bytes: Bytes that may be read from there on, at least those of the integers.
        bits: Bits of each, at most 32.
        first: Index of the first integer to unpack, a multiple of 8.
        target: Address to write them to, int32, with room for a multiple of 8.
        count: The number of integers, int64.
    """
    byte = first // _GROUP * bits
    start, rest = (_HALF * bits) >> 3, np.uint64((_HALF * bits) & 7)
    done = 0
    if bits <= _WIDEST:
        fast = min(
            (count + _GROUP - 1) // _GROUP, (num_bytes - byte - start - _WORD_BYTES) // bits + 1
        )
        for _ in range(fast):
            one = load(np.uint64(0), address + byte, 0)
            two = load(np.uint64(0), address + byte + start, 0) >> rest
            _spread(one, np.int64(bits), target + 4 * done)
            _spread(two, np.int64(bits), target + 4 * (done + _HALF))
            done += _GROUP
            byte += bits
    width = np.uint64(bits)
    mask = (np.uint64(1) << width) - np.uint64(1)
    waiting, held = np.uint64(0), 0
    for i in range(done, count):
        while held < bits:
            waiting |= np.uint64(load(np.uint8(0), address + byte, 0)) << np.uint64(held)
            held += 8
            byte += 1
        store(np.int32(waiting & mask), target, i)
        waiting >>= width
        held -= bits
