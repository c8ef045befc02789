"""The colour controls: each does what its unit says, none inverts a tone, all stay in range at any value."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutfuse.models.looks.colour import apply_colour, decode_srgb, encode_srgb, light_gains, luma
from lutfuse.models.looks.look import Look, controls

RAMP = np.tile(np.linspace(0, 1, 1001), (3, 1))
COLOURS = np.random.default_rng(7).random((3, 4000))
COLOUR_KEYS = [key for key in controls() if key not in {"balance", "detail", "strength"}]
bounded = settings(max_examples=60, derandomize=True, deadline=None)


def any_look(keys=COLOUR_KEYS):
    """Looks over the whole range of every control, ends included."""
    ranges = {key: st.floats(controls()[key].low, controls()[key].high) for key in keys}
    return st.fixed_dictionaries({}, optional=ranges).map(lambda values: Look(**values))


def grey(tone, look):
    return float(apply_colour(np.full((3, 1), tone), look)[1, 0])


@given(any_look())
@bounded
def test_no_look_leaves_the_range_or_gives_nan(look):
    extreme = np.array(np.meshgrid([0, 1e-30, 0.5, 1 - 1e-7, 1], [0, 0.5, 1], [0, 1e-8, 1])).reshape(3, -1)
    for dtype in (np.float32, np.float64):
        for rgb in (COLOURS, extreme):
            out = apply_colour(rgb.astype(dtype), look)
            assert out.dtype == dtype
            assert out.min() >= 0
            assert out.max() <= 1


@given(any_look())
@bounded
def test_neutral_tones_keep_their_order_under_any_look(look):
    # To a quarter of an 8-bit level: vibrance sees no neutral in one that white balance cast and clipped.
    assert np.diff(luma(apply_colour(RAMP, look))).min() >= -0.25 / 255


@pytest.mark.parametrize("key", [key for key in COLOUR_KEYS if key != "pivot"])
@pytest.mark.parametrize("end", ["low", "high"])
def test_no_control_lowers_a_channel_when_it_rises(key, end):
    look = Look(**{key: getattr(controls()[key], end)})
    steps = np.linspace(0, 1, 65)
    for channel in range(3):
        rgb = np.repeat(COLOURS[:, :300, None], len(steps), axis=2)
        rgb[channel] = steps
        out = apply_colour(rgb.reshape(3, -1), look).reshape(rgb.shape)[channel]
        assert np.diff(out, axis=-1).min() >= -1e-12


@given(any_look([key for key in COLOUR_KEYS if key not in {"temperature", "tint"}]))
@bounded
def test_only_white_balance_casts_a_neutral(look):
    out = apply_colour(RAMP, look)
    assert np.ptp(out, axis=0).max() < 1e-12


@pytest.mark.parametrize("key", COLOUR_KEYS)
def test_a_hair_off_the_default_is_a_hair_off_the_picture(key):
    default = getattr(Look, key)
    step = 1e-6 if default < controls()[key].high else -1e-6
    out = apply_colour(COLOURS, Look(**{key: default + step}))
    assert np.abs(out - COLOURS).max() < 1e-5


@given(any_look())
@bounded
def test_single_precision_is_enough(look):
    exact = apply_colour(COLOURS, look)
    assert np.abs(apply_colour(COLOURS.astype(np.float32), look) - exact).max() < 1e-4


def test_srgb_encoding_is_undone_by_decoding():
    np.testing.assert_allclose(encode_srgb(decode_srgb(RAMP)), RAMP, atol=1e-7)
    assert decode_srgb(np.array([0.5]))[0] == pytest.approx(0.21404, abs=1e-5)


def test_one_ev_doubles_the_light_of_a_mid_tone_and_clips_no_highlight():
    assert decode_srgb(np.array([grey(0.4, Look(exposure=1))])) == pytest.approx(
        2 * decode_srgb(np.array([0.4]))
    )
    assert decode_srgb(np.array([grey(0.4, Look(exposure=-2))])) == pytest.approx(
        decode_srgb(np.array([0.4])) / 4
    )
    assert grey(0.99, Look(exposure=5)) < grey(1, Look(exposure=5)) == 1


def test_temperature_warms_and_opposite_mireds_cancel():
    warm, cold = light_gains(Look(temperature=40)), light_gains(Look(temperature=-40))
    assert warm[0] > warm[1] > warm[2]
    assert np.ptp(warm * cold) < 1e-12
    assert np.dot((0.2126, 0.7152, 0.0722), warm) == pytest.approx(1)


def test_tint_is_a_filter_of_that_density():
    magenta = light_gains(Look(tint=30))
    assert magenta[0] == pytest.approx(magenta[2])
    assert magenta[1] / magenta[0] == pytest.approx(10**-0.3)


def test_shadows_and_highlights_act_on_their_own_half():
    assert grey(0.001, Look(shadows=100)) == pytest.approx(0.003, rel=0.01)
    assert grey(0.001, Look(shadows=-100)) == pytest.approx(0.001 / 3, rel=0.01)
    assert grey(0.6, Look(shadows=100)) == 0.6
    assert 1 - grey(0.999, Look(highlights=-100)) == pytest.approx(0.003, rel=0.01)
    assert grey(0.75, Look(highlights=-50)) < 0.75 < grey(0.75, Look(highlights=50))
    assert grey(0.4, Look(highlights=-100)) == 0.4


def test_a_saturated_blue_is_no_shadow():
    blue = np.array([[0.0], [0.05], [0.8]])
    np.testing.assert_array_equal(apply_colour(blue, Look(shadows=100)), blue)


@pytest.mark.parametrize("pivot", [32, 118, 224])
def test_contrast_turns_tones_about_the_pivot(pivot):
    tone, step = pivot / 255, 1e-4
    for value, slope in ((100, 2), (-100, 0.5), (30, 2**0.3)):
        look = Look(contrast=value, pivot=pivot)
        assert grey(tone, look) == pytest.approx(tone)
        assert (grey(tone + step, look) - grey(tone - step, look)) / (2 * step) == pytest.approx(
            slope, rel=1e-3
        )
        assert (grey(0, look), grey(1, look)) == (0, pytest.approx(1))


def test_opposite_contrasts_cancel():
    back = apply_colour(apply_colour(COLOURS, Look(contrast=70)), Look(contrast=-70))
    np.testing.assert_allclose(back, COLOURS, atol=1e-12)


def test_levels_move_the_ends():
    assert grey(20 / 255, Look(black_point=20)) == 0
    assert grey(0, Look(black_point=-20)) == pytest.approx(20 / 275)
    assert grey(200 / 255, Look(white_point=200)) == pytest.approx(1)
    assert grey(1, Look(white_point=300)) == pytest.approx(255 / 300)


def test_saturation_scales_chroma_at_equal_luma():
    muted = 0.5 + 0.1 * (COLOURS - 0.5)
    for value, scale in ((-100, 0), (-50, 0.5), (80, 1.8)):
        out = apply_colour(muted, Look(saturation=value))
        np.testing.assert_allclose(luma(out), luma(muted), atol=1e-12)
        np.testing.assert_allclose(np.ptp(out, axis=0), scale * np.ptp(muted, axis=0), atol=1e-12)


def test_vibrance_reaches_pale_colours_first():
    pale, pure = np.array([[0.5], [0.45], [0.4]]), np.array([[0.9], [0.45], [0.1]])
    gain = [np.ptp(apply_colour(rgb, Look(vibrance=60))) / np.ptp(rgb) for rgb in (pale, pure)]
    assert gain == pytest.approx([1 + 0.6 * 0.9**2, 1 + 0.6 * 0.2**2])
