"""Pictures side by side with their names, for looking at what figures do not say."""

from collections.abc import Sequence

import cv2
import numpy as np

from lutfuse.models.contract import U8

CAPTION = 22  # px, height of the strip with the name
GAP = 6  # px between tiles
BACKGROUND = 32


def contact_sheet(rows: Sequence[Sequence[tuple[str, U8]]], tile: int = 420) -> U8:
    """Rows of (name, image [H, W, 3] RGB u8) as one image; every tile is `tile` px wide."""
    strips = [np.hstack([_tile(name, image, tile) for name, image in row]) for row in rows]
    width = max(strip.shape[1] for strip in strips)
    padded = [cv2.copyMakeBorder(strip, 0, GAP, 0, width - strip.shape[1], *_BORDER) for strip in strips]
    return np.vstack(padded)


def _tile(name: str, image: U8, width: int) -> U8:
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    framed = cv2.copyMakeBorder(small, CAPTION, 0, 0, GAP, *_BORDER)
    cv2.putText(
        framed, name, (4, CAPTION - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (230, 230, 230), 1, cv2.LINE_AA
    )
    return np.asarray(framed, np.uint8)


_BORDER = (cv2.BORDER_CONSTANT, None, (BACKGROUND, BACKGROUND, BACKGROUND))
