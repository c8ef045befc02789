"""Scenes from folders of brackets."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from lutfuse.models.training import scenes


def write_bracket(
    folder: Path, levels: list[int], size: tuple[int, int] = (40, 60), suffix: str = "png"
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    texture = np.random.default_rng(0).uniform(0.5, 1, (*size, 3))
    for k, level in enumerate(levels):
        cv2.imwrite(str(folder / f"{k}.{suffix}"), (texture * level).astype(np.uint8))


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
