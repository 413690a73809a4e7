"""Annealing: a codebook found by sampling codes at a falling temperature.

Sources: Rose, "Deterministic Annealing for Clustering, Compression, Classification, Regression,
and Related Optimization Problems", Proceedings of the IEEE 1998 (temperatures as distortions);
Martinez et al., "LSQ++", ECCV 2018, section 4 (stochastic relaxation of the alternation).
"""

from collections.abc import Callable

from nncompress.progress import progress_bar
from nncompress.refinement.rows import CodedRows

# The first and the last temperature, in units of ``CodedRows.temperature``.
_HOT, _COLD = 2.0, 0.4
# Sweeps in the first and the last round: hot codes change sooner, and their sweeps take longer.
_FIRST_SWEEPS, _LAST_SWEEPS = 4, 16
_FALLING_STEPS = 64


def anneal(rows: CodedRows, rounds: int, time_over: Callable[[], float] = lambda: 0.0) -> None:
    """Leaves a codebook's local optimum and finds a better one, step by step.

    Args:
        rows: Changed in place. Their loss may rise first, and if codes are hard to find it may end
            higher than it began.
        rounds: Number of rounds, each of which samples the codes and fits the codebook.
        time_over: Returns the share of the time that has passed; annealing ends at 1.
    """
    with progress_bar((rounds + 1) * len(rows.matrix), "Annealing") as bar:
        rows.relax([0.0], bar=bar)
        hot, cold = _HOT * rows.temperature, _COLD * rows.temperature
        done, progress = 0, 0.0
        while progress < 1.0:
            temperature = hot + (cold - hot) * progress
            rows.relax([temperature] * _sweeps_at(progress), bar=bar)
            bar.set_postfix(loss=f"{rows.loss_in_units:.5g}", refresh=False)
            done += 1
            progress = max(done / rounds, time_over())


def sweeps_of(rounds: int) -> list[int]:
    """Returns the number of sweeps in each round."""
    return [_sweeps_at(done / rounds) for done in range(rounds)]


def _sweeps_at(progress: float) -> int:
    return round(_FIRST_SWEEPS + (_LAST_SWEEPS - _FIRST_SWEEPS) * progress)


def falling_temperatures(unit: float) -> list[float]:
    """Returns temperatures for annealing codes while the codebook stays fixed.

    Args:
        unit: The ``CodedRows.temperature`` that is expected in the end.
    """
    steps = range(_FALLING_STEPS + 1)
    return [_HOT * unit * (1.0 - step / _FALLING_STEPS) for step in steps]
