"""What a user asks a table to be compressed to, checked and made definite."""

from dataclasses import dataclass

from nncompress.errors import InputError
from nncompress.evaluate.curve import HEADER_BYTES
from nncompress.evaluate.distortion import check_codebook_dtype
from nncompress.evaluate.target import Target
from nncompress.refinement.refine import RefinementSettings
from nncompress.training.settings import OBJECTIVES, TrainingOptions, check_code_size

_M, _K = 32, 16
# Flags by the names of what they set: targets of the whole table, and settings of additive codes.
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
    """What a table is to become: additive codes, a residual stage, or both.

    Attributes:
        size: M and K of the additive codes; None: there are none.
        target: What the residual stage is chosen for; None: what is usual, or no such stage where
            there are additive codes.
        adaptive: Whether rows get bits by their weights whatever is wanted.
        training: The settings that training is asked for.
        refinement: The settings of refinement; its seconds are the budget of training, encoding
            and refinement together.
        codebook_dtype: ``"float16"``, ``"float32"`` or ``"auto"``.
        objective: ``"distance"``, or ``"cosine"`` to keep the rows' directions alone.
        by_frequency: Whether rows get bits by how often they occur.
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
        """Makes a plan of what was asked for; the arguments are those of ``nncompress.compress``.

        Raises:
            InputError: Something is out of range, or does not go with the rest.
        """
        if objective not in OBJECTIVES:
            raise InputError(f"no objective {objective!r}; wanted one of {', '.join(OBJECTIVES)}")
        values = (bits_per_dim, bytes_per_row, distance, cosine, recall)
        targets = [flag for flag, x in zip(_TARGETS.values(), values, strict=True)
                   if x is not None]  # fmt: skip
        own = (recipe, epochs, time_budget, codebook_dtype)
        of_codes = [flag for flag, x in zip(_OF_CODES.values(), own, strict=True)
                    if x is not None]  # fmt: skip
        numbers = targets + ["--residual-bits"] * (residual_bits is not None)
        has_codes = num_codebooks is not None or num_codewords is not None
        if len(numbers) > 1:
            raise InputError(f"{' and '.join(numbers)} were given; wanted one of them")
        if has_codes and targets:
            raise InputError(
                f"{targets[0]} chooses the whole table, and -M or -K was given; leave one of them "
                "out, or give --residual-bits beside -M and -K"
            )
        if of_codes and not has_codes:
            raise InputError(
                f"{of_codes[0]} is for additive codes, and none were asked for; leave it out, or "
                "ask for them (-M, -K)"
            )
        if adaptive and has_codes and residual_bits is None:
            raise InputError(
                "--adaptive gives rows bits of a residual stage by their weights, and there is no "
                "such stage beside -M and -K; add --residual-bits, or leave --adaptive out"
            )
        if has_weights and by_frequency:
            raise InputError(
                "weights and frequencies were given, and frequencies make weights of their own; "
                "wanted one of them"
            )
        if has_weights and not has_codes and not adaptive:
            raise InputError(
                "weights were given, and rows without additive codes have a use for them only as "
                "bits by weight; add --adaptive, or leave the weights out"
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
        """Whether rows get bits by weight: where that is asked for, or serves what is.

        Cosines and neighbours ask how near rows are for their length: without other weights, a
        row's weight is one over its squared length then.
        """
        return self.adaptive or self.by_frequency or self._asks_for_directions

    @property
    def has_bits_by_length(self) -> bool:
        """Whether frequencies count beside lengths: where rows get bits by these without them."""
        return self.by_frequency and (self.adaptive or self._asks_for_directions)

    @property
    def _asks_for_directions(self) -> bool:
        return self.size is None and (self.target is None or self.target.is_of_directions)

    def stage_bytes(self, shape: tuple[int, int]) -> int:
        """Returns about the bytes of a residual stage beside additive codes; 0 without one.

        Args:
            shape: N and D.
        """
        if self.target is None or self.target.residual_bits is None:
            return 0
        num_rows, dim = shape
        return int(num_rows * self.target.residual_bits / 8 + dim * dim + HEADER_BYTES)

    def settings(self) -> dict[str, object]:
        """Returns what the result depends on by name, beside what training is asked for."""
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
