"""EXIF: what is carried over to a picture made from another one, and what groups the frames of a bracket."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from lutfuse.transforms.images.tags import LONG, SHORT, Ifd, TagReader, integers_of, integers_tag, pack_tiff

PREFIX = b"Exif\0\0"  # of the JPEG segment; EXIF in PNG has none
_MAX_EXIF_BYTES = 48 << 10  # fits a JPEG segment, and leaves the comment behind it in the first 128 KiB
_MAX_TAG_BYTES = 8 << 10

ORIENTATION, EXIF_IFD, GPS_IFD = 0x0112, 0x8769, 0x8825
_PIXEL_X, _PIXEL_Y = 0xA002, 0xA003
# Description, make, model, resolution, software, date, artist, copyright: the rest describes stored pixels.
_KEPT_IFD0 = (270, 271, 272, 282, 283, 296, 305, 306, 315, 33432)
# Maker notes hold offsets into the original file; interoperability and padding point nowhere once moved.
_DROPPED_EXIF = (0x927C, 0xA005, 0xEA1C)


def strip_prefix(exif: bytes) -> bytes:
    """EXIF as a TIFF structure, with or without the "Exif" prefix of JPEG."""
    return exif[len(PREFIX) :] if exif.startswith(PREFIX) else exif


def orientation(ifd0: Ifd) -> int:
    """EXIF orientation 1…8; anything else counts as upright, as viewers have it."""
    values = integers_of(ifd0, ORIENTATION)
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

    captured: datetime | None = None  # camera clock, no time zone, with sub-seconds
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
        captured=_captured(main, camera),
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


def _captured(main: Ifd, camera: Ifd) -> datetime | None:
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
