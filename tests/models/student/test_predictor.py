"""Predictions of the shipped weights: deterministic, independent of order, sane on odd brackets."""

import itertools

import numpy as np
import pytest
import torch

from lutfuse.models.student.predictor import Predictor
from lutfuse.models.synthetic.camera import synthesise_bracket


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load()


def bracket(frames: int = 3, height: int = 120, width: int = 200, stops: float = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    scene = np.cumsum(rng.normal(size=(height, width, 3)), 1)
    scene = (scene - scene.min()) / np.ptp(scene)
    evs = [stops * (k - frames // 2) for k in range(frames)]
    return [(np.clip(scene * 2.0**ev, 0, 1) * 255).astype(np.uint8) for ev in evs]


def same(a, b) -> bool:
    return a.grid.tobytes() == b.grid.tobytes() and a.latent.tobytes() == b.latent.tobytes()


def test_every_order_of_the_frames_gives_the_same_bytes(predictor):
    images = bracket()
    first = predictor.predict(images)
    for order in itertools.permutations(range(3)):
        prediction = predictor.predict([images[k] for k in order])
        assert same(prediction, first)
        assert [order[k] for k in prediction.order] == list(first.order)


def test_order_lists_the_images_from_dark_to_bright(predictor):
    images = bracket()
    assert predictor.predict([images[2], images[0], images[1]]).order == (1, 2, 0)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_thread_settings_change_nothing_and_are_put_back(predictor, threads):
    expected = predictor.predict(bracket())
    lut = predictor.bake(expected.latent, 17)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert same(predictor.predict(bracket()), expected)
        assert predictor.bake(expected.latent, 17).tobytes() == lut.tobytes()
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_two_loads_agree(predictor):
    other = Predictor.load()
    assert other.model_id == predictor.model_id
    assert same(other.predict(bracket()), predictor.predict(bracket()))


@pytest.mark.parametrize("frames", range(2, 10))
def test_any_number_of_frames_gives_a_grid_in_that_order(predictor, frames):
    prediction = predictor.predict(bracket(frames, stops=0.5))  # all of them show something
    assert prediction.grid.shape[0] == frames
    assert prediction.grid.dtype == np.float32
    assert prediction.latent.shape == (64,)
    assert np.isfinite(prediction.grid).all()
    assert prediction.grid.min() > 0


def test_sixteen_bits_of_the_same_content_predict_nearly_the_same(predictor):
    images = bracket()
    eight, sixteen = predictor.predict(images), predictor.predict([i.astype(np.uint16) * 257 for i in images])
    assert np.abs(np.log(eight.grid / sixteen.grid)).max() < 0.05
    assert np.abs(predictor.bake(eight.latent, 9) - predictor.bake(sixteen.latent, 9)).max() < 0.005


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (5, 4000), (17, 3)])
def test_tiny_and_narrow_images_are_predicted(predictor, shape):
    images = [np.full((*shape, 3), level, np.uint8) for level in (20, 200)]
    prediction = predictor.predict(images)
    assert np.isfinite(prediction.grid).all()


@pytest.mark.parametrize("levels", [(0, 0), (255, 255), (0, 255), (90, 90, 90)])
def test_identical_black_and_white_frames_are_harmless(predictor, levels):
    images = [np.full((40, 60, 3), level, np.uint8) for level in levels]
    prediction = predictor.predict(images)
    assert np.isfinite(prediction.grid).all()
    assert np.isfinite(predictor.bake(prediction.latent, 5)).all()


@pytest.mark.parametrize("extra", ["black", "near black", "white", "again", "black and white"])
def test_frames_that_show_nothing_have_no_weight_and_change_nothing(predictor, extra):
    images = synthesise_bracket(96, 64, (-3, 0, 3)).exposures
    black, white = np.zeros_like(images[0]), np.full_like(images[0], 255)
    noise = np.random.default_rng(0).integers(0, 3, images[0].shape).astype(np.uint8)
    added = {
        "black": [black], "near black": [noise], "white": [white], "again": [images[1]],
        "black and white": [black, white],
    }[extra]  # fmt: skip
    plain, more = predictor.predict(images), predictor.predict([*images, *added])
    weighted = more.grid[more.grid.any(axis=(1, 2, 3))]
    assert np.array_equal(weighted, plain.grid)
    assert np.array_equal(more.latent, plain.latent)
    assert len(more.grid) == len(images) + len(added)


@pytest.mark.parametrize("size", [2, 3, 33, 129])
def test_a_lut_of_any_size_is_in_range_and_red_fastest(predictor, size):
    lut = predictor.bake(predictor.predict(bracket()).latent, size)
    assert lut.shape == (size, size, size, 3)
    assert lut.dtype == np.float32
    assert 0 <= lut.min() <= lut.max() <= 1
    assert lut[0, 0, -1].argmax() == 0
    assert lut[-1, 0, 0].argmax() == 2


def test_a_lut_size_out_of_range_is_refused(predictor):
    with pytest.raises(ValueError, match="2 to 129"):
        predictor.bake(np.zeros(64, np.float32), 1)


def test_a_single_frame_is_refused(predictor):
    with pytest.raises(ValueError, match="2 to 9"):
        predictor.predict(bracket()[:1])
