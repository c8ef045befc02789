"""The usual fusions: what comes out of them, and in what range."""

import cv2
import numpy as np

from lutfuse.models.fusion.classical import opencv_mertens, plain_average


def test_mertens_is_opencvs_own_answer(frames):
    pictures = frames(3)
    merged = opencv_mertens(pictures)
    assert merged.dtype == np.float32
    assert merged.shape == pictures[0].shape
    assert np.array_equal(merged, cv2.createMergeMertens().process(pictures))
    assert 0.1 < merged.mean() < 0.9


def test_the_average_rounds_to_nearest():
    levels = [np.full((2, 2, 3), level, np.uint8) for level in (0, 1, 1)]
    assert (plain_average(levels) == 1).all()
