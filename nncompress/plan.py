"""What a user asks a table to be compressed to, checked and made definite."""

from collections.abc import Mapping
from dataclasses import dataclass

from nncompress.errors import InputError
from nncompress.evaluate.curve import HEADER_BYTES
from nncompress.evaluate.distortion import check_codebook_dtype
from nncompress.evaluate.target import Target
from nncompress.refinement.refine import RefinementSettings
from nncompress.training.settings import OBJECTIVES, TrainingOptions, check_code_size

_M, _K = 32, 16
# Settings of additive codes alone, and their flags.
_OF_CODES = {
    "recipe": "--recipe",
    "epochs": "--epoch",
    "time_budget": "--time-budget",
    "codebook_dtype": "--codebook-dtype",
}
_TARGETS = {
    "bits_per_dim": "--bits-per-dim",
    "bytes_per_row": "--target-bytes-per-row",
    "distance": "--target-distance",
    "cosine": "--target-cosine",
    "recall": "--target-recall",
}


@dataclass(frozen=True)
class Plan:
    """What a table is to become: additive codes, a residual stage, or both.

    Attributes:
        size: M and K of the additive codes; None: there are none.
        target: What the residual stage is chosen for; None: what is usual, or no such stage where
            there are additive codes.
        adaptive: Whether rows get bits by their weights.
        training: The settings that training is asked for.
        refinement: The settings of refinement; its seconds are the budget of training, encoding
            and refinement together.
        codebook_dtype: ``"float16"``, ``"float32"`` or ``"auto"``.
        objective: ``"distance"``, or ``"cosine"`` to keep the rows' directions alone.
    """

    size: tuple[int, int] | None = None
    target: Target | None = None
    adaptive: bool = False
    training: TrainingOptions = TrainingOptions()
    refinement: RefinementSettings = RefinementSettings()
    codebook_dtype: str = "auto"
    objective: str = "distance"

    @classmethod
    def of(
        cls,
        *,
        num_codebooks: int | None = None,
        num_codewords: int | None = None,
        residual_bits: float | None = None,
        adaptive: bool = False,
        objective: str = "distance",
        seed: int = 0,
        has_weights: bool = False,
        targets: Mapping[str, float | None],
        of_codes: Mapping[str, object],
    ) -> "Plan":
        """Makes a plan of what was asked for; None marks what was not.

        Args:
            num_codebooks: M.
            num_codewords: K.
            residual_bits: Bits of a row's residual stage.
            adaptive: Whether rows get bits by their weights.
            objective: ``"distance"`` or ``"cosine"``.
            seed: Seed of everything random.
            has_weights: Whether rows have weights.
            targets: By name: bits_per_dim, bytes_per_row, distance, cosine and recall.
            of_codes: Settings of additive codes by name: recipe, epochs, time_budget and
                codebook_dtype.

        Raises:
            InputError: Something is out of range, or does not go with the rest.
        """
        if objective not in OBJECTIVES:
            raise InputError(f"no objective {objective!r}; wanted one of {', '.join(OBJECTIVES)}")
        given = {name: value for name, value in targets.items() if value is not None}
        own = {name: value for name, value in of_codes.items() if value is not None}
        has_codes = num_codebooks is not None or num_codewords is not None
        if len(given) + (residual_bits is not None) > 1:
            names = [_flag(name) for name in ("residual_bits", *_TARGETS)
                     if name in given or (name == "residual_bits" and residual_bits is not None)]
            raise InputError(f"{' and '.join(names)} were given; wanted one of them")
        if has_codes and given:
            raise InputError(
                f"{_flag(*given)} chooses the whole table, and -M or -K was given; leave one of "
                "them out, or give --residual-bits beside -M and -K"
            )
        if not has_codes and own:
            raise InputError(
                f"{_flag(next(iter(own)))} is for additive codes, and none were asked for; leave "
                "it out, or ask for them (-M, -K)"
            )
        if residual_bits is not None:
            given = {"residual_bits": residual_bits}
        target = Target(**given) if given else None
        if adaptive and has_codes and target is None:
            raise InputError(
                "--adaptive gives rows bits of a residual stage, and there is none; add "
                "--residual-bits, or leave it or -M and -K out"
            )
        if has_weights and not has_codes and not adaptive:
            raise InputError(
                "weights were given, and by what they would count for without additive codes was "
                "not; add --adaptive, for rows to get bits by their weights"
            )
        if not has_codes:
            return cls(None, target, adaptive, TrainingOptions(seed=seed), objective=objective)
        size = (
            _M if num_codebooks is None else num_codebooks,
            _K if num_codewords is None else num_codewords,
        )
        seconds, dtype = own.pop("time_budget", None), own.pop("codebook_dtype", "auto")
        check_codebook_dtype(dtype)
        check_code_size(*size)
        return cls(
            size, target, adaptive, TrainingOptions(**own, seed=seed),
            RefinementSettings(seconds=seconds), dtype, objective,
        )  # fmt: skip

    @property
    def has_residual(self) -> bool:
        """Whether there is a residual stage."""
        return self.size is None or self.target is not None

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
            "objective": self.objective,
            "codebook_dtype": self.codebook_dtype,
        }


def _flag(name: str) -> str:
    return {"residual_bits": "--residual-bits", **_TARGETS, **_OF_CODES}[name]
