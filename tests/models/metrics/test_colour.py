"""CIEDE2000 against published pairs, and the mean of it over images."""

import numpy as np
import pytest

from lutfuse.models.metrics.colour import ciede2000, colour_difference, lab_of_srgb

# Published test pairs of the formula (Sharma et al. 2005, table 1): hues across 0°, neutrals, blues.
PAIRS = [
    ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
    ((50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0),
    ((50, 0, 0), (50, -1, 2), 2.3669),
    ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
    ((50, 2.49, -0.001), (50, -2.49, 0.0011), 7.2195),
    ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
    ((50, 2.5, 0), (73, 25, -18), 27.1492),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
    ((90.8027, -2.0831, 1.4410), (91.1528, -1.6435, 0.0447), 1.4441),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


@pytest.mark.parametrize(("one", "other", "expected"), PAIRS)
def test_ciede2000_meets_published_pairs_both_ways(one, other, expected):
    one, other = np.float32(one), np.float32(other)
    assert ciede2000(one, other) == pytest.approx(expected, abs=1e-4)
    assert ciede2000(other, one) == pytest.approx(expected, abs=1e-4)


def test_lab_of_known_srgb_colours():
    image = np.array([[[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 0, 255], [119, 119, 119]]], np.uint8)
    expected = [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20], [32.30, 79.19, -107.86], [50.03, 0, 0]]
    np.testing.assert_allclose(lab_of_srgb(image)[0], expected, atol=0.01)


def test_colour_difference_of_black_and_white_is_100():
    black = np.zeros((70, 3, 3), np.uint8)
    assert colour_difference(black, black + 255) == pytest.approx(100, abs=1e-3)
    half = black.copy()
    half[:35] = 255
    assert colour_difference(black, half) == pytest.approx(50, abs=1e-3)
