"""The usual ways to fuse a bracket, to compare with and, of the first, to make references from."""

import contextlib
import threading
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from lutfuse.models.contract import F32, U8

_THREADS = threading.Lock()  # held while the setting, which is the process's, is changed


def opencv_mertens(
    frames: Sequence[U8],  # K × [H, W, 3]
) -> F32:  # [H, W, 3], mostly within [0, 1], neither clipped nor rounded
    """Multi-scale exposure fusion, Mertens et al. 2007, as OpenCV computes it on one thread.

    On several it adds exposures in the order in which they are finished, and every call rounds differently.
    """
    with _one_thread():
        return np.asarray(cv2.createMergeMertens().process(list(frames)), np.float32)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """One thread of OpenCV's; the caller's setting is restored."""
    with _THREADS:
        before = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            yield
        finally:
            cv2.setNumThreads(before)


def plain_average(
    frames: Sequence[U8],  # K × [H, W, 3]
) -> U8:  # [H, W, 3]
    """The mean of the frames, rounded to the nearest level."""
    total = np.zeros(frames[0].shape, np.float32)
    for frame in frames:
        total += frame
    return np.asarray((total / len(frames)).round(), np.uint8)
