"""TIFF: directories, decoding of 8- and 16-bit pictures that checks every strip, and encoding.

The layout (strips or tiles, planes, byte order, predictor) is undone here; libtiff, through Pillow, is only asked
to unpack LZW and PackBits, and zlib to unpack deflate. Both report damage; OpenCV fills it with zeros.
"""

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL.TiffImagePlugin import TiffImageFile

from transforms.image_exif import (
    ASCII,
    LONG,
    SHORT,
    UNDEFINED,
    Ifd,
    Tag,
    TagReader,
    integers_tag,
    kept_tags,
    orientation,
    pack_tiff,
)
from transforms.image_types import ImageError, ImageHeader, Pixels, displayed_size

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_COMMENT_PREFIX = "lutfuse "

_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 254, 256, 257, 258, 259, 262, 266
_DESCRIPTION, _STRIPS, _SAMPLES, _STRIP_ROWS, _STRIP_BYTES, _PLANAR = 270, 273, 277, 278, 279, 284
_PREDICTOR, _COLORMAP, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 317, 320, 322, 323, 324, 325
_SUB_IFDS, _EXTRA, _FORMAT, _ICC, _DNG = 330, 338, 339, 34675, 50706

_NONE, _LZW, _DEFLATE, _OLD_DEFLATE, _PACKBITS = 1, 5, 8, 32946, 32773
_COMPRESSIONS = (_NONE, _LZW, _DEFLATE, _OLD_DEFLATE, _PACKBITS)
_INVERTED, _GREY, _RGB, _PALETTE = 0, 1, 2, 3
_SORTS = {
    4: "mask",
    5: "CMYK",
    6: "YCbCr",
    8: "CIELab",
    9: "ICCLab",
    32803: "raw sensor",
    34892: "linear raw",
}

_MAX_PAGES = 64
_MAX_BLOCKS = 1 << 20
_UNPACK_BYTES = 64 << 20  # unpacked at a time by libtiff, to bound what is held twice
_STRIP_TARGET_BYTES = 1 << 20


@dataclass(frozen=True)
class _Layout:
    """How a picture is cut into blocks: strips are blocks as wide as the picture."""

    width: int
    height: int
    samples: int
    depth: int  # bytes of one sample
    compression: int
    block_width: int
    block_height: int
    planes: int  # `samples` if each lies by itself, else 1
    tiled: bool

    @property
    def interleaved(self) -> int:
        """Samples of one pixel that lie together."""
        return self.samples // self.planes

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of a block."""
        return self.block_width * self.interleaved * self.depth

    @property
    def grid(self) -> tuple[int, int, int]:
        """Number of (planes, block rows, block columns)."""
        return self.planes, -(-self.height // self.block_height), -(-self.width // self.block_width)

    def rows(self, block: int) -> int:
        """Rows stored in a block: the last strip of a plane is cut, a tile never."""
        down = self.grid[1]
        is_last = not self.tiled and block % down == down - 1
        return self.height - (down - 1) * self.block_height if is_last else self.block_height


class TiffFile:
    """A TIFF file, or a prefix of one, read as far as its first directory is there."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._reader = TagReader(data)
        self._tags, self._next = self._reader.directory(self._reader.first_offset)

    @property
    def exif(self) -> bytes | None:
        """What EXIF would keep of the file's tags, as a block of its own; None if that is nothing."""
        main, children = kept_tags(self._data)
        if not main and not any(children.values()):
            return None
        return pack_tiff(main, children)

    @property
    def icc(self) -> bytes | None:
        """The profile tag."""
        return self._tags[_ICC].raw if _ICC in self._tags else None

    @property
    def comment(self) -> str | None:
        """Our own image description; None for anybody else's."""
        text = self._tags[_DESCRIPTION].raw if _DESCRIPTION in self._tags else b""
        prefix = _COMMENT_PREFIX.encode()
        return text[len(prefix) : -1].decode("utf-8", "replace") if text.startswith(prefix) else None

    def _integers(self, number: int, default: int | None = None) -> NDArray[np.int64]:
        values = self._tags[number].integers() if number in self._tags else np.empty(0, np.int64)
        if len(values):
            return values
        if default is None:
            raise ImageError("truncated", f"TIFF tag {number} is missing or lies beyond the end of the file")
        return np.array([default], np.int64)

    def _integer(self, number: int, default: int | None = None) -> int:
        return int(self._integers(number, default)[0])

    def header(self) -> ImageHeader:
        """Size and kind; raises ImageError for raw files, several pages, and samples that are not 8 or 16 bit."""
        self._reject_raw()
        width, height, samples = self._integer(_WIDTH), self._integer(_HEIGHT), self._integer(_SAMPLES, 1)
        if width < 1 or height < 1:
            raise ImageError("corrupt", f"TIFF header says {width}×{height} pixels")
        depth = self._sample_bits()
        self._check_colours(samples, depth)
        if (compression := self._integer(_COMPRESSION, _NONE)) not in _COMPRESSIONS:
            raise ImageError(
                "unsupported", f"TIFF compression {compression}; save it uncompressed, as LZW or ZIP"
            )
        if self._integer(_FILL_ORDER, 1) != 1 or self._integer(_PREDICTOR, 1) not in (1, 2):
            raise ImageError(
                "unsupported", "TIFF with reversed bits or a floating-point predictor; save it as 8 or 16 bit"
            )
        self._reject_pages()
        turn = orientation(self._tags)
        return ImageHeader("tiff", *displayed_size(width, height, turn), depth, samples, turn)

    def _reject_raw(self) -> None:
        is_preview = bool(self._integer(_SUBFILE, 0) & 1)
        if self._data[8:10] == b"CR" or _DNG in self._tags or (is_preview and _SUB_IFDS in self._tags):
            raise ImageError("unsupported", "camera raw file; develop it to TIFF or JPEG first")

    def _sample_bits(self) -> Literal[8, 16]:
        bits, formats = set(self._integers(_BITS, 1).tolist()), set(self._integers(_FORMAT, 1).tolist())
        if not formats <= {1, 4}:
            raise ImageError(
                "unsupported", "TIFF of signed or floating-point samples; save it as 8 or 16 bit unsigned"
            )
        if bits == {8}:
            return 8
        if bits == {16}:
            return 16
        raise ImageError("unsupported", f"TIFF with {sorted(bits)} bits per sample; save it as 8 or 16 bit")

    def _check_colours(self, samples: int, depth: int) -> None:
        photometric = self._integer(_PHOTOMETRIC, _GREY)
        if photometric not in (_INVERTED, _GREY, _RGB, _PALETTE):
            sort = _SORTS.get(photometric, f"colour model {photometric}")
            raise ImageError("unsupported", f"{sort} TIFF; exposures must be RGB or grey, convert it first")
        colours = 3 if photometric == _RGB else 1
        if not colours <= samples <= colours + 8:
            raise ImageError("corrupt", f"TIFF with {samples} samples per pixel for {colours} colours")
        if photometric == _PALETTE and (depth != 8 or len(self._integers(_COLORMAP)) != 3 * 256):
            raise ImageError("corrupt", "TIFF palette does not have 256 colours")

    def _reject_pages(self) -> None:
        """Reduced copies (bit 0 of the subfile type) and masks (bit 2) are no pages of their own."""
        offset = self._next
        for _ in range(_MAX_PAGES):
            tags, following = self._reader.directory(offset)
            if not tags:
                return
            kind = tags[_SUBFILE].integers() if _SUBFILE in tags else ()
            if not (len(kind) and kind[0] & 5):
                raise ImageError(
                    "unsupported", "TIFF with several pages; an exposure must be one picture, split it"
                )
            offset = following

    def decode(self) -> Pixels:
        """[H, W, 3] uint8 or uint16 RGB as stored; every strip or tile must be there and unpack to its full size."""
        self.header()
        layout = self._layout()
        sections = self._sections(layout)
        blocks = np.empty((*layout.grid, layout.block_height, layout.row_bytes), np.uint8)
        flat = blocks.reshape(-1, layout.block_height, layout.row_bytes)
        if layout.compression in (_LZW, _PACKBITS):
            self._unpack_by_libtiff(layout, sections, flat)
        else:
            for block, section in enumerate(sections):
                flat[block, : layout.rows(block)] = self._unpack(layout, section, layout.rows(block))
        return self._to_rgb(self._assemble(layout, blocks))

    def _layout(self) -> _Layout:
        width, height = self._integer(_WIDTH), self._integer(_HEIGHT)
        samples = self._integer(_SAMPLES, 1)
        tiled = _TILE_WIDTH in self._tags
        block_width = self._integer(_TILE_WIDTH) if tiled else width
        block_height = (
            self._integer(_TILE_HEIGHT) if tiled else min(self._integer(_STRIP_ROWS, height), height)
        )
        planes = samples if self._integer(_PLANAR, 1) == 2 else 1
        layout = _Layout(
            width, height, samples, self._integer(_BITS, 1) // 8, self._integer(_COMPRESSION, _NONE),
            block_width, block_height, planes, tiled,
        )  # fmt: skip
        # Tiles at the edge are padded to full size: harmless, unless it is the padding that fills the memory.
        if (
            block_width < 1
            or block_height < 1
            or (tiled and block_width * block_height > 4 * max(width * height, 1 << 20))
        ):
            raise ImageError(
                "corrupt", f"TIFF block of {block_width}×{block_height} in a picture of {width}×{height}"
            )
        return layout

    def _sections(self, layout: _Layout) -> list[tuple[int, int]]:
        """(offset, bytes) of each block in the file; raises ImageError if one is missing or reaches beyond the end."""
        planes, down, across = layout.grid
        count = planes * down * across
        if count > _MAX_BLOCKS:
            raise ImageError(
                "unsupported", f"TIFF in {count} strips or tiles; at most {_MAX_BLOCKS} are read"
            )
        offsets = self._integers(_TILES if layout.tiled else _STRIPS)
        if layout.compression == _NONE:  # old writers leave the sizes out, or get them wrong
            sizes = np.array([layout.rows(block) * layout.row_bytes for block in range(count)], np.int64)
        else:
            sizes = self._integers(_TILE_BYTES if layout.tiled else _STRIP_BYTES)
        if len(offsets) < count or len(sizes) < count:
            raise ImageError(
                "truncated", f"TIFF lists {min(len(offsets), len(sizes))} of its {count} strips or tiles"
            )
        offsets, sizes = offsets[:count], sizes[:count]
        if offsets.min() <= 0 or sizes.min() <= 0 or (offsets + sizes).max() > len(self._data):
            raise ImageError("truncated", "TIFF strip or tile is empty or reaches beyond the end of the file")
        # Real blocks never overlap: refuse one long section named a million times.
        if sizes.sum() > len(self._data):
            raise ImageError("corrupt", "TIFF strips or tiles overlap")
        return list(zip(offsets.tolist(), sizes.tolist(), strict=True))

    def _unpack(self, layout: _Layout, section: tuple[int, int], rows: int) -> NDArray[np.uint8]:
        """One block, stored or deflated, as [rows, row_bytes]."""
        start, size = section
        expected = rows * layout.row_bytes
        if layout.compression == _NONE:
            return np.frombuffer(self._data, np.uint8, expected, start).reshape(rows, -1)
        unpacker = zlib.decompressobj()
        try:
            raw = unpacker.decompress(memoryview(self._data)[start : start + size], expected)
            # The checksum lies behind the last byte; asking for one more makes zlib check it.
            surplus = unpacker.decompress(unpacker.unconsumed_tail, 1) if not unpacker.eof else b""
        except zlib.error as error:
            raise ImageError("corrupt", f"damaged TIFF: {error}") from error
        if len(raw) != expected or surplus:
            raise ImageError("corrupt", f"damaged TIFF: a block unpacks to {len(raw)} bytes, not {expected}")
        return np.frombuffer(raw, np.uint8).reshape(rows, -1)

    def _unpack_by_libtiff(
        self, layout: _Layout, sections: list[tuple[int, int]], out: NDArray[np.uint8]
    ) -> None:
        """All blocks into out[block, row, byte], in batches of equal blocks."""
        for first, last in _batches(layout, len(sections)):
            rows = layout.rows(first)
            batch = _grey_tiff(self._data, layout, sections[first:last], rows)
            try:
                with TiffImageFile(io.BytesIO(batch)) as picture:
                    raw = np.asarray(picture)
            except (OSError, ValueError, SyntaxError, KeyError, TypeError) as error:
                raise ImageError("corrupt", f"damaged TIFF: {error}") from error
            if raw.shape != ((last - first) * rows, layout.row_bytes):
                raise ImageError("corrupt", f"damaged TIFF: blocks unpack to {raw.shape}")
            out[first:last, :rows] = raw.reshape(last - first, rows, -1)

    def _assemble(self, layout: _Layout, blocks: NDArray[np.uint8]) -> Pixels:
        """[planes, down, across, rows, bytes] -> [H, W, samples], byte order and predictor undone."""
        order = self._reader.order if layout.depth == 2 else "|"
        planes, down, across, rows = blocks.shape[:4]
        samples = blocks.view(np.dtype(f"{order}u{layout.depth}"))
        samples = samples.reshape(planes, down, across, rows, layout.block_width, layout.interleaved)
        if self._integer(_PREDICTOR, 1) == 2:
            samples = samples.astype(samples.dtype.newbyteorder("="), copy=False)
            np.add.accumulate(samples, axis=4, dtype=samples.dtype, out=samples)
        # (plane, down, across, row, column, sample) -> (down, row, across, column, plane, sample)
        whole = samples.transpose(1, 3, 2, 4, 0, 5)
        whole = whole.reshape(down * rows, across * layout.block_width, layout.samples)
        cropped = whole[: layout.height, : layout.width]
        native: Pixels = cropped.astype(cropped.dtype.newbyteorder("="), copy=False)
        return native

    def _to_rgb(self, pixels: Pixels) -> Pixels:
        """[H, W, samples] -> [H, W, 3] C-contiguous; raises ImageError where alpha is not full everywhere."""
        photometric = self._integer(_PHOTOMETRIC, _GREY)
        colours = 3 if photometric == _RGB else 1
        # 1 and 2 are transparency; 0 is a channel for other ends, such as a saved selection.
        for channel, kind in enumerate(self._integers(_EXTRA, 0)[: pixels.shape[2] - colours], colours):
            if kind in (1, 2) and pixels[..., channel].min() != np.iinfo(pixels.dtype).max:
                raise ImageError(
                    "unsupported", "TIFF has transparent pixels, which have no exposure; flatten or crop it"
                )
        if photometric == _RGB:
            return np.ascontiguousarray(pixels[..., :3])
        grey = np.ascontiguousarray(pixels[..., 0])
        if photometric == _PALETTE:
            palette = self._integers(_COLORMAP).reshape(3, 256).T
            return (palette >> 8 if palette.max() > 255 else palette).astype(np.uint8)[grey]
        return cv2.cvtColor(~grey if photometric == _INVERTED else grey, cv2.COLOR_GRAY2RGB)


def _batches(layout: _Layout, count: int) -> Iterator[tuple[int, int]]:
    """[first, last) runs of blocks with the same number of rows, at most _UNPACK_BYTES unpacked if more than one."""
    limit = max(_UNPACK_BYTES // (layout.block_height * layout.row_bytes), 1)
    first = 0
    for block in range(1, count + 1):
        if block == count or block - first == limit or layout.rows(block) != layout.rows(first):
            yield first, block
            first = block


def _grey_tiff(data: bytes, layout: _Layout, sections: list[tuple[int, int]], rows: int) -> bytes:
    """Packed blocks as the strips of an 8-bit grey TIFF whose pixels are their bytes, so that libtiff only unpacks."""
    sizes = np.array([size for _, size in sections], np.int64)
    tags = {
        _WIDTH: integers_tag(LONG, [layout.row_bytes]),
        _HEIGHT: integers_tag(LONG, [rows * len(sections)]),
        _BITS: integers_tag(SHORT, [8]),
        _COMPRESSION: integers_tag(SHORT, [layout.compression]),
        _PHOTOMETRIC: integers_tag(SHORT, [_GREY]),
        _SAMPLES: integers_tag(SHORT, [1]),
        _STRIP_ROWS: integers_tag(LONG, [rows]),
    }
    return _with_strips(tags, {}, [data[start : start + size] for start, size in sections], sizes)


def _with_strips(tags: Ifd, children: dict[int, Ifd], strips: list[bytes], sizes: NDArray[np.int64]) -> bytes:
    """A TIFF file: directories first, so that a prefix of the file holds every tag, then the strips."""
    tags = {**tags, _STRIP_BYTES: integers_tag(LONG, sizes), _STRIPS: integers_tag(LONG, sizes)}
    start = len(pack_tiff(tags, children))  # does not depend on the offsets
    tags[_STRIPS] = integers_tag(LONG, start + np.concatenate(([0], np.cumsum(sizes)[:-1])))
    return b"".join((pack_tiff(tags, children), *strips))


def encode_tiff(pixels: Pixels, icc: bytes | None, exif: bytes | None, comment: str | None) -> bytes:
    """[H, W, 3] RGB -> TIFF of the same depth, deflated with the horizontal predictor, all tags in front.

    The comment takes the place of the image description, if there is one.
    """
    height, width = pixels.shape[:2]
    rows = max(min(_STRIP_TARGET_BYTES // (width * 3 * pixels.itemsize), height), 1)
    strips = [_deflate(pixels[top : top + rows]) for top in range(0, height, rows)]
    main, children = kept_tags(exif) if exif is not None else ({}, {})
    main |= {
        _WIDTH: integers_tag(LONG, [width]),
        _HEIGHT: integers_tag(LONG, [height]),
        _BITS: integers_tag(SHORT, [8 * pixels.itemsize] * 3),
        _COMPRESSION: integers_tag(SHORT, [_DEFLATE]),
        _PHOTOMETRIC: integers_tag(SHORT, [_RGB]),
        274: integers_tag(SHORT, [1]),
        _SAMPLES: integers_tag(SHORT, [3]),
        _STRIP_ROWS: integers_tag(LONG, [rows]),
        _PLANAR: integers_tag(SHORT, [1]),
        _PREDICTOR: integers_tag(SHORT, [2]),
    }
    if comment is not None:
        main[_DESCRIPTION] = Tag(ASCII, (_COMMENT_PREFIX + comment).encode() + b"\0")
    if icc is not None:
        main[_ICC] = Tag(UNDEFINED, icc)
    return _with_strips(main, children, strips, np.array([len(strip) for strip in strips], np.int64))


def _deflate(rows: Pixels) -> bytes:
    """Rows of pixels -> differences to the left neighbour, deflated."""
    differences = rows.astype(rows.dtype.newbyteorder("<"))
    differences[:, 1:] -= rows[:, :-1]
    packer = zlib.compressobj(1, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
    return packer.compress(differences) + packer.flush()
