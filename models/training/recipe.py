"""The recipe of a training: all that decides the weights, apart from the data; JSON in both directions."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from lutfuse.models.checked import ConfigError, Count, Range, Share, check_fields, from_json
from lutfuse.models.contract import LUT_SIZES
from lutfuse.models.student.config import Blocks, StudentConfig, Thumb, Width

Distil = Literal["none", "frozen", "alternating"]
LutSize = Annotated[int, Range(*LUT_SIZES)]
Weight = Annotated[float, Range(0)]
Steps = Annotated[int, Range(0)]


@dataclasses.dataclass(frozen=True)
class TeacherConfig:
    """Shape of the teacher (eq. 5, docs/method.md), which never ships; other sizes are the student's."""

    thumb: Thumb = 512
    width: Width = 96
    blocks: Blocks = 6
    latent: Count = 64  # length of each z_p
    lut_hidden: Count = 48
    bases: Count = 3  # P, prior grids that are fused into one
    lut_size: LutSize = 17  # nodes a side of the LUT on which the teacher itself is trained

    def __post_init__(self) -> None:
        check_fields(self)


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """Weight of each term of the objective; most are named after their function in `losses.py`."""

    mef_ssim: Weight = 2.5
    mef_ssim_c: Weight = 0.25
    mef_yields: Share = 0.85  # share of both that a fully trusted reference takes over
    mef_ssim_c_unknown: Weight = 0.15  # added to mef_ssim_c where there is no reference
    reference_l1: Weight = 3.0  # the three reference terms count by the trust in the reference
    reference_l2: Weight = 30.0
    reference_ssim: Weight = 0.6
    lut_smoothness: Weight = 0.05
    lut_monotonicity: Weight = 0.5
    lut_long_range: Weight = 0.01
    lut_range: Weight = 1.0  # squared excess of LUT nodes beyond [0, 1]
    grid_smoothness: Weight = 0.003
    tone_order: Weight = 0.1
    kd_lut: Weight = 0.05  # the two halves of distillation, where there is a teacher
    kd_grid: Weight = 0.05
    teacher_nll: Weight = 0.1  # likelihood of the reference under the teacher's variance

    def __post_init__(self) -> None:
        check_fields(self)


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Everything that decides the weights, apart from the data; the defaults are the shipped recipe."""

    student: StudentConfig = dataclasses.field(default_factory=StudentConfig)
    loss: LossWeights = LossWeights()
    steps: Count = 7000
    late_share: Share = 0.6785  # of the steps, after which the next line holds: structure first, then colour
    late_mef_ssim_c: Weight = 0.6
    learning_rate: Weight = 1.2e-3
    warmup_steps: Count = 150
    weight_decay: Weight = 1e-3
    average_decay: Share = 0.998  # of the exponential moving average, which is what gets saved
    frames_per_batch: Count = 10
    view: Annotated[int, Range(44, unit="px")] = 160  # of the loss; 3 scales of MEF-SSIM need 44
    lut_sizes: tuple[LutSize, ...] = (9, 17, 33)  # one is drawn per step, so that no size is special
    scene_side: Count = 576  # px, long side at which scenes are kept in memory
    hdr_views: Count = 4  # brackets rendered per radiance image
    hdr_side: Count = 288  # px, side of a rendered bracket
    hdr_share: Share = 0.25  # of the batches, where there are both real and rendered brackets
    held_out: Share = 0.1  # share of the scenes kept for validation
    seed: Annotated[int, Range(0, 2**32 - 1)] = 0
    distil: Distil = "none"  # frozen: the teacher is trained first; alternating: in turn with the student
    teacher: TeacherConfig = TeacherConfig()
    teacher_steps: Steps = 8000  # before the first of the student, where the teacher is frozen
    kd_uncertainty: bool = True  # False: every node counts alike

    def __post_init__(self) -> None:
        check_fields(self)
        if self.held_out == 1:
            raise ConfigError("held_out is 1; it must be less, or no scene is left to train on")
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
