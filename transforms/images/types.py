"""Types that all image modules share: limits, the error, header, decoded image, and a format's reader."""

from dataclasses import dataclass
from typing import Literal, Protocol

from lutfuse.models.contract import Limits, Pixels

ImageFormat = Literal["jpeg", "png", "tiff"]
ErrorKind = Literal["empty", "not_an_image", "truncated", "corrupt", "too_large", "unsupported"]
JPEG_QUALITY = Limits(1, 100)
MAX_PROFILE_BYTES = 16 << 20  # real ICC profiles are below 4 MiB


class ImageError(ValueError):
    """An image that cannot be used; the message gives value, rule and remedy, if there is one.

    `kind` is a category for failure rows and counters; rewording the message does not change it.
    """

    def __init__(self, kind: ErrorKind, message: str) -> None:
        # Both go to `args`, which pickling between worker processes restores the error from.
        super().__init__(kind, message)
        self.kind = kind
        self.message = message

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class DecodeLimits:
    """Limits of an input image, checked before its pixels are decoded."""

    max_megapixels: float = 200.0  # width × height / 10⁶
    max_bytes: int = 1 << 30  # of the encoded file

    def __post_init__(self) -> None:
        if not self.max_megapixels > 0:
            raise ValueError(f"max_megapixels={self.max_megapixels} must be above 0")
        if self.max_bytes < 1:
            raise ValueError(f"max_bytes={self.max_bytes} must be at least 1")


@dataclass(frozen=True)
class ImageHeader:
    """What the first bytes of a file say about its image."""

    format: ImageFormat
    width: int  # px, as displayed: after the EXIF orientation
    height: int  # px, as displayed
    bit_depth: Literal[8, 16]  # of the decoded pixels
    channels: int = 3  # as stored: 1 grey or palette, 2 grey + alpha, 3 RGB, 4 RGB + alpha
    orientation: int = 1  # EXIF, 1 to 8; decode() applies it

    @property
    def decoded_bytes(self) -> int:
        """Bytes of the [H, W, 3] array that decode() returns."""
        return self.width * self.height * 3 * self.bit_depth // 8


@dataclass(frozen=True)
class DecodedImage:
    """An image as a viewer shows it, with its metadata."""

    pixels: Pixels  # [H, W, 3] uint8 or uint16, RGB, C-contiguous, upright
    header: ImageHeader
    icc: bytes | None  # RGB profile, to be attached to the output; pixels are not converted
    exif: bytes | None  # TIFF structure, without the "Exif" prefix of JPEG


class ImageFile(Protocol):
    """Reader of one file format. The constructor never raises: a prefix is parsed as far as it goes."""

    def __init__(self, data: bytes) -> None: ...

    @property
    def exif(self) -> bytes | None:
        """EXIF as a TIFF structure, or None."""

    @property
    def icc(self) -> bytes | None:
        """ICC profile, or None."""

    @property
    def comment(self) -> str | None:
        """The comment that encode() stored, or None."""

    def header(self) -> ImageHeader:
        """Size and depth; raises ImageError where they are missing or the kind of file is not supported."""

    def decode(self) -> Pixels:
        """[H, W, 3] uint8 or uint16 RGB as stored, before the orientation is applied; raises ImageError."""


def displayed_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """(width, height) in px after the EXIF orientation: 5 to 8 swap them."""
    return (height, width) if orientation >= 5 else (width, height)


def rgb_profile(icc: bytes | None) -> bytes | None:
    """The profile if its colour space is RGB (ICC.1 header: 'acsp' at 36, colour space at 16), else None.

    Colour-managed viewers refuse an RGB file with a grey profile.
    """
    if icc is None or len(icc) < 128 or icc[36:40] != b"acsp" or icc[16:20] != b"RGB ":
        return None
    return icc
