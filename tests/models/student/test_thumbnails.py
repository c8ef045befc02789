"""Thumbnails and the order of frames."""

import numpy as np
import pytest

from lutfuse.models.student.thumbnails import check_bracket, exposure_order, thumbnail


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (700, 3), (64, 64), (65, 127), (480, 641)])
def test_any_shape_becomes_a_square_thumbnail_in_range(shape):
    thumb = thumbnail(noise(*shape), 64)
    assert thumb.shape == (64, 64, 3)
    assert thumb.dtype == np.float32
    assert thumb.flags.c_contiguous
    assert 0 <= thumb.min() <= thumb.max() <= 1


def test_thumbnail_is_the_area_average():
    image = noise(256, 384)
    blocks = image.reshape(64, 4, 64, 6, 3).mean((1, 3)) / 255
    assert np.abs(thumbnail(image, 64) - blocks).max() < 1.5 / 255  # rounded once to 8 bits on the way


def test_leftover_rows_shift_a_thumbnail_by_less_than_one_pixel():
    ramp = np.repeat(np.linspace(0, 255, 1000).astype(np.uint8)[:, None, None], 600, 1).repeat(3, 2)
    expected = (np.arange(64) + 0.5) / 64
    assert np.abs(thumbnail(ramp, 64)[:, 0, 0] - expected).max() < 1 / 64


def test_sixteen_bit_content_looks_like_its_eight_bit_twin():
    image = noise(300, 500)
    wide = image.astype(np.uint16) * 257
    assert np.abs(thumbnail(image, 64) - thumbnail(wide, 64)).max() < 1 / 255


def test_constant_images_stay_exact():
    assert thumbnail(np.full((777, 999, 3), 255, np.uint8), 32).min() == 1.0
    assert thumbnail(np.zeros((777, 999, 3), np.uint16), 32).max() == 0.0


def test_frames_are_ordered_dark_to_bright_by_mean_luma():
    thumbs = [np.full((4, 4, 3), level, np.float32) for level in (0.7, 0.1, 0.4)]
    assert exposure_order(thumbs) == (1, 2, 0)


def test_green_counts_more_than_blue_in_the_order():
    blue, green = np.zeros((2, 4, 4, 3), np.float32)
    blue[..., 2], green[..., 1] = 0.8, 0.5
    assert exposure_order([green, blue]) == (1, 0)


def test_equal_means_are_ordered_by_content_not_by_position():
    a = np.zeros((4, 4, 3), np.float32)
    b = a.copy()
    a[0, 0], b[3, 3] = 1, 1
    first, second = [[a, b][k] for k in exposure_order([a, b])], [[b, a][k] for k in exposure_order([b, a])]
    assert all(np.array_equal(x, y) for x, y in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([noise(4, 4)], "1 frames"),
        ([noise(4, 4)] * 10, "2 to 9"),
        ([noise(4, 4), noise(4, 5)], "one size"),
        ([noise(4, 4), noise(4, 4).astype(np.uint16)], "one bit depth"),
        ([noise(4, 4).astype(np.float32)] * 2, "uint8 or uint16"),
        ([noise(4, 4)[..., 0]] * 2, "RGB"),
        ([noise(0, 4)] * 2, "not empty"),
    ],
)
def test_what_is_not_a_bracket_is_refused_with_the_rule(images, message):
    with pytest.raises(ValueError, match=message):
        check_bracket(images)
