"""Reads and decodes the exposures of a bracket and its reference."""

import contextlib
import logging
from collections.abc import Iterator

import numpy as np

from lutfuse.models.contract import Pixels
from lutfuse.transforms.counters import NAMESPACE, count
from lutfuse.transforms.images import io as image_io
from lutfuse.transforms.images.types import DecodedImage, DecodeLimits, ImageError, ImageHeader
from lutfuse.transforms.inputs.brackets import Bracket
from lutfuse.transforms.options import FuseOptions
from lutfuse.transforms.stages import BracketError, Stages
from lutfuse.transforms.storage import files

HEADER_BYTES = 1 << 16  # of a file, read to find its width and height

_log = logging.getLogger(NAMESPACE)


def read_exposures(bracket: Bracket, limits: DecodeLimits, stages: Stages) -> tuple[list[DecodedImage], int]:
    """(decoded exposures in the bracket's order, bytes read).

    Raises:
      BracketError: an exposure cannot be read or decoded, or the sizes differ.
    """
    images, headers, size = {}, {}, 0
    for uri in bracket.uris:
        with stages("read"):
            data = _read(uri, limits)
        with stages("decode"):
            with _decoding(uri):
                headers[uri] = image_io.read_header(data, limits)
            check_same_size(headers)  # before decoding: memory was reserved by the size of the first exposure
            images[uri] = _decode(uri, data, limits)
        size += len(data)
    return [images[uri] for uri in bracket.uris], size


def _read(uri: str, limits: DecodeLimits) -> bytes:
    # One byte more than allowed shows that a file is too large, without reading all of it.
    data = files.read_bytes(uri, limit=limits.max_bytes + 1)
    if len(data) > limits.max_bytes:
        raise BracketError("read", "too_large", f"{uri}: over {limits.max_bytes} bytes, the limit for a file")
    return data


def read_reference(
    bracket: Bracket, size: tuple[int, int], limits: DecodeLimits, stages: Stages
) -> Pixels | None:
    """The reference [H, W, 3]; None if there is none, or (with a warning) if it is not usable.

    `size` is (H, W) of the exposures, which the reference must have. An unusable reference costs the bracket
    its PSNR and SSIM, not its fused image.
    """
    if bracket.reference is None:
        return None
    try:
        with stages("read"):
            data = _read(bracket.reference, limits)
        with stages("decode"):
            pixels = _decode(bracket.reference, data, limits).pixels
    except BracketError as error:
        _warn_reference(bracket, str(error))
        return None
    if pixels.shape[:2] != size:
        _warn_reference(bracket, f"is {pixels.shape[1]}x{pixels.shape[0]}, the bracket {size[1]}x{size[0]}")
        return None
    return pixels


def _warn_reference(bracket: Bracket, why: str) -> None:
    _log.warning("%s: reference %s not used: %s", bracket.group_id, bracket.reference, why)
    count("bad-reference")


def _decode(uri: str, data: bytes, limits: DecodeLimits) -> DecodedImage:
    with _decoding(uri):
        return image_io.decode(data, limits)


@contextlib.contextmanager
def _decoding(uri: str) -> Iterator[None]:
    """Turns an ImageError into a BracketError that names `uri`."""
    try:
        yield
    except ImageError as error:
        raise BracketError("decode", error.kind, f"{uri}: {error}") from error


def planned_bytes(bracket: Bracket, options: FuseOptions, stages: Stages) -> int:
    """Peak bytes of pixels that fusing `bracket` takes, by the header of its first exposure.

    Raises:
      BracketError: the first exposure cannot be read, or its header is not valid.
    """
    frame = _first_header(bracket.uris[0], options.limits, stages).decoded_bytes
    count = len(bracket.uris)
    # The merged image needs the frames in 16 bit, itself, and the encoder's copy.
    merge = 2 * (count + 2) if options.export_merge else 0
    # The frames, the fused image, one copy in a decoder or encoder, and the reference.
    return frame * (count + (3 if bracket.reference else 2) + merge)


def _first_header(uri: str, limits: DecodeLimits, stages: Stages) -> ImageHeader:
    with stages("read"):
        start = files.read_bytes(uri, limit=HEADER_BYTES)
    try:
        return image_io.read_header(start, limits)
    except ImageError as error:
        if error.kind != "truncated" or len(start) < HEADER_BYTES:
            raise BracketError("decode", error.kind, f"{uri}: {error}") from error
    with stages("read"):  # some TIFF files have their header at the end
        data = _read(uri, limits)
    with _decoding(uri):
        return image_io.read_header(data, limits)


def check_same_size(headers: dict[str, ImageHeader]) -> None:
    """Raise BracketError unless all images, by URI, have one width and height."""
    sizes = {uri: f"{header.width}x{header.height}" for uri, header in headers.items()}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{files.basename(uri)} {size}" for uri, size in sizes.items())
        raise BracketError(
            "decode", "size_mismatch", f"exposures differ in size ({listed}); a bracket needs one size"
        )


def same_depth(frames: list[Pixels]) -> list[Pixels]:
    """All frames as uint16 if any of them is, else unchanged."""
    if len({frame.dtype for frame in frames}) == 1:
        return frames
    return [as_16_bit(frame) for frame in frames]


def as_16_bit(frame: Pixels) -> Pixels:
    """The frame as uint16; an 8-bit value v becomes 257 v, so that white stays white."""
    return frame if frame.dtype == np.uint16 else frame.astype(np.uint16) * np.uint16(257)
