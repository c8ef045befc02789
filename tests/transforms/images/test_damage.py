"""Damage of every sort is found and named; nothing is filled with grey, and nothing takes the worker down."""

import io
import pickle
import random
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image

from lutfuse.transforms.images.io import decode, encode, exposure_info, read_comment, read_header
from lutfuse.transforms.images.types import DecodeLimits, ImageError

H, W = 61, 83


def photo(dtype: type = np.uint8) -> np.ndarray:
    """[H, W, 3] with detail everywhere, as a photo has."""
    rng = np.random.default_rng(7)
    small = rng.integers(0, 255, (H // 6 + 1, W // 6 + 1, 3), np.uint8)
    picture = cv2.resize(small, (W, H), interpolation=cv2.INTER_CUBIC).astype(float) + rng.normal(
        0, 4, (H, W, 3)
    )
    return (picture.clip(0, 255) / 255 * np.iinfo(dtype).max).astype(dtype)


def jpeg(**options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(photo()).save(file, "JPEG", quality=90, **options)
    return file.getvalue()


def tiff(compression: int, rows: int = 8, dtype: type = np.uint8) -> bytes:
    """As libtiff writes it."""
    options = (cv2.IMWRITE_TIFF_COMPRESSION, compression, cv2.IMWRITE_TIFF_ROWSPERSTRIP, rows)
    return cv2.imencode(".tif", photo(dtype), options)[1].tobytes()


SAMPLES: dict[str, Callable[[], bytes]] = {
    "jpeg": jpeg,
    "progressive jpeg": lambda: jpeg(progressive=True),
    "restart jpeg": lambda: jpeg(restart_marker_blocks=3),
    "png": lambda: encode(photo(), format="png", comment="{}"),
    "png 16": lambda: encode(photo(np.uint16), format="png"),
    "tiff": lambda: encode(photo(), format="tiff", comment="{}"),
    "tiff 16": lambda: encode(photo(np.uint16), format="tiff"),
    "tiff stored": lambda: tiff(1),
    "tiff lzw": lambda: tiff(5),
    "tiff lzw 16": lambda: tiff(5, dtype=np.uint16),
    "tiff deflate": lambda: tiff(8),
    "tiff packbits": lambda: tiff(32773),
}


def refusal(data: bytes, limits: DecodeLimits | None = None) -> ImageError:
    with pytest.raises(ImageError) as caught:
        decode(data, limits or DecodeLimits())
    return caught.value


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99])
def test_a_file_cut_anywhere_is_refused(name: str, share: float) -> None:
    data = SAMPLES[name]()
    assert decode(data).pixels.shape == (H, W, 3)
    assert refusal(data[: int(len(data) * share)]).kind in ("truncated", "not_an_image")


@pytest.mark.parametrize("name", ["jpeg", "progressive jpeg", "restart jpeg", "png", "png 16"])
@pytest.mark.parametrize("lost", [1, 2, 4, 5, 12, 13, 40])
def test_a_file_that_lost_its_last_bytes_is_refused(name: str, lost: int) -> None:
    assert refusal(SAMPLES[name]()[:-lost]).kind in ("truncated", "corrupt")


@pytest.mark.parametrize(
    "name", ["jpeg", "restart jpeg", "png", "tiff", "tiff lzw", "tiff lzw 16", "tiff deflate"]
)
@pytest.mark.parametrize("damage", ["zeros", "noise", "gap"])
def test_a_lost_block_in_the_pixels_is_found(name: str, damage: str) -> None:
    data = SAMPLES[name]()
    # JPEG has no checksums: damage shows where the scan yields another number of blocks than the header says.
    at, size = len(data) // 3, len(data) // 3
    filling = {"zeros": bytes(size), "noise": random.Random(1).randbytes(size), "gap": b""}[damage]
    assert refusal(data[:at] + filling + data[at + size :]).kind in ("truncated", "corrupt")


def test_a_progressive_jpeg_closed_after_its_first_scans_is_refused() -> None:
    data = jpeg(progressive=True)
    scans = [at for at in range(len(data)) if data.startswith(b"\xff\xda", at)]
    assert len(scans) > 3
    for start in scans[1:]:
        tables = data.rindex(b"\xff\xc4", 0, start)  # the Huffman table before that scan
        assert refusal(data[:tables] + b"\xff\xd9").kind == "truncated"


@pytest.mark.parametrize("stub", [b"", b"\xff", b"\x03\x01", b"\0\x0c\x03\x01\x00\x02"])
def test_a_scan_header_cut_by_the_end_marker_is_refused(stub: bytes) -> None:
    assert refusal(jpeg(progressive=True)[:-2] + b"\xff\xda" + stub + b"\xff\xd9").kind in (
        "truncated",
        "corrupt",
    )


def test_a_jpeg_without_its_colour_scans_is_refused() -> None:
    data = jpeg()
    start = data.index(b"\xff\xda")
    grey_only = b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, 1, 0, 0, 63, 0)
    assert refusal(data[:start] + grey_only + data[start + 14 :]).kind in ("truncated", "corrupt")


def test_a_jpeg_with_two_frame_headers_is_refused() -> None:
    data = jpeg()
    at = data.index(b"\xff\xc0")
    frame = data[at : at + 19]
    assert refusal(data[:at] + frame[:5] + b"\0\1\0\1" + frame[9:] + data[at:]).kind in (
        "truncated",
        "corrupt",
    )


def test_a_jpeg_whose_size_depends_on_the_reader_is_refused() -> None:
    """A marker without a body: who takes what follows for its length sees another frame header."""
    tables_and_scan = jpeg()[20:]
    at = tables_and_scan.index(b"\xff\xc0")
    frame, rest = tables_and_scan[at : at + 19], tables_and_scan[:at] + tables_and_scan[at + 19 :]
    huge = frame[:5] + struct.pack(">HH", 65000, 65000) + frame[9:]
    hidden = frame + rest[rest.index(b"\xff\xda") :][:14]
    lead = b"\xff\xd8\xff\x01" + huge + b"\xff\xef\xff\xff"
    payload = bytes(4 + 0xFFC0 - 2 - len(lead) + 2) + hidden
    data = lead + payload.ljust(0xFFFF - 2, b"\0") + rest
    assert (read_header(data).width, read_header(data).height) == (W, H)
    assert "two sizes" in str(refusal(data))


@pytest.mark.parametrize("name", ["IHDR", "IDAT"])
def test_a_png_chunk_with_a_wrong_checksum_is_refused(name: str) -> None:
    data = bytearray(SAMPLES["png"]())
    data[data.index(name.encode()) + 6] ^= 1
    assert refusal(bytes(data)).kind == "corrupt"


@pytest.mark.parametrize("rows", [H - 1, H // 2])
def test_a_png_with_valid_checksums_but_too_few_rows_is_refused(rows: int) -> None:
    whole, short = encode(photo(), format="png"), encode(photo()[:rows], format="png")
    assert refusal(whole[:33] + short[33:]).kind == "corrupt"


@pytest.mark.parametrize("name", ["tiff stored", "tiff lzw", "tiff deflate", "tiff packbits"])
def test_a_tiff_whose_strip_sizes_are_halved_is_refused(name: str) -> None:
    data = SAMPLES[name]()
    sizes = _tag_values(data, 279)
    halved = data.replace(np.array(sizes, "<u2").tobytes(), np.array(sizes // 2, "<u2").tobytes())
    if halved == data:
        halved = data.replace(np.array(sizes, "<u4").tobytes(), np.array(sizes // 2, "<u4").tobytes())
    assert halved != data
    assert refusal(halved).kind in ("truncated", "corrupt")


def _tag_values(data: bytes, number: int) -> np.ndarray:
    from lutfuse.transforms.images.tags import TagReader

    reader = TagReader(data)
    return reader.directory(reader.first_offset)[0][number].integers()


# Bombs


def _patched_png(width: int, height: int, color: int = 2) -> bytes:
    data = encode(np.zeros((1, 1, 3), np.uint8), format="png")
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)
    return data[:12] + body + struct.pack(">I", zlib.crc32(body)) + data[33:]


def _patched_jpeg(width: int, height: int) -> bytes:
    data = jpeg()
    at = data.index(b"\xff\xc0")
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


def _patched_tiff(width: int, height: int, rows: int) -> bytes:
    data = bytearray(encode(np.zeros((1, 1, 3), np.uint8), format="tiff"))
    for at in range(10, 10 + 12 * 12, 12):
        number = struct.unpack_from("<H", data, at)[0]
        if number in (256, 257, 278):
            struct.pack_into("<I", data, at + 8, {256: width, 257: height, 278: rows}[number])
    return bytes(data)


@pytest.mark.parametrize(
    "data", [_patched_png(60_000, 60_000), _patched_jpeg(65_000, 65_000), _patched_tiff(1 << 20, 1 << 20, 1)]
)
def test_a_huge_header_is_refused_by_the_limit(data: bytes) -> None:
    assert refusal(data).kind == "too_large"
    with pytest.raises(ImageError):
        read_header(data)


@pytest.mark.parametrize(
    "data",
    [
        _patched_png(14_000, 14_000),
        _patched_jpeg(14_000, 14_000),
        _patched_tiff(14_000, 14_000, 1),
        _patched_tiff(14_000, 14_000, 14_000),
        _patched_tiff(199_000_000, 1, 1),
        _patched_tiff(1, 199_000_000, 1),
    ],
)
def test_a_few_bytes_that_promise_a_large_picture_cost_nothing(data: bytes) -> None:
    start = time.process_time()
    assert refusal(data).kind in ("truncated", "corrupt", "unsupported")
    assert time.process_time() - start < 1


def test_a_profile_bomb_is_dropped() -> None:
    bomb = encode(photo(), format="png", icc=bytes(64 << 20))
    assert len(bomb) < 200_000
    assert decode(bomb).icc is None


def test_a_damaged_profile_is_dropped() -> None:
    data = encode(photo(), format="png", icc=np.random.default_rng(0).bytes(500))
    at = data.index(b"iCCP")
    length = int.from_bytes(data[at - 4 : at], "big")
    body = data[at : at + 40] + bytes(10) + data[at + 50 : at + 4 + length]
    damaged = data[:at] + body + struct.pack(">I", zlib.crc32(body)) + data[at + 8 + length :]
    image = decode(damaged)
    assert image.icc is None
    np.testing.assert_array_equal(image.pixels, photo())


def test_strips_that_name_one_section_again_and_again_are_refused() -> None:
    from lutfuse.transforms.images.tags import LONG, SHORT, integers_tag, pack_tiff

    values = {256: [4], 257: [1000], 258: [8, 8, 8], 259: [8], 262: [2], 277: [3], 278: [1]}
    tags = {number: integers_tag(SHORT, value) for number, value in values.items()}
    tags |= {273: integers_tag(LONG, [100] * 1000), 279: integers_tag(LONG, [4000] * 1000)}
    assert "overlap" in str(refusal(pack_tiff(tags, {})))


@pytest.mark.parametrize("tile", [(16, 1 << 20), (1 << 20, 16), (1 << 31, 1 << 31)])
def test_tiles_that_are_nearly_all_padding_are_refused(tile: tuple[int, int]) -> None:
    from lutfuse.transforms.images.tags import LONG, SHORT, integers_tag, pack_tiff

    values = {256: [2000], 257: [2000], 258: [8, 8, 8], 259: [8], 262: [2], 277: [3]}
    tags = {number: integers_tag(SHORT, value) for number, value in values.items()}
    tags |= {322: integers_tag(LONG, [tile[0]]), 323: integers_tag(LONG, [tile[1]])}
    assert refusal(pack_tiff(tags, {})).kind in ("corrupt", "truncated")


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8" + b"\xff\xe0\0\2" * 2_000_000,
        b"\xff\xd8" + b"\xff" * 8_000_000,
        b"\x89PNG\r\n\x1a\n" + (b"\0\0\0\0teXt" + struct.pack(">I", zlib.crc32(b"teXt"))) * 700_000,
        b"II*\0\x08\0\0\0" + b"\xff\xff" + b"\0\1\1\0\xff\xff\xff\xff\0\0\0\0" * 700_000,
    ],
)
def test_millions_of_empty_parts_are_given_up_on(data: bytes) -> None:
    start = time.process_time()
    for use in (refusal, read_comment, exposure_info):
        use(data)
    assert time.process_time() - start < 6


def test_tags_that_all_claim_one_large_value_are_not_copied() -> None:
    entries = b"".join(struct.pack("<HHII", n, 7, 8 << 20, 0) for n in range(4000))
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", 4000) + entries + bytes(9 << 20)
    start = time.process_time()
    refusal(data)
    exposure_info(data)
    assert time.process_time() - start < 1


def test_an_error_survives_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(refusal(b"")))  # noqa: S301 - our own bytes
    assert (type(error), error.kind, str(error)) == (ImageError, "empty", "file is empty")


# Mutations


def mutated(data: bytes, rng: random.Random) -> bytes:
    """One to four random edits, most of them in the headers."""
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(max(1, min(len(data), 700) if rng.random() < 0.6 else len(data)))
        size = rng.choice((1, 1, 2, 4, 8, 64))
        data = rng.choice(
            (
                lambda d, at, n: d[:at] + rng.randbytes(n) + d[at + n :],
                lambda d, at, n: d[:at] + bytes(n) + d[at + n :],
                lambda d, at, n: d[:at] + b"\xff" * n + d[at + n :],
                lambda d, at, n: d[:at] + bytes([d[at] ^ 1 << rng.randrange(8)]) + d[at + 1 :] if d else d,
                lambda d, at, n: d[:at] + d[at + n :],
                lambda d, at, n: d[:at] + rng.randbytes(n) + d[at:],
                lambda d, at, n: d[:at] + d[at : at + 64] * 2 + d[at + 64 :],
                lambda d, at, n: d[: len(d) - n],
            )
        )(data, at, size)
    return data


def check_decode(data: bytes) -> str:
    """The one promise to any bytes: a valid picture or an ImageError. Returns which."""
    limits = DecodeLimits(max_megapixels=4, max_bytes=1 << 24)
    read_comment(data)
    exposure_info(data)
    try:
        image = decode(data, limits)
    except ImageError as error:
        return error.kind
    header, pixels = image.header, image.pixels
    assert pixels.shape == (header.height, header.width, 3)
    assert pixels.dtype == (np.uint16 if header.bit_depth == 16 else np.uint8)
    assert pixels.flags.c_contiguous
    assert pixels.size <= 3 * 4e6
    return "decoded"


@pytest.mark.parametrize("name", SAMPLES)
def test_mutated_files_decode_or_raise_image_error(name: str) -> None:
    rng = random.Random(name)
    data = SAMPLES[name]()
    outcomes = {check_decode(mutated(data, rng)) for _ in range(250)}
    assert "corrupt" in outcomes or "truncated" in outcomes


def test_a_worker_decodes_hostile_files_in_bounded_memory() -> None:
    """Header bombs of every format, in a process that may take 700 MB beyond its libraries."""
    script = """
import resource, sys
from lutfuse.transforms.images.io import decode
from lutfuse.transforms.images.types import ImageError
import test_damage as t
with open("/proc/self/statm") as statm:
    mapped = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (mapped + (700 << 20),) * 2)
for data in (t._patched_png(8000, 8000), t._patched_jpeg(8000, 8000), t._patched_tiff(8000, 8000, 8000)):
    try:
        decode(data)
        sys.exit("decoded")
    except ImageError as error:
        print(error.kind)
"""
    folder = str(__import__("pathlib").Path(__file__).parent)
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
