"""Options of the fusion step."""

from dataclasses import dataclass, field

from lutfuse.models.contract import DEFAULT_LUT_SIZE
from lutfuse.models.looks.cube import Cube
from lutfuse.models.looks.look import Look
from lutfuse.transforms.images.types import DecodeLimits

EXTENSIONS = {"jpeg": "jpg", "png": "png", "tiff": "tif"}  # file extension of each format


@dataclass(frozen=True)
class GivenLuts:
    """LUTs that take the place of the predicted ones.

    Attributes:
      uri: of a folder with a `<group_id>.cube` per bracket, or of one `.cube`.
      cube: the LUT for all brackets if `uri` is one `.cube`, else None.
    """

    uri: str
    cube: Cube | None = None


@dataclass(frozen=True)
class FuseOptions:
    """Options of the fusion step. Small and picklable.

    Attributes:
      output: root of the output tree, a folder or URI.
      image_format: "jpeg", "png" or "tiff".
      quality: of JPEG, within `images.types.JPEG_QUALITY`.
      lut_size: nodes along each axis of the predicted LUT, within `contract.LUT_SIZES`.
      look: edits of every bracket's weight grid and LUT, at its final strength, or None.
      luts: LUTs in place of the predicted ones and of the look's colours, or None.
      export_luts: also write each bracket's LUT as a `.cube`.
      export_merge: also write the merged image that the LUT acts on.
      device: "auto", "cpu" or "cuda".
      overwrite: fuse again what an earlier run finished.
      weights: path or URI of the model's weights, or None for the shipped ones.
      limits: of input images.
      max_inflight_bytes: of decoded pixels that the threads of a worker process may hold at a time.
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
