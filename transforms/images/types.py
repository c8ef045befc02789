"""What every image module shares: limits, the error, and what is known of a picture."""

from dataclasses import dataclass
from typing import Literal, Protocol

from lutfuse.models.contract import Pixels

ImageFormat = Literal["jpeg", "png", "tiff"]
ErrorKind = Literal["empty", "not_an_image", "truncated", "corrupt", "too_large", "unsupported"]
MAX_PROFILE_BYTES = 16 << 20  # real ICC profiles stay below 4 MiB


class ImageError(ValueError):
    """A picture that cannot be used; the message gives value, rule and, where there is one, remedy.

    `kind` is a category for failure rows and counters; it never changes with the message.
    """

    def __init__(self, kind: ErrorKind, message: str) -> None:
        # Both go to `args`, so that the error survives pickling between worker processes.
        super().__init__(kind, message)
        self.kind = kind
        self.message = message

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class DecodeLimits:
    """Bounds a picture must keep; both are checked before a pixel is decoded."""

    max_megapixels: float = 200.0  # width × height / 10⁶
    max_bytes: int = 1 << 30  # of the encoded file

    def __post_init__(self) -> None:
        if not self.max_megapixels > 0:
            raise ValueError(f"max_megapixels={self.max_megapixels} must be above 0")
        if self.max_bytes < 1:
            raise ValueError(f"max_bytes={self.max_bytes} must be at least 1")


@dataclass(frozen=True)
class ImageHeader:
    """What the first bytes of a file say about its picture."""

    format: ImageFormat
    width: int  # pixels, as displayed: after the EXIF orientation
    height: int  # pixels, as displayed
    bit_depth: Literal[8, 16]  # of the decoded pixels
    channels: int = 3  # as stored: 1 grey or palette, 2 grey + alpha, 3 RGB, 4 RGB + alpha
    orientation: int = 1  # EXIF 1…8; decode() undoes it

    @property
    def decoded_bytes(self) -> int:
        """Bytes of the [H, W, 3] array that decode() returns."""
        return self.width * self.height * 3 * self.bit_depth // 8


@dataclass(frozen=True)
class DecodedImage:
    """A picture as its viewer sees it."""

    pixels: Pixels  # [H, W, 3] uint8 or uint16, RGB, C-contiguous, upright
    header: ImageHeader
    icc: bytes | None  # RGB profile, to be attached to the output; the numbers are untouched
    exif: bytes | None  # TIFF structure, without the "Exif" prefix of JPEG


class ImageFile(Protocol):
    """One container format. Opening never raises: a prefix of a file is read as far as it goes."""

    def __init__(self, data: bytes) -> None: ...

    @property
    def exif(self) -> bytes | None:
        """EXIF as a TIFF structure, where it was seen."""

    @property
    def icc(self) -> bytes | None:
        """ICC profile, where it was seen."""

    @property
    def comment(self) -> str | None:
        """The comment that our encoder stored, where it was seen."""

    def header(self) -> ImageHeader:
        """Size and depth; raises ImageError where they are missing or the sort is not supported."""

    def decode(self) -> Pixels:
        """[H, W, 3] as stored, before the orientation; raises ImageError."""


def displayed_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """(width, height) after the EXIF orientation: 5…8 turn the picture by a quarter."""
    return (height, width) if orientation >= 5 else (width, height)


def rgb_profile(icc: bytes | None) -> bytes | None:
    """The profile if it describes RGB (ICC.1 header: 'acsp' at 36, colour space at 16), else None.

    A grey profile attached to the RGB output would make colour-managed viewers refuse the file.
    """
    if icc is None or len(icc) < 128 or icc[36:40] != b"acsp" or icc[16:20] != b"RGB ":
        return None
    return icc
