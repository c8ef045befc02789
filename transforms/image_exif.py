"""EXIF, and the tag directories (IFDs) that EXIF shares with TIFF: read from untrusted bytes, and written.

Reading never raises: what lies outside the bytes, or makes no sense, is absent.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

_PREFIX = b"Exif\0\0"
_MAX_ENTRIES = 4096  # a directory of a real file has some tens
_MAX_EXIF_BYTES = 48 * 1024  # fits a JPEG segment, and leaves the comment behind it in the first 64 KiB
_MAX_TAG_BYTES = 8 * 1024
_MAX_TEXT_BYTES = 1 << 16

# TIFF field types -> bytes and numpy kind of one element; a rational is two elements.
_ELEMENT = {1: "u1", 2: "u1", 3: "u2", 4: "u4", 5: "u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4", 10: "i4"}
_ELEMENT |= {11: "f4", 12: "f8", 13: "u4", 16: "u8", 17: "i8", 18: "u8"}
_RATIONALS = (5, 10)
ASCII, SHORT, LONG, UNDEFINED = 2, 3, 4, 7

ORIENTATION, EXIF_IFD, GPS_IFD = 0x0112, 0x8769, 0x8825
_PIXEL_X, _PIXEL_Y = 0xA002, 0xA003
# Description, make, model, resolution, software, date, artist, copyright: the rest describes stored pixels.
_KEPT_IFD0 = (270, 271, 272, 282, 283, 296, 305, 306, 315, 33432)
# Maker notes hold offsets into the original file; interoperability and padding point nowhere once moved.
_DROPPED_EXIF = (0x927C, 0xA005, 0xEA1C)


@dataclass(frozen=True)
class Tag:
    """One directory entry. The value stays where it is until asked for: entries may overlap, and a hostile

    file can claim the same gigabyte thousands of times.
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
        """[n] in the tag's element type; a rational takes two, numerator first."""
        dtype = np.dtype(self.order + _ELEMENT[self.type])
        return np.frombuffer(self.data, dtype, len(self) // dtype.itemsize, self.start)

    def integers(self) -> NDArray[np.int64]:
        """[n] int64; empty for a type that holds no integers."""
        if self.type in (1, 3, 4, 6, 8, 9, 13, 16, 17, 18):
            return self.elements.astype(np.int64)
        return np.empty(0, np.int64)

    def number(self) -> Fraction | None:
        """The first value; None if there is none or it is x/0, NaN or infinite."""
        values = self.elements[: 2 if self.type in _RATIONALS else 1].tolist()
        try:
            return Fraction(*values) if self.type in _RATIONALS else Fraction(values[0])
        except (ZeroDivisionError, IndexError, TypeError, ValueError, OverflowError):
            return None

    def text(self) -> str | None:
        """Up to the first NUL, stripped; None if nothing is left."""
        if self.type not in (ASCII, UNDEFINED):
            return None
        text = self.data[self.start : self.start + min(len(self), _MAX_TEXT_BYTES)]
        return text.split(b"\0", 1)[0].decode("utf-8", "replace").strip() or None

    def little_endian(self) -> "Tag":
        """The same value in little-endian order."""
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
        # Formats of: entry count, an entry's (tag, type, count), an offset; and the value bytes that fit inline.
        count, entry, offset, self._inline = ("Q", "HHQ", "Q", 8) if self.big else ("H", "HHI", "I", 4)
        self._count = struct.Struct(self.order + count)
        self._entry = struct.Struct(self.order + entry)
        self._offset = struct.Struct(self.order + offset)
        self.first_offset = self._read(self._offset, 8 if self.big else 4) or 0

    def _read(self, form: struct.Struct, at: int) -> int | None:
        if at < 0 or at + form.size > len(self._data):
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
        return Tag(kind, self._data, start, self.order, size) if start + size <= len(self._data) else None

    def child(self, parent: Ifd, pointer: int) -> Ifd:
        """The directory that a tag of `parent` points to; empty if there is none."""
        offsets = parent[pointer].integers() if pointer in parent else ()
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
    """One directory for offset `start`, followed by its long values in tag order."""
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


def integers_tag(kind: int, values: Iterable[int] | NDArray[np.int64]) -> Tag:
    """A SHORT, LONG or BYTE tag, little-endian."""
    return Tag(kind, np.asarray(values, "<" + _ELEMENT[kind]).tobytes())


def strip_prefix(exif: bytes) -> bytes:
    """EXIF as a TIFF structure, with or without the "Exif" prefix of JPEG."""
    return exif[len(_PREFIX) :] if exif.startswith(_PREFIX) else exif


def orientation(ifd0: Ifd) -> int:
    """EXIF orientation 1…8; anything else counts as upright, as viewers have it."""
    values = ifd0[ORIENTATION].integers() if ORIENTATION in ifd0 else ()
    return int(values[0]) if len(values) and 1 <= values[0] <= 8 else 1


def read_ifd0(exif: bytes | None) -> Ifd:
    """The main directory of an EXIF block; empty for None and for garbage."""
    reader = TagReader(strip_prefix(exif or b""))
    return reader.directory(reader.first_offset)[0]


def kept_tags(exif: bytes) -> tuple[Ifd, dict[int, Ifd]]:
    """(IFD0, {pointer: child directory}) with what is worth keeping in a picture made from this one.

    Camera, lens, time, exposure, author and GPS stay; thumbnail, maker notes and what describes the stored
    pixels go. The largest tags go first if the whole would not fit one JPEG segment.
    """
    reader = TagReader(strip_prefix(exif))
    main = reader.directory(reader.first_offset)[0]
    camera = reader.child(main, EXIF_IFD)
    groups = {
        0: {number: main[number] for number in _KEPT_IFD0 if number in main},
        EXIF_IFD: {number: tag for number, tag in camera.items() if number not in _DROPPED_EXIF},
        GPS_IFD: reader.child(main, GPS_IFD),
    }
    budget = _MAX_EXIF_BYTES
    for size, group, number in sorted((len(t), g, n) for g, ifd in groups.items() for n, t in ifd.items()):
        budget -= size + 12
        if size > _MAX_TAG_BYTES or budget < 0:
            del groups[group][number]
    return groups.pop(0), groups


def carry_exif(exif: bytes | None, width: int, height: int) -> bytes | None:
    """EXIF for an upright width × height picture made from the one that had `exif`; None if nothing is left.

    Deterministic and little-endian; at most ~48 KiB, so that it fits a JPEG segment.
    """
    if exif is None:
        return None
    main, children = kept_tags(exif)
    if not main and not any(children.values()):
        return None
    main[ORIENTATION] = integers_tag(SHORT, [1])
    children[EXIF_IFD] |= {_PIXEL_X: integers_tag(LONG, [width]), _PIXEL_Y: integers_tag(LONG, [height])}
    return pack_tiff(main, children)


@dataclass(frozen=True)
class ExposureInfo:
    """What groups the frames of a bracket; None where the file does not say, or says nonsense."""

    captured_at: datetime | None = None  # camera clock, no time zone, with sub-seconds
    exposure_s: float | None = None
    f_number: float | None = None
    iso: int | None = None
    camera: str | None = None
    lens: str | None = None
    width: int | None = None  # as displayed; None: the header lies beyond the bytes given
    height: int | None = None


def exposure_tags(exif: bytes | None, width: int | None, height: int | None) -> ExposureInfo:
    """Exposure facts from an EXIF block; tolerant of anything."""
    reader = TagReader(strip_prefix(exif or b""))
    main = reader.directory(reader.first_offset)[0]
    camera = reader.child(main, EXIF_IFD)
    iso = _positive(camera, 0x8827)
    return ExposureInfo(
        captured_at=_captured_at(main, camera),
        exposure_s=_positive(camera, 0x829A) or _power(camera, 0x9201, -1.0),  # APEX: 2^-Tv
        f_number=_positive(camera, 0x829D) or _power(camera, 0x9202, 0.5),  # APEX: 2^(Av/2)
        iso=round(iso) if iso else None,
        camera=_camera(main),
        lens=camera[0xA434].text() if 0xA434 in camera else None,
        width=width,
        height=height,
    )


def _positive(ifd: Ifd, number: int) -> float | None:
    value = ifd[number].number() if number in ifd else None
    return float(value) if value is not None and value > 0 else None


def _power(ifd: Ifd, number: int, factor: float) -> float | None:
    value = ifd[number].number() if number in ifd else None
    return 2.0 ** (factor * float(value)) if value is not None and abs(value) < 64 else None


def _camera(main: Ifd) -> str | None:
    """Make and model, the make once only: "NIKON CORPORATION", "NIKON D800" -> "NIKON D800"."""
    make, model = ((main[n].text() or "") if n in main else "" for n in (271, 272))
    brand = make.split(" ", 1)[0].lower()
    return (model if brand and model.lower().startswith(brand) else f"{make} {model}".strip()) or None


def _captured_at(main: Ifd, camera: Ifd) -> datetime | None:
    """DateTimeOriginal, else DateTimeDigitized, else DateTime, each with its own sub-second tag."""
    for ifd, date, fraction in ((camera, 0x9003, 0x9291), (camera, 0x9004, 0x9292), (main, 0x0132, None)):
        text = ifd[date].text() if date in ifd else None
        try:
            seconds = datetime.strptime(text or "", "%Y:%m:%d %H:%M:%S")  # cameras give no zone
        except ValueError:
            continue
        digits = (camera[fraction].text() or "") if fraction in camera else ""
        if digits.isascii() and digits.isdigit():
            return seconds + timedelta(seconds=float(f"0.{digits[:6]}"))
        return seconds
    return None
