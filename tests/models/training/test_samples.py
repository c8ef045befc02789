"""The samples drawn from scenes."""

import numpy as np
import pytest

from lutfuse.models.training import samples
from lutfuse.models.training.scenes import Scene


def test_views_of_one_picture_stay_on_one_side_of_the_split():
    many = [
        Scene(f"{o}#{v}", str(o), np.zeros((2, 4, 4, 3), np.uint8), None) for o in range(20) for v in range(3)
    ]
    training, held = samples.split(many, 0.25, 0)
    assert len(held) == 15
    assert not {s.origin for s in training} & {s.origin for s in held}


@pytest.mark.parametrize("n", range(2, 10))
@pytest.mark.parametrize("count", range(2, 10))
def test_chosen_frames_straddle_the_middle_and_stay_in_order(n, count):
    rng = np.random.default_rng(0)
    for _ in range(20):
        chosen = samples.choose_frames(n, count, rng)
        assert len(chosen) == count
        assert chosen[0] <= (n - 1) / 2 <= chosen[-1]
        assert list(chosen) == sorted(chosen)


def test_frames_and_reference_go_through_the_same_crop_and_turn(noise_scene):
    one = noise_scene()
    same = Scene("s", "s", np.repeat(one.frames[2:3], 3, 0), one.frames[2])
    for seed in range(5):
        sample = samples.random_sample(same, (0, 1, 2), np.random.default_rng(seed), 32, 16)
        assert np.array_equal(sample.views[0], sample.views[2])
        assert np.array_equal(sample.views[0], sample.reference)
        assert sample.thumbs.shape == (3, 3, 32, 32)


def test_a_scene_without_reference_says_so(noise_scene):
    sample = samples.whole_sample(noise_scene(reference=False), (0, 4), 32, 16)
    assert sample.trust == 0
    assert not sample.reference.any()


def test_a_batch_has_one_number_of_frames_and_at_least_two_scenes(noise_scene):
    rng = np.random.default_rng(0)
    pool = [noise_scene(n, name=str(n)) for n in (2, 3, 7)]
    seen = set()
    for _ in range(25):
        batch = samples.draw_samples(pool, rng, 32, 16, 6)
        counts = {len(sample.views) for sample in batch}
        assert len(counts) == 1
        assert len(batch) >= 2
        seen |= counts
    assert {2, 7} <= seen


def test_idle_frames_come_last_are_of_every_kind_and_show_nothing_new(noise_scene):
    frames = noise_scene().frames
    seen = [samples.idle_frame(frames, np.random.default_rng(seed)) for seed in range(60)]
    assert all(frame.shape == frames[0].shape and frame.dtype == np.uint8 for frame in seen)
    again = [frame for frame in seen if any(np.array_equal(frame, known) for known in frames)]
    black, white = ([f for f in seen if (f == level).all()] for level in (0, 255))
    darker = [f for f in seen if f.max() and (f <= frames[0]).all() and f.mean() < frames[0].mean()]
    brighter = [f for f in seen if f.min() < 255 and (f >= frames[-1]).all() and f.mean() > frames[-1].mean()]
    assert all([again, black, white, darker, brighter])
    sample = samples.random_sample(noise_scene(), (0, 4), np.random.default_rng(0), 32, 44, idle=2)
    assert sample.idle == 2
    assert sample.views.shape == (4, 3, 44, 44)
    assert sample.trust == samples.whole_sample(noise_scene(), (0, 4), 32, 44).trust


def test_a_batch_never_has_more_than_nine_frames(noise_scene):
    many = [noise_scene(9)]
    for seed in range(200):
        drawn = samples.draw_samples(many, np.random.default_rng(seed), 32, 44, 4)
        assert len({(len(sample.views), sample.idle) for sample in drawn}) == 1
        assert 2 <= len(drawn[0].views) - drawn[0].idle <= len(drawn[0].views) <= 9
