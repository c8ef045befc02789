import cv2
import numpy as np
import pytest

from lutfuse.models.metrics.pixels import psnr
from lutfuse.models.synthetic.camera import (
    FULL_WELL,
    READ_NOISE,
    photograph,
    reference_picture,
    synthesise_bracket,
)

SIZE = (160, 90)


@pytest.fixture(scope="module")
def bracket():
    return synthesise_bracket(*SIZE, seed=3)


def test_bracket_has_one_frame_an_ev_and_a_reference(bracket):
    assert bracket.evs == (-3.0, 0.0, 3.0)
    for image in (*bracket.exposures, bracket.reference):
        assert image.shape == (90, 160, 3)
        assert image.dtype == np.uint8


def test_more_light_makes_every_region_brighter():
    frames = synthesise_bracket(64, 48, evs=range(-4, 5), seed=1).exposures
    regions = np.array([cv2.resize(f, (4, 3), interpolation=cv2.INTER_AREA) for f in frames], np.int64)
    assert len(frames) == 9
    assert (np.diff(regions, axis=0) >= 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_each_frame_holds_a_part_and_none_holds_all(seed):
    bracket = synthesise_bracket(*SIZE, seed=seed)
    dark, middle, bright = bracket.exposures
    clipped, black = ([share(f) for f in bracket.exposures] for share in (lost_to_white, lost_to_black))
    assert clipped[0] < 0.005  # the dark frame has the view,
    assert np.median(dark) < 40  # and has lost the room
    assert clipped[1] > 0.02  # the middle one has lost the view, and the corners with it
    assert black[1] > 0.01
    assert clipped[2] > 0.08  # the bright one has lost more,
    assert np.median(bright) > 90  # and has the room
    assert black[2] < 0.25 * black[1]
    assert np.median(dark) < np.median(middle) < np.median(bright)


def lost_to_white(frame):
    return np.mean(frame.max(axis=2) > 252)


def lost_to_black(frame):
    return np.mean(frame.max(axis=2) < 16)


@pytest.mark.parametrize("seed", range(4))
def test_reference_shows_window_and_corners_unlike_any_frame(seed):
    bracket = synthesise_bracket(*SIZE, seed=seed)
    lost = [np.mean((v < 12) | (v > 249)) for v in (*bracket.exposures, bracket.reference)]
    assert min(lost[:-1]) > 0.04
    assert lost[-1] < 0.03
    assert 80 < np.median(bracket.reference) < 160
    assert max(psnr(frame, bracket.reference) for frame in bracket.exposures) < 20


def test_16_bit_bracket_is_the_8_bit_one_with_finer_steps(bracket):
    wide = synthesise_bracket(*SIZE, seed=3, bit_depth=16)
    for fine, coarse in zip(
        [*wide.exposures, wide.reference], [*bracket.exposures, bracket.reference], strict=True
    ):
        assert fine.dtype == np.uint16
        assert np.abs(fine / 257 - coarse).max() <= 0.51
        assert len(np.unique(fine)) > 256


def test_a_seed_gives_the_same_bracket_on_any_number_of_threads():
    threads = cv2.getNumThreads()
    try:
        brackets = []
        for count in (1, 4):
            cv2.setNumThreads(count)
            brackets.append(synthesise_bracket(*SIZE, seed=11))
    finally:
        cv2.setNumThreads(threads)
    first, second = ([*b.exposures, b.reference] for b in brackets)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_frame_does_not_depend_on_the_others():
    few = synthesise_bracket(48, 32, evs=(-2, 1), seed=2)
    many = synthesise_bracket(48, 32, evs=(-2, 1, 4), seed=2)
    for one, other in zip(few.exposures, many.exposures[:2], strict=True):
        np.testing.assert_array_equal(one, other)


def test_camera_saturates_at_full_light_and_is_black_without():
    rng = np.random.default_rng(0)
    assert (photograph(np.full((8, 8, 3), 2, np.float32), 0, rng) == 255).all()
    assert photograph(np.zeros((64, 64, 3), np.float32), 0, rng).mean() < 6
    steps = np.linspace(0, 1, 300, dtype=np.float32).reshape(100, 1, 3)
    curve = photograph(steps, 0, _Silent(), bit_depth=16).ravel().astype(np.int64)
    assert (np.diff(curve) > 0).all()
    assert curve[0] == 0
    assert curve[-1] == 65535


def test_noise_has_the_spread_of_photons_and_electronics():
    light = np.float32(0.25)
    flat = np.full((200, 200, 3), light)
    noisy = photograph(flat, 0, np.random.default_rng(1), bit_depth=16).astype(np.float64)
    around = np.float32([[[light * 0.99] * 3, [light * 1.01] * 3]])
    low, high = photograph(around, 0, _Silent(), bit_depth=16)[0, :, 0].astype(np.float64)
    slope = (high - low) / (0.02 * light)
    electrons = noisy.std() / slope * FULL_WELL
    assert electrons == pytest.approx(np.sqrt(light * FULL_WELL + READ_NOISE**2), rel=0.03)


def test_one_stop_more_is_twice_the_light():
    scene = np.linspace(0.01, 0.3, 60, dtype=np.float32).reshape(20, 1, 3)
    np.testing.assert_array_equal(photograph(scene, 1, _Silent()), photograph(2 * scene, 0, _Silent()))


class _Silent(np.random.Generator):
    """A source of noise without noise."""

    def __init__(self):
        super().__init__(np.random.PCG64(0))

    def standard_normal(self, size=None, dtype=np.float64, out=None):
        return np.zeros(size, dtype)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 2), (200, 16)])
def test_reference_of_any_shape(width, height):
    radiance = np.random.default_rng(0).random((height, width, 3), np.float32)
    assert reference_picture(radiance).shape == radiance.shape


def test_other_bit_depths_are_refused():
    with pytest.raises(ValueError, match="bit_depth 12: images have 8 or 16 bits"):
        synthesise_bracket(4, 4, bit_depth=12)
