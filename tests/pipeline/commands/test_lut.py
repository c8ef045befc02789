"""`lutfuse lut`: one bracket's LUT for grading tools, exit codes and messages."""

import numpy as np
import pytest

from lutfuse.models.looks.cube import read_cube
from lutfuse.pipeline.cli import main
from lutfuse.transforms.images import io as image_io


@pytest.fixture
def tree(tmp_path, write_bracket, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("aisle", "street"):
        write_bracket(tmp_path / "in" / name, 2, reference=name == "aisle")
    return tmp_path


def lut(*argv):
    return main(["lut", *map(str, argv)])


def test_the_lut_is_that_of_the_job_with_title_look_and_merged_image(tree, capsys):
    argv = ["--input", "in/aisle", "--size", 5, "--look", "warm", "--strength", 0.5]
    assert lut(*argv, "--output", "x.cube", "--title", "Dusk", "--export-merge", "m.TIF") == 0
    assert capsys.readouterr().out == f"wrote {tree}/x.cube\nwrote {tree}/m.TIF\n"
    cube = read_cube((tree / "x.cube").read_bytes(), name="x.cube")
    assert cube.title == "Dusk"
    assert cube.comments[1] == "bracket: aisle (2 exposures: 0.jpg, 1.jpg)"
    assert cube.comments[3] == "look: warm at strength 0.5"

    assert (
        main(
            [
                "fuse",
                "--input",
                "in",
                "--output",
                "out",
                *map(str, argv[4:]),
                "--lut-size",
                "5",
                "--export-luts",
            ]
        )
        == 0
    )
    exported = read_cube((tree / "out/luts/aisle.cube").read_bytes(), name="y.cube")
    np.testing.assert_array_equal(exported.lut, cube.lut)
    assert image_io.decode((tree / "m.TIF").read_bytes()).pixels.dtype == np.uint16


def test_a_glob_names_a_bracket_too_and_large_sizes_are_warned_of(tree, capsys, caplog):
    assert lut("--input", "in/str*/*.jpg", "--size", 66, "--output", "x.cube") == 0
    assert "--size 66: many grading tools refuse" in caplog.text
    assert read_cube((tree / "x.cube").read_bytes(), name="x").title == "street"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--input", "in"], "--input in: holds more than one bracket (aisle, street); give the folder"),
        (["--input", "nowhere"], "no such file or folder"),
        (["--input", "empty"], "holds no images"),
        (["--input", "lone"], "1 exposure(s); a bracket needs 2 to 9"),
        (["--input", "none.jsonl"], "no such file"),
        (["--input", "in/aisle", "--title", 'a"b'], "--title: title 'a\"b'"),
        (["--input", "in/aisle", "--output", "x.jpg"], "--output x.jpg: must end in .cube"),
        (["--input", "in/aisle", "--export-merge", "x.jpg"], "--export-merge x.jpg: must end in .tif"),
        (["--input", "tiffs", "--export-merge", "tiffs/0.tif"], "is an image of the bracket itself"),
        (["--input", "in/aisle", "--look", "cold"], "--look cold: cannot be read"),
        (["--input", "in/aisle", "--strength", "1"], "--strength 1: needs a look"),
        (["--input", "in/aisle", "--weights", "none.safetensors"], "none.safetensors is missing"),
        (["--input", "in/aisle", "--weights", "w.safetensors"], "w.json must hold exactly the keys"),
    ],
)
def test_wrong_usage_ends_with_2_and_writes_nothing(tree, write_bracket, capsys, argv, words):
    (tree / "empty").mkdir()
    (tree / "w.safetensors").touch()
    (tree / "w.json").write_text("{}")
    write_bracket(tree / "lone", 1)
    write_bracket(tree / "tiffs", 2, suffix="tif")
    before = {path: path.stat().st_mtime_ns for path in tree.rglob("*")}
    assert lut(*(["--output", "x.cube"] if "--output" not in argv else []), *argv) == 2
    assert words in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in tree.rglob("*")} == before


def test_a_size_above_129_is_refused_with_the_reason(tree, capsys):
    assert lut("--input", "in/aisle", "--output", "x.cube", "--size", 130) == 2
    assert "choose 2 to 129 (a LUT of 129 has 2.1 million nodes" in capsys.readouterr().err


def test_a_picture_that_cannot_be_read_ends_with_1_and_its_name(tree, capsys):
    (tree / "in" / "aisle" / "1.jpg").write_bytes(b"no picture")
    assert lut("--input", "in/aisle", "--output", "x.cube") == 1
    assert "in/aisle/1.jpg" in capsys.readouterr().err
    assert lut("--input", "in/street", "--output", "in/street/0.jpg/x.cube") == 1


def test_the_exported_lut_edited_elsewhere_is_what_the_job_applies(tree):
    assert lut("--input", "in/aisle", "--size", 5, "--output", "mine/aisle.cube") == 0
    path = tree / "mine" / "aisle.cube"
    path.write_text(path.read_text().replace("LUT_3D_SIZE 5", "# graded\nLUT_3D_SIZE 5"))
    assert main(["fuse", "--input", "in", "--output", "out", "--luts", "mine"]) == 3
    assert (tree / "out" / "fused" / "aisle.jpg").exists()
    assert not (tree / "out" / "fused" / "street.jpg").exists()
