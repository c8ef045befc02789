"""PSNR and clipping, against their definitions."""

import math

import numpy as np
import pytest

from lutfuse.models.metrics.pixels import clipped_shares, psnr


@pytest.mark.parametrize(("dtype", "peak"), [(np.uint8, 255), (np.uint16, 65535)])
def test_psnr_equals_its_definition(dtype, peak, smooth_image):
    image, reference = smooth_image(7, 130, 37, dtype=dtype), smooth_image(8, 130, 37, dtype=dtype)
    error = np.mean((image.astype(np.float64) - reference) ** 2)
    assert psnr(image, reference) == pytest.approx(10 * math.log10(peak**2 / error), rel=1e-12)


def test_psnr_of_a_mixed_pair_widens_the_8_bit_image(smooth_image):
    image, reference = smooth_image(9), smooth_image(10, dtype=np.uint16)
    widened = image.astype(np.uint16) * 257
    assert psnr(image, reference) == psnr(widened, reference)
    assert psnr(reference, image) == psnr(image, reference)
    assert psnr(image, widened) == math.inf


def test_psnr_of_black_against_white_is_zero():
    for dtype in (np.uint8, np.uint16):
        black, white = np.zeros((70, 9, 3), dtype), np.full((70, 9, 3), np.iinfo(dtype).max, dtype)
        assert psnr(black, white) == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_clipped_shares_count_exact_ends_only(dtype):
    full = np.iinfo(dtype).max
    image = np.full((100, 10, 3), 7, dtype)
    image[:10] = 0
    image[10:15] = full
    image[20, 0] = (1, full - 1, full)
    assert clipped_shares(image) == (0.1, (5 * 30 + 1) / 3000)
