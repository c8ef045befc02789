"""JPEG: segments, strict decoding, and encoding with ICC profile, EXIF and comment."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from lutfuse.models.contract import Pixels
from lutfuse.transforms.images.exif import PREFIX as EXIF_PREFIX
from lutfuse.transforms.images.exif import orientation, read_ifd0, strip_prefix
from lutfuse.transforms.images.types import ImageError, ImageHeader, displayed_size

SIGNATURES = (b"\xff\xd8\xff",)
COMMENT_PREFIX = b"lutfuse "

_ICC = b"ICC_PROFILE\0"
_APP1, _APP2, _COM, _SOS = 0xE1, 0xE2, 0xFE, 0xDA
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0…15 without DHT, JPG and DAC
_MAX_SEGMENT = 0xFFFF - 2
_MAX_SIDE = 65500  # px; the limit of libjpeg
_MAX_SEGMENTS = 2048  # before the first scan; an ICC profile of 16 MB takes 255
# Each scan of a progressive file costs a pass over the image; common encoders write about ten.
_MAX_SCANS = 100
_PROGRESSIVE = 0xC2
_UNSEEN = 14  # lowest bit so far of a coefficient that no scan has coded; higher than any that is valid
_AFTER_FILL = re.compile(rb"\xff+[^\xff]", re.DOTALL)  # fill bytes before a marker are legal
_EXTRANEOUS = re.compile(r"damaged JPEG: Corrupt JPEG data: (\d+) extraneous bytes before marker 0xd9")


@dataclass(frozen=True)
class _Frame:
    """A start-of-frame segment (SOF)."""

    marker: int
    precision: int
    height: int
    width: int
    components: bytes  # identifier of each colour component

    @classmethod
    def parse(cls, marker: int, body: bytes) -> "_Frame | None":
        if len(body) < 6 or len(body) < 6 + 3 * body[5]:
            return None
        precision, height, width, count = struct.unpack(">BHHB", body[:6])
        return cls(marker, precision, height, width, bytes(body[6 : 6 + 3 * count : 3]))


class JpegFile:
    """A JPEG file or a prefix of one, parsed up to its first scan."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._frame: _Frame | None = None
        self._scan_start: int | None = None
        self.exif: bytes | None = None
        self.comment: str | None = None
        profile: dict[int, bytes] = {}
        profile_parts = 0
        for marker, at, end in self._segments():
            body = data[at : min(end, at + len(EXIF_PREFIX) + len(_ICC))]
            if marker in _FRAMES and self._frame is None:
                self._frame = _Frame.parse(marker, data[at:end])
            elif marker == _APP1 and body.startswith(EXIF_PREFIX) and self.exif is None:
                self.exif = data[at + len(EXIF_PREFIX) : end]
            elif marker == _APP2 and body.startswith(_ICC) and end - at > len(_ICC) + 2:
                profile_parts = data[at + len(_ICC) + 1]
                profile[data[at + len(_ICC)]] = data[at + len(_ICC) + 2 : end]
            elif marker == _COM and body.startswith(COMMENT_PREFIX) and self.comment is None:
                self.comment = data[at + len(COMMENT_PREFIX) : end].decode("utf-8", "replace")
            elif marker == _SOS:
                self._scan_start = at - 4
        complete = profile_parts > 0 and sorted(profile) == list(range(1, profile_parts + 1))
        self.icc: bytes | None = b"".join(profile[i] for i in sorted(profile)) if complete else None

    def _segments(self) -> Iterator[tuple[int, int, int]]:
        """(marker, start, end of the body) of each segment, up to and including the first scan header."""
        data, at = self._data, 2
        for _ in range(_MAX_SEGMENTS):
            code = _AFTER_FILL.match(data, at)
            if code is None or len(data) < code.end() + 2:
                return
            at = code.end() - 2
            marker = data[at + 1]
            end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            if end < at + 4 or end > len(data):
                return
            yield marker, at + 4, end
            if marker == _SOS:
                return
            at = end

    def header(self) -> ImageHeader:
        """Size and depth; raises ImageError for a kind of JPEG that is not supported."""
        frame = self._frame
        if frame is None:
            raise ImageError(
                "truncated", f"JPEG of {len(self._data)} bytes ends or breaks before its frame header"
            )
        if frame.marker not in (0xC0, 0xC1, _PROGRESSIVE):
            kind = "arithmetic-coded" if frame.marker >= 0xC9 else "lossless or hierarchical"
            raise ImageError("unsupported", f"{kind} JPEG; save it as a baseline or progressive one")
        if frame.precision != 8:
            raise ImageError(
                "unsupported", f"{frame.precision}-bit JPEG; JPEG must have 8 bits, use 16-bit TIFF or PNG"
            )
        if len(frame.components) == 4:
            raise ImageError(
                "unsupported", "CMYK JPEG; exposures must be RGB, convert it with its profile first"
            )
        if len(frame.components) not in (1, 3):
            raise ImageError("unsupported", f"JPEG with {len(frame.components)} components; 1 or 3 are read")
        if frame.width == 0 or frame.height == 0:
            raise ImageError("corrupt", f"JPEG header says {frame.width}×{frame.height} pixels")
        turn = orientation(read_ifd0(self.exif))
        width, height = displayed_size(frame.width, frame.height, turn)
        return ImageHeader("jpeg", width, height, 8, len(frame.components), turn)

    def decode(self) -> Pixels:
        """[H, W, 3] uint8 RGB as stored; every warning of libjpeg-turbo is an error."""
        self.header()
        frame, start = self._checked_frame()
        try:
            return _decode_strictly(self._data, frame)
        except ImageError as error:
            repaired = _without_padding(self._data, start, str(error))
            if repaired is None:
                raise
        return _decode_strictly(repaired, frame)

    def _checked_frame(self) -> tuple[_Frame, int]:
        """(frame, offset of the first scan), after cheap checks that the scans can be complete."""
        frame, start, data = self._frame, self._scan_start, self._data
        if frame is None or start is None:
            raise ImageError("truncated", f"JPEG of {len(data)} bytes ends or breaks before its first scan")
        if data.rfind(b"\xff\xd9", start) < 0:  # searched from the end, where it should be
            raise ImageError("truncated", "JPEG has no end marker: the file is cut off")
        # A block of 8×8 samples takes at least one bit, so a few bytes cannot hold a huge image.
        blocks = -(-frame.width // 8) * -(-frame.height // 8)
        if (len(data) - start) * 8 < blocks:
            size = f"{frame.width}×{frame.height}"
            raise ImageError("truncated", f"{len(data) - start} bytes of scans cannot hold a JPEG of {size}")
        if frame.marker == _PROGRESSIVE or data[start + 4] != len(frame.components):
            _check_scans(data, start, frame)
        return frame, start


def _end_of_image(data: bytes, start: int) -> int:
    """Offset of the first end marker: previews that cameras append have markers of their own."""
    return data.find(b"\xff\xd9", start)


def _check_scans(data: bytes, start: int, frame: _Frame) -> None:
    """Raise ImageError unless the scans code every coefficient of every component down to its lowest bit.

    libjpeg shows missing scans as grey or blurred areas without a warning.
    """
    low_bit = {component: np.full(64, _UNSEEN) for component in frame.components}
    end = _end_of_image(data, start)
    scans = 0
    while start >= 0 and scans <= _MAX_SCANS:
        scans += 1
        names_end = start + 5 + 2 * int.from_bytes(data[start + 4 : start + 5], "big")
        spectrum = data[names_end : names_end + 3]  # first and last coefficient; high and low bit in one byte
        for name in data[start + 5 : names_end : 2]:
            if name in low_bit and len(spectrum) == 3:
                low_bit[name][spectrum[0] : spectrum[1] + 1] = spectrum[2] & 15
        start = data.find(b"\xff\xda", start + 2, end)
    if scans > _MAX_SCANS:
        raise ImageError("unsupported", f"JPEG with more than {_MAX_SCANS} scans; save it as a baseline one")
    if any(bits.any() for bits in low_bit.values()):
        raise ImageError("truncated", f"JPEG lacks scans: its {scans} leave a component without full detail")


def _decode_strictly(stream: bytes, frame: _Frame) -> NDArray[np.uint8]:
    """[H, W, 3] uint8 RGB; raises ImageError at the first warning of libjpeg-turbo."""
    try:
        # Both parsers must agree on the size, or a crafted file makes libjpeg allocate beyond the limit.
        height, width = simplejpeg.decode_jpeg_header(stream)[:2]
        if (height, width) != (frame.height, frame.width):
            raise ImageError(
                "corrupt", f"JPEG of two sizes: {frame.width}×{frame.height} and {width}×{height}"
            )
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(stream, "RGB", fastdct=False)
    except ImageError:
        raise
    except ValueError as error:
        raise ImageError("corrupt", f"damaged JPEG: {error}") from error
    return pixels


def _without_padding(stream: bytes, scan_start: int, warning: str) -> bytes | None:
    """The stream without the padding before its end marker that `warning` reports; None if it is no padding.

    Some cameras pad the scan with one repeated byte. Any other surplus is a sign of damage: the decoder lost
    synchronisation and filled the image from fewer bytes.
    """
    match = _EXTRANEOUS.fullmatch(warning)
    end = _end_of_image(stream, scan_start)
    start = end - int(match[1]) if match else end
    return stream[:start] + stream[end:] if len(set(stream[start:end])) == 1 else None


def encode_jpeg(
    pixels: Pixels, quality: int, icc: bytes | None, exif: bytes | None, comment: str | None
) -> bytes:
    """[H, W, 3] uint8 or uint16 RGB -> JPEG; 16-bit values are rounded to 8 bit.

    Chroma is stored at full resolution (4:4:4) from quality 90 on, 4 dB better for a fifth more bytes, and at
    4:2:0 below. The comment lies before the profile, in the first 128 KiB. Raises ValueError.
    """
    if max(pixels.shape) > _MAX_SIDE:
        raise ValueError(f"{pixels.shape[1]}×{pixels.shape[0]} pixels; JPEG has {_MAX_SIDE} a side, use TIFF")
    if pixels.dtype == np.uint16:
        pixels = cv2.convertScaleAbs(pixels, alpha=1 / 257)
    sampling = "444" if quality >= 90 else "420"
    encoded: bytes = simplejpeg.encode_jpeg(pixels, quality, "RGB", sampling, fastdct=False)
    segments = b""
    if exif is not None:
        segments += _segment(_APP1, EXIF_PREFIX + strip_prefix(exif), "exif")
    if comment is not None:
        segments += _segment(_COM, COMMENT_PREFIX + comment.encode(), "comment")
    if icc is not None:
        segments += _profile_segments(icc)
    # Readers expect the JFIF segment first and EXIF right after it.
    head = 4 + int.from_bytes(encoded[4:6], "big") if encoded[2:4] == b"\xff\xe0" else 2
    return encoded[:head] + segments + encoded[head:]


def _segment(marker: int, body: bytes, name: str) -> bytes:
    if len(body) > _MAX_SEGMENT:
        raise ValueError(f"{name} of {len(body)} bytes: a JPEG segment holds {_MAX_SEGMENT}; shorten it")
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _profile_segments(icc: bytes) -> bytes:
    """The profile in numbered segments, after ICC.1 annex B."""
    room = _MAX_SEGMENT - len(_ICC) - 2
    parts = [icc[i : i + room] for i in range(0, len(icc), room)]
    if len(parts) > 255:
        raise ValueError(f"icc of {len(icc)} bytes: JPEG holds 255 parts of {room}; use TIFF or PNG")
    return b"".join(
        _segment(_APP2, _ICC + bytes([i, len(parts)]) + part, "icc") for i, part in enumerate(parts, 1)
    )
