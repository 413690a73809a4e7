"""Every number a training run depends on: the two recipes, and what the user asks for instead."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from nncompress.errors import InputError

MAX_CODEWORDS = 65_536
OPTIMIZERS = ("Adam", "SGD")
OBJECTIVES = ("distance", "cosine")
MATRIX_DTYPES = ("float32", "float16")


@dataclass(frozen=True)
class Recipe:
    """Defaults that belong together.

    Attributes:
        batchsize: Rows a step.
        epoch: Passes over the rows.
        min_iterations: With a ``max_iterations`` above 0 and no passes asked for: at least so many
            steps...
        max_iterations: ...and at most so many.
        learning_rate: The highest learning rate.
        cosine: Whether the learning rate warms up and then falls to 0 along a cosine.
        tau_start: Temperature of the first step.
        tau: Temperature of the last step; in between it changes geometrically.
        max_grad_norm: Global norm that gradients are clipped to, or None.
        normalize: Whether rows are centred and scaled.
        init: ``init`` of the chain.
    """

    batchsize: int
    epoch: int
    min_iterations: int
    max_iterations: int
    learning_rate: float
    cosine: bool
    tau_start: float
    tau: float
    max_grad_norm: float | None
    normalize: bool
    init: str


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "fast": Recipe(
            batchsize=64,
            epoch=50,
            min_iterations=4_000,
            max_iterations=12_000,
            learning_rate=5e-3,
            cosine=True,
            tau_start=1.0,
            tau=0.1,
            max_grad_norm=None,
            normalize=True,
            init="scaled",
        ),
        "paper": Recipe(
            batchsize=64,
            epoch=200,
            min_iterations=0,
            max_iterations=0,
            learning_rate=1e-4,
            cosine=False,
            tau_start=0.1,
            tau=0.1,
            max_grad_norm=None,
            normalize=False,
            init="uniform",
        ),
    }
)

# In the authors' own code, unlike in its Chainer port, tau is 1 and gradients are clipped.
AUTHORS_SETTINGS = MappingProxyType({"tau_start": 1.0, "tau": 1.0, "max_grad_norm": 0.001})


@dataclass(frozen=True)
class TrainingSettings:
    """A recipe made definite for one matrix.

    Attributes:
        recipe: Name of the recipe.
        num_codebooks: M.
        num_codewords: K.
        optimizer: ``"Adam"`` or ``"SGD"``.
        seed: Seed of the initial weights, the order of the rows and all noise.
        batchsize: Rows a step, at most N.
        iterations: Number of steps.
        learning_rate: As in ``Recipe``.
        cosine: As in ``Recipe``.
        tau_start: As in ``Recipe``.
        tau: As in ``Recipe``.
        max_grad_norm: As in ``Recipe``.
        normalize: As in ``Recipe``.
        init: As in ``Recipe``.
        full_precision: On a GPU: whether products have all of float32's digits.
        matrix_dtype: On a GPU: what the matrix is made of there.
    """

    recipe: str
    num_codebooks: int
    num_codewords: int
    optimizer: str
    seed: int
    batchsize: int
    iterations: int
    learning_rate: float
    cosine: bool
    tau_start: float
    tau: float
    max_grad_norm: float | None
    normalize: bool
    init: str
    full_precision: bool = False
    matrix_dtype: str = "float32"

    def learning_rate_at(self, iteration: int) -> float:
        """Returns the learning rate of a step, the first being step 0."""
        if not self.cosine:
            return self.learning_rate
        warm_up = max(1, min(100, self.iterations // 20))
        factor = 0.5 * (1.0 + math.cos(math.pi * iteration / self.iterations))
        return self.learning_rate * factor * min(1.0, (iteration + 1) / warm_up)

    def tau_at(self, iteration: int) -> float:
        """Returns the temperature of a step, the first being step 0."""
        progress = min(1.0, iteration / max(1, self.iterations - 1))
        return self.tau_start * (self.tau / self.tau_start) ** progress


def check_code_size(num_codebooks: int, num_codewords: int) -> None:
    """Refuses sizes that codes cannot have.

    Raises:
        InputError: M is below 1, or K below 2 or above 65,536.
    """
    if num_codebooks < 1:
        raise InputError(f"M is {num_codebooks}; wanted at least 1 codebook")
    if not 2 <= num_codewords <= MAX_CODEWORDS:
        raise InputError(f"K is {num_codewords}; wanted 2 to {MAX_CODEWORDS:,} codewords")


def resolve_settings(
    num_rows: int,
    num_codebooks: int,
    num_codewords: int,
    *,
    recipe: str = "fast",
    recipe_changes: Mapping[str, object] = MappingProxyType({}),
    optimizer: str = "Adam",
    seed: int = 0,
    batchsize: int | None = None,
    epoch: int | None = None,
    learning_rate: float | None = None,
    tau: float | None = None,
    tau_start: float | None = None,
    max_grad_norm: float | None = None,
    full_precision: bool = False,
    matrix_dtype: str = "float32",
) -> TrainingSettings:
    """Settles every setting: what is given wins, and the recipe gives the rest.

    Args:
        num_rows: N, the number of rows of the embedding matrix.
        num_codebooks: M.
        num_codewords: K.
        recipe: ``"fast"`` or ``"paper"``.
        recipe_changes: Fields of the recipe that the caller has other defaults for.
        optimizer: ``"Adam"`` or ``"SGD"``.
        seed: Not negative.
        batchsize: Rows a step; N if that is less.
        epoch: Passes over the rows, in both recipes.
        learning_rate: The highest learning rate.
        tau: Final temperature; without ``tau_start`` the temperature of every step.
        tau_start: Temperature of the first step.
        max_grad_norm: Global norm that gradients are clipped to.
        full_precision: On a GPU: whether products have all of float32's digits; else those of
            TF32.
        matrix_dtype: On a GPU: what the matrix is made of there, one of ``MATRIX_DTYPES``.

    Raises:
        InputError: A value is outside its range.
    """
    check_code_size(num_codebooks, num_codewords)
    if recipe not in RECIPES:
        raise InputError(f"the recipe is {recipe!r}; wanted one of {', '.join(RECIPES)}")
    if optimizer not in OPTIMIZERS:
        raise InputError(f"the optimizer is {optimizer!r}; wanted one of {', '.join(OPTIMIZERS)}")
    if seed < 0:
        raise InputError(f"the seed is {seed}; wanted 0 or more")
    if matrix_dtype not in MATRIX_DTYPES:
        raise InputError(
            f"the matrix's type is {matrix_dtype!r}; wanted one of {', '.join(MATRIX_DTYPES)}"
        )
    for name, value in {
        "batch size": batchsize,
        "number of epochs": epoch,
        "learning rate": learning_rate,
        "tau": tau,
        "starting tau": tau_start,
        "gradient norm to clip to": max_grad_norm,
    }.items():
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise InputError(f"the {name} is {value}; wanted a positive number")

    defaults = replace(RECIPES[recipe], **recipe_changes)
    if tau_start is None:
        tau_start = defaults.tau_start if tau is None else tau
    batchsize = min(batchsize or defaults.batchsize, num_rows)
    iterations = math.ceil((epoch or defaults.epoch) * num_rows / batchsize)
    if epoch is None and defaults.max_iterations:
        iterations = min(max(iterations, defaults.min_iterations), defaults.max_iterations)
    return TrainingSettings(
        recipe=recipe,
        num_codebooks=num_codebooks,
        num_codewords=num_codewords,
        optimizer=optimizer,
        seed=seed,
        batchsize=batchsize,
        iterations=iterations,
        learning_rate=learning_rate or defaults.learning_rate,
        cosine=defaults.cosine,
        tau_start=tau_start,
        tau=tau or defaults.tau,
        max_grad_norm=max_grad_norm or defaults.max_grad_norm,
        normalize=defaults.normalize,
        init=defaults.init,
        full_precision=full_precision,
        matrix_dtype=matrix_dtype,
    )
