"""Evaluation of bracket folders, as a library; the command's tests have the rest."""

import dataclasses

import numpy as np
import pytest

from lutfuse.models.checked import ConfigError
from lutfuse.models.evaluation.evaluate import Evaluation, evaluate, read_bracket


def test_ends_takes_the_darkest_and_the_brightest_frame(write_bracket, tmp_path):
    write_bracket(tmp_path / "a", 5)
    frames, _ = read_bracket(tmp_path / "a", 1000, ends=True)
    every, _ = read_bracket(tmp_path / "a", 1000, ends=False)
    assert [len(frames), len(every)] == [2, 5]
    assert np.array_equal(frames[0], every[0])
    assert np.array_equal(frames[1], every[-1])


def test_larger_pictures_are_reduced_and_smaller_ones_are_not(write_bracket, tmp_path):
    write_bracket(tmp_path / "a", reference=True)  # 64×48 px
    frames, reference = read_bracket(tmp_path / "a", 32, ends=False)
    assert {frame.shape for frame in (*frames, reference)} == {(24, 32, 3)}
    assert read_bracket(tmp_path / "a", 100, ends=False)[0][0].shape == (48, 64, 3)


def test_equal_runs_give_equal_scores_but_for_the_time(write_bracket, tmp_path):
    write_bracket(tmp_path / "data")
    first = Evaluation((tmp_path / "data",), tmp_path / "one", lut_size=5, sheets=False)
    rows = [evaluate(dataclasses.replace(first, output=tmp_path / name)) for name in ("one", "two")]
    for row in (*rows[0], *rows[1]):
        assert row.pop("msec") >= 0
    assert rows[0] == rows[1]
    assert [row["bracket"] for row in rows[0]] == ["data"] * 3


def test_a_folder_without_a_bracket_is_named(tmp_path):
    with pytest.raises(ConfigError, match="holds no bracket; a bracket is a folder of 2 to 9 images"):
        evaluate(Evaluation((tmp_path,), tmp_path / "out"))
