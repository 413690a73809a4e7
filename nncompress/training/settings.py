"""Every number that a training run depends on: the recipes, and the user's own choices."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from nncompress.errors import InputError
from nncompress.machine import Machine
from nncompress.training.rules import POSITIVE, TRUTH, Rule, one_of, optional, whole

MAX_CODEWORDS = 65_536
OPTIMIZERS = ("Adam", "SGD")
OBJECTIVES = ("distance", "cosine")
MATRIX_DTYPES = ("float32", "float16")
COMMUNICATORS = ("naive", "flat", "pure_nccl")


@dataclass(frozen=True)
class Recipe:
    """Defaults that belong together.

    Attributes:
        batch_size: Rows in a step.
        epochs: Passes over the rows.
        min_iterations: The least number of steps, if ``max_iterations`` is above 0 and the user
            sets no number of epochs.
        max_iterations: The largest number of steps in that case.
        learning_rate: The highest learning rate.
        cosine: Whether the learning rate warms up and then falls to 0 along a cosine.
        tau_start: Temperature of the first step.
        tau: Temperature of the last step; in between it changes geometrically.
        max_grad_norm: Global norm to which gradients are clipped, or None.
        normalize: Whether rows are centred and scaled.
        init: ``init`` of the chain.
        short_batches: Whether an epoch ends with a smaller batch of the remaining rows, as in the
            authors' code; if not, that batch is filled with rows of the next epoch.
    """

    batch_size: int
    epochs: int
    min_iterations: int
    max_iterations: int
    learning_rate: float
    cosine: bool
    tau_start: float
    tau: float
    max_grad_norm: float | None
    normalize: bool
    init: str
    short_batches: bool = False


# ``paper`` is the Chainer port of 2018, ``authors`` the TensorFlow code of the paper's authors.
RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "fast": Recipe(
            batch_size=32,
            epochs=25,
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
            batch_size=64,
            epochs=200,
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
        "authors": Recipe(
            batch_size=64,
            epochs=200,
            min_iterations=0,
            max_iterations=0,
            learning_rate=1e-4,
            cosine=False,
            tau_start=1.0,
            tau=1.0,
            max_grad_norm=0.001,
            normalize=False,
            init="uniform weights",
            short_batches=True,
        ),
    }
)


@dataclass(frozen=True)
class TrainingSettings:
    """The settings of training for one matrix.

    Attributes:
        recipe: Name of the recipe.
        num_codebooks: M.
        num_codewords: K.
        optimizer: ``"Adam"`` or ``"SGD"``.
        seed: Seed of the initial weights, the order of the rows and all noise.
        batch_size: Rows in a step, at most N.
        iterations: Number of steps.
        learning_rate: The highest learning rate.
        cosine: True if the learning rate warms up and then falls to 0 along a cosine.
        tau_start: Temperature of the first step.
        tau: Temperature of the last step; in between it changes geometrically.
        max_grad_norm: Global norm to which gradients are clipped, or None.
        normalize: True if rows are centred and scaled.
        init: ``init`` of the chain.
        short_batches: True if an epoch ends with a smaller batch of the remaining rows.
        full_precision: On a GPU: whether products have all of float32's digits.
        matrix_dtype: On a GPU: the type in which the matrix is kept there.
    """

    recipe: str
    num_codebooks: int
    num_codewords: int
    optimizer: str
    seed: int
    batch_size: int
    iterations: int
    learning_rate: float
    cosine: bool
    tau_start: float
    tau: float
    max_grad_norm: float | None
    normalize: bool
    init: str
    short_batches: bool = False
    full_precision: bool = False
    matrix_dtype: str = "float32"

    def iterations_of(self, epochs: int, num_rows: int) -> int:
        """Returns the number of steps in the given number of passes over N rows."""
        return _iterations(epochs, num_rows, self.batch_size, self.short_batches)

    def learning_rate_at(self, iteration: int) -> float:
        """Returns the learning rate of a step, counted from 0."""
        if not self.cosine:
            return self.learning_rate
        warm_up = max(1, min(100, self.iterations // 20))
        factor = 0.5 * (1.0 + math.cos(math.pi * iteration / self.iterations))
        return self.learning_rate * factor * min(1.0, (iteration + 1) / warm_up)

    def tau_at(self, iteration: int) -> float:
        """Returns the temperature of a step, counted from 0."""
        progress = min(1.0, iteration / max(1, self.iterations - 1))
        return self.tau_start * (self.tau / self.tau_start) ** progress


# The rules for settings, by their names in ``TrainingOptions`` and ``TrainingSettings``.
RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "recipe": one_of(RECIPES),
        "num_codebooks": whole(1, wanted="at least 1 codebook"),
        "num_codewords": whole(2, MAX_CODEWORDS, f"2 to {MAX_CODEWORDS:,} codewords"),
        "optimizer": one_of(OPTIMIZERS),
        "seed": whole(0, 1 << 128, "a whole number of 0 or more"),
        "batch_size": whole(1),
        "epochs": whole(1),
        "iterations": whole(1),
        "learning_rate": POSITIVE,
        "cosine": TRUTH,
        "tau_start": POSITIVE,
        "tau": POSITIVE,
        "max_grad_norm": optional(POSITIVE),
        "normalize": TRUTH,
        "init": one_of(recipe.init for recipe in RECIPES.values()),
        "short_batches": TRUTH,
        "full_precision": TRUTH,
        "matrix_dtype": one_of(MATRIX_DTYPES),
    }
)


def _iterations(epochs: int, num_rows: int, batch_size: int, short_batches: bool) -> int:
    if short_batches:
        return epochs * math.ceil(num_rows / batch_size)
    return math.ceil(epochs * num_rows / batch_size)


def check_code_size(num_codebooks: int, num_codewords: int) -> None:
    """Refuses sizes that codes cannot have.

    Raises:
        InputError: M is below 1, or K below 2 or above 65,536.
    """
    RULES["num_codebooks"].check("M", num_codebooks)
    RULES["num_codewords"].check("K", num_codewords)


@dataclass(frozen=True)
class TrainingOptions:
    """A user's options for training; None leaves the choice to the recipe.

    Attributes:
        recipe: One of ``RECIPES``.
        optimizer: ``"Adam"`` or ``"SGD"``.
        seed: Seed of everything random, not negative.
        batch_size: Rows in a step, for each process if several train together; at most N are used.
        epochs: Passes over the rows, whatever the recipe.
        learning_rate: The highest learning rate.
        tau: Final temperature; without ``tau_start`` the temperature of every step.
        tau_start: Temperature of the first step.
        max_grad_norm: Global norm to which gradients are clipped.
        full_precision: On a GPU: whether products have all of float32's digits; if not, those of
            TF32.
        matrix_dtype: On a GPU: the type in which the matrix is kept there, one of
            ``MATRIX_DTYPES``.

    Raises:
        InputError: A value is outside its range.
    """

    recipe: str = "fast"
    optimizer: str = "Adam"
    seed: int = 0
    batch_size: int | None = None
    epochs: int | None = None
    learning_rate: float | None = None
    tau: float | None = None
    tau_start: float | None = None
    max_grad_norm: float | None = None
    full_precision: bool = False
    matrix_dtype: str = "float32"

    def __post_init__(self) -> None:
        for name, words in {
            "recipe": "recipe",
            "optimizer": "optimizer",
            "matrix_dtype": "matrix's type",
            "seed": "seed",
            "batch_size": "batch size",
            "epochs": "number of epochs",
            "learning_rate": "learning rate",
            "tau": "tau",
            "tau_start": "starting tau",
            "max_grad_norm": "gradient norm to clip to",
            "full_precision": "full precision",
        }.items():
            value, default = getattr(self, name), type(self).__dataclass_fields__[name].default
            if value is not None or default is not None:  # None leaves the choice to the recipe
                RULES[name].check(f"the {words}", value)

    def check_machine(self, machine: Machine) -> None:
        """Refuses options that only a GPU has, if the machine is a CPU.

        Raises:
            InputError: The machine is a CPU, and such an option is set.
        """
        if machine.gpu < 0 and (self.full_precision or self.matrix_dtype != "float32"):
            raise InputError(
                "full precision (--fp32) and the matrix's type (--matrix-dtype) only apply to a "
                "GPU; leave them out, or name a GPU"
            )

    def resolve(
        self, num_rows: int, num_codebooks: int, num_codewords: int, processes: int = 1
    ) -> TrainingSettings:
        """Determines every setting, from the given options and otherwise from the recipe.

        Args:
            num_rows: N, the number of rows of the embedding matrix.
            num_codebooks: M.
            num_codewords: K.
            processes: The number of processes that train together; a step has the batches of all.

        Returns:
            The settings, one number each.

        Raises:
            InputError: M or K is outside its range.
        """
        check_code_size(num_codebooks, num_codewords)
        recipe = RECIPES[self.recipe]
        tau_start = self.tau_start
        if tau_start is None:
            tau_start = recipe.tau_start if self.tau is None else self.tau
        batch_size = min(processes * (self.batch_size or recipe.batch_size), num_rows)
        epochs = self.epochs or recipe.epochs
        iterations = _iterations(epochs, num_rows, batch_size, recipe.short_batches)
        if self.epochs is None and recipe.max_iterations:
            iterations = min(max(iterations, recipe.min_iterations), recipe.max_iterations)
        return TrainingSettings(
            recipe=self.recipe,
            num_codebooks=num_codebooks,
            num_codewords=num_codewords,
            optimizer=self.optimizer,
            seed=self.seed,
            batch_size=batch_size,
            iterations=iterations,
            learning_rate=self.learning_rate or recipe.learning_rate,
            cosine=recipe.cosine,
            tau_start=tau_start,
            tau=self.tau or recipe.tau,
            max_grad_norm=self.max_grad_norm or recipe.max_grad_norm,
            normalize=recipe.normalize,
            init=recipe.init,
            short_batches=recipe.short_batches,
            full_precision=self.full_precision,
            matrix_dtype=self.matrix_dtype,
        )
