"""Sizes of the student: frozen, and JSON in both directions."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Self

from lutfuse.models.checked import ConfigError, Count, Range, check_fields, from_json
from lutfuse.models.contract import CELLS, KNOTS

MAX_PARAMETERS = 520_000

Thumb = Annotated[int, Range(32, unit="px")]
Width = Annotated[int, Range(2)]  # the first layer has half of it
Blocks = Annotated[int, Range(0)]
Cells = Annotated[int, Range(*CELLS)]


@dataclasses.dataclass(frozen=True)
class StudentConfig:
    """Shape of the student and its implicit LUT, eq. 1 and 3 (docs/method.md); defaults: the shipped one."""

    thumb: Thumb = 256  # S, side of the square thumbnail the student sees
    luma_bins: Annotated[int, Range(*KNOTS)] = 8  # D
    grid_rows: Cells = 16  # Gh
    grid_cols: Cells = 16  # Gw
    width: Width = 64  # C, channels at grid resolution
    blocks: Blocks = 4  # residual blocks with cross-exposure context
    latent: Count = 64  # length of z
    merged_bins: Annotated[int, Range(0)] = 16  # luma knots of the histograms that z sees
    priors: bool = True  # the student sees the classical answers of `models.student.priors`
    weight_grid: bool = True  # False: every weight is one, and the LUT acts on the plain average
    lut: bool = True  # False: the LUT stays the identity
    lut_hidden: Count = 32  # channels of the implicit LUT's two hidden layers
    log_weight_range: Annotated[float, Range(0.1)] = 6.0  # ρ: fusion weights lie in exp(±ρ)

    def __post_init__(self) -> None:
        check_fields(self)
        if self.thumb % 16:
            raise ConfigError(f"thumb is {self.thumb} px; it must be a multiple of 16")
        if self.thumb % (2 * self.grid_rows) or self.thumb % (2 * self.grid_cols):
            raise ConfigError(
                f"a grid of {self.grid_rows}×{self.grid_cols} cells does not divide half of a "
                f"{self.thumb} px thumbnail; choose powers of two"
            )

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        return from_json(cls, values)
