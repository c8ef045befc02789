"""Tag directories (IFDs) of TIFF and EXIF: reading from untrusted bytes, and writing.

Reading never raises: a tag whose value lies outside the data is left out.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

_MAX_ENTRIES = 4096  # real directories have some tens
_MAX_INTEGERS = 1 << 20  # of one tag; the longest real tags list strips
_MAX_TEXT_BYTES = 1 << 16

# TIFF field type -> NumPy type of one element; a rational is two elements.
_ELEMENT = {1: "u1", 2: "u1", 3: "u2", 4: "u4", 5: "u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4", 10: "i4"}
_ELEMENT |= {11: "f4", 12: "f8", 13: "u4", 16: "u8", 17: "i8", 18: "u8"}
_RATIONALS = (5, 10)
ASCII, SHORT, LONG, UNDEFINED = 2, 3, 4, 7


@dataclass(frozen=True)
class Tag:
    """One directory entry.

    The value is not copied before it is used: a hostile file can claim the same gigabyte a thousand times.
    """

    type: int
    data: bytes
    start: int = 0
    order: str = "<"
    size: int = -1  # bytes of the value; -1: all of `data`

    def __len__(self) -> int:
        return self.size if self.size >= 0 else len(self.data)

    @property
    def raw(self) -> bytes:
        """The value in the file's byte order."""
        return self.data[self.start : self.start + len(self)]

    @property
    def elements(self) -> NDArray[np.generic]:
        """[n] values in the tag's own type; a rational takes two, numerator first."""
        dtype = np.dtype(self.order + _ELEMENT[self.type])
        count = len(self) // dtype.itemsize
        return np.frombuffer(self.data, dtype, count, self.start) if count else np.empty(0, dtype)

    def integers(self) -> NDArray[np.int64]:
        """The first values, [n] int64 with n limited; empty for a type that holds no integers."""
        if self.type in (1, 3, 4, 6, 8, 9, 13, 16, 17, 18):
            return self.elements[:_MAX_INTEGERS].astype(np.int64)
        return np.empty(0, np.int64)

    def number(self) -> Fraction | None:
        """The first value; None if there is none, or it is NaN, infinite or a fraction with denominator 0."""
        values = self.elements[: 2 if self.type in _RATIONALS else 1].tolist()
        try:
            return Fraction(*values) if self.type in _RATIONALS else Fraction(values[0])
        except (ZeroDivisionError, IndexError, TypeError, ValueError, OverflowError):
            return None

    def text(self) -> str | None:
        """The text up to the first NUL, stripped; None if it is empty or the tag holds no text."""
        if self.type not in (ASCII, UNDEFINED):
            return None
        text = self.data[self.start : self.start + min(len(self), _MAX_TEXT_BYTES)]
        return text.split(b"\0", 1)[0].decode("utf-8", "replace").strip() or None

    def little_endian(self) -> "Tag":
        """The same tag in little-endian byte order."""
        if self.order == "<":
            return self
        return Tag(self.type, self.elements.astype(self.elements.dtype.newbyteorder("<")).tobytes())


Ifd = dict[int, Tag]


class TagReader:
    """The directories of a TIFF structure (classic or BigTIFF, either byte order), or of a prefix of one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.order = ">" if data[:2] == b"MM" else "<"
        self.big = data[:4] in (b"II+\0", b"MM\0+")
        # Formats of an entry count, an entry's (tag, type, count), an offset; bytes of a value in its entry.
        count, entry, offset, self._inline = ("Q", "HHQ", "Q", 8) if self.big else ("H", "HHI", "I", 4)
        self._count = struct.Struct(self.order + count)
        self._entry = struct.Struct(self.order + entry)
        self._offset = struct.Struct(self.order + offset)
        self.complete = True  # False once an entry or a value was found to lie outside the data
        self.first_offset = self._read(self._offset, 8 if self.big else 4) or 0

    def _read(self, form: struct.Struct, at: int) -> int | None:
        if at < 0 or at + form.size > len(self._data):
            self.complete = False
            return None
        return int(form.unpack_from(self._data, at)[0])

    def directory(self, offset: int) -> tuple[Ifd, int]:
        """(tags, offset of the next directory or 0); tags whose value lies outside the data are left out."""
        count = self._read(self._count, offset)
        tags: Ifd = {}
        if offset <= 0 or count is None or count > _MAX_ENTRIES:
            return tags, 0
        at = offset + self._count.size
        for _ in range(count):
            if at + self._entry.size + self._inline > len(self._data):
                self.complete = False
                return tags, 0
            tag, kind, n = self._entry.unpack_from(self._data, at)
            if tag not in tags and (value := self._value(at + self._entry.size, kind, n)) is not None:
                tags[tag] = value
            at += self._entry.size + self._inline
        return tags, self._read(self._offset, at) or 0

    def _value(self, at: int, kind: int, count: int) -> Tag | None:
        if kind not in _ELEMENT:
            return None
        size = count * int(_ELEMENT[kind][1]) * (2 if kind in _RATIONALS else 1)
        start = at if size <= self._inline else int(self._offset.unpack_from(self._data, at)[0])
        if start + size > len(self._data):
            self.complete = False
            return None
        return Tag(kind, self._data, start, self.order, size)

    def child(self, parent: Ifd, pointer: int) -> Ifd:
        """The directory that the tag `pointer` of `parent` points to; empty if there is none."""
        offsets = integers_of(parent, pointer)
        return self.directory(int(offsets[0]))[0] if len(offsets) else {}


def pack_tiff(ifd0: Mapping[int, Tag], children: Mapping[int, Mapping[int, Tag]]) -> bytes:
    """A little-endian TIFF structure: header, IFD0, then one directory for each pointer tag in `children`."""
    children = {pointer: ifd for pointer, ifd in children.items() if ifd}
    pointers = {pointer: integers_tag(LONG, [0]) for pointer in children}
    end = 8 + len(_pack_directory({**ifd0, **pointers}, 8))  # sizes do not depend on the values
    body = b""
    for pointer, ifd in children.items():
        pointers[pointer] = integers_tag(LONG, [end + len(body)])
        body += _pack_directory(ifd, end + len(body))
    return struct.pack("<2sHI", b"II", 42, 8) + _pack_directory({**ifd0, **pointers}, 8) + body


def _pack_directory(ifd: Mapping[int, Tag], start: int) -> bytes:
    """One directory placed at offset `start`, followed by its long values in tag order."""
    table = struct.pack("<H", len(ifd))
    heap = b""
    heap_start = start + 2 + 12 * len(ifd) + 4
    for number, tag in sorted(ifd.items()):
        raw = tag.little_endian().raw
        count = len(raw) // int(_ELEMENT[tag.type][1]) // (2 if tag.type in _RATIONALS else 1)
        inline = raw.ljust(4, b"\0") if len(raw) <= 4 else struct.pack("<I", heap_start + len(heap))
        table += struct.pack("<HHI", number, tag.type, count) + inline
        heap += raw + bytes(len(raw) % 2) if len(raw) > 4 else b""  # offsets must be even
    return table + bytes(4) + heap


def integers_of(ifd: Ifd, number: int) -> NDArray[np.int64]:
    """The first values of tag `number`, [n] int64; empty where the directory has no such tag."""
    return ifd[number].integers() if number in ifd else np.empty(0, np.int64)


def integers_tag(kind: int, values: Iterable[int] | NDArray[np.int64]) -> Tag:
    """A little-endian tag of an integer type such as SHORT or LONG."""
    return Tag(kind, np.asarray(values, "<" + _ELEMENT[kind]).tobytes())
