"""The line plot: a PNG in which every line is to be seen."""

import cv2
import numpy as np
import pytest

from lutfuse.models.evaluation.line_plot import COLOURS, HEIGHT, RIGHT, WIDTH, line_plot


def drawn(lines: dict[str, list[float]]) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(line_plot((4, 8, 16), lines, "x", "y"), np.uint8), cv2.IMREAD_COLOR)


def rows_of(image: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    inside = image[:, : WIDTH - RIGHT]  # left of the names
    return np.nonzero((inside == colour).all(2))[0]


def test_higher_values_are_drawn_higher():
    image = drawn({"low": [20, 20, 20], "high": [30, 30, 30]})
    assert image.shape == (HEIGHT, WIDTH, 3)
    assert rows_of(image, COLOURS[1]).max() < rows_of(image, COLOURS[0]).min()


@pytest.mark.parametrize("line", [[1, 1, 1], [float("nan")] * 3, [1, float("nan"), 2]])
def test_flat_lines_and_gaps_are_no_trouble(line):
    assert drawn({"a": line}).shape == (HEIGHT, WIDTH, 3)
