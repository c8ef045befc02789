"""What is done to the pixels of one bracket: order of the exposures, weight grid and LUT, edits included."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lutfuse.models.contract import F32, Pixels
from lutfuse.models.looks.bake import bake_look, unit_lut
from lutfuse.models.looks.cube import Cube
from lutfuse.models.looks.grid_edits import edit_grid
from lutfuse.transforms.options import FuseOptions
from lutfuse.transforms.stages import Stages

if TYPE_CHECKING:
    # torch stays out of the process that submits the job; workers import it in `setup`.
    from lutfuse.models.student.predictor import Predictor


@dataclass(frozen=True)
class Edit:
    """All that is done to the pixels of one bracket; the first axis of `grid` follows `order`."""

    order: tuple[int, ...]  # dark → bright indices into the exposures
    grid: F32  # [K, D, Gh, Gw], fusion weights
    lut: F32  # [N, N, N, 3] (b, g, r, channel)

    @property
    def middle(self) -> int:
        """Index of the exposure whose profile and EXIF speak for the bracket."""
        return self.order[len(self.order) // 2]

    def sorted(self, frames: list[Pixels]) -> list[Pixels]:
        """The exposures dark → bright, as the kernel takes them."""
        return [frames[i] for i in self.order]


def plan_edit(
    frames: list[Pixels],
    options: FuseOptions,
    predictor: "Predictor",
    stages: Stages,
    given: Cube | None = None,
) -> Edit:
    """What the model and the look make of a bracket.

    A given LUT replaces both the predicted one and the colours of the look.
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
