"""A line plot as PNG, drawn with OpenCV: enough to see a trend, without another dependency."""

import itertools
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

WIDTH, HEIGHT = 960, 500  # px
LEFT, RIGHT, TOP, BOTTOM = 80, 210, 30, 60  # px, margins; the names of the lines stand on the right
INK, FAINT = (40, 40, 40), (215, 215, 215)
COLOURS = ((180, 90, 30), (40, 110, 220), (60, 150, 60), (150, 60, 150), (60, 60, 200), (140, 140, 0))  # BGR
TICKS = 5


def line_plot(x: Sequence[float], lines: Mapping[str, Sequence[float]], x_label: str, y_label: str) -> bytes:
    """PNG of the lines over x, whose values are spaced evenly; points that are not finite are left out."""
    image = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    finite = [value for line in lines.values() for value in line if np.isfinite(value)] or [0.0]
    margin = 0.1 * (max(finite) - min(finite)) + 0.05
    low, high = min(finite) - margin, max(finite) + margin
    columns = np.linspace(LEFT, WIDTH - RIGHT, len(x)).round().astype(int).tolist()

    def row(value: float) -> int:
        return round(HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM))

    for value in np.linspace(low, high, TICKS):
        cv2.line(image, (LEFT, row(value)), (WIDTH - RIGHT, row(value)), FAINT, 1)
        _text(image, f"{value:.2f}", (LEFT - 56, row(value) + 5))
    for column, value in zip(columns, x, strict=True):
        cv2.line(image, (column, TOP), (column, HEIGHT - BOTTOM), FAINT, 1)
        _text(image, f"{value:g}", (column - 8, HEIGHT - BOTTOM + 20))
    for index, (name, line) in enumerate(lines.items()):
        colour = COLOURS[index % len(COLOURS)]
        points = [(c, row(v)) for c, v in zip(columns, line, strict=True) if np.isfinite(v)]
        for start, end in itertools.pairwise(points):
            cv2.line(image, start, end, colour, 2, cv2.LINE_AA)
        for point in points:
            cv2.circle(image, point, 4, colour, -1, cv2.LINE_AA)
        _text(image, name, (WIDTH - RIGHT + 20, TOP + 20 + 20 * index), colour)
    _text(image, x_label, (LEFT, HEIGHT - 15))
    _text(image, y_label, (8, 18))
    return bytes(cv2.imencode(".png", image)[1])


def _text(image: np.ndarray, text: str, at: tuple[int, int], colour: tuple[int, int, int] = INK) -> None:
    cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
