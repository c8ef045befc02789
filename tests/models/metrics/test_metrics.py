import csv
import math
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest

from lutfuse.models.metrics import metrics
from lutfuse.models.metrics.ciede2000 import ciede2000, lab_of_srgb

EPS = np.finfo(np.float64).eps


def smooth_image(seed, height=48, width=44, dtype=np.uint8):
    """Blobs and grain, [H, W, 3]: every window has some structure."""
    rng = np.random.default_rng(seed)
    blobs = cv2.resize(rng.random((6, 6, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
    image = np.clip(blobs + rng.normal(0, 0.05, blobs.shape), 0, 1)
    return np.rint(image * np.iinfo(dtype).max).astype(dtype)


def bracket(count, **size):
    """`count` exposures of one scene, dark to bright, and their rounded mean."""
    scene = smooth_image(count, **size).astype(np.float64)
    gains = 2.0 ** np.linspace(-2, 2, count)
    images = [np.rint(np.clip(scene * gain, 0, 255)).astype(np.uint8) for gain in gains]
    return images, np.rint(np.mean(images, axis=0)).astype(np.uint8)


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
def test_mef_ssim_equals_one_window_at_a_time(count):
    images, fused = bracket(count, height=43, width=46)
    assert metrics.mef_ssim(images, fused) == pytest.approx(slow_mef_ssim(images, fused), abs=1e-5)


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_mef_ssim_c_equals_one_window_at_a_time(count):
    images, fused = bracket(count, height=21, width=18)
    assert metrics.mef_ssim_c(images, fused) == pytest.approx(slow_mef_ssim_c(images, fused), abs=1e-5)


def test_ssim_equals_one_window_at_a_time():
    image, reference = smooth_image(1, 23, 20), smooth_image(2, 23, 20)
    mixed = (image.astype(int) + 3 * reference).astype(np.float64) / 4
    image = np.rint(mixed).astype(np.uint8)
    assert metrics.ssim(image, reference) == pytest.approx(slow_ssim(image, reference), abs=1e-5)


def test_flat_clipped_areas_score_as_one_window_at_a_time():
    images, fused = bracket(2, height=44, width=44)
    for image, value in zip(images, (0, 255), strict=True):
        image[:24] = value  # both frames flat: no structure to keep
    images[0][24:34] = 0  # one frame flat: the other decides
    assert metrics.mef_ssim(images, fused) == pytest.approx(slow_mef_ssim(images, fused), abs=1e-5)
    assert metrics.mef_ssim_c(images, fused) == pytest.approx(slow_mef_ssim_c(images, fused), abs=1e-5)


@pytest.mark.parametrize("metric", [metrics.mef_ssim, metrics.mef_ssim_c])
def test_structures_that_cancel_desire_a_flat_image(metric):
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
        assert metrics.mef_ssim(images, fused) == pytest.approx(float(row["mef_ssim"]), abs=1e-4), row
        assert metrics.mef_ssim_c(images, fused) == pytest.approx(float(row["mef_ssim_c"]), abs=1e-4), row


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


# --- properties -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_identical_images_are_perfect(dtype):
    image = smooth_image(5, dtype=dtype)
    assert metrics.psnr(image, image.copy()) == math.inf
    assert metrics.ssim(image, image.copy()) == pytest.approx(1, abs=1e-5)
    assert metrics.mef_ssim([image, image], image) == pytest.approx(1, abs=1e-5)
    assert metrics.mef_ssim_c([image, image], image) == pytest.approx(1, abs=1e-5)
    assert metrics.colour_difference(image, image.copy()) == 0


def test_order_of_the_exposures_does_not_matter():
    images, fused = bracket(3)
    for metric in (metrics.mef_ssim, metrics.mef_ssim_c):
        assert metric(images[::-1], fused) == pytest.approx(metric(images, fused), abs=1e-6)


def test_threads_and_repetition_do_not_change_a_single_bit():
    images, fused = bracket(3, height=300, width=260)

    def measured():
        pair = images[0], fused
        whole_bracket = metrics.mef_ssim(images, fused), metrics.mef_ssim_c(images, fused)
        return (*whole_bracket, metrics.ssim(*pair), metrics.psnr(*pair), metrics.colour_difference(*pair))

    threads = cv2.getNumThreads()
    try:
        results = set()
        for count in (1, 2, 4):
            cv2.setNumThreads(count)
            results.add(measured())
    finally:
        cv2.setNumThreads(threads)
    assert len(results) == 1


def test_strips_do_not_show_in_the_scores(monkeypatch):
    images, fused = bracket(2, height=90, width=61)
    scores = []
    for rows in (7, 10_000):
        monkeypatch.setattr(metrics, "STRIP_ROWS", rows)
        scores.append([metrics.mef_ssim(images, fused), metrics.mef_ssim_c(images, fused)])
        scores[-1] += [metrics.ssim(images[0], fused), metrics.psnr(images[0], fused)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)


def test_views_with_any_strides_are_measured_as_their_copies():
    images, fused = bracket(2, height=60, width=50)
    turned = [v.transpose(1, 0, 2)[::-1, :, ::-1] for v in (*images, fused)]
    copies = [v.copy() for v in turned]
    assert metrics.mef_ssim(turned[:2], turned[2]) == metrics.mef_ssim(copies[:2], copies[2])
    assert metrics.mef_ssim_c(turned[:2], turned[2]) == metrics.mef_ssim_c(copies[:2], copies[2])
    assert metrics.psnr(turned[0], turned[2]) == metrics.psnr(copies[0], copies[2])
    assert metrics.clipped_shares(turned[0]) == metrics.clipped_shares(copies[0])
    np.testing.assert_array_equal(metrics.proxy(turned[0], 20), metrics.proxy(copies[0], 20))


def test_16_bit_images_score_as_their_8_bit_selves():
    images, fused = bracket(2)
    wide, wide_fused = [v.astype(np.uint16) * 257 for v in images], fused.astype(np.uint16) * 257
    assert metrics.mef_ssim(wide, wide_fused) == metrics.mef_ssim(images, fused)
    assert metrics.mef_ssim_c(wide, fused) == metrics.mef_ssim_c(images, fused)
    assert metrics.ssim(wide[0], wide_fused) == pytest.approx(metrics.ssim(images[0], fused), abs=1e-6)
    expected = metrics.colour_difference(images[0], fused)
    assert metrics.colour_difference(wide[0], wide_fused) == pytest.approx(expected, abs=1e-3)


def test_a_contradicting_image_scores_zero_not_nan():
    image = smooth_image(6)
    assert metrics.mef_ssim([image], 255 - image) == 0


# --- PSNR -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "peak"), [(np.uint8, 255), (np.uint16, 65535)])
def test_psnr_equals_its_definition(dtype, peak):
    image, reference = smooth_image(7, 130, 37, dtype=dtype), smooth_image(8, 130, 37, dtype=dtype)
    error = np.mean((image.astype(np.float64) - reference) ** 2)
    assert metrics.psnr(image, reference) == pytest.approx(10 * math.log10(peak**2 / error), rel=1e-12)


def test_psnr_of_a_mixed_pair_widens_the_8_bit_image():
    image, reference = smooth_image(9), smooth_image(10, dtype=np.uint16)
    widened = image.astype(np.uint16) * 257
    assert metrics.psnr(image, reference) == metrics.psnr(widened, reference)
    assert metrics.psnr(reference, image) == metrics.psnr(image, reference)
    assert metrics.psnr(image, widened) == math.inf


def test_psnr_of_black_against_white_is_zero():
    for dtype in (np.uint8, np.uint16):
        black, white = np.zeros((70, 9, 3), dtype), np.full((70, 9, 3), np.iinfo(dtype).max, dtype)
        assert metrics.psnr(black, white) == 0


# --- colour, clipping, proxy ----------------------------------------------------------------------------

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
    assert metrics.colour_difference(black, black + 255) == pytest.approx(100, abs=1e-3)
    half = black.copy()
    half[:35] = 255
    assert metrics.colour_difference(black, half) == pytest.approx(50, abs=1e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_clipped_shares_count_exact_ends_only(dtype):
    full = np.iinfo(dtype).max
    image = np.full((100, 10, 3), 7, dtype)
    image[:10] = 0
    image[10:15] = full
    image[20, 0] = (1, full - 1, full)
    assert metrics.clipped_shares(image) == (0.1, (5 * 30 + 1) / 3000)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((2160, 3840), (540, 960)),
        ((4001, 2999), (1000, 749)),
        ((1025, 10), (512, 5)),
        ((1, 5000), (1, 625)),
        ((1024, 700), (1024, 700)),
    ],
)
def test_proxy_fits_the_long_side_and_keeps_the_shape(size, expected):
    small = metrics.proxy(np.full((*size, 3), 65535, np.uint16))
    assert small.shape == (*expected, 3)
    assert small.dtype == np.uint8
    assert (small == 255).all()


def test_proxy_never_enlarges_and_averages_areas():
    image = smooth_image(11, 40, 60)
    np.testing.assert_array_equal(metrics.proxy(image, 60), image)
    means = image.reshape(10, 4, 15, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(metrics.proxy(image, 15), means, atol=1)


# --- bad input ------------------------------------------------------------------------------------------


def test_images_smaller_than_a_window_are_refused_with_the_rule():
    for metric, side in ((metrics.mef_ssim, 41), (metrics.mef_ssim_c, 8)):
        image = smooth_image(12, side, side)
        assert 0 <= metric([image, image], image) <= 1.00001
        with pytest.raises(ValueError, match=f"{side}×{side - 1} px: this metric needs {side} px"):
            metric([image[1:], image[1:]], image[1:])
    image = smooth_image(12, 11, 11)
    assert metrics.ssim(image, image) == pytest.approx(1)
    with pytest.raises(ValueError, match="10×11 px: this metric needs 11 px"):
        metrics.ssim(image[:, 1:], image[:, 1:])


def test_what_is_not_an_image_is_refused_with_its_value():
    image = smooth_image(13)
    with pytest.raises(ValueError, match="float64: metrics take uint8 or uint16"):
        metrics.psnr(image / 255, image)
    with pytest.raises(ValueError, match=r"\(48, 44\): metrics take"):
        metrics.clipped_shares(image[..., 0])
    with pytest.raises(ValueError, match=r"\(48, 44, 3\) and \(47, 44, 3\)"):
        metrics.ssim(image, image[1:])
    with pytest.raises(ValueError, match="no exposure"):
        metrics.mef_ssim([], image)
    with pytest.raises(ValueError, match="no exposure"):
        metrics.mef_ssim_c([], image)
