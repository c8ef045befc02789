"""The line plot: a PNG in which every line is to be seen."""

import importlib.util

import cv2
import numpy as np
import pytest

from lutfuse.models.checked import ConfigError
from lutfuse.models.evaluation.line_plot import DPI, SIZE, check_matplotlib, line_plot

BLUE, ORANGE = (180, 119, 31), (14, 127, 255)  # matplotlib's first two colours, as BGR


def drawn(lines: dict[str, list[float]]) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(line_plot((4, 8, 16), lines, "x", "y"), np.uint8), cv2.IMREAD_COLOR)


def rows_of(image: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    inside = image[:, : image.shape[1] * 3 // 5]  # left of the names
    return np.nonzero((inside == colour).all(2))[0]


def test_higher_values_are_drawn_higher():
    image = drawn({"low": [20, 20, 20], "high": [30, 30, 30]})
    assert image.shape == (SIZE[1] * DPI, SIZE[0] * DPI, 3)
    assert rows_of(image, ORANGE).max() < rows_of(image, BLUE).min()


@pytest.mark.parametrize("line", [[1, 1, 1], [float("nan")] * 3, [1, float("nan"), 2]])
def test_flat_lines_and_gaps_are_no_trouble(line):
    assert drawn({"a": line, "b": [0, 1, 2]}).std() > 0
    assert len(rows_of(drawn({"a": line}), BLUE)) > 0 or np.isnan(line).all()


def test_without_matplotlib_the_remedy_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'lutfuse\[plot\]'"):
        check_matplotlib()
