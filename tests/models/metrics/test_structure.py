"""SSIM, MEF-SSIM and MEF-SSIM_c: one window at a time they are the same, and so are the published values."""

import csv
import math
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest

from lutfuse.models.metrics.structure import mef_ssim, mef_ssim_c, ssim

EPS = np.finfo(np.float64).eps


# --- the slow, obvious twins: one window at a time, float64 ---------------------------------------------


def windows(height, width, side):
    corners = product(range(height - side + 1), range(width - side + 1))
    return [np.s_[y : y + side, x : x + side] for y, x in corners]


def gaussian_window():
    line = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    return np.outer(line, line) / line.sum() ** 2


def weighted_cov(weight, a, b):
    return (weight * (a - (weight * a).sum()) * (b - (weight * b).sum())).sum()


def slow_ssim(image, reference):
    weight, scores = gaussian_window(), []
    for channel in range(3):
        x, y = (v[..., channel].astype(np.float64) for v in (image, reference))
        for at in windows(*x.shape, 11):
            mean_x, mean_y = (weight * x[at]).sum(), (weight * y[at]).sum()
            luminance = (2 * mean_x * mean_y + 2.55**2) / (mean_x**2 + mean_y**2 + 2.55**2)
            variances = weighted_cov(weight, x[at], x[at]) + weighted_cov(weight, y[at], y[at])
            structure = (2 * weighted_cov(weight, x[at], y[at]) + 7.65**2) / (variances + 7.65**2)
            scores.append(luminance * structure)
    return np.mean(scores)


def slow_structure_score(frames, fused):
    weight = gaussian_window()
    centred = [v - v.mean() for v in frames]
    norms = [np.linalg.norm(v) for v in centred]
    d = [norm + 0.001 for norm in norms]
    agreement = (np.linalg.norm(sum(centred)) + EPS) / (sum(norms) + EPS)
    p = min(math.tan(math.pi / 2 * min(agreement, 1 - 1e-9)), 10)
    w = np.array([(v / 11) ** p + EPS for v in d])
    desired = sum(w_k * v / d_k for w_k, v, d_k in zip(w / w.sum(), centred, d, strict=True))
    if np.linalg.norm(desired) > 0:
        desired = desired * max(d) / np.linalg.norm(desired)
    variances = weighted_cov(weight, desired, desired) + weighted_cov(weight, fused, fused)
    return (2 * weighted_cov(weight, desired, fused) + 7.65**2) / (variances + 7.65**2)


def slow_halved(plane):
    padded = np.pad(plane, [(0, side % 2) for side in plane.shape], mode="edge")
    return (padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2]) / 4


def slow_mef_ssim(images, fused):
    planes = [np.rint(v @ [0.298936, 0.587043, 0.114021]) for v in (*images, fused)]
    result = 1.0
    for power in (0.0448, 0.2856, 0.3001):
        at_each = windows(*planes[0].shape, 11)
        scores = [slow_structure_score([v[at] for v in planes[:-1]], planes[-1][at]) for at in at_each]
        result *= np.mean(scores) ** (power / 0.6305)
        planes = [slow_halved(v) for v in planes]
    return result


def slow_mef_ssim_c(images, fused):
    *frames, f = (v / 255 for v in (*images, fused))
    scores = []
    for at in windows(*f.shape[:2], 8):
        centred = [v[at] - v[at].mean() for v in frames]
        c = [np.linalg.norm(v) + 1e-6 for v in centred]
        s = sum((c_k / max(c)) ** 4 * v / c_k for c_k, v in zip(c, centred, strict=True))
        if np.linalg.norm(s) > 0:
            s = s * max(c) / np.linalg.norm(s)
        light = [math.exp(-(((v[at].mean() - 0.5) ** 2) + (v.mean() - 0.5) ** 2) / 0.08) for v in frames]
        mean = sum(w * v[at].mean() for w, v in zip(light, frames, strict=True)) / sum(light)
        mean_f, g = f[at].mean(), f[at] - f[at].mean()
        luminance = (2 * mean * mean_f + 1e-4) / (mean**2 + mean_f**2 + 1e-4)
        scores.append(luminance * (2 * (s * g).mean() + 9e-4) / ((s**2).mean() + (g**2).mean() + 9e-4))
    return np.mean(scores)


# --- agreement with the definitions ---------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_mef_ssim_equals_one_window_at_a_time(count, bracket):
    images, fused = bracket(count, height=43, width=46)
    assert mef_ssim(images, fused) == pytest.approx(slow_mef_ssim(images, fused), abs=1e-5)


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_mef_ssim_c_equals_one_window_at_a_time(count, bracket):
    images, fused = bracket(count, height=21, width=18)
    assert mef_ssim_c(images, fused) == pytest.approx(slow_mef_ssim_c(images, fused), abs=1e-5)


def test_ssim_equals_one_window_at_a_time(smooth_image):
    image, reference = smooth_image(1, 23, 20), smooth_image(2, 23, 20)
    mixed = (image.astype(int) + 3 * reference).astype(np.float64) / 4
    image = np.rint(mixed).astype(np.uint8)
    assert ssim(image, reference) == pytest.approx(slow_ssim(image, reference), abs=1e-5)


def test_flat_clipped_areas_score_as_one_window_at_a_time(bracket):
    images, fused = bracket(2, height=44, width=44)
    for image, value in zip(images, (0, 255), strict=True):
        image[:24] = value  # both frames flat: no structure to keep
    images[0][24:34] = 0  # one frame flat: the other decides
    assert mef_ssim(images, fused) == pytest.approx(slow_mef_ssim(images, fused), abs=1e-5)
    assert mef_ssim_c(images, fused) == pytest.approx(slow_mef_ssim_c(images, fused), abs=1e-5)


@pytest.mark.parametrize("metric", [mef_ssim, mef_ssim_c])
def test_structures_that_cancel_desire_a_flat_image(metric, smooth_image):
    image = smooth_image(3)
    flat, textured = np.full_like(image, 128), smooth_image(4)
    assert metric([image, 255 - image], flat) > 0.99
    assert metric([image, 255 - image], textured) < 0.5


@pytest.mark.needs_data
def test_published_check_values_are_met_on_every_row(data_dir):
    with (data_dir / "dev" / "mefb_values.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 60
    for row in rows:
        images = read_scene(data_dir / "dev" / "mefb" / row["scene"])
        fused = {"first_frame": first, "average_rounded": average, "mertens_rounded": mertens}[row["fused"]](
            images
        )
        assert mef_ssim(images, fused) == pytest.approx(float(row["mef_ssim"]), abs=1e-4), row
        assert mef_ssim_c(images, fused) == pytest.approx(float(row["mef_ssim_c"]), abs=1e-4), row


def read_scene(folder: Path):
    paths = sorted(folder.glob("*.png"))
    return [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in paths]


def first(images):
    return images[0]


def average(images):
    return np.rint(np.mean(images, axis=0)).astype(np.uint8)


def mertens(images):
    merged = cv2.createMergeMertens().process(images)
    return np.rint(np.clip(merged * 255, 0, 255)).astype(np.uint8)


def test_order_of_the_exposures_does_not_matter(bracket):
    images, fused = bracket(3)
    for metric in (mef_ssim, mef_ssim_c):
        assert metric(images[::-1], fused) == pytest.approx(metric(images, fused), abs=1e-6)


def test_a_contradicting_image_scores_zero_not_nan(smooth_image):
    image = smooth_image(6)
    assert mef_ssim([image], 255 - image) == 0


def test_images_smaller_than_a_window_are_refused_with_the_rule(smooth_image):
    for metric, side in ((mef_ssim, 41), (mef_ssim_c, 8)):
        image = smooth_image(12, side, side)
        assert 0 <= metric([image, image], image) <= 1.00001
        with pytest.raises(ValueError, match=f"{side}×{side - 1} px: this metric needs {side} px"):
            metric([image[1:], image[1:]], image[1:])
    image = smooth_image(12, 11, 11)
    assert ssim(image, image) == pytest.approx(1)
    with pytest.raises(ValueError, match="10×11 px: this metric needs 11 px"):
        ssim(image[:, 1:], image[:, 1:])
