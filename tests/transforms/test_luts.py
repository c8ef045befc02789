"""LUTs in place of the predicted ones: whose they are, what they change, and what happens without one."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from lutfuse.models.looks.bake import unit_lut
from lutfuse.models.looks.cube import Cube, write_cube
from lutfuse.models.looks.load import load_preset
from lutfuse.transforms import luts
from lutfuse.transforms.fuse import fuse_bracket
from lutfuse.transforms.images import io as image_io
from lutfuse.transforms.inputs.brackets import Bracket
from lutfuse.transforms.luts import lut_uri, read_given
from lutfuse.transforms.options import FuseOptions, GivenLuts
from lutfuse.transforms.stages import BracketError, Stages


def identity(size):
    b, g, r = np.meshgrid(*[np.linspace(0, 1, size, dtype=np.float32)] * 3, indexing="ij")
    return np.stack([r, g, b], axis=-1)


def store(folder, bracket, lut, **header):
    path = Path(lut_uri(str(folder), bracket.group_id))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(write_cube(lut, **header))
    return path


def fused(bracket, options, predictor):
    row = fuse_bracket(bracket, options, predictor)
    return row, Path(row["output_uri"]).read_bytes()


@pytest.mark.parametrize("size", [2, 17, 33])
@pytest.mark.parametrize("form", ["jpeg", "png"])
def test_exported_and_given_back_unedited_the_fused_file_is_the_same_to_the_byte(
    tmp_path, bracket, predictor, size, form
):
    look = {"look": load_preset("window-pull").at_strength(0.7)}
    first = FuseOptions(f"{tmp_path}/1", image_format=form, lut_size=size, export_luts=True, **look)
    _, exported = fused(bracket, first, predictor)
    # Another --lut-size makes no difference: a .cube keeps its own.
    given = GivenLuts(f"{tmp_path}/1/luts")
    again = FuseOptions(f"{tmp_path}/2", image_format=form, lut_size=9, luts=given, **look)
    row, imported = fused(bracket, again, predictor)
    assert imported == exported
    assert row["lut_size"] == size


def test_an_edited_lut_replaces_the_prediction_and_the_looks_colours_but_not_its_balance(
    tmp_path, bracket, predictor
):
    store(tmp_path / "luts", bracket, identity(5))
    options = FuseOptions(
        f"{tmp_path}/out", image_format="png", luts=GivenLuts(f"{tmp_path}/luts"), export_merge=True
    )
    pulled = dataclasses.replace(options, look=load_preset("window-pull"))
    pictures = {}
    for name, chosen in {"plain": options, "pulled": pulled}.items():
        _, data = fused(bracket, chosen, predictor)
        merged = image_io.decode(Path(f"{tmp_path}/out/merge/deep/scene.tif").read_bytes()).pixels
        pictures[name] = image_io.decode(data).pixels
        # Through an identity the picture is the merged image: both are rounded, 8 bits to 0.51 of a level
        # (fuse_math.h), 16 bits to half of a 257th of one and their arithmetic.
        assert np.abs(pictures[name] - merged / 257).max() <= 0.51 + 1.5 / 257
    assert pictures["pulled"].mean() < pictures["plain"].mean() - 1


def test_one_lut_serves_all_brackets(tmp_path, bracket, predictor):
    cube = Cube(np.full((2, 2, 2, 3), 0.5, np.float32))
    options = FuseOptions(f"{tmp_path}/out", image_format="png", luts=GivenLuts("grey.cube", cube))
    row, data = fused(bracket, options, predictor)
    assert set(np.unique(image_io.decode(data).pixels)) == {128}
    assert row["lut_size"] == 2


def test_a_lut_with_a_domain_of_its_own_is_resampled_onto_the_unit_domain():
    cube = Cube(identity(9), domain_min=(-1.0, 0.0, 0.0), domain_max=(1.0, 2.0, 1.0))
    np.testing.assert_allclose(unit_lut(cube)[..., 0], 0.5 + identity(9)[..., 0] / 2, atol=1e-6)
    np.testing.assert_allclose(unit_lut(cube)[..., 1], identity(9)[..., 1] / 2, atol=1e-6)
    plain = Cube(identity(9))
    assert unit_lut(plain) is plain.lut


def test_a_bracket_without_its_lut_is_a_read_failure_with_the_remedy(tmp_path, bracket, predictor):
    options = FuseOptions(f"{tmp_path}/out", luts=GivenLuts(str(tmp_path)))
    with pytest.raises(BracketError, match="deep/scene.cube: no such LUT; export it with --export-luts") as e:
        fuse_bracket(bracket, options, predictor)
    assert (e.value.stage, e.value.error_type) == ("read", "missing_lut")
    assert not Path(options.output).exists()


def test_a_file_that_is_no_lut_is_a_decode_failure_that_names_file_line_and_rule(
    tmp_path, bracket, predictor
):
    store(tmp_path, bracket, identity(2)).write_text("LUT_3D_SIZE 2\n0 0 0\n")
    options = FuseOptions(f"{tmp_path}/out", luts=GivenLuts(str(tmp_path)))
    with pytest.raises(BracketError, match="deep/scene.cube, line 2: 1 rows where") as e:
        fuse_bracket(bracket, options, predictor)
    assert (e.value.stage, e.value.error_type) == ("decode", "bad_lut")


def test_a_file_larger_than_any_lut_is_refused_unread(tmp_path, bracket, monkeypatch):
    store(tmp_path, bracket, identity(2))
    monkeypatch.setattr(luts, "MAX_BYTES", 10)
    with pytest.raises(BracketError, match="a .cube has at most 10") as e:
        read_given(bracket, FuseOptions("out", luts=GivenLuts(str(tmp_path))), Stages())
    assert e.value.error_type == "too_large"


@pytest.mark.parametrize("look", [None, load_preset("warm")])
def test_a_re_run_fuses_again_exactly_the_brackets_whose_lut_was_edited(
    tmp_path, bracket, write_bracket, start_step, look
):
    other = Bracket("other", tuple(write_bracket(tmp_path / "in2", 2)))
    out = f"{tmp_path}/out"

    def run(**chosen):
        step = start_step(FuseOptions(out, lut_size=5, look=look, **chosen))
        rows = [row for b in (bracket, other) for row in step.process(b)]
        return [row["total_ms"] is not None for row in rows]

    assert run(export_luts=True) == [True, True]
    given = GivenLuts(f"{out}/luts")
    assert run(luts=given) == [False, False]
    store(f"{out}/luts", other, identity(5))
    assert run(luts=given) == [False, True]
    assert run(luts=given) == [False, False]
    assert run() == [False, True]
