"""From decoded frames to what the student sees: area-averaged thumbnails, sorted dark to bright."""

from collections.abc import Sequence
from typing import Any, cast

import cv2
import numpy as np

from lutfuse.models.contract import EXPOSURES, F32, LUMA_F32, Image

USABLE = 0.47  # from mid-grey: 8 levels of 255 from black and white
FEWEST_PIXELS = 0.01  # of a thumbnail, that are neither black nor white where a frame shows something
REPEATED = 0.5 / 255  # mean difference up to which a frame repeats another


def check_bracket(images: Sequence[Image]) -> None:
    """Raise ValueError, with the remedy, for anything that is not a bracket of 2…9 equal RGB frames."""
    if not EXPOSURES.allow(len(images)):
        raise ValueError(f"{len(images)} frames; a bracket has {EXPOSURES}")
    first = images[0]
    for image in images:
        if image.dtype not in (np.uint8, np.uint16):
            raise ValueError(f"frames are {image.dtype}; convert them to uint8 or uint16")
        if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise ValueError(f"a frame has shape {image.shape}; frames are [H, W, 3] RGB and not empty")
        if image.shape != first.shape or image.dtype != first.dtype:
            raise ValueError(
                f"frames differ: {first.shape} {first.dtype} and {image.shape} {image.dtype}; "
                "a bracket has one size and one bit depth"
            )


def thumbnail(image: Image, size: int) -> F32:
    """x̂_k of docs/method.md: `image` [H, W, 3] u8 | u16 area-averaged to [size, size, 3] float32 in [0, 1].

    Large frames are first halved, then reduced by a whole factor: OpenCV does either several times faster
    than a fractional step. The few rows and columns that are left over at the far ends do not count.
    """
    while min(image.shape[:2]) >= 4 * size:
        image = _reduced(image, 2, 2)
    image = _reduced(image, max(image.shape[0] // size, 1), max(image.shape[1] // size, 1))
    small: Any = image.astype(np.float32) / np.float32(np.iinfo(image.dtype).max)
    if small.shape[:2] != (size, size):
        # Clipped to the range it came from: a mean cannot leave it, and white stays white to the last bit.
        low, high = small.min(), small.max()
        small = np.clip(cv2.resize(small, (size, size), interpolation=cv2.INTER_AREA), low, high)
    return np.ascontiguousarray(small, np.float32)


def _reduced(image: Image, fy: int, fx: int) -> Image:
    """Mean of blocks of fy × fx pixels."""
    if fy == fx == 1:
        return image
    rows, cols = image.shape[0] // fy, image.shape[1] // fx
    return cast(
        Image, cv2.resize(image[: rows * fy, : cols * fx], (cols, rows), interpolation=cv2.INTER_AREA)
    )


def informative(thumbs: Sequence[F32]) -> tuple[int, ...]:
    """Indices of the frames that show something: near black, near white and repeated ones are left out.

    Where fewer than two frames are left, all stay. thumbs [S, S, 3] in [0, 1].
    """
    kept: list[int] = []
    few = [thumb[::4, ::4] for thumb in thumbs]  # enough pixels to tell two frames apart
    for k, thumb in enumerate(thumbs):
        shown = np.mean(np.abs(thumb @ LUMA_F32 - np.float32(0.5)) < USABLE)
        if shown > FEWEST_PIXELS and all(np.abs(few[k] - few[j]).mean() > REPEATED for j in kept):
            kept.append(k)
    return tuple(kept) if len(kept) >= EXPOSURES.low else tuple(range(len(thumbs)))


def exposure_order(thumbs: Sequence[F32]) -> tuple[int, ...]:
    """Indices dark → bright by mean luma; frames of equal mean are told apart by their pixels.

    The order depends on the frames alone, so a bracket fuses to the same bytes however it was listed.
    """
    means = [float(np.mean(thumb @ LUMA_F32, dtype=np.float64)) for thumb in thumbs]
    return tuple(sorted(range(len(thumbs)), key=lambda k: (means[k], thumbs[k].tobytes())))
