"""The usual fusions: what comes out of them, and in what range."""

import cv2
import numpy as np

from lutfuse.models.fusion.classical import opencv_mertens, plain_average


def test_mertens_is_opencvs_own_answer(frames):
    pictures = frames(3)
    merged = opencv_mertens(pictures)
    assert merged.dtype == np.float32
    assert merged.shape == pictures[0].shape
    assert np.allclose(merged, cv2.createMergeMertens().process(pictures), atol=1e-5)
    assert 0.1 < merged.mean() < 0.9


def test_mertens_gives_the_same_bytes_whatever_the_threads(frames):
    pictures, before = frames(7, (320, 240)), cv2.getNumThreads()
    try:
        cv2.setNumThreads(4)
        first, *others = (opencv_mertens(pictures).tobytes() for _ in range(8))
        assert cv2.getNumThreads() == 4
    finally:
        cv2.setNumThreads(before)
    assert all(other == first for other in others)


def test_the_average_rounds_to_nearest():
    levels = [np.full((2, 2, 3), level, np.uint8) for level in (0, 1, 1)]
    assert (plain_average(levels) == 1).all()
