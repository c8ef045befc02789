"""Editing the fusion weights: balance shifts exposures, detail shifts luma bins, neither breaks a pixel."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutfuse.models.fusion.kernel import fuse
from lutfuse.models.looks.grid_edits import edit_grid
from lutfuse.models.looks.look import Look
from lutfuse.models.student.predictor import Predictor
from lutfuse.models.synthetic import synthesise_bracket

bounded = settings(max_examples=60, derandomize=True, deadline=None)


def weights(exposures=4, seed=0):
    return np.random.default_rng(seed).random((exposures, 8, 5, 6), dtype=np.float32)


def centre(grid):
    """Mean position of the weight among the exposures, 0 (darkest) to 1, for each bin and cell."""
    position = np.linspace(0, 1, len(grid))[:, None, None, None]
    return (grid * position).sum(axis=0) / grid.sum(axis=0)


@pytest.mark.parametrize(
    "look", [Look(), Look(exposure=2, contrast=9), Look(balance=50, detail=50, strength=0)]
)
def test_a_look_that_leaves_the_fusion_alone_changes_no_bit(look):
    grid = weights()
    grid[0, 0, 0, :2] = [0, 1e-42]
    edited = edit_grid(grid, look)
    np.testing.assert_array_equal(edited.view(np.uint32), grid.view(np.uint32))
    assert edited is not grid


@given(
    st.floats(-100, 100),
    st.floats(-100, 100),
    st.integers(1, 9),
    st.sampled_from([1e-38, 1e-6, 1.0, 1e38]),
    st.integers(0, 99),
)
@bounded
def test_weights_stay_finite_and_no_positive_one_is_lost(balance, detail, exposures, scale, seed):
    grid = weights(exposures, seed) ** 8 * np.float32(scale)
    grid[:, ::3, 1] = 0
    edited = edit_grid(grid, Look(balance=balance, detail=detail))
    assert edited.dtype == np.float32
    assert np.isfinite(edited).all()
    assert (edited >= 0).all()
    assert (edited[grid > 0] > 0).all()


@given(st.floats(-100, 100), st.floats(-100, 100), st.integers(2, 9))
@bounded
def test_a_higher_balance_never_moves_weight_towards_darker_exposures(a, b, exposures):
    low, high = (edit_grid(weights(exposures), Look(balance=value)) for value in sorted((a, b)))
    assert (centre(high) - centre(low)).min() >= -1e-6


def test_full_balance_is_worth_four_stops_between_the_ends():
    grid = np.ones((3, 8, 4, 4), np.float32)
    edited = edit_grid(grid, Look(balance=-100))
    np.testing.assert_allclose(edited[0] / edited[2], 16)
    np.testing.assert_allclose(edited[0] / edited[1], 4)
    half = edit_grid(grid, Look(balance=-100, strength=0.5))
    np.testing.assert_allclose(half[0] / half[2], 4)


def test_detail_makes_weights_depend_more_on_the_luma_of_the_pixel():
    def spread(detail):
        return np.std(np.log(edit_grid(weights(), Look(detail=detail))), axis=1)

    assert (spread(50) > spread(0)).all()
    np.testing.assert_allclose(spread(100), 2 * spread(0), rtol=1e-4)


def test_negative_detail_evens_weights_out_around_their_mean():
    spread = [np.std(edit_grid(weights(), Look(detail=v)), axis=1) for v in (0, -50, -100)]
    assert (spread[0] > spread[1]).all()
    assert (spread[1] > spread[2]).all()
    even = edit_grid(weights(), Look(detail=-100))
    np.testing.assert_allclose(even.mean(axis=1), weights().mean(axis=1), rtol=1e-5)


@pytest.mark.parametrize("seed", [0, 1])
def test_with_the_shipped_weights_detail_is_texture(seed):
    """What the sign of `detail` means depends on what the student has learnt: new weights must keep it."""
    exposures = synthesise_bracket(384, 216, seed=seed).exposures
    predictor = Predictor.load()
    prediction = predictor.predict(exposures)
    lut = predictor.bake(prediction.latent, 17)

    def texture(detail):
        grid = edit_grid(prediction.grid, Look(detail=detail))
        fused = fuse([exposures[i] for i in prediction.order], grid, lut, device="cpu")
        luma = cv2.cvtColor(fused, cv2.COLOR_RGB2GRAY).astype(np.float32)
        return float(np.std(luma - cv2.GaussianBlur(luma, (0, 0), 2)))

    assert texture(-100) < texture(0) < texture(50) < texture(100)


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (np.ones((2, 8, 4), np.float32), r"must be \[K, D, Gh, Gw\]"),
        (np.full((2, 2, 2, 2), np.nan, np.float32), "NaN, infinite or negative"),
        (np.full((2, 2, 2, 2), -1, np.float32), "NaN, infinite or negative"),
    ],
)
def test_weights_that_are_none_are_refused(grid, message):
    with pytest.raises(ValueError, match=message):
        edit_grid(grid, Look())
