"""The plan for compressing a table: a user's wishes, checked and completed with defaults."""

from dataclasses import dataclass

from nncompress.errors import InputError
from nncompress.evaluate.curve import HEADER_BYTES
from nncompress.evaluate.distortion import check_codebook_dtype
from nncompress.evaluate.target import Target
from nncompress.refinement.refine import RefinementSettings
from nncompress.training.settings import OBJECTIVES, TrainingOptions, check_code_size

_M, _K = 32, 16
# Flags by the names of their settings: targets for the whole table, and those of additive codes.
_TARGETS = {
    "bits_per_dim": "--bits-per-dim",
    "bytes_per_row": "--target-bytes-per-row",
    "distance": "--target-distance",
    "cosine": "--target-cosine",
    "recall": "--target-recall",
}
_OF_CODES = {
    "recipe": "--recipe",
    "epochs": "--epoch",
    "time_budget": "--time-budget",
    "codebook_dtype": "--codebook-dtype",
}


@dataclass(frozen=True)
class Plan:
    """The plan for a table: additive codes, a residual stage, or both.

    Attributes:
        size: M and K of the additive codes; None for none.
        target: The target of the residual stage; None for the default or, with additive codes, no
            such stage.
        adaptive: Whether rows get bits by their weights whatever the target is.
        training: The requested settings of training.
        refinement: The settings of refinement; its seconds are the budget for training, encoding
            and refinement together.
        codebook_dtype: ``"float16"``, ``"float32"`` or ``"auto"``.
        objective: ``"distance"``, or ``"cosine"`` to keep only the rows' directions.
        by_frequency: Whether rows get bits by their frequencies.
    """

    size: tuple[int, int] | None = None
    target: Target | None = None
    adaptive: bool = False
    training: TrainingOptions = TrainingOptions()
    refinement: RefinementSettings = RefinementSettings()
    codebook_dtype: str = "auto"
    objective: str = "distance"
    by_frequency: bool = False

    @classmethod
    def of(
        cls,
        *,
        num_codebooks: int | None = None,
        num_codewords: int | None = None,
        residual_bits: float | None = None,
        bits_per_dim: float | None = None,
        bytes_per_row: float | None = None,
        distance: float | None = None,
        cosine: float | None = None,
        recall: float | None = None,
        adaptive: bool = False,
        objective: str = "distance",
        recipe: str | None = None,
        epochs: int | None = None,
        time_budget: float | None = None,
        codebook_dtype: str | None = None,
        seed: int = 0,
        has_weights: bool = False,
        by_frequency: bool = False,
    ) -> "Plan":
        """Makes a plan from the arguments of ``nncompress.compress``.

        Raises:
            InputError: An argument is out of range, or does not fit the others.
        """
        if objective not in OBJECTIVES:
            raise InputError(
                f"unknown objective {objective!r}; wanted one of {', '.join(OBJECTIVES)}"
            )
        values = (bits_per_dim, bytes_per_row, distance, cosine, recall)
        targets = [flag for flag, x in zip(_TARGETS.values(), values, strict=True)
                   if x is not None]  # fmt: skip
        own = (recipe, epochs, time_budget, codebook_dtype)
        of_codes = [flag for flag, x in zip(_OF_CODES.values(), own, strict=True)
                    if x is not None]  # fmt: skip
        numbers = targets + ["--residual-bits"] * (residual_bits is not None)
        has_codes = num_codebooks is not None or num_codewords is not None
        if len(numbers) > 1:
            raise InputError(f"{' and '.join(numbers)} were given; wanted only one of them")
        if has_codes and targets:
            raise InputError(
                f"{targets[0]} sets a target for the whole table, but -M or -K was given; leave "
                "one of them out, or use --residual-bits with -M and -K"
            )
        if of_codes and not has_codes:
            raise InputError(
                f"{of_codes[0]} is for additive codes, but none were requested; leave it out, or "
                "request them (-M, -K)"
            )
        if adaptive and has_codes and residual_bits is None:
            raise InputError(
                "--adaptive distributes the bits of a residual stage by weight, but -M and -K "
                "have no such stage; add --residual-bits, or leave out --adaptive"
            )
        if has_weights and by_frequency:
            raise InputError(
                "weights and frequencies were given, but frequencies imply their own weights; "
                "wanted only one of them"
            )
        if has_weights and not has_codes and not adaptive:
            raise InputError(
                "weights were given, but without additive codes they only serve to distribute "
                "bits; add --adaptive, or leave out the weights"
            )
        target = None
        if numbers:
            target = Target(residual_bits, *values)
        if not has_codes:
            return cls(
                None, target, adaptive, TrainingOptions(seed=seed), objective=objective,
                by_frequency=by_frequency,
            )  # fmt: skip
        size = (
            _M if num_codebooks is None else num_codebooks,
            _K if num_codewords is None else num_codewords,
        )
        check_code_size(*size)
        dtype = "auto" if codebook_dtype is None else codebook_dtype
        check_codebook_dtype(dtype)
        training = TrainingOptions(
            recipe="fast" if recipe is None else recipe, epochs=epochs, seed=seed
        )
        refinement = RefinementSettings(seconds=time_budget)
        return cls(
            size, target, adaptive, training, refinement, dtype, objective, by_frequency
        )  # fmt: skip

    @property
    def has_residual(self) -> bool:
        """Whether there is a residual stage."""
        return self.size is None or self.target is not None

    @property
    def has_bits_by_weight(self) -> bool:
        """Whether rows get bits by weight, because of a request or because it suits the target.

        For cosines and neighbours, it matters how close rows are for their length: without other
        weights, a row's weight is then one over its squared length.
        """
        return self.adaptive or self.by_frequency or self._asks_for_directions

    @property
    def has_bits_by_length(self) -> bool:
        """Whether both frequencies and lengths determine bits: if lengths alone would have."""
        return self.by_frequency and (self.adaptive or self._asks_for_directions)

    @property
    def _asks_for_directions(self) -> bool:
        return self.size is None and (self.target is None or self.target.is_of_directions)

    def stage_bytes(self, shape: tuple[int, int]) -> int:
        """Estimates the bytes of a residual stage added to additive codes; 0 without one.

        Args:
            shape: N and D.
        """
        if self.target is None or self.target.residual_bits is None:
            return 0
        num_rows, dim = shape
        return int(num_rows * self.target.residual_bits / 8 + dim * dim + HEADER_BYTES)

    def settings(self) -> dict[str, object]:
        """Returns the settings that the result depends on, by name, except those of training."""
        target = self.target
        return {
            "M": None if self.size is None else self.size[0],
            "K": None if self.size is None else self.size[1],
            "target": None if target is None else str(target),
            "adaptive": self.adaptive,
            "by_frequency": self.by_frequency,
            "objective": self.objective,
            "codebook_dtype": self.codebook_dtype,
        }
