"""Every sort of picture that people send either looks as its viewer shows it or is refused with a reason."""

import io
import struct
import threading
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from lutfuse.transforms.images import tiff_blocks
from lutfuse.transforms.images.io import decode, encode, read_header
from lutfuse.transforms.images.tags import LONG, SHORT, Ifd, integers_tag, pack_tiff
from lutfuse.transforms.images.tiff_blocks import pack_strips
from lutfuse.transforms.images.types import DecodeLimits, ImageError

FORMATS = ("jpeg", "png", "tiff")
SIZE = (37, 53)  # height, width: odd, and not a multiple of a block


def scene(dtype: Any = np.uint8, size: tuple[int, int] = SIZE) -> np.ndarray:
    """[H, W, 3] smooth colours with a little noise, so that any turned or shifted pixel shows."""
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]] / max(size)
    noise = np.random.default_rng(1).normal(0, 0.005, (*size, 3))
    picture = np.stack((rows, columns, 1 - rows), axis=2) * 0.9 + 0.05 + noise
    return (picture.clip(0, 1) * np.iinfo(dtype).max).astype(dtype)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The image as Pillow writes it."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    """The pixels as tifffile writes them."""
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **{"photometric": "rgb"} | options)
    return file.getvalue()


def cv_tiff(pixels: np.ndarray, compression: int, predictor: int = 1) -> bytes:
    """The RGB pixels as libtiff writes them."""
    flags = [cv2.IMWRITE_TIFF_COMPRESSION, compression, cv2.IMWRITE_TIFF_PREDICTOR, predictor]
    return cv2.imencode(".tif", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), flags)[1].tobytes()


def ifd_4x4() -> Ifd:
    """Tags of a stored 8-bit RGB TIFF of 4×4 pixels, all but those that say where they are."""
    tags = {256: [4], 257: [4], 258: [8, 8, 8], 259: [1], 262: [2], 277: [3], 278: [4]}
    return {number: integers_tag(SHORT, values) for number, values in tags.items()}


def packed_tiff(changes: Ifd) -> bytes:
    """A 4×4 TIFF made by hand, with some tags changed."""
    return pack_strips(ifd_4x4() | changes, {}, [bytes(48)])


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, depth: int, color: int, raw: bytes, extra: bytes = b"") -> bytes:
    """A PNG made by hand from its unpacked rows."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    body = png_chunk(b"IDAT", zlib.compress(raw)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + extra + body


def refusal(data: bytes, limits: DecodeLimits | None = None) -> ImageError:
    """The error that decode() refuses the picture with."""
    with pytest.raises(ImageError) as caught:
        decode(data, limits or DecodeLimits())
    return caught.value


def as_rgb(data: bytes) -> np.ndarray:
    """What Pillow shows: the oracle for 8 bit."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


# What encode() writes


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_lossless_formats_bring_every_pixel_back(kind: str, dtype: Any) -> None:
    pixels = scene(dtype)
    image = decode(encode(pixels, format=kind))
    np.testing.assert_array_equal(image.pixels, pixels, strict=True)
    assert (image.header.format, image.header.bit_depth) == (kind, 8 * pixels.itemsize)
    assert image.header.decoded_bytes == pixels.nbytes


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (3, 400_000), (600, 700)])
@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_any_shape_comes_back(kind: str, size: tuple[int, int]) -> None:
    pixels = scene(np.uint16, size)
    np.testing.assert_array_equal(decode(encode(pixels, format=kind)).pixels, pixels)


@pytest.mark.parametrize("kind", FORMATS)
def test_other_programs_read_what_is_written(kind: str) -> None:
    pixels = scene()
    shown = as_rgb(encode(pixels, format=kind, comment="{}"))
    assert np.abs(shown.astype(int) - pixels).mean() <= (1.5 if kind == "jpeg" else 0)


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_other_programs_read_16_bit_files(kind: str) -> None:
    pixels = scene(np.uint16)
    data = np.frombuffer(encode(pixels, format=kind, icc=Image.new("RGB", (1, 1)).tobytes()), np.uint8)
    np.testing.assert_array_equal(cv2.imdecode(data, cv2.IMREAD_UNCHANGED)[..., ::-1], pixels)
    if kind == "tiff":
        np.testing.assert_array_equal(tifffile.imread(io.BytesIO(data.tobytes())), pixels)


@pytest.mark.parametrize("kind", FORMATS)
def test_the_same_picture_gives_the_same_bytes(kind: str) -> None:
    assert encode(scene(), format=kind, comment="{}") == encode(scene(), format=kind, comment="{}")


def test_16_bit_is_rounded_not_cut_for_jpeg() -> None:
    flat = np.full((16, 16, 3), 257 * 100 + 200, np.uint16)  # nearer to 101 than to 100
    assert decode(encode(flat, format="jpeg", quality=100)).pixels.mean() == pytest.approx(101, abs=0.3)


def test_jpeg_keeps_full_colour_resolution_from_quality_90_on() -> None:
    samplings = {q: Image.open(io.BytesIO(encode(scene(), format="jpeg", quality=q))).layer for q in (89, 90)}
    assert [layer[1:3] for layer in samplings[90]] == [(1, 1)] * 3
    assert samplings[89][0][1:3] == (2, 2)


def test_a_view_that_is_not_contiguous_is_written_as_seen() -> None:
    view = scene()[::2, ::-3]
    np.testing.assert_array_equal(decode(encode(view, format="png")).pixels, view)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "webp"}, "format='webp' must be one of jpeg, png, tiff"),
        ({"format": "jpeg", "quality": 0}, "quality=0 must be 1 to 100"),
        ({"format": "jpeg", "quality": 101}, "quality=101 must be 1 to 100"),
        ({"format": "png", "comment": "a\0b"}, "NUL"),
        ({"format": "png", "comment": "\ud800"}, "surrogates"),
        ({"format": "png", "comment": "x" * 40_000}, "at most 32768"),
        ({"format": "jpeg", "exif": bytes(70_000)}, "exif of 70006 bytes"),
        ({"format": "jpeg", "icc": bytes(17 << 20)}, "icc of 17825792 bytes"),
    ],
)
def test_bad_options_name_value_and_rule(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode(scene(), **options)


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (0, 4, 3)])
def test_pixels_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must be uint8 or uint16"):
        encode(np.zeros(shape, np.uint8), format="png")


def test_float_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="float64"):
        encode(np.zeros((4, 4, 3)), format="png")


def test_a_picture_too_wide_for_jpeg_says_what_to_use() -> None:
    with pytest.raises(ValueError, match="use TIFF"):
        encode(np.zeros((1, 66_000, 3), np.uint8), format="jpeg")


# JPEG


@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_decodes_as_other_programs_show_it(sampling: str, progressive: bool) -> None:
    data = saved(Image.fromarray(scene()), "JPEG", subsampling=sampling, progressive=progressive)
    assert np.abs(decode(data).pixels.astype(int) - as_rgb(data)).max() <= 2


def test_grey_jpeg_becomes_rgb() -> None:
    data = saved(Image.fromarray(scene()).convert("L"), "JPEG")
    image = decode(data)
    np.testing.assert_array_equal(image.pixels, as_rgb(data))
    assert image.header.channels == 1


def test_cmyk_jpeg_is_refused_with_a_remedy() -> None:
    error = refusal(saved(Image.fromarray(scene()).convert("CMYK"), "JPEG"))
    assert error.kind == "unsupported"
    assert "CMYK" in str(error)
    assert "convert" in str(error)


@pytest.mark.parametrize("marker", [0xC3, 0xC9, 0xCA, 0xC5])
def test_lossless_arithmetic_and_hierarchical_jpeg_are_refused(marker: int) -> None:
    data = saved(Image.fromarray(scene()), "JPEG").replace(b"\xff\xc0", bytes([0xFF, marker]), 1)
    assert refusal(data).kind == "unsupported"


def test_12_bit_jpeg_is_refused() -> None:
    data = saved(Image.fromarray(scene()), "JPEG").replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c", 1)
    assert "12-bit" in str(refusal(data))


def test_jpeg_of_two_components_is_refused() -> None:
    data = saved(Image.fromarray(scene()), "JPEG")
    at = data.index(b"\xff\xc0")
    assert "2 components" in str(refusal(data[: at + 9] + b"\2" + data[at + 10 :]))


def test_jpeg_without_height_is_refused() -> None:
    data = saved(Image.fromarray(scene()), "JPEG")
    at = data.index(b"\xff\xc0")
    assert refusal(data[: at + 5] + b"\0\0" + data[at + 7 :]).kind == "corrupt"


@pytest.mark.parametrize("trailer", [bytes(3000), b"<meta/>", "another"])
def test_what_a_camera_appends_behind_a_jpeg_is_ignored(trailer: bytes | str) -> None:
    data = saved(Image.fromarray(scene()), "JPEG")
    preview = saved(Image.new("RGB", (8, 8)), "JPEG", progressive=True)
    appended = data + (preview if trailer == "another" else trailer)  # type: ignore[operator]
    np.testing.assert_array_equal(decode(appended).pixels, decode(data).pixels)


@pytest.mark.parametrize("padding", [b"\0", bytes(700), b"\x7f", b"\xff" * 9])
def test_padding_before_the_end_marker_is_harmless(padding: bytes) -> None:
    data = saved(Image.fromarray(scene()), "JPEG")
    np.testing.assert_array_equal(decode(data[:-2] + padding + data[-2:]).pixels, decode(data).pixels)


def test_left_over_scan_data_before_the_end_marker_is_damage() -> None:
    data = saved(Image.fromarray(scene()), "JPEG")
    assert refusal(data[:-2] + data[-60:-2] + data[-2:]).kind == "corrupt"


def test_a_file_full_of_scans_is_refused_before_it_costs_time() -> None:
    data = saved(Image.fromarray(scene()), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    assert "more than 100 scans" in str(refusal(data[:-2] + scan * 200 + data[-2:]))


@pytest.mark.needs_data
def test_real_camera_jpegs_decode(data_dir: Path) -> None:
    paths = [path for path in (data_dir / "uhd").rglob("*") if path.suffix.lower() == ".jpg"]
    assert len(paths) >= 10
    for path in paths:
        assert decode(path.read_bytes()).pixels.shape[2] == 3


# PNG


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "LA", "RGBA"])
def test_png_of_any_sort_becomes_the_rgb_that_viewers_show(mode: str) -> None:
    image = Image.fromarray(scene()).convert(mode)
    data = saved(image, "PNG")
    np.testing.assert_array_equal(decode(data).pixels, as_rgb(data))


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_few_bit_grey_png_spans_the_whole_range(depth: int) -> None:
    top = (1 << depth) - 1
    row = b"\0" + bytes([int(f"{top:0{depth}b}".ljust(8, "0"), 2)])  # one white pixel, then black ones
    pixels = decode(png(2, 1, depth, 0, row)).pixels
    assert pixels.tolist() == [[[255] * 3, [0] * 3]]


@pytest.mark.parametrize("color", [0, 2, 4, 6])
def test_16_bit_png_keeps_16_bits(color: int) -> None:
    samples = {0: [1000], 2: [1000, 2000, 3000], 4: [1000, 65535], 6: [1000, 2000, 3000, 65535]}[color]
    row = b"\0" + struct.pack(f">{len(samples)}H", *samples) * 2
    image = decode(png(2, 1, 16, color, row))
    assert image.header.bit_depth == 16
    assert image.pixels.tolist() == [[(samples * 3)[:3] if color in (2, 6) else [1000] * 3] * 2]


def test_interlaced_png_decodes() -> None:
    data = png(1, 1, 8, 2, b"\0\x01\x02\x03")
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 1)
    data = data.replace(data[8:33], png_chunk(b"IHDR", header))
    assert decode(data).pixels.tolist() == [[[1, 2, 3]]]


def test_transparent_pixels_are_refused_in_png() -> None:
    image = Image.fromarray(scene()).convert("RGBA")
    image.putpixel((3, 3), (1, 2, 3, 254))
    assert "transparent" in str(refusal(saved(image, "PNG")))


def test_a_palette_with_an_unused_transparent_colour_decodes() -> None:
    image = Image.fromarray(scene()).quantize(16)
    data = saved(image, "PNG", transparency=200)
    np.testing.assert_array_equal(decode(data).pixels, as_rgb(saved(image, "PNG")))


@pytest.mark.parametrize(("key", "opaque"), [((9, 9, 9), True), ((1, 2, 3), False)])
def test_a_colour_key_counts_where_it_is_used(key: tuple[int, ...], opaque: bool) -> None:
    data = png(1, 1, 8, 2, b"\0\x01\x02\x03", png_chunk(b"tRNS", struct.pack(">3H", *key)))
    if opaque:
        assert decode(data).pixels.tolist() == [[[1, 2, 3]]]
    else:
        assert "transparent" in str(refusal(data))


def test_grey_png_with_an_unused_key_decodes() -> None:
    data = png(1, 1, 8, 0, b"\0\x07", png_chunk(b"tRNS", struct.pack(">H", 9)))
    assert decode(data).pixels.tolist() == [[[7, 7, 7]]]


def test_a_senseless_colour_key_is_ignored() -> None:
    assert decode(png(1, 1, 8, 2, b"\0\1\2\3", png_chunk(b"tRNS", b"\1"))).pixels.tolist() == [[[1, 2, 3]]]


def test_a_png_wider_than_libpng_reads_is_refused() -> None:
    assert "a side" in str(refusal(encode(np.zeros((1, 1_000_001, 3), np.uint8), format="png")))


def test_what_opencv_raises_becomes_an_image_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise cv2.error("too many pixels\n")

    monkeypatch.setattr(cv2, "imdecode", refuse)
    assert refusal(encode(scene(), format="png")).kind == "unsupported"


def test_animated_png_is_refused() -> None:
    frames = [Image.fromarray(scene()), Image.fromarray(255 - scene())]
    data = saved(frames[0], "PNG", save_all=True, append_images=frames[1:])
    assert "2 frames" in str(refusal(data))


def test_an_unknown_critical_png_chunk_is_refused() -> None:
    assert refusal(png(1, 1, 8, 2, b"\0\1\2\3", png_chunk(b"CgBI", bytes(4)))).kind == "unsupported"


@pytest.mark.parametrize(
    "fields", [(0, 1, 8, 2, 0), (1, 0, 8, 2, 0), (1, 1, 3, 2, 0), (1, 1, 8, 5, 0), (1, 1, 8, 2, 2)]
)
def test_a_senseless_png_header_is_refused(fields: tuple[int, ...]) -> None:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", *fields[:4], 0, 0, fields[4]))
    assert refusal(b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", b"")).kind == "corrupt"


# TIFF


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("tile", [None, (16, 32)])
@pytest.mark.parametrize("packed", [{}, {"compression": "zlib"}, {"compression": "zlib", "predictor": 2}])
def test_tiff_of_any_layout_decodes(
    dtype: Any, order: str, planar: str, tile: tuple[int, int] | None, packed: dict[str, Any]
) -> None:
    pixels = scene(dtype)
    stored = pixels if planar == "contig" else np.moveaxis(pixels, 2, 0)
    data = tiff(
        stored, byteorder=order, planarconfig=planar, tile=tile, rowsperstrip=None if tile else 8, **packed
    )
    np.testing.assert_array_equal(decode(data).pixels, pixels, strict=True)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("compression", [1, 5, 8, 32946, 32773])
@pytest.mark.parametrize("predictor", [1, 2])
def test_tiff_of_any_common_packing_decodes(dtype: Any, compression: int, predictor: int) -> None:
    pixels = scene(dtype, (301, 257))
    np.testing.assert_array_equal(decode(cv_tiff(pixels, compression, predictor)).pixels, pixels)


def test_lzw_in_many_batches_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff_blocks, "BATCH_BYTES", 5000)
    pixels = scene(np.uint16, (301, 257))
    np.testing.assert_array_equal(decode(cv_tiff(pixels, 5, 2)).pixels, pixels)


def test_big_tiff_decodes() -> None:
    np.testing.assert_array_equal(decode(tiff(scene(), bigtiff=True)).pixels, scene())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_grey_tiff_becomes_rgb(dtype: Any, photometric: str) -> None:
    grey = scene(dtype)[..., 0]
    shown = ~grey if photometric == "miniswhite" else grey
    np.testing.assert_array_equal(decode(tiff(grey, photometric=photometric)).pixels, np.dstack([shown] * 3))


def test_palette_tiff_becomes_rgb() -> None:
    data = saved(Image.fromarray(scene()).quantize(64), "TIFF")
    np.testing.assert_array_equal(decode(data).pixels, as_rgb(data))


@pytest.mark.parametrize("extra", ["unassalpha", "assocalpha"])
@pytest.mark.parametrize("alpha", [65535, 65534])
def test_tiff_alpha_is_dropped_only_where_it_is_full(extra: str, alpha: int) -> None:
    pixels = scene(np.uint16)
    data = tiff(np.dstack((pixels, np.full(SIZE, alpha, np.uint16))), extrasamples=[extra])
    if alpha == 65535:
        np.testing.assert_array_equal(decode(data).pixels, pixels)
    else:
        assert "transparent" in str(refusal(data))


def test_a_channel_that_is_no_alpha_is_dropped() -> None:
    data = tiff(np.dstack((scene(), np.zeros(SIZE, np.uint8))), extrasamples=["unspecified"])
    np.testing.assert_array_equal(decode(data).pixels, scene())


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (lambda: tiff(scene().astype(np.float32)), "floating-point"),
        (lambda: tiff(scene().astype(np.int16)), "signed"),
        (lambda: tiff(scene().astype(np.uint32)), "32 bits"),
        (lambda: saved(Image.fromarray(scene()).convert("1"), "TIFF"), "1 bits"),
        (lambda: saved(Image.fromarray(scene()).convert("CMYK"), "TIFF"), "CMYK"),
        (lambda: saved(Image.fromarray(scene()).convert("LAB"), "TIFF"), "CIELab"),
        (lambda: saved(Image.fromarray(scene()), "TIFF", compression="jpeg"), "compression 7"),
        (lambda: packed_tiff({262: integers_tag(SHORT, [6])}), "YCbCr"),
        (lambda: tiff(np.stack([scene(), scene()])), "several pages"),
        (lambda: tiff(scene(), extratags=[(50706, 1, 4, b"\1\4\0\0", True)]), "raw"),
        (lambda: packed_tiff({254: integers_tag(LONG, [1]), 330: integers_tag(LONG, [8])}), "raw"),
        (lambda: packed_tiff({266: integers_tag(SHORT, [2])}), "reversed bits"),
        (lambda: packed_tiff({317: integers_tag(SHORT, [3])}), "predictor"),
    ],
)
def test_tiff_that_is_no_8_or_16_bit_photo_is_refused(data: Any, words: str) -> None:
    error = refusal(data())
    assert error.kind == "unsupported"
    assert words in str(error)


def test_a_palette_of_another_length_is_corrupt() -> None:
    one_sample = {258: integers_tag(SHORT, [8]), 277: integers_tag(SHORT, [1]), 262: integers_tag(SHORT, [3])}
    short = {320: integers_tag(SHORT, [0] * 3 * 16)}
    assert "palette does not have 256 colours" in str(refusal(packed_tiff(one_sample | short)))


def test_a_tiff_without_strips_is_corrupt() -> None:
    assert "lacks tag 273" in str(refusal(pack_tiff(ifd_4x4(), {})))


@pytest.mark.parametrize("number", [256, 257])
def test_a_tiff_without_size_is_corrupt(number: int) -> None:
    assert refusal(packed_tiff({number: integers_tag(SHORT, [0])})).kind == "corrupt"


def test_a_tiff_with_a_thumbnail_page_decodes() -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(scene(), photometric="rgb", metadata=None)
        writer.write(scene()[::4, ::4], photometric="rgb", subfiletype=1, metadata=None)
    np.testing.assert_array_equal(decode(file.getvalue()).pixels, scene())


# All formats


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "dtype"), [("JPEG", np.uint8), ("PNG", np.uint8), ("TIFF", np.uint8), ("TIFF", np.uint16)]
)
def test_orientation_is_undone(kind: str, dtype: Any, turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    if dtype == np.uint16:
        stored = scene(dtype)
        data = tiff(stored, extratags=[(0x0112, 3, 1, turn, True)])
    else:
        data = saved(Image.fromarray(scene()), kind, exif=exif)
        stored = decode(saved(Image.fromarray(scene()), kind)).pixels
    # By definition: the stored row 0 is the displayed top, bottom, left or right side, and column 0 likewise.
    flipped = stored[:: -1 if turn in (3, 4, 7, 8) else 1, :: -1 if turn in (2, 3, 6, 7) else 1]
    shown = (
        flipped
        if turn < 5
        else stored.swapaxes(0, 1)[:: -1 if turn in (7, 8) else 1, :: -1 if turn in (6, 7) else 1]
    )
    image = decode(data)
    np.testing.assert_array_equal(image.pixels, shown)
    assert image.pixels.flags.c_contiguous
    assert (image.header.height, image.header.width) == shown.shape[:2]
    assert image.header.orientation == turn


def test_the_content_decides_not_the_name() -> None:
    assert read_header(saved(Image.fromarray(scene()), "PNG")).format == "png"  # as IMG_0001.JPG, say


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (b"", "empty", "empty"),
        (b"\0" * 5000, "not_an_image", "no JPEG, PNG or TIFF"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "not_an_image", "DOCTYPE"),
        (b"group_id,uris\n", "not_an_image", "group_id"),
        (b"GIF89a" + bytes(20), "unsupported", "GIF"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "unsupported", "WebP"),
        (b"\0\0\0\x18ftypheic" + bytes(20), "unsupported", "HEIF"),
        (b"\0\0\0\x18ftypcrx " + bytes(20), "unsupported", "Canon raw"),
        (b"BM" + bytes(60), "unsupported", "BMP"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, kind: str, words: str) -> None:
    error = refusal(data)
    assert error.kind == kind
    assert words in str(error)


@pytest.mark.parametrize("kind", FORMATS)
def test_limits_are_kept_before_decoding(kind: str) -> None:
    data = encode(scene(), format=kind)
    assert refusal(data, DecodeLimits(max_bytes=len(data) - 1)).kind == "too_large"
    assert refusal(data, DecodeLimits(max_megapixels=0.001)).kind == "too_large"
    assert decode(data, DecodeLimits(max_megapixels=37 * 53 / 1e6, max_bytes=len(data))).pixels.size


def test_senseless_limits_are_refused() -> None:
    with pytest.raises(ValueError, match="max_megapixels"):
        DecodeLimits(max_megapixels=0)
    with pytest.raises(ValueError, match="max_bytes"):
        DecodeLimits(max_bytes=0)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_stream_is_read_only_as_far_as_the_header(kind: str) -> None:
    data = encode(scene(np.uint8, (700, 900)), format=kind, icc=bytes(150_000))
    stream = io.BytesIO(data + bytes(10_000_000))
    header = read_header(stream)
    assert (header.height, header.width) == (700, 900)
    assert stream.tell() < 2_000_000


def test_a_stream_that_ends_in_its_header_is_truncated() -> None:
    with pytest.raises(ImageError) as caught:
        read_header(io.BytesIO(encode(scene(), format="png")[:30]))
    assert caught.value.kind == "truncated"


def test_a_tiff_whose_tags_lie_at_the_end_has_a_header_too() -> None:
    data = cv_tiff(scene(np.uint16, (300, 300)), 1)
    assert read_header(io.BytesIO(data)).width == 300


def test_threads_decode_at_the_same_time() -> None:
    files = [encode(scene(np.uint16), format=kind) for kind in FORMATS] + [cv_tiff(scene(), 5)]
    expected = [decode(data).pixels for data in files]
    wrong: list[int] = []

    def work() -> None:
        for _ in range(20):
            for i, data in enumerate(files):
                if not np.array_equal(decode(data).pixels, expected[i]):
                    wrong.append(i)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_profile_comes_along_and_the_numbers_stay() -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for kind in FORMATS:
        image = decode(encode(scene(), format=kind, quality=100, icc=profile))
        assert image.icc == profile
        if kind != "jpeg":
            np.testing.assert_array_equal(image.pixels, scene())
        assert (
            Image.open(io.BytesIO(encode(scene(), format=kind, icc=profile))).info["icc_profile"] == profile
        )


def test_a_profile_of_many_jpeg_segments_comes_back() -> None:
    header = bytearray(128)
    header[16:20], header[36:40] = b"RGB ", b"acsp"
    profile = bytes(header) + np.random.default_rng(0).bytes(200_000)
    assert decode(encode(scene(), format="jpeg", icc=profile)).icc == profile


@pytest.mark.parametrize("space", [b"GRAY", b"CMYK"])
def test_a_profile_that_is_not_rgb_is_dropped(space: bytes) -> None:
    header = bytearray(128)
    header[16:20], header[36:40] = space, b"acsp"
    assert decode(encode(scene(), format="png", icc=bytes(header))).icc is None


def test_png_texts_are_never_unpacked() -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("bomb", "x" * (100 << 20), zip=True)
    data = saved(Image.fromarray(scene()), "PNG", pnginfo=texts)
    np.testing.assert_array_equal(decode(data).pixels, scene())
