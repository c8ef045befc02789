"""Decode and encode image files: format by content, limits checked before decoding, orientation applied.

Pure functions on untrusted bytes: they return a valid result or raise ImageError.
"""

from typing import BinaryIO, get_args

import cv2
import numpy as np

from lutfuse.models.contract import Pixels
from lutfuse.transforms.images import jpeg as image_jpeg
from lutfuse.transforms.images import png as image_png
from lutfuse.transforms.images import tiff as image_tiff
from lutfuse.transforms.images.exif import ExposureInfo, exposure_tags
from lutfuse.transforms.images.types import (
    JPEG_QUALITY,
    DecodedImage,
    DecodeLimits,
    ImageError,
    ImageFile,
    ImageFormat,
    ImageHeader,
    rgb_profile,
)

_DEFAULT_LIMITS = DecodeLimits()
_FIRST_READ_BYTES = 64 << 10
_MAX_COMMENT_BYTES = 32 << 10

_READERS: dict[tuple[bytes, ...], type[ImageFile]] = {
    image_jpeg.SIGNATURES: image_jpeg.JpegFile,
    image_png.SIGNATURES: image_png.PngFile,
    image_tiff.SIGNATURES: image_tiff.TiffFile,
}
# (offset, magic bytes, name) of formats that users do send and that are not supported.
_UNSUPPORTED = (
    (0, b"GIF8", "GIF"),
    (8, b"WEBP", "WebP"),
    (4, b"ftypcrx", "Canon raw"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftyp", "HEIF or video"),
    (0, b"BM", "BMP"),
    (0, b"8BPS", "Photoshop"),
    (0, b"v/1\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL ", "JPEG XL"),
    (4, b"jP  ", "JPEG 2000"),
    (0, b"FUJIFILMCCD-RAW", "Fujifilm raw"),
    (0, b"IIRO", "Olympus raw"),
    (0, b"IIU\0", "Panasonic raw"),
    (0, b"%PDF", "PDF"),
)


def _open(data: bytes) -> ImageFile:
    """The reader for the format that the content says; raises ImageError if it is not supported."""
    if not data:
        raise ImageError("empty", "file is empty")
    for signatures, reader in _READERS.items():
        if data.startswith(signatures):
            return reader(data)
    for offset, magic, name in _UNSUPPORTED:
        if data.startswith(magic, offset):
            raise ImageError("unsupported", f"{name} file; exposures must be JPEG, PNG or TIFF, convert it")
    raise ImageError("not_an_image", f"no JPEG, PNG or TIFF: starts with {data[:16]!r}")


def _checked_header(image: ImageFile, limits: DecodeLimits) -> ImageHeader:
    header = image.header()
    megapixels = header.width * header.height / 1e6
    if megapixels > limits.max_megapixels:
        raise ImageError(
            "too_large",
            f"{header.width}×{header.height} is {megapixels:.1f} megapixels; "
            f"at most {limits.max_megapixels:g} are read (max_megapixels)",
        )
    return header


def _check_size(size: int, limits: DecodeLimits) -> None:
    if size > limits.max_bytes:
        raise ImageError(
            "too_large", f"file of {size} bytes; at most {limits.max_bytes} are read (max_bytes)"
        )


def read_header(source: bytes | BinaryIO, limits: DecodeLimits = _DEFAULT_LIMITS) -> ImageHeader:
    """Size, depth and format, without decoding pixels.

    `source` is a file's bytes, a prefix of them, or a stream, which is read only as far as the header.
    Raises ImageError, also where the image exceeds `limits`.
    """
    if isinstance(source, bytes):
        _check_size(len(source), limits)
        return _checked_header(_open(source), limits)
    data = source.read(_FIRST_READ_BYTES)
    while True:
        _check_size(len(data), limits)
        try:
            return _checked_header(_open(data), limits)
        except ImageError as error:
            more = source.read(3 * len(data)) if error.kind == "truncated" else b""
            if not more:
                raise
            data += more


def decode(data: bytes, limits: DecodeLimits = _DEFAULT_LIMITS) -> DecodedImage:
    """The image as a viewer shows it: upright RGB, grey and palette expanded, opaque alpha dropped.

    Raises ImageError for damaged or too large files, and for what cannot be converted without guessing (CMYK,
    float samples, several pages or frames, transparency). Peak memory: about three times the decoded image.
    """
    _check_size(len(data), limits)
    image = _open(data)
    header = _checked_header(image, limits)
    pixels = _upright(image.decode(), header.orientation)
    return DecodedImage(pixels, header, rgb_profile(image.icc), image.exif)


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """[H, W, 3] as stored -> as displayed, for an EXIF orientation of 1 to 8."""
    if orientation in (5, 7):  # mirrored about a diagonal
        pixels = cv2.transpose(pixels)
        return cv2.flip(pixels, -1) if orientation == 7 else pixels
    turns = {3: cv2.ROTATE_180, 6: cv2.ROTATE_90_CLOCKWISE, 8: cv2.ROTATE_90_COUNTERCLOCKWISE}
    if orientation in turns:
        return cv2.rotate(pixels, turns[orientation])
    return cv2.flip(pixels, {2: 1, 4: 0}[orientation]) if orientation in (2, 4) else pixels


def encode(
    pixels: Pixels,
    *,
    format: str,  # noqa: A002 - the word users know from --format
    quality: int = 95,
    icc: bytes | None = None,
    exif: bytes | None = None,
    comment: str | None = None,
) -> bytes:
    """[H, W, 3] uint8 or uint16 RGB -> a JPEG (8 bit), PNG or TIFF file; deterministic.

    `quality`, within JPEG_QUALITY, is for JPEG only. `comment` is any text without NUL, at most 32 KiB of
    UTF-8; it lies in the first 128 KiB of the file, where read_comment() finds it. Raises ValueError for
    invalid arguments.
    """
    if format not in get_args(ImageFormat):
        raise ValueError(f"format={format!r} must be one of {', '.join(get_args(ImageFormat))}")
    if not JPEG_QUALITY.allow(quality):
        raise ValueError(f"quality={quality} must be {JPEG_QUALITY}; 95 is a good choice")
    if (
        pixels.ndim != 3
        or pixels.shape[2] != 3
        or 0 in pixels.shape
        or pixels.dtype not in (np.uint8, np.uint16)
    ):
        raise ValueError(f"pixels are {pixels.dtype} {pixels.shape}; must be uint8 or uint16 [H, W, 3]")
    _check_comment(comment)
    pixels = np.ascontiguousarray(pixels)
    if format == "jpeg":
        return image_jpeg.encode_jpeg(pixels, quality, icc, exif, comment)
    if format == "png":
        return image_png.encode_png(pixels, icc, exif, comment)
    return image_tiff.encode_tiff(pixels, icc, exif, comment)


def _check_comment(comment: str | None) -> None:
    try:
        size = len((comment or "").encode())
    except UnicodeEncodeError as error:
        raise ValueError(
            f"comment is not Unicode text ({error}); escape lone surrogates, as json.dumps does"
        ) from None
    if size > _MAX_COMMENT_BYTES:
        raise ValueError(f"comment of {size} bytes; at most {_MAX_COMMENT_BYTES} fit, shorten it")
    if "\0" in (comment or ""):
        raise ValueError(
            "comment holds a NUL, which ends a text in PNG and TIFF; escape it, as json.dumps does"
        )


def read_comment(data: bytes) -> str | None:
    """The comment that encode() stored, from a file or its first 128 KiB; None if there is none."""
    try:
        return _open(data).comment
    except ImageError:
        return None


def exposure_info(data: bytes) -> ExposureInfo:
    """Capture time, exposure, lens and size from a file or its first 256 KiB; None for what is missing.

    Never raises. `width` is None if the header lies beyond `data`: some TIFF writers put their tags last.
    """
    try:
        image = _open(data)
    except ImageError:
        return ExposureInfo()
    try:
        header = image.header()
    except ImageError:
        return exposure_tags(image.exif, None, None)
    return exposure_tags(image.exif, header.width, header.height)
