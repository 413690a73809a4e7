"""What the fused optimizers know of Adam: Kingma and Ba, "Adam", ICLR 2015."""

import numpy as np

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8  # Chainer's defaults, and the paper's


def corrected_rates(rates: np.ndarray, first_iteration: int) -> np.ndarray:
    """Returns learning rates with Adam's bias corrections (section 3).

    Args:
        rates: Of consecutive steps, float64.
        first_iteration: Number of the first, from 0.
    """
    times = first_iteration + 1.0 + np.arange(len(rates))
    return rates * np.sqrt(1 - BETA2**times) / (1 - BETA1**times)
