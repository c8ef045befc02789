"""Sizes of the student: frozen, and JSON in both directions."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

from lutfuse.models.checked import ConfigError, at_least, from_json, within
from lutfuse.models.contract import CELLS, KNOTS

MAX_PARAMETERS = 520_000


@dataclasses.dataclass(frozen=True)
class StudentConfig:
    """Shape of the student and its implicit LUT, eq. 1 and 3 (docs/method.md); defaults: the shipped one."""

    thumb: int = 256  # px, side of the square thumbnail the student sees
    luma_bins: int = 8  # D
    grid_rows: int = 16  # Gh
    grid_cols: int = 16  # Gw
    width: int = 64  # channels at grid resolution
    blocks: int = 4  # residual blocks with cross-exposure context
    latent: int = 64  # length of z
    merged_bins: int = 16  # luma knots of the histograms that z sees
    priors: bool = True  # the student sees the classical answers of `models.student.priors`
    weight_grid: bool = True  # False: every weight is one, and the LUT acts on the plain average
    lut: bool = True  # False: the LUT stays the identity
    lut_hidden: int = 32  # channels of the implicit LUT's two hidden layers
    log_weight_range: float = 6.0  # fusion weights lie in exp(±range)

    def __post_init__(self) -> None:
        at_least(self, 1, "latent", "lut_hidden")
        within(self, *KNOTS, "luma_bins")
        within(self, *CELLS, "grid_rows", "grid_cols")
        at_least(self, 2, "width")  # the first layer has half of it
        at_least(self, 0, "blocks", "merged_bins")
        at_least(self, 0.1, "log_weight_range")
        if self.thumb % 16 or self.thumb < 32:
            raise ConfigError(f"thumb is {self.thumb} px; it must be a multiple of 16 and at least 32")
        for rows_or_cols in (self.grid_rows, self.grid_cols):
            if self.thumb % (2 * rows_or_cols):
                raise ConfigError(
                    f"a grid of {self.grid_rows}×{self.grid_cols} cells does not divide half of a "
                    f"{self.thumb} px thumbnail; choose powers of two"
                )

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        return from_json(cls, values)
