"""What the heavy step needs to know, resolved from flags or given by a program."""

from dataclasses import dataclass, field

from lutfuse.models.contract import DEFAULT_LUT_SIZE
from lutfuse.models.looks.cube import Cube
from lutfuse.models.looks.look import Look
from lutfuse.transforms.images.types import DecodeLimits

EXTENSIONS = {"jpeg": "jpg", "png": "png", "tiff": "tif"}  # of each --format


@dataclass(frozen=True)
class GivenLuts:
    """LUTs that take the place of the predicted ones.

    Attributes:
      uri: a folder with one `<group_id>.cube` a bracket, or one `.cube`.
      cube: the LUT of all brackets, where `uri` is one `.cube`.
    """

    uri: str
    cube: Cube | None = None


@dataclass(frozen=True)
class FuseOptions:
    """What the heavy step needs to know. Small and picklable.

    Attributes:
      output: root of the output tree, a folder or URI.
      image_format: "jpeg", "png" or "tiff".
      quality: JPEG quality, 1..100.
      lut_size: nodes along each axis of the baked LUT, 2..129.
      look: edits of every bracket's weight grid and LUT, at its final strength, or None.
      luts: LUTs in place of the predicted ones and of the look's colours, or None.
      export_luts: also write each bracket's LUT as a `.cube`.
      export_merge: also write the merged image that the LUT acts on.
      device: "auto", "cpu" or "cuda".
      overwrite: fuse again what an earlier run finished.
      weights: model weights, or None for the shipped ones.
      limits: largest image that is decoded.
      max_inflight_bytes: of decoded pixels that the threads of a worker process hold at a time.
    """

    output: str
    image_format: str = "jpeg"
    quality: int = 95
    lut_size: int = DEFAULT_LUT_SIZE
    look: Look | None = None
    luts: GivenLuts | None = None
    export_luts: bool = False
    export_merge: bool = False
    device: str = "auto"
    overwrite: bool = False
    weights: str | None = None
    limits: DecodeLimits = field(default_factory=DecodeLimits)
    max_inflight_bytes: int = 4096 * 10**6
