"""The edit of one bracket: order of its exposures, fusion weights and LUT, with the look applied."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lutfuse.models.contract import F32, Pixels
from lutfuse.models.looks.bake import bake_look, unit_lut
from lutfuse.models.looks.cube import Cube
from lutfuse.models.looks.grid_edits import edit_grid
from lutfuse.transforms.options import FuseOptions
from lutfuse.transforms.stages import Stages

if TYPE_CHECKING:
    # The process that submits the job must not import torch; workers do so in `setup`.
    from lutfuse.models.student.predictor import Predictor


@dataclass(frozen=True)
class Edit:
    """Everything that turns the frames of a bracket into the fused image."""

    order: tuple[int, ...]  # indices of the frames from dark to bright
    grid: F32  # [K, D, Gh, Gw] fusion weights, frames in `order`
    lut: F32  # [N, N, N, 3], axes (b, g, r, channel)

    @property
    def middle(self) -> int:
        """Index of the exposure whose ICC profile and EXIF the fused image gets."""
        return self.order[len(self.order) // 2]

    def sorted(self, frames: list[Pixels]) -> list[Pixels]:
        """`frames` from dark to bright, as the kernel takes them."""
        return [frames[i] for i in self.order]


def plan_edit(
    frames: list[Pixels],
    options: FuseOptions,
    predictor: "Predictor",
    stages: Stages,
    given: Cube | None = None,
) -> Edit:
    """The model's prediction for `frames` (of one depth), with the look applied.

    A given LUT replaces the predicted one and the colours of the look.
    """
    look = options.look
    with stages("student"):
        prediction = predictor.predict(frames)
    with stages("bake"):
        grid = prediction.grid if look is None else edit_grid(prediction.grid, look)
        if given is not None:
            return Edit(prediction.order, grid, unit_lut(given))
        lut = predictor.bake(prediction.latent, options.lut_size)
        return Edit(prediction.order, grid, lut if look is None else bake_look(lut, look))
