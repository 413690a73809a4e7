"""The trellis for quantizing residuals: the rules for which integers may follow one another.

A row's levels are a path through the states of a convolutional code. Each state allows only every
other value, which saves a bit per value, and the encoder chooses the best of all paths.
Sources: Ungerboeck, "Channel coding with multilevel/phase signals", 1982; Marcellin and Fischer,
"Trellis coded quantization of memoryless and Gauss-Markov sources", 1990; Schwarz et al., "Hybrid
video encoder optimization with trellis-coded quantization", DCC 2019 (two quantizers that share
the zero).
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from nncompress.errors import FormatError

# Generators of the codes with the largest free distance, by the number of bits in a state.
GENERATORS = {
    3: (0o15, 0o17),
    4: (0o23, 0o35),
    5: (0o53, 0o75),
    6: (0o133, 0o171),
    7: (0o247, 0o371),
    8: (0o561, 0o753),
    9: (0o1167, 0o1545),
    10: (0o2335, 0o3661),
}


@dataclass(frozen=True)
class TrellisCode:
    """A convolutional code of rate 1/2, read as a trellis.

    With quantizer 0 level k has the value ``2k``; with quantizer 1 it has
    ``sign(k) * (2|k| - 1)``, or 0 for k = 0. The parity of ``|k|`` determines the next state.

    Attributes:
        state_bits: Bits in a state; there are ``2**state_bits`` states, and a row begins at 0.
        labels: The label, 0 to 3, of the branch from state s for input 0, uint8 ``(S,)``; for
            input 1 it is ``labels ^ 2``. Input w leads to state ``(2s + w) % S``. Bit 0 is the
            quantizer.
        quantizers: The quantizer of each state, uint8 ``(S,)``.
        next_states: The next state by state and parity of the level, uint16 ``(S, 2)``.
    """

    state_bits: int
    labels: np.ndarray
    quantizers: np.ndarray
    next_states: np.ndarray


@cache
def trellis_code(state_bits: int) -> TrellisCode:
    """Returns the code with a number of state bits.

    Raises:
        FormatError: There is no such code.
    """
    if state_bits not in GENERATORS:
        raise FormatError(f"a trellis of {state_bits} bits; wanted one of {list(GENERATORS)}")
    states = np.arange(1 << state_bits)
    first, second = (
        np.bitwise_count((2 * states) & generator) & 1 for generator in GENERATORS[state_bits]
    )
    labels = np.array([[0, 1], [3, 2]], dtype=np.uint8)[first, second]
    quantizers = labels & 1
    # The labels with an even level are 0 for quantizer 0, and 3 for quantizer 1.
    parities = np.arange(2)
    wanted = np.where(quantizers[:, None], 3 - 2 * parities, 2 * parities)
    inputs = wanted != labels[:, None]
    next_states = ((2 * states[:, None] + inputs) % len(states)).astype(np.uint16)
    return TrellisCode(state_bits, labels, quantizers, next_states)
