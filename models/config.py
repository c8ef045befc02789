"""Sizes of the student and the recipe of its training: frozen, and JSON in both directions."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

MAX_PARAMETERS = 520_000
MIN_FRAMES, MAX_FRAMES = 2, 9


class ConfigError(ValueError):
    """A value in a configuration is out of its range, or its name is unknown."""


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
    merged_bins: int = 16  # luma knots of the histograms that z sees
    priors: bool = True  # the student sees the classical answers of `models.priors`
    weight_grid: bool = True  # False: every weight is one, and the LUT acts on the plain average
    lut: bool = True  # False: the LUT stays the identity
    lut_hidden: int = 32  # channels of the implicit LUT's two hidden layers
    log_weight_range: float = 6.0  # fusion weights lie in exp(±range)

    def __post_init__(self) -> None:
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
        return cls(**check_keys(cls, values))


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """Weight of each term of the objective; most are named after their function in `models.losses`."""

    mef_ssim: float = 2.5
    mef_ssim_c: float = 0.25
    mef_yields: float = 0.85  # share of both that a fully trusted reference takes over
    mef_ssim_c_unknown: float = 0.15  # added to mef_ssim_c where there is no reference
    reference_l1: float = 3.0  # the three reference terms count by the trust in the reference
    reference_l2: float = 30.0
    reference_ssim: float = 0.6
    lut_smoothness: float = 0.05
    lut_monotonicity: float = 0.5
    lut_long_range: float = 0.01
    lut_range: float = 1.0  # squared excess of LUT nodes beyond [0, 1]
    grid_smoothness: float = 0.003
    tone_order: float = 0.1


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Everything that decides the weights, apart from the data; the defaults are the shipped recipe."""

    student: StudentConfig = StudentConfig()
    loss: LossWeights = LossWeights()
    steps: int = 7000
    late_share: float = 0.6785  # of the steps, after which `late_mef_ssim_c` holds: structure first, then colour
    late_mef_ssim_c: float = 0.6
    learning_rate: float = 1.2e-3
    warmup_steps: int = 150
    weight_decay: float = 1e-3
    average_decay: float = 0.998  # of the exponential moving average, which is what gets saved
    frames_per_batch: int = 10
    view: int = 160  # px, side of the square on which the loss is taken
    lut_sizes: tuple[int, ...] = (9, 17, 33)  # one is drawn per step, so that no size is special
    scene_side: int = 576  # px, long side at which scenes are kept in memory
    hdr_views: int = 4  # brackets rendered per radiance image
    hdr_side: int = 288  # px, side of a rendered bracket
    hdr_share: float = 0.25  # of the batches, where there are both real and rendered brackets
    held_out: float = 0.1  # share of the scenes kept for validation
    seed: int = 0

    def __post_init__(self) -> None:
        if self.view < 44:
            raise ConfigError(f"view is {self.view} px; three scales of MEF-SSIM need at least 44")
        if min(self.steps, self.frames_per_batch, self.scene_side, self.hdr_views, self.hdr_side) < 1:
            raise ConfigError(
                "steps, frames_per_batch, scene_side, hdr_views and hdr_side must be at least 1"
            )
        if not 0 <= self.held_out < 1:
            raise ConfigError(f"held_out is {self.held_out}; it is a share of the scenes, 0 to below 1")

    def loss_at(self, step: int) -> LossWeights:
        """The weights of the loss for the update after `step`."""
        if step < self.late_share * self.steps:
            return self.loss
        return dataclasses.replace(self.loss, mef_ssim_c=self.late_mef_ssim_c)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        known = check_keys(cls, values)
        if "student" in known:
            known["student"] = StudentConfig.from_json(known["student"])
        if "loss" in known:
            known["loss"] = LossWeights(**check_keys(LossWeights, known["loss"]))
        if "lut_sizes" in known:
            known["lut_sizes"] = tuple(known["lut_sizes"])
        return cls(**known)


def check_keys(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments in `values`; a key that `cls` does not have is an error, never ignored."""
    known = {field.name for field in dataclasses.fields(cls)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigError(
            f"unknown {cls.__name__} keys {unknown}; known are {sorted(known)}. "
            "The file may come from a newer lutfuse: upgrade, or remove the keys"
        )
    return dict(values)
