"""EXIF: the tags copied to a fused image, and the exposure settings that group shots into brackets."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from lutfuse.transforms.images.tags import LONG, SHORT, Ifd, TagReader, integers_of, integers_tag, pack_tiff

PREFIX = b"Exif\0\0"  # starts the JPEG segment; EXIF in PNG has no prefix
_MAX_EXIF_BYTES = 48 << 10  # fits one JPEG segment and keeps the comment after it within the first 128 KiB
_MAX_TAG_BYTES = 8 << 10

ORIENTATION, EXIF_IFD, GPS_IFD = 0x0112, 0x8769, 0x8825
_PIXEL_X, _PIXEL_Y = 0xA002, 0xA003
# Description, make, model, resolution, software, date, artist, copyright. The other tags describe the pixels.
_KEPT_IFD0 = (270, 271, 272, 282, 283, 296, 305, 306, 315, 33432)
# Maker notes and the interoperability pointer hold offsets into the original file; the third is padding.
_DROPPED_EXIF = (0x927C, 0xA005, 0xEA1C)


def strip_prefix(exif: bytes) -> bytes:
    """The TIFF structure of an EXIF block, without the "Exif" prefix of JPEG."""
    return exif[len(PREFIX) :] if exif.startswith(PREFIX) else exif


def orientation(ifd0: Ifd) -> int:
    """EXIF orientation, 1 to 8; anything else counts as 1 (upright), as in image viewers."""
    values = integers_of(ifd0, ORIENTATION)
    return int(values[0]) if len(values) and 1 <= values[0] <= 8 else 1


def read_ifd0(exif: bytes | None) -> Ifd:
    """The main directory of an EXIF block; empty for None and for invalid data."""
    reader = TagReader(strip_prefix(exif or b""))
    return reader.directory(reader.first_offset)[0]


def kept_tags(exif: bytes) -> tuple[Ifd, dict[int, Ifd]]:
    """(IFD0, {pointer tag: child directory}): the tags that a derived image keeps.

    Camera, lens, time, exposure, author and GPS stay; the thumbnail, maker notes and tags that describe the
    stored pixels are dropped. If the rest does not fit one JPEG segment, the largest tags are dropped first.
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
    """EXIF for an upright width × height (px) image derived from one with `exif`; None if no tag is kept.

    Deterministic, little-endian, about 48 KiB at most, so that it fits a JPEG segment.
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
    """What `--group-by exif` needs to know about a shot; None where the file has no valid value."""

    captured: datetime | None = None  # camera clock with sub-seconds, no time zone
    exposure_s: float | None = None  # exposure time, seconds
    f_number: float | None = None
    iso: int | None = None
    camera: str | None = None
    lens: str | None = None
    width: int | None = None  # px, as displayed; None if the header lies beyond the bytes given
    height: int | None = None  # px, as displayed


def exposure_tags(exif: bytes | None, width: int | None, height: int | None) -> ExposureInfo:
    """Exposure settings from an EXIF block; never raises. `width` and `height` (px) are passed through."""
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
    """Make and model, without naming the make twice: "NIKON CORPORATION", "NIKON D800" -> "NIKON D800"."""
    make, model = ((main[n].text() or "") if n in main else "" for n in (271, 272))
    brand = make.split(" ", 1)[0].lower()
    return (model if brand and model.lower().startswith(brand) else f"{make} {model}".strip()) or None


def _captured(main: Ifd, camera: Ifd) -> datetime | None:
    """DateTimeOriginal, else DateTimeDigitized, else DateTime; the first two have a sub-second tag."""
    for ifd, date, fraction in ((camera, 0x9003, 0x9291), (camera, 0x9004, 0x9292), (main, 0x0132, None)):
        text = ifd[date].text() if date in ifd else None
        try:
            seconds = datetime.strptime(text or "", "%Y:%m:%d %H:%M:%S")  # no time zone in EXIF
        except ValueError:
            continue
        digits = (camera[fraction].text() or "") if fraction in camera else ""
        if digits.isascii() and digits.isdigit():
            return seconds + timedelta(seconds=float(f"0.{digits[:6]}"))
        return seconds
    return None
