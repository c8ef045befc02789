"""Options for looks and LUTs: what they resolve to, and each contradiction with flag, rule and remedy."""

import json

import numpy as np
import pytest

from lutfuse.models.contract import LUT_SIZES
from lutfuse.models.looks.cube import write_cube
from lutfuse.pipeline.arguments import UsageError
from lutfuse.pipeline.editing import WIDELY_SUPPORTED
from lutfuse.pipeline.run_file import describe


@pytest.fixture
def luts(tmp_path):
    (tmp_path / "luts" / "deep").mkdir(parents=True)
    path = tmp_path / "luts" / "deep" / "scene.cube"
    path.write_text(write_cube(np.zeros((3, 3, 3, 3), np.float32)))
    return tmp_path / "luts"


def test_nothing_is_edited_or_exported_unless_asked(parse):
    fuse = parse().fuse
    assert (fuse.look, fuse.luts) == (None, None)
    assert (fuse.export_luts, fuse.export_merge) == (False, False)
    fuse = parse("--export-luts", "--export-merge").fuse
    assert fuse.export_luts
    assert fuse.export_merge


def test_a_look_is_a_preset_or_a_file_and_a_bad_one_is_refused_before_any_work(tmp_path, parse):
    assert parse("--look", "warm").fuse.look.name == "warm"
    (tmp_path / "mine.json").write_text('{"exposure": 0.5}')
    fuse = parse("--look", f"{tmp_path}/mine.json", "--strength", "0.5").fuse
    assert (fuse.look.name, fuse.look.strength) == ("mine.json", 0.5)
    (tmp_path / "bad.json").write_text('{"exposur": 0.5}')
    with pytest.raises(UsageError, match="--look bad.json.*exposur"):
        parse("--look", f"{tmp_path}/bad.json")
    with pytest.raises(UsageError, match="--look .*none.cube: cannot be read"):
        parse("--look", "none.cube")


def test_a_strength_of_nothing_is_refused(parse):
    with pytest.raises(UsageError, match="--strength 0.5: needs a look; add --look or leave --strength out"):
        parse("--strength", "0.5")


def test_luts_are_a_folder_or_one_cube_read_at_once(luts, tmp_path, monkeypatch, parse):
    monkeypatch.chdir(tmp_path)
    folder = parse("--luts", "luts").fuse.luts
    assert (folder.uri, folder.cube) == (str(luts), None)
    one = parse("--luts", luts / "deep" / "scene.cube")
    assert one.fuse.luts.cube.lut.shape == (3, 3, 3, 3)
    assert json.loads(json.dumps(describe(one)))["luts"] == f"{luts}/deep/scene.cube"
    assert describe(parse())["luts"] is None
    assert parse("--luts", "gs://b/luts/").fuse.luts.uri == "gs://b/luts"


def test_luts_that_cannot_be_used_are_refused_before_any_work(luts, tmp_path, parse):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.cube").write_text("LUT_3D_SIZE 2\n0 0 zero\n")
    with pytest.raises(UsageError, match="--luts .*/empty: holds no .cube; give a folder with a GROUP_ID"):
        parse("--luts", tmp_path / "empty")
    with pytest.raises(UsageError, match="--luts .*/none: no such folder or file"):
        parse("--luts", tmp_path / "none")
    with pytest.raises(UsageError, match="--luts bad.cube, line 2: .*three numbers"):
        parse("--luts", tmp_path / "bad.cube")
    with pytest.raises(UsageError, match="--luts file.*cannot be read"):
        parse("--luts", "file://nowhere/x.cube")


def test_exporting_luts_that_were_given_is_refused(luts, parse):
    with pytest.raises(UsageError, match="--export-luts: with --luts .* leave one out"):
        parse("--luts", luts, "--export-luts")
    assert parse("--luts", luts, "--export-merge").fuse.export_merge


def test_a_look_whose_colours_given_luts_replace_is_warned_of(luts, caplog, parse):
    assert parse("--luts", luts, "--look", "neutral").fuse.look.name == "neutral"
    assert caplog.text == ""
    assert parse("--luts", luts, "--look", "warm").fuse.look.name == "warm"
    assert "--look warm: its colours are not applied, only balance and detail; --luts" in caplog.text


def test_large_lut_sizes_are_warned_of_where_the_lut_is_exported(caplog, parse):
    parse("--lut-size", LUT_SIZES.high)
    parse("--lut-size", WIDELY_SUPPORTED, "--export-luts")
    assert caplog.text == ""
    parse("--lut-size", WIDELY_SUPPORTED + 1, "--export-luts")
    assert "--lut-size 66: many grading tools refuse LUTs of more than 65 nodes per axis" in caplog.text
