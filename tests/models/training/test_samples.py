"""Scenes from folders and radiance, and the samples drawn from them."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from lutfuse.models.training import radiance, scenes
from lutfuse.models.training import samples as data
from lutfuse.models.training.scenes import Scene


def write_bracket(
    folder: Path, levels: list[int], size: tuple[int, int] = (40, 60), suffix: str = "png"
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    texture = np.random.default_rng(0).uniform(0.5, 1, (*size, 3))
    for k, level in enumerate(levels):
        cv2.imwrite(str(folder / f"{k}.{suffix}"), (texture * level).astype(np.uint8))


def scene(frames: int = 5, reference: bool = True, name: str = "s") -> Scene:
    rng = np.random.default_rng(1)
    stack = np.sort(rng.integers(0, 256, (frames, 48, 64, 3), dtype=np.uint8), 0)
    return Scene(name, name, stack, stack[frames // 2] if reference else None)


def test_every_folder_with_two_images_is_a_bracket_and_the_reference_is_no_exposure(tmp_path):
    write_bracket(tmp_path / "a" / "b", [50, 200])
    write_bracket(tmp_path / "single", [50])
    write_bracket(tmp_path / "only_reference", [50])
    cv2.imwrite(str(tmp_path / "only_reference" / "Reference.png"), np.zeros((4, 4, 3), np.uint8))
    assert scenes.bracket_folders(tmp_path) == [tmp_path / "a" / "b"]


def test_frames_are_loaded_dark_to_bright_whatever_their_names(tmp_path):
    write_bracket(tmp_path, [200, 20, 90])
    loaded = scenes.load_scene(tmp_path, 100)
    assert [round(float(f.mean())) for f in loaded.frames] == sorted(
        round(float(f.mean())) for f in loaded.frames
    )


def test_a_supplied_reference_is_used_and_a_missing_one_is_made_from_three_frames(tmp_path):
    write_bracket(tmp_path, [20, 90, 200])
    made = scenes.load_scene(tmp_path, 100).reference
    cv2.imwrite(str(tmp_path / "reference.png"), np.full((40, 60, 3), 77, np.uint8))
    assert made is not None
    assert made.std() > 1
    assert (scenes.load_scene(tmp_path, 100).reference == 77).all()


def test_a_pair_without_reference_stays_without(tmp_path):
    write_bracket(tmp_path, [20, 200])
    assert scenes.load_scene(tmp_path, 100).reference is None


def test_more_than_nine_frames_are_thinned_to_nine_with_both_ends(tmp_path):
    write_bracket(tmp_path, list(range(10, 250, 20)))
    frames = scenes.load_scene(tmp_path, 100).frames
    assert len(frames) == 9
    assert frames[0].max() <= 10
    assert frames[-1].max() > 220


def test_large_images_are_reduced_to_the_side_asked_for(tmp_path):
    write_bracket(tmp_path, [20, 200], (80, 120))
    assert scenes.load_scene(tmp_path, 60).frames.shape == (2, 40, 60, 3)


def test_frames_and_references_of_other_sizes_are_refused(tmp_path):
    write_bracket(tmp_path, [20, 200])
    cv2.imwrite(str(tmp_path / "reference.png"), np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(ValueError, match="not the frames'"):
        scenes.load_scene(tmp_path, 100)
    cv2.imwrite(str(tmp_path / "2.png"), np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(ValueError, match="differ in size"):
        scenes.load_scene(tmp_path, 100)


def test_an_unreadable_image_is_named(tmp_path):
    (tmp_path / "x.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"x\.png"):
        scenes.read_rgb(tmp_path / "x.png", 100)


def test_a_prepared_scene_is_built_once_and_a_broken_file_again(tmp_path):
    calls = []

    def build() -> Scene:
        calls.append(1)
        return scene(reference=False)

    path = tmp_path / "s.npz"
    first, second = scenes.cached(path, build), scenes.cached(path, build)
    assert len(calls) == 1
    assert np.array_equal(first.frames, second.frames)
    assert second.reference is None
    path.write_bytes(b"torn")
    scenes.cached(path, build)
    assert len(calls) == 2


def test_the_fingerprint_follows_the_content(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    before = scenes.fingerprint([tmp_path / "a"])
    (tmp_path / "a").write_bytes(b"22")
    assert scenes.fingerprint([tmp_path / "a"]) != before


def test_a_panorama_view_ahead_shows_its_middle():
    panorama = np.zeros((64, 128, 3), np.float32)
    panorama[28:36, 60:68] = 1
    view = radiance.perspective_view(panorama, 0.0, 0.0, np.pi / 2, 32)
    assert view[16, 16].min() > 0.9
    assert view[0].max() == 0
    turned = radiance.perspective_view(panorama, np.pi, 0.0, np.pi / 2, 32)
    assert turned.max() == 0


@pytest.mark.parametrize("size", [(40, 80), (70, 50)])
def test_rendered_brackets_rise_in_exposure_and_repeat_with_their_seed(size):
    light = np.random.default_rng(0).lognormal(0, 2, (*size, 3)).astype(np.float32)
    one, again, other = (radiance.render_scene(light, "x", view, 32, seed=5) for view in (0, 0, 1))
    means = one.frames.mean((1, 2, 3))
    assert (np.diff(means) > 0).all()
    assert one.frames.shape == (9, 32, 32, 3)
    assert one.reference is not None
    assert np.array_equal(one.frames, again.frames)
    assert not np.array_equal(one.frames, other.frames)
    assert one.origin == other.origin != one.name


def test_exposure_is_monotonic_and_clips_at_white():
    light = np.linspace(0, 4, 50, dtype=np.float32)[:, None, None]
    code = radiance.expose(light, 0.0, 2.2, 0.3)
    assert (np.diff(code[:, 0, 0]) >= 0).all()
    assert code.max() == 1
    assert (radiance.expose(light, 1.0, 2.2, 0.3) >= code).all()


def test_radiance_files_are_read_in_rgb_and_others_refused(tmp_path):
    image = np.zeros((4, 8, 3), np.float32)
    image[..., 2] = 3  # red in OpenCV's order
    cv2.imwrite(str(tmp_path / "a.hdr"), image)
    assert radiance.read_radiance(tmp_path / "a.hdr")[0, 0].tolist() == [3, 0, 0]
    (tmp_path / "b.hdr").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"b\.hdr"):
        radiance.read_radiance(tmp_path / "b.hdr")


def test_views_of_one_picture_stay_on_one_side_of_the_split():
    many = [
        Scene(f"{o}#{v}", str(o), np.zeros((2, 4, 4, 3), np.uint8), None) for o in range(20) for v in range(3)
    ]
    training, held = data.split(many, 0.25, 0)
    assert len(held) == 15
    assert not {s.origin for s in training} & {s.origin for s in held}


@pytest.mark.parametrize("n", range(2, 10))
@pytest.mark.parametrize("count", range(2, 10))
def test_chosen_frames_straddle_the_middle_and_stay_in_order(n, count):
    rng = np.random.default_rng(0)
    for _ in range(20):
        chosen = data.choose_frames(n, count, rng)
        assert len(chosen) == count
        assert chosen[0] <= (n - 1) / 2 <= chosen[-1]
        assert list(chosen) == sorted(chosen)


def test_frames_and_reference_go_through_the_same_crop_and_turn():
    one = scene()
    same = Scene("s", "s", np.repeat(one.frames[2:3], 3, 0), one.frames[2])
    for seed in range(5):
        sample = data.random_sample(same, (0, 1, 2), np.random.default_rng(seed), 32, 16)
        assert np.array_equal(sample.views[0], sample.views[2])
        assert np.array_equal(sample.views[0], sample.reference)
        assert sample.thumbs.shape == (3, 3, 32, 32)


def test_a_scene_without_reference_says_so():
    sample = data.whole_sample(scene(reference=False), (0, 4), 32, 16)
    assert sample.trust == 0
    assert not sample.reference.any()


def test_a_batch_has_one_number_of_frames_and_at_least_two_scenes():
    rng = np.random.default_rng(0)
    pool = [scene(n, name=str(n)) for n in (2, 3, 7)]
    seen = set()
    for _ in range(25):
        batch = data.draw_samples(pool, rng, 32, 16, 6)
        counts = {len(sample.views) for sample in batch}
        assert len(counts) == 1
        assert len(batch) >= 2
        seen |= counts
    assert {2, 7} <= seen


def test_idle_frames_come_last_are_of_every_kind_and_show_nothing_new():
    frames = scene().frames
    seen = [data.idle_frame(frames, np.random.default_rng(seed)) for seed in range(60)]
    assert all(frame.shape == frames[0].shape and frame.dtype == np.uint8 for frame in seen)
    again = [frame for frame in seen if any(np.array_equal(frame, known) for known in frames)]
    black, white = ([f for f in seen if (f == level).all()] for level in (0, 255))
    darker = [f for f in seen if f.max() and (f <= frames[0]).all() and f.mean() < frames[0].mean()]
    brighter = [f for f in seen if f.min() < 255 and (f >= frames[-1]).all() and f.mean() > frames[-1].mean()]
    assert all([again, black, white, darker, brighter])
    sample = data.random_sample(scene(), (0, 4), np.random.default_rng(0), 32, 44, idle=2)
    assert sample.idle == 2
    assert sample.views.shape == (4, 3, 44, 44)
    assert sample.trust == data.whole_sample(scene(), (0, 4), 32, 44).trust


def test_a_batch_never_has_more_than_nine_frames():
    many = [scene(9)]
    for seed in range(200):
        drawn = data.draw_samples(many, np.random.default_rng(seed), 32, 44, 4)
        assert len({(len(sample.views), sample.idle) for sample in drawn}) == 1
        assert 2 <= len(drawn[0].views) - drawn[0].idle <= len(drawn[0].views) <= 9
