"""Exports: the LUT and the image it acts on, what they say inside, and when a re-run makes them anew."""

import dataclasses
import logging
import math
from pathlib import Path

import numpy as np
import pytest

from lutfuse.models.fusion.twin import fuse_twin
from lutfuse.models.looks.cube import CubeError, read_cube, write_cube
from lutfuse.models.looks.load import load_preset
from lutfuse.models.looks.look import Look
from lutfuse.transforms import exports
from lutfuse.transforms.edit import Edit, plan_edit
from lutfuse.transforms.exports import ACTS_ON, cube_text, exports_done, merge
from lutfuse.transforms.exposures import read_exposures
from lutfuse.transforms.fuse import fuse_bracket
from lutfuse.transforms.images import io as image_io
from lutfuse.transforms.inputs.brackets import Bracket
from lutfuse.transforms.options import FuseOptions
from lutfuse.transforms.stages import Stages
from lutfuse.transforms.task import Task

IDENTITY = np.indices((2, 2, 2), np.float64)[::-1].transpose(1, 2, 3, 0)


@pytest.fixture
def options(tmp_path):
    return FuseOptions(f"{tmp_path}/out", image_format="png", lut_size=9, export_luts=True, export_merge=True)


def cube_path(options):
    return Path(options.output, "luts", "deep", "scene.cube")


def merge_path(options):
    return Path(options.output, "merge", "deep", "scene.tif")


def edit_of(bracket, options, predictor):
    frames = [image.pixels for image in read_exposures(bracket, options.limits, Stages())[0]]
    return frames, plan_edit(frames, options, predictor, Stages())


def test_the_header_says_what_the_lut_acts_on_and_where_it_comes_from(bracket, options, predictor):
    chosen = dataclasses.replace(options, look=load_preset("window-pull").at_strength(0.5))
    fuse_bracket(bracket, chosen, predictor)
    cube = read_cube(cube_path(options).read_bytes(), name="x")
    assert cube.title == "deep/scene"
    assert cube.comments[:4] == (
        ACTS_ON,
        "bracket: deep/scene (3 exposures: 0.jpg, 1.jpg, 2.jpg)",
        f"model: {predictor.model_id}",
        "look: window-pull at strength 0.5; its balance and detail are in the merged image",
    )
    np.testing.assert_array_equal(cube.lut, edit_of(bracket, chosen, predictor)[1].lut)


def test_names_that_no_header_could_hold_are_made_printable_and_short():
    odd = Bracket('quo"te/\udce9/\u2028', (f"/in/{'é' * 200}.jpg", "/in/b.jpg"))
    lut = np.zeros((2, 2, 2, 3), np.float32)
    task = Task(odd, FuseOptions("out", look=Look(contrast=1, name="mine.json")), "m")
    cube = read_cube(cube_text(lut, task), name="x")
    assert cube.title == "quo'te/\\udce9/?"
    assert cube.comments[1].endswith("…")
    assert cube.comments[3] == "look: mine.json at strength 1"
    with pytest.raises(CubeError, match="title"):
        cube_text(lut, task, title="two\nlines")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_merged_image_is_exact_to_half_a_level_of_16_bit(frames, predictor, dtype):
    pictures = frames(4, size=(70, 50), dtype=dtype)
    prediction = predictor.predict(pictures)
    merged = merge(pictures, Edit(prediction.order, prediction.grid, IDENTITY), device="cpu")
    ordered = [pictures[i] for i in prediction.order]
    exact = fuse_twin(ordered, prediction.grid, IDENTITY) / np.iinfo(dtype).max
    assert merged.dtype == np.uint16
    assert np.abs(merged - exact * 65535).max() <= 0.52


def test_the_merged_image_carries_the_profile_and_depth_that_a_grading_tool_needs(
    bracket, options, predictor
):
    fuse_bracket(bracket, options, predictor)
    image = image_io.decode(merge_path(options).read_bytes())
    assert image.pixels.dtype == np.uint16
    assert image.pixels.shape == (48, 64, 3)


def test_opencolorio_on_the_merged_image_is_within_one_level_of_the_fused_picture(
    bracket, options, predictor
):
    ocio = pytest.importorskip("PyOpenColorIO", reason="opencolorio is not installed")
    chosen = dataclasses.replace(options, lut_size=33, look=load_preset("punchy"))
    row = fuse_bracket(bracket, chosen, predictor)
    merged = image_io.decode(merge_path(options).read_bytes()).pixels
    transform = ocio.FileTransform(str(cube_path(options)), interpolation=ocio.INTERP_LINEAR)
    processor = ocio.Config.CreateRaw().getProcessor(transform).getDefaultCPUProcessor()
    colours = (merged / 65535).astype(np.float32)
    processor.apply(ocio.PackedImageDesc(colours, 64, 48, 3))
    fused = image_io.decode(Path(row["output_uri"]).read_bytes()).pixels.astype(int)
    assert np.abs(np.rint(colours * 255) - fused).max() <= 1


class TestReRuns:
    """A finished bracket is skipped only while every export that is asked for is there and still good."""

    @pytest.fixture
    def run(self, bracket, options, start_step):
        def run(**change):
            (row,) = start_step(dataclasses.replace(options, **change)).process(bracket)
            return "skipped" if row["total_ms"] is None else "fused"

        return run

    def test_nothing_missing_is_skipped_and_so_is_a_run_that_asks_for_less(self, run):
        assert run() == "fused"
        assert run() == "skipped"
        assert run(export_luts=False, export_merge=False) == "skipped"

    @pytest.mark.parametrize("path", [cube_path, merge_path])
    def test_a_missing_export_is_made_and_the_picture_stays_the_same(self, run, options, path):
        run()
        picture = Path(options.output, "fused", "deep", "scene.png")
        before, exported = picture.read_bytes(), path(options).read_bytes()
        path(options).unlink()
        assert run() == "fused"
        assert path(options).read_bytes() == exported
        assert picture.read_bytes() == before
        assert run() == "skipped"

    def test_exports_of_other_settings_are_not_taken_for_those_of_this_run(
        self, run, bracket, options, predictor
    ):
        run(look=load_preset("warm"))
        warm = cube_path(options).read_bytes()
        assert run(export_luts=False, export_merge=False) == "fused"
        assert not exports_done(Task(bracket, options, predictor.model_id))
        assert run() == "fused"
        assert cube_path(options).read_bytes() != warm

    @pytest.mark.parametrize("edit", ["nodes", "stripped", "broken"])
    def test_an_edited_lut_is_kept_with_a_warning_unless_everything_is_overwritten(
        self, run, options, caplog, edit
    ):
        run()
        cube = read_cube(cube_path(options).read_bytes(), name="x")
        text = {
            "nodes": write_cube(cube.lut * np.float32(0.9), comments=cube.comments),
            "stripped": write_cube(cube.lut),
            "broken": "not a LUT",
        }[edit]
        cube_path(options).write_text(text)
        assert run() == "skipped"
        with caplog.at_level(logging.WARNING, "lutfuse"):
            assert run(look=load_preset("warm")) == "fused"
        assert "scene.cube: was edited and is kept" in caplog.text
        assert cube_path(options).read_text() == text
        run(overwrite=True)
        assert cube_path(options).read_text() != text

    def test_a_bracket_whose_export_fails_is_not_finished(self, bracket, options, start_step, monkeypatch):
        def fail(*args, **kwargs):
            raise ValueError("no merge")

        monkeypatch.setattr(exports, "merge", fail)
        (failure,) = start_step(options).process(bracket)
        assert failure.value["message"] == "ValueError: no merge"
        assert not Path(options.output, "fused").exists()


@pytest.mark.slow
def test_distance_to_the_finest_lut_falls_at_every_step(frames, predictor):
    from lutfuse.models.fusion.kernel import fuse

    distances = []
    for seed in range(10):
        pictures = frames(3, size=(160, 120), seed=seed, dtype=np.uint16)
        prediction = predictor.predict(pictures)
        ordered = [pictures[i] for i in prediction.order]
        fused = {
            n: fuse(ordered, prediction.grid, predictor.bake(prediction.latent, n)).astype(float)
            for n in (2, 5, 9, 17, 33, 65, 129)
        }
        distances.append([math.sqrt(np.mean((fused[n] - fused[129]) ** 2)) for n in (2, 5, 9, 17, 33, 65)])
    assert (np.diff(distances, axis=1) < 0).all()
