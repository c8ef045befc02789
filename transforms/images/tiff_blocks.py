"""The pixels of a TIFF: strips or tiles to an array, and strips to a file.

Layout, planes, byte order and predictor are handled here; zlib decompresses deflate, and libtiff (through
Pillow) LZW and PackBits. Both report damage, where OpenCV silently leaves zeros.
"""

import io
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL.TiffImagePlugin import TiffImageFile

from lutfuse.models.contract import Pixels
from lutfuse.transforms.images.tags import LONG, SHORT, Ifd, integers_tag, pack_tiff
from lutfuse.transforms.images.types import ImageError

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES = 256, 257, 258, 259, 262, 277
STRIPS, STRIP_ROWS, STRIP_BYTES = 273, 278, 279
STORED, LZW, DEFLATE, OLD_DEFLATE, PACKBITS = 1, 5, 8, 32946, 32773
GREY = 1

BATCH_BYTES = 64 << 20  # decompressed by libtiff at a time, because they are held twice meanwhile


@dataclass(frozen=True)
class Layout:
    """How an image is cut into blocks: tiles, or strips, which are as wide as the image."""

    width: int  # px
    height: int  # px
    samples: int  # per pixel
    depth: int  # bytes per sample
    order: str  # byte order, "<" or ">"
    compression: int
    predictor: int  # 1 none, 2 differences to the left neighbour
    block_width: int
    block_height: int
    planes: int  # `samples` if each is stored separately, else 1
    tiled: bool

    @property
    def interleaved(self) -> int:
        """Samples of a pixel that are stored together."""
        return self.samples // self.planes

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of a block."""
        return self.block_width * self.interleaved * self.depth

    @property
    def grid(self) -> tuple[int, int, int]:
        """Number of (planes, block rows, block columns)."""
        return self.planes, -(-self.height // self.block_height), -(-self.width // self.block_width)

    @property
    def padded_area(self) -> int:
        """Pixels of all blocks of a plane, including the padding beyond the image."""
        _, down, across = self.grid
        return down * self.block_height * across * self.block_width

    def block_rows(self) -> NDArray[np.int64]:
        """[blocks] rows stored in each: the last strip of a plane may be shorter, a tile never is."""
        planes, down, across = self.grid
        rows = np.full((planes, down, across), self.block_height, np.int64)
        if not self.tiled:
            rows[:, -1] = self.height - (down - 1) * self.block_height
        return rows.reshape(-1)


def read_pixels(data: bytes, layout: Layout, sections: NDArray[np.int64]) -> Pixels:
    """[H, W, samples] uint8 or uint16; `sections` [blocks, 2] int64 are offset and bytes of each block.

    Raises ImageError unless every block decompresses to its full size.
    """
    blocks = np.empty((*layout.grid, layout.block_height, layout.row_bytes), np.uint8)
    flat = blocks.reshape(-1, layout.block_height, layout.row_bytes)
    if layout.compression in (LZW, PACKBITS):
        _unpack_by_libtiff(data, layout, sections, flat)
    else:
        for block, (start, size), rows in zip(
            flat, sections.tolist(), layout.block_rows().tolist(), strict=True
        ):
            raw = _unpack(data, start, size, rows * layout.row_bytes, layout.compression)
            block[:rows] = np.frombuffer(raw, np.uint8).reshape(rows, -1)
    return _assemble(layout, blocks)


def _unpack(data: bytes, start: int, size: int, expected: int, compression: int) -> bytes | memoryview:
    """Exactly `expected` bytes of one stored or deflated block; raises ImageError."""
    section = memoryview(data)[start : start + size]
    if compression == STORED:
        return section[:expected]
    unpacker = zlib.decompressobj()
    try:
        raw = unpacker.decompress(section, expected)
        # The checksum follows the last byte: asking for one byte more makes zlib verify it.
        surplus = b"" if unpacker.eof else unpacker.decompress(unpacker.unconsumed_tail, 1)
    except zlib.error as error:
        raise ImageError("corrupt", f"damaged TIFF: {error}") from error
    if len(raw) != expected or surplus:
        raise ImageError("corrupt", f"damaged TIFF: a block decompresses to {len(raw)} bytes, not {expected}")
    return raw


def _unpack_by_libtiff(
    data: bytes, layout: Layout, sections: NDArray[np.int64], out: NDArray[np.uint8]
) -> None:
    """All blocks into `out` [blocks, rows, bytes].

    libtiff gets them as the strips of an 8-bit grey TIFF, a pixel per byte, so that it only decompresses.
    """
    for first, last, rows in _batches(layout):
        tags = {
            WIDTH: integers_tag(LONG, [layout.row_bytes]),
            HEIGHT: integers_tag(LONG, [rows * (last - first)]),
            BITS: integers_tag(SHORT, [8]),
            COMPRESSION: integers_tag(SHORT, [layout.compression]),
            PHOTOMETRIC: integers_tag(SHORT, [GREY]),
            SAMPLES: integers_tag(SHORT, [1]),
            STRIP_ROWS: integers_tag(LONG, [rows]),
        }
        strips = [data[start : start + size] for start, size in sections[first:last].tolist()]
        try:
            # Not by Image.open: it has a pixel limit of its own, and DecodeLimits was checked already.
            with TiffImageFile(io.BytesIO(pack_strips(tags, {}, strips))) as image:
                raw = np.asarray(image)
        except (OSError, SyntaxError, ValueError, TypeError) as error:
            raise ImageError("corrupt", f"damaged TIFF: {error}") from error
        out[first:last, :rows] = raw.reshape(last - first, rows, layout.row_bytes)


def _batches(layout: Layout) -> Iterator[tuple[int, int, int]]:
    """(first, last + 1, rows per block) of runs of equal blocks, each of BATCH_BYTES at most or one block."""
    rows = layout.block_rows()
    step = max(BATCH_BYTES // (layout.block_height * layout.row_bytes), 1)
    changes = (np.flatnonzero(np.diff(rows)) + 1).tolist()
    for first, last in zip([0, *changes], [*changes, len(rows)], strict=True):
        for start in range(first, last, step):
            yield start, min(start + step, last), int(rows[first])


def _assemble(layout: Layout, blocks: NDArray[np.uint8]) -> Pixels:
    """[planes, down, across, rows, bytes] -> [H, W, samples]; may overwrite `blocks`."""
    planes, down, across, rows = blocks.shape[:4]
    samples: Pixels = blocks.view(f"u{layout.depth}")
    if not np.dtype(f"{layout.order}u{layout.depth}").isnative:
        samples.byteswap(inplace=True)
    samples = samples.reshape(planes, down, across, rows, layout.block_width, layout.interleaved)
    if layout.predictor == 2:
        np.add.accumulate(samples, axis=4, dtype=samples.dtype, out=samples)
    # (plane, down, across, row, column, sample) -> (down, row, across, column, plane, sample)
    whole = samples.transpose(1, 3, 2, 4, 0, 5)
    whole = whole.reshape(down * rows, across * layout.block_width, layout.samples)
    return whole[: layout.height, : layout.width]


def pack_strips(tags: Ifd, children: Mapping[int, Ifd], strips: list[bytes]) -> bytes:
    """A TIFF file: the directories, so that a prefix of the file holds every tag, then the strips."""
    sizes = np.array([len(strip) for strip in strips], np.int64)
    tags = {**tags, STRIP_BYTES: integers_tag(LONG, sizes), STRIPS: integers_tag(LONG, sizes)}
    start = len(pack_tiff(tags, children))  # does not depend on the offsets
    tags[STRIPS] = integers_tag(LONG, start + np.cumsum(sizes) - sizes)
    return b"".join((pack_tiff(tags, children), *strips))
