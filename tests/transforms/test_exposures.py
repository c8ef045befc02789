"""Reading exposures: what they cost in memory, and what is refused before anything is decoded."""

import dataclasses

import numpy as np
import pytest

from lutfuse.transforms import exposures
from lutfuse.transforms.exposures import as_16_bit, planned_bytes, read_exposures, same_depth
from lutfuse.transforms.images import io as image_io
from lutfuse.transforms.inputs.brackets import Bracket
from lutfuse.transforms.options import FuseOptions
from lutfuse.transforms.stages import BracketError, Stages
from lutfuse.transforms.storage import files


def test_a_bracket_is_planned_from_one_header_before_anything_is_decoded(
    tmp_path, write_bracket, monkeypatch
):
    monkeypatch.setattr(image_io, "decode", None)
    options = FuseOptions(output=str(tmp_path))
    frame = 64 * 48 * 3
    uris = tuple(write_bracket(tmp_path / "a", 3))
    assert planned_bytes(Bracket("a", uris), options, Stages()) == 5 * frame
    assert planned_bytes(Bracket("a", uris, reference=uris[0]), options, Stages()) == 6 * frame
    deep = tuple(write_bracket(tmp_path / "b", 2, suffix="tif", dtype=np.uint16))
    assert planned_bytes(Bracket("b", deep), options, Stages()) == 4 * 2 * frame


def test_a_header_behind_the_first_bytes_is_found_and_a_missing_one_is_the_decoders_failure(
    tmp_path, write_bracket, monkeypatch
):
    monkeypatch.setattr(exposures, "HEADER_BYTES", 30)
    options = FuseOptions(output=str(tmp_path))
    uris = tuple(write_bracket(tmp_path / "a", 2))
    assert planned_bytes(Bracket("a", uris), options, Stages()) == 4 * 64 * 48 * 3
    for content, kind in (
        (b"\xff\xd8\xff\xe0", "truncated"),
        (b"nothing at all like a picture", "not_an_image"),
    ):
        files.write_bytes(uris[0], content)
        with pytest.raises(BracketError, match="0.jpg") as caught:
            planned_bytes(Bracket("a", uris), options, Stages())
        assert (caught.value.stage, caught.value.error_type) == ("decode", kind)
    files.write_bytes(uris[0], b"\xff\xd8\xff\xe0" + bytes(100))
    with pytest.raises(BracketError, match="0.jpg"):
        planned_bytes(Bracket("a", uris), options, Stages())


def test_the_merged_image_counts_in_the_memory_that_a_bracket_is_planned_for(bracket, options):
    merging = dataclasses.replace(options, export_merge=True)
    frame = 64 * 48 * 3
    extra = planned_bytes(bracket, merging, Stages()) - planned_bytes(bracket, options, Stages())
    assert extra == 2 * frame * (3 + 2)


def test_the_bytes_of_all_exposures_are_counted_and_their_order_is_kept(bracket, options):
    images, size = read_exposures(bracket, options.limits, Stages())
    stored = [files.read_bytes(uri) for uri in bracket.uris]
    assert size == sum(map(len, stored))
    for image, data in zip(images, stored, strict=True):
        np.testing.assert_array_equal(image.pixels, image_io.decode(data).pixels)


def test_another_size_is_refused_before_that_exposure_is_decoded(bracket, options, frames, monkeypatch):
    files.write_bytes(bracket.uris[1], image_io.encode(frames(1, size=(48, 64))[0], format="jpeg"))
    decode, decoded = image_io.decode, []
    monkeypatch.setattr(image_io, "decode", lambda *a: decoded.append(a) or decode(*a))
    with pytest.raises(BracketError, match="0.jpg 64x48, 1.jpg 48x64.*a bracket needs one size"):
        read_exposures(bracket, options.limits, Stages())
    assert len(decoded) == 1


def test_frames_keep_their_depth_unless_one_is_deeper_and_white_stays_white():
    dark, white = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    assert same_depth([dark, white])[1] is white
    deep = np.full((2, 2, 3), 1000, np.uint16)
    assert [frame.max() for frame in same_depth([dark, white, deep])] == [0, 65535, 1000]
    assert as_16_bit(deep) is deep
