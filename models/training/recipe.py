"""The recipe of a training: all that decides the weights, apart from the data; JSON in both directions."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, Self

from lutfuse.models.checked import ConfigError, at_least, from_json, within
from lutfuse.models.contract import LUT_SIZES
from lutfuse.models.student.config import StudentConfig

Distil = Literal["none", "frozen", "alternating"]


@dataclasses.dataclass(frozen=True)
class TeacherConfig:
    """Shape of the teacher (eq. 5, docs/method.md), which never ships; other sizes are the student's."""

    thumb: int = 512  # px
    width: int = 96
    blocks: int = 6
    latent: int = 64  # length of each z_p
    lut_hidden: int = 48
    bases: int = 3  # P, prior grids that are fused into one
    lut_size: int = 17  # nodes a side of the LUT on which the teacher itself is trained

    def __post_init__(self) -> None:
        at_least(self, 1, "bases")
        within(self, *LUT_SIZES, "lut_size")


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """Weight of each term of the objective; most are named after their function in `losses.py`."""

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
    kd_lut: float = 0.05  # the two halves of distillation, where there is a teacher
    kd_grid: float = 0.05
    teacher_nll: float = 0.1  # likelihood of the reference under the teacher's variance

    def __post_init__(self) -> None:
        at_least(self, 0, *(field.name for field in dataclasses.fields(self)))
        within(self, 0, 1, "mef_yields")


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Everything that decides the weights, apart from the data; the defaults are the shipped recipe."""

    student: StudentConfig = dataclasses.field(default_factory=StudentConfig)
    loss: LossWeights = LossWeights()
    steps: int = 7000
    late_share: float = 0.6785  # of the steps, after which the next line holds: structure first, then colour
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
    distil: Distil = "none"  # frozen: the teacher is trained first; alternating: in turn with the student
    teacher: TeacherConfig = TeacherConfig()
    teacher_steps: int = 8000  # before the first of the student, where the teacher is frozen
    kd_uncertainty: bool = True  # False: every node counts alike

    def __post_init__(self) -> None:
        if self.view < 44:
            raise ConfigError(f"view is {self.view} px; three scales of MEF-SSIM need at least 44")
        at_least(self, 1, "steps", "warmup_steps", "frames_per_batch", "scene_side", "hdr_views", "hdr_side")
        at_least(self, 0, "learning_rate", "weight_decay", "teacher_steps")
        at_least(self, 0, "late_mef_ssim_c")
        within(self, 0, 1, "average_decay", "hdr_share", "late_share")
        within(self, 0, 2**32 - 1, "seed")
        if not 0 <= self.held_out < 1:
            raise ConfigError(f"held_out is {self.held_out}; it is a share of the scenes, 0 to below 1")
        if not self.lut_sizes or not all(map(LUT_SIZES.allow, self.lut_sizes)):
            raise ConfigError(f"lut_sizes is {list(self.lut_sizes)}; it must list sizes of {LUT_SIZES}")
        if self.distil != "none":
            self.teacher_shape()

    def teacher_shape(self) -> StudentConfig:
        """The student with the sizes of the teacher: its grid has the same nodes."""
        sizes = dataclasses.asdict(self.teacher)
        del sizes["bases"], sizes["lut_size"]
        try:
            return dataclasses.replace(self.student, **sizes)
        except ConfigError as error:
            raise ConfigError(f"teacher: {error}") from None

    def loss_at(self, step: int) -> LossWeights:
        """The weights of the loss for the update after `step`."""
        if step < self.late_share * self.steps:
            return self.loss
        return dataclasses.replace(self.loss, mef_ssim_c=self.late_mef_ssim_c)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        return from_json(cls, values)
