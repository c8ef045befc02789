"""What all scores have in common: threads, strips, strides and depth do not show, bad input is refused."""

import math

import cv2
import numpy as np
import pytest

from lutfuse.models.metrics import images as images_module
from lutfuse.models.metrics.colour import colour_difference
from lutfuse.models.metrics.images import proxy
from lutfuse.models.metrics.pixels import clipped_shares, psnr
from lutfuse.models.metrics.structure import mef_ssim, mef_ssim_c, ssim


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_identical_images_are_perfect(dtype, smooth_image):
    image = smooth_image(5, dtype=dtype)
    assert psnr(image, image.copy()) == math.inf
    assert ssim(image, image.copy()) == pytest.approx(1, abs=1e-5)
    assert mef_ssim([image, image], image) == pytest.approx(1, abs=1e-5)
    assert mef_ssim_c([image, image], image) == pytest.approx(1, abs=1e-5)
    assert colour_difference(image, image.copy()) == 0


def test_threads_and_repetition_do_not_change_a_single_bit(bracket):
    images, fused = bracket(3, height=300, width=260)

    def measured():
        pair = images[0], fused
        whole_bracket = mef_ssim(images, fused), mef_ssim_c(images, fused)
        return (*whole_bracket, ssim(*pair), psnr(*pair), colour_difference(*pair))

    threads = cv2.getNumThreads()
    try:
        results = set()
        for count in (1, 2, 4):
            cv2.setNumThreads(count)
            results.add(measured())
    finally:
        cv2.setNumThreads(threads)
    assert len(results) == 1


def test_strips_do_not_show_in_the_scores(monkeypatch, bracket):
    images, fused = bracket(2, height=90, width=61)
    scores = []
    for rows in (7, 10_000):
        monkeypatch.setattr(images_module, "STRIP_ROWS", rows)
        scores.append([mef_ssim(images, fused), mef_ssim_c(images, fused)])
        scores[-1] += [ssim(images[0], fused), psnr(images[0], fused)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)


def test_views_with_any_strides_are_measured_as_their_copies(bracket):
    images, fused = bracket(2, height=60, width=50)
    turned = [v.transpose(1, 0, 2)[::-1, :, ::-1] for v in (*images, fused)]
    copies = [v.copy() for v in turned]
    assert mef_ssim(turned[:2], turned[2]) == mef_ssim(copies[:2], copies[2])
    assert mef_ssim_c(turned[:2], turned[2]) == mef_ssim_c(copies[:2], copies[2])
    assert psnr(turned[0], turned[2]) == psnr(copies[0], copies[2])
    assert clipped_shares(turned[0]) == clipped_shares(copies[0])
    np.testing.assert_array_equal(proxy(turned[0], 20), proxy(copies[0], 20))


def test_16_bit_images_score_as_their_8_bit_selves(bracket):
    images, fused = bracket(2)
    wide, wide_fused = [v.astype(np.uint16) * 257 for v in images], fused.astype(np.uint16) * 257
    assert mef_ssim(wide, wide_fused) == mef_ssim(images, fused)
    assert mef_ssim_c(wide, fused) == mef_ssim_c(images, fused)
    assert ssim(wide[0], wide_fused) == pytest.approx(ssim(images[0], fused), abs=1e-6)
    expected = colour_difference(images[0], fused)
    assert colour_difference(wide[0], wide_fused) == pytest.approx(expected, abs=1e-3)


def test_what_is_not_an_image_is_refused_with_its_value(smooth_image):
    image = smooth_image(13)
    with pytest.raises(ValueError, match="float64: metrics take uint8 or uint16"):
        psnr(image / 255, image)
    with pytest.raises(ValueError, match=r"\(48, 44\): metrics take"):
        clipped_shares(image[..., 0])
    with pytest.raises(ValueError, match=r"\(48, 44, 3\) and \(47, 44, 3\)"):
        ssim(image, image[1:])
    with pytest.raises(ValueError, match="no exposure"):
        mef_ssim([], image)
    with pytest.raises(ValueError, match="no exposure"):
        mef_ssim_c([], image)
