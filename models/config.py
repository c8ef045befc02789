"""Sizes of the student: the JSON half of a weights file, and nothing that is not needed to rebuild it."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

MAX_PARAMETERS = 520_000
MIN_FRAMES, MAX_FRAMES = 2, 9


@dataclasses.dataclass(frozen=True)
class StudentConfig:
    """Shape of the student and its implicit LUT (DESIGN §1); the defaults are the shipped student."""

    thumb: int = 256  # px, side of the square thumbnail the student sees
    luma_bins: int = 8  # D
    grid_rows: int = 16  # Gh
    grid_cols: int = 16  # Gw
    width: int = 64  # channels at grid resolution
    blocks: int = 4  # residual blocks with cross-exposure context
    latent: int = 64  # length of z
    lut_hidden: int = 48  # channels of the implicit LUT's two hidden layers
    log_weight_range: float = 6.0  # fusion weights lie in exp(±range)

    def __post_init__(self) -> None:
        if self.thumb % 16 or self.thumb < 32:
            raise ValueError(f"thumb is {self.thumb} px; it must be a multiple of 16 and at least 32")
        for rows_or_cols in (self.grid_rows, self.grid_cols):
            if self.thumb % (2 * rows_or_cols):
                raise ValueError(
                    f"a grid of {self.grid_rows}×{self.grid_cols} cells does not divide half of a "
                    f"{self.thumb} px thumbnail; choose powers of two"
                )

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        return cls(**check_keys(cls, values))


def check_keys(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments in `values`; a key that `cls` does not have is an error, never ignored."""
    known = {field.name for field in dataclasses.fields(cls)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(
            f"unknown {cls.__name__} keys {unknown}; known are {sorted(known)}. "
            "The file may come from a newer lutfuse: upgrade, or remove the keys"
        )
    return dict(values)
