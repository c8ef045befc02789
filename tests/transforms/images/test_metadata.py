"""What travels with a picture: our comment, EXIF, and the facts that group a bracket."""

import io
import json
import random
import struct
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from lutfuse.transforms.images.exif import ExposureInfo, carry_exif, kept_tags
from lutfuse.transforms.images.io import decode, encode, exposure_info, read_comment
from lutfuse.transforms.images.tags import ASCII, LONG, SHORT, Tag, TagReader, integers_tag, pack_tiff
from lutfuse.transforms.images.tiff_blocks import pack_strips

FORMATS = ("jpeg", "png", "tiff")
PIXELS = np.full((20, 30, 3), 90, np.uint8)
NOISE = np.random.default_rng(0).integers(0, 255, (500, 500, 3), np.uint8)

EXIF_IFD, GPS_IFD = 0x8769, 0x8825


def camera_exif(**changes: Any) -> Image.Exif:
    """EXIF of a camera that writes everything, thumbnail and maker note included."""
    exif = Image.Exif()
    exif[271], exif[272], exif[305] = "NIKON CORPORATION", "NIKON D800", "Ver.1.10"
    exif[0x0112] = 6
    exif[315], exif[33432] = "Ann Müller", "© Ann"
    exif[256], exif[257] = 111, 222  # of the stored picture: must not be carried
    exif.get_ifd(EXIF_IFD).update(
        {
            0x829A: IFDRational(1, 250),
            0x829D: IFDRational(56, 10),
            0x8827: 400,
            0x9003: "2024:05:06 07:08:09",
            0x9291: "25",
            0xA434: "NIKKOR 14-24mm f/2.8",
            0x927C: b"Nikon\0" + bytes(range(200)),
            0xA002: 111,
            0xA003: 222,
        }
    )
    exif.get_ifd(GPS_IFD).update({1: "N", 2: (IFDRational(52), IFDRational(31), IFDRational(1, 3))})
    for number, value in changes.items():
        exif.get_ifd(EXIF_IFD)[int(number[1:], 16)] = value
    return exif


def with_exif(kind: str, exif: Image.Exif | bytes) -> bytes:
    if kind == "TIFF":  # Pillow writes no EXIF directory there
        assert isinstance(exif, Image.Exif)
        main, children = kept_tags(exif.tobytes())
        sizes = {256: [30], 257: [20], 258: [8, 8, 8], 259: [1], 262: [2], 274: [6], 277: [3], 278: [20]}
        tags = main | {number: integers_tag(SHORT, values) for number, values in sizes.items()}
        return pack_strips(tags, children, [PIXELS.tobytes()])
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, kind, exif=exif)
    return file.getvalue()


def big_endian(exif: bytes) -> bytes:
    """The same tags in Motorola order, as some cameras write them."""

    def swapped(tag: Tag) -> bytes:
        return tag.elements.astype(tag.elements.dtype.newbyteorder(">")).tobytes()

    def directory(tags: dict[int, Tag], start: int) -> bytes:
        table, heap, heap_at = struct.pack(">H", len(tags)), b"", start + 2 + 12 * len(tags) + 4
        for number, tag in sorted(tags.items()):
            raw, count = swapped(tag), len(tag.elements) // (2 if tag.type in (5, 10) else 1)
            value = raw.ljust(4, b"\0") if len(raw) <= 4 else struct.pack(">I", heap_at + len(heap))
            table += struct.pack(">HHI", number, tag.type, count) + value
            heap += raw + bytes(len(raw) % 2) if len(raw) > 4 else b""
        return table + bytes(4) + heap

    main, children = kept_tags(exif)
    camera = {**children[EXIF_IFD]}
    start = 8 + len(directory({**main, EXIF_IFD: integers_tag(LONG, [0])}, 8))
    main[EXIF_IFD] = integers_tag(LONG, [start])
    return b"MM\0*\0\0\0\x08" + directory(main, 8) + directory(camera, start)


# The comment


@settings(max_examples=60, deadline=None, derandomize=True)
@given(text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=300))
@pytest.mark.parametrize("kind", FORMATS)
def test_any_text_comes_back_exactly(kind: str, text: str) -> None:
    assert read_comment(encode(PIXELS, format=kind, comment=text)) == text


@pytest.mark.parametrize("text", ["", " padded \n", "日本語 🎞", "x" * 32_768, json.dumps({"a": "é\0"})])
@pytest.mark.parametrize("kind", FORMATS)
def test_a_comment_is_found_in_the_first_128_kib_without_decoding(kind: str, text: str) -> None:
    profile = np.random.default_rng(0).bytes(400_000)
    data = encode(NOISE, format=kind, comment=text, icc=profile, exif=_longest_exif())
    assert read_comment(data[: 128 << 10]) == text


def _longest_exif() -> bytes:
    camera = {0x9000 + i: Tag(7, bytes([i]) * 8000) for i in range(20)}
    carried = carry_exif(pack_tiff({271: Tag(ASCII, b"Maker\0")}, {EXIF_IFD: camera}), 10, 10)
    assert carried is not None
    return carried


def test_exif_leaves_room_for_the_comment_in_the_prefix() -> None:
    assert 30_000 < len(_longest_exif()) < 50_000


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_foreign_files_have_no_comment(kind: str) -> None:
    assert read_comment(with_exif(kind, camera_exif())) is None


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"II*\0", b"\x89PNG\r\n\x1a\n", b"<html>"])
def test_garbage_has_no_comment(data: bytes) -> None:
    assert read_comment(data) is None


def test_a_comment_of_another_program_is_not_ours() -> None:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "JPEG", comment="lutfuse? no")
    assert read_comment(file.getvalue()) is None
    file = io.BytesIO()
    tifffile.imwrite(file, PIXELS, description="scan 12", photometric="rgb")
    assert read_comment(file.getvalue()) is None


@pytest.mark.parametrize("kind", FORMATS)
def test_a_comment_cut_by_the_prefix_is_none(kind: str) -> None:
    data = encode(PIXELS, format=kind, comment="y" * 5000)
    assert read_comment(data[:3000]) is None


# EXIF carried over


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("source", ["JPEG", "PNG", "TIFF", "big-endian"])
def test_camera_lens_time_and_place_are_carried(source: str, kind: str) -> None:
    if source == "big-endian":
        exif = big_endian(camera_exif().tobytes()[6:])
        image = decode(with_exif("JPEG", b"Exif\0\0" + exif))
    else:
        image = decode(with_exif(source, camera_exif()))
    written = encode(PIXELS, format=kind, exif=carry_exif(image.exif, 30, 20))
    shown = Image.open(io.BytesIO(written)).getexif()
    assert (shown[271], shown[272], shown[0x0112]) == ("NIKON CORPORATION", "NIKON D800", 1)
    camera, place = shown.get_ifd(EXIF_IFD), shown.get_ifd(GPS_IFD)
    assert camera[0x829A] == IFDRational(1, 250)
    assert (camera[0x9003], camera[0xA434]) == ("2024:05:06 07:08:09", "NIKKOR 14-24mm f/2.8")
    assert (camera[0xA002], camera[0xA003]) == (30, 20)
    assert 0x927C not in camera  # the maker note points into a file that is gone
    if source != "big-endian":
        assert (place[1], place[2][:2]) == ("N", (52.0, 31.0))


def test_names_in_any_script_are_carried() -> None:
    tags = {315: Tag(ASCII, "Ann Müller\0".encode())}
    carried = carry_exif(pack_tiff(tags, {}), 3, 2)
    assert carried is not None
    assert TagReader(carried).directory(8)[0][315].text() == "Ann Müller"


def test_a_thumbnail_is_not_carried() -> None:
    main = pack_tiff({271: Tag(ASCII, b"Maker\0")}, {})
    thumbnail = struct.pack("<HHHII", 1, 0x0201, 4, 1, 8) + bytes(4) + b"\xff\xd8thumbnail"
    linked = main[:22] + struct.pack("<I", len(main)) + main[26:] + thumbnail
    assert TagReader(linked).directory(8)[1] == len(main)
    carried = carry_exif(linked, 1, 1)
    assert carried is not None
    assert b"thumbnail" not in carried
    assert TagReader(carried).directory(8)[1] == 0


@pytest.mark.parametrize("exif", [None, b"", b"Exif\0\0", b"II*\0", b"garbage" * 20, bytes(300)])
def test_exif_that_says_nothing_is_not_carried(exif: bytes | None) -> None:
    assert carry_exif(exif, 3, 2) is None


def test_carrying_is_stable_and_bounded() -> None:
    once = carry_exif(_longest_exif(), 5, 4)
    assert once is not None
    assert carry_exif(once, 5, 4) == once


def test_mutated_exif_is_carried_or_dropped_but_never_raises() -> None:
    rng = random.Random(5)
    exif = camera_exif().tobytes()[6:]
    for _ in range(1500):
        data = bytearray(exif)
        for _ in range(rng.randint(1, 6)):
            data[rng.randrange(len(data))] = rng.choice((0, 1, 255, rng.randrange(256)))
        carried = carry_exif(bytes(data), 30, 20)
        assert carried is None or len(carried) < 64_000
        exposure_info(b"\xff\xd8\xff\xe1" + struct.pack(">H", len(data) + 8) + b"Exif\0\0" + bytes(data))


# What groups a bracket


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_exposure_facts_are_read(kind: str) -> None:
    assert exposure_info(with_exif(kind, camera_exif())) == ExposureInfo(
        captured=datetime(2024, 5, 6, 7, 8, 9, 250_000),
        exposure_s=1 / 250,
        f_number=5.6,
        iso=400,
        camera="NIKON D800",
        lens="NIKKOR 14-24mm f/2.8",
        width=20,
        height=30,  # as displayed: turned
    )


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"x9003": "    :  :     :  :  "}, "captured", None),
        ({"x9003": "0000:00:00 00:00:00"}, "captured", None),
        ({"x9003": "2024:13:45 99:00:00"}, "captured", None),
        ({"x9003": "", "x9004": "2020:01:02 03:04:05"}, "captured", datetime(2020, 1, 2, 3, 4, 5)),
        ({"x9291": "   "}, "captured", datetime(2024, 5, 6, 7, 8, 9)),
        ({"x9291": "123456789"}, "captured", datetime(2024, 5, 6, 7, 8, 9, 123_456)),
        ({"x829a": IFDRational(0, 0)}, "exposure_s", None),
        ({"x829a": IFDRational(0, 1), "x9201": IFDRational(3, 1)}, "exposure_s", 0.125),
        ({"x829d": IFDRational(5, 0), "x9202": IFDRational(6, 1)}, "f_number", 8.0),
        ({"x829d": IFDRational(5, 0), "x9202": IFDRational(1 << 30, 1)}, "f_number", None),
        ({"x8827": (100, 200)}, "iso", 100),
        ({"x8827": 0}, "iso", None),
        ({"xa434": "\0\0"}, "lens", None),
    ],
)
def test_senseless_tags_are_none(changes: dict[str, Any], field: str, value: Any) -> None:
    assert getattr(exposure_info(with_exif("JPEG", camera_exif(**changes))), field) == value


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("Canon", "Canon EOS R5", "Canon EOS R5"),
        ("SONY", "ILCE-7M4", "SONY ILCE-7M4"),
        ("", "X100V", "X100V"),
    ],
)
def test_the_make_is_named_once(make: str, model: str, camera: str) -> None:
    exif = Image.Exif()
    exif[271], exif[272] = make, model
    assert exposure_info(with_exif("JPEG", exif)).camera == camera


def test_a_picture_without_exif_still_has_a_size() -> None:
    assert exposure_info(encode(PIXELS, format="png")) == ExposureInfo(width=30, height=20)


def test_tags_beyond_the_prefix_show_as_no_width() -> None:
    import cv2

    data = cv2.imencode(".tif", NOISE, (cv2.IMWRITE_TIFF_COMPRESSION, 1))[1].tobytes()
    assert exposure_info(data[: 256 << 10]) == ExposureInfo()
    assert exposure_info(data).width == 500


def test_what_is_no_picture_has_no_facts() -> None:
    assert exposure_info(b"hello") == ExposureInfo()


@pytest.mark.needs_data
def test_a_real_bracket_shows_its_exposures_in_256_kib(data_dir: Path) -> None:
    frames = sorted((data_dir / "uhd" / "library_aisle").glob("*.JPG"))
    infos = [exposure_info(path.read_bytes()[: 256 << 10]) for path in frames]
    assert [info.exposure_s for info in infos] == [8.0, 4.0, 1.0, 0.25]
    assert {info.camera for info in infos} == {"NIKON D90"}
    assert all(info.captured for info in infos)


# Tags


def test_numbers_of_every_type_are_read_in_both_orders() -> None:
    for order in "<>":
        assert Tag(3, struct.pack(order + "2H", 1, 2), 0, order).integers().tolist() == [1, 2]
        assert Tag(5, struct.pack(order + "2I", 1, 3), 0, order).number() == Fraction(1, 3)
        assert Tag(10, struct.pack(order + "2i", -1, 3), 0, order).number() == Fraction(-1, 3)
        assert Tag(11, struct.pack(order + "f", 0.5), 0, order).number() == Fraction(1, 2)
        assert Tag(12, struct.pack(order + "d", float("nan")), 0, order).number() is None
        assert Tag(12, struct.pack(order + "d", float("inf")), 0, order).number() is None
    assert Tag(SHORT, b"").number() is None
    assert Tag(SHORT, b"").text() is None
    assert len(Tag(5, bytes(8)).integers()) == 0
