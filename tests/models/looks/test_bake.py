"""Composing looks with LUTs: identity to the bit, neutral lock, strength, and how exact a baked look is."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutfuse.models.looks.bake import bake_look, evaluate_look, sample_cube
from lutfuse.models.looks.colour import luma
from lutfuse.models.looks.cube import Cube, read_cube, write_cube
from lutfuse.models.looks.load import PRESETS, load_preset
from lutfuse.models.looks.look import Look, controls

SIZES = [2, 3, 9, 17, 33]
bounded = settings(max_examples=40, derandomize=True, deadline=None)


def identity(size):
    grid = np.linspace(0, 1, size, dtype=np.float32)
    b, g, r = np.meshgrid(grid, grid, grid, indexing="ij")
    return np.stack([r, g, b], axis=-1)


def predicted(size, seed=0):
    """What a network may bake: near the identity, with a cast, and beyond [0, 1] here and there."""
    noise = np.random.default_rng(seed).normal(0.02, 0.05, (size, size, size, 3))
    return (identity(size) + noise).astype(np.float32)


def diagonal(lut):
    """The nodes whose input is neutral, [N, 3]."""
    at = np.arange(len(lut))
    return lut[at, at, at]


def any_look():
    ranges = {key: st.floats(control.low, control.high) for key, control in controls().items()}
    return st.fixed_dictionaries({}, optional={**ranges, "neutral_lock": st.booleans()}).map(
        lambda v: Look(**v)
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "look",
    [
        Look(),
        load_preset("neutral"),
        Look(exposure=3, strength=0),
        Look(pivot=60),
        Look(balance=50, detail=9),
    ],
)
def test_a_look_that_leaves_colours_alone_changes_no_bit(size, look):
    lut = predicted(size)
    baked = bake_look(lut, look)
    np.testing.assert_array_equal(baked.view(np.uint32), lut.view(np.uint32))
    assert baked is not lut
    np.testing.assert_array_equal(bake_look(lut, Look(exposure=1).at_strength(0)), lut)


@given(any_look(), st.integers(0, 99), st.sampled_from([2, 3, 9]), st.floats(0, 1))
@bounded
def test_any_look_on_any_lut_stays_finite_and_in_range(look, seed, size, strength):
    wild = np.random.default_rng(seed).normal(0.5, 3, (size, size, size, 3)).astype(np.float32)
    look = look.at_strength(strength)
    baked = bake_look(wild, look)
    assert baked.shape == wild.shape
    assert baked.dtype == np.float32
    if look.changes_colours():
        assert baked.min() >= 0
        assert baked.max() <= 1


@given(any_look())
@bounded
def test_no_look_inverts_a_neutral_tone_of_the_grid(look):
    assert np.diff(luma(diagonal(bake_look(identity(17), look)).T)).min() >= -0.25 / 255


@given(any_look(), st.integers(0, 99), st.sampled_from(SIZES[:4]))
@bounded
def test_neutral_lock_keeps_neutrals_neutral_whatever_look_and_lut(look, seed, size):
    locked = replace(look, neutral_lock=True, strength=1)
    for lut in (identity(size), predicted(size, seed)):
        assert np.ptp(diagonal(bake_look(lut, locked)), axis=1).max() == 0


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_neutral_lock_holds_at_any_strength_on_a_neutral_lut(strength):
    baked = bake_look(identity(33), Look(temperature=100, tint=-50, neutral_lock=True, strength=strength))
    assert np.ptp(diagonal(baked), axis=1).max() <= 1e-6


def test_neutral_lock_keeps_greys_between_the_nodes_within_half_a_level():
    baked = bake_look(identity(33), Look(temperature=40, contrast=30, neutral_lock=True))
    greys = sample_cube(Cube(baked), np.tile(np.linspace(0, 1, 2001), (3, 1)))
    assert np.ptp(greys, axis=0).max() < 0.5 / 255


def test_neutral_lock_leaves_pure_colours_their_edit():
    warm = Look(temperature=40)
    locked, free = (bake_look(identity(9), look) for look in (Look(temperature=40, neutral_lock=True), warm))
    np.testing.assert_allclose(locked[0, 0, -1], free[0, 0, -1], atol=1e-6)
    assert np.abs(diagonal(free) - diagonal(identity(9))).max() > 0.02


def test_strength_goes_linearly_from_no_look_to_the_look():
    look, lut = Look(contrast=60, temperature=30), identity(9)
    full = bake_look(lut, look)
    quarter = bake_look(lut, look.at_strength(0.25))
    np.testing.assert_allclose(quarter, 0.75 * lut + 0.25 * full, atol=1e-6)
    half = Look(contrast=60, temperature=30, strength=0.5)
    np.testing.assert_array_equal(bake_look(lut, half.at_strength(0.5)), quarter)


def test_a_look_acts_after_the_lut():
    lut = predicted(5)
    nodes = np.clip(lut.reshape(-1, 3).T, 0, 1)
    baked = bake_look(lut, Look(exposure=1))
    np.testing.assert_allclose(baked.reshape(-1, 3).T, evaluate_look(nodes, Look(exposure=1)), atol=1e-6)


# Worst error, in levels of 8 bit, of a look baked at N = 33 against evaluating it at every pixel.
# The page of looks states these figures.
BOUNDS = {name: (load_preset(name), 2.5) for name in PRESETS} | {
    f"{key}={getattr(control, end)}": (Look(**{key: getattr(control, end)}), 4.0)
    for key, control in controls().items()
    for end in ("low", "high")
    if key not in {"exposure", "balance", "detail", "strength"}
}
BOUNDS |= {"exposure=1": (Look(exposure=1), 1.0), "exposure=-1": (Look(exposure=-1), 1.0)}
BOUNDS |= {"exposure=5": (Look(exposure=5), 20.0), "exposure=-5": (Look(exposure=-5), 1.0)}


@pytest.mark.parametrize("case", BOUNDS)
def test_baking_at_33_stays_within_the_stated_error(case):
    look, levels = BOUNDS[case]
    rng = np.random.default_rng(3)
    uniform, dark, ramp = rng.random((3, 40000)), 0.15 * rng.random((3, 10000)), np.linspace(0, 1, 3001)
    colours = np.concatenate([uniform, dark, 1 - dark, np.tile(ramp, (3, 1))], axis=1)
    error = np.abs(sample_cube(Cube(bake_look(identity(33), look)), colours) - evaluate_look(colours, look))
    assert error.max() * 255 <= levels
    assert error.mean() * 255 <= max(0.2, levels / 20)


@pytest.mark.parametrize("size", [2, 5, 33])
def test_a_cube_look_on_an_identity_lut_is_that_cube(size):
    cube = read_cube(write_cube(np.clip(predicted(size), 0, 1)), name="x.cube")
    np.testing.assert_allclose(bake_look(identity(size), Look(cube=cube)), cube.lut, atol=1e-6)


def test_a_cube_look_is_interpolated_over_its_domain_and_held_outside():
    nodes = identity(3)
    cube = Cube(nodes, domain_min=(0.25, 0, 0), domain_max=(0.75, 2, 1))
    colours = np.array([[0.1, 0.5, 0.9], [0.0, 0.5, 1.0], [0.2, 0.3, 1.0]])
    expected = [[0, 0.5, 1], [0, 0.25, 0.5], [0.2, 0.3, 1.0]]
    np.testing.assert_allclose(sample_cube(cube, colours), expected, atol=1e-7)


def test_a_cube_look_with_nodes_out_of_range_is_clipped():
    cube = Cube(np.where(identity(2) > 0.5, 3, -2).astype(np.float32))
    baked = bake_look(predicted(9), Look(cube=cube))
    assert baked.min() >= 0
    assert baked.max() <= 1


@pytest.mark.parametrize(
    ("lut", "message"),
    [
        (np.zeros((3, 3, 2, 3), np.float32), r"must be \[N, N, N, 3\]"),
        (np.zeros((1, 1, 1, 3), np.float32), "N >= 2"),
        (np.full((2, 2, 2, 3), np.nan, np.float32), "NaN or infinite nodes"),
    ],
)
def test_a_lut_that_is_none_is_refused(lut, message):
    with pytest.raises(ValueError, match=message):
        bake_look(lut, Look())
