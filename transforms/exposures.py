"""From URIs to pixels: the exposures of one bracket, and its reference."""

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

HEADER_BYTES = 1 << 16  # of a file, to learn its size from

_log = logging.getLogger(NAMESPACE)


def read_exposures(bracket: Bracket, limits: DecodeLimits, stages: Stages) -> tuple[list[DecodedImage], int]:
    """The decoded exposures in the bracket's order, and how many bytes were read."""
    images, headers, size = {}, {}, 0
    for uri in bracket.uris:
        with stages("read"):
            data = _read(uri, limits)
        with stages("decode"):
            with _naming(uri):
                headers[uri] = image_io.read_header(data, limits)
            check_alike(headers)  # before decoding: a bracket's memory is planned from its first exposure
            images[uri] = decode_named(uri, data, limits)
        size += len(data)
    return [images[uri] for uri in bracket.uris], size


def _read(uri: str, limits: DecodeLimits) -> bytes:
    # One byte more than allowed tells "too large" without reading all of it.
    data = files.read_bytes(uri, limit=limits.max_bytes + 1)
    if len(data) > limits.max_bytes:
        raise BracketError("read", "too_large", f"{uri}: over {limits.max_bytes} bytes")
    return data


def read_reference(
    bracket: Bracket, size: tuple[int, int], limits: DecodeLimits, stages: Stages
) -> Pixels | None:
    """The reference's pixels; None, with a warning, where there is none of that `size` (H, W) to be had.

    A bad reference costs the bracket its PSNR, never its picture.
    """
    if bracket.reference is None:
        return None
    try:
        with stages("read"):
            data = _read(bracket.reference, limits)
        with stages("decode"):
            pixels = decode_named(bracket.reference, data, limits).pixels
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


def decode_named(uri: str, data: bytes, limits: DecodeLimits) -> DecodedImage:
    """`image_io.decode`, with the file's URI in the error."""
    with _naming(uri):
        return image_io.decode(data, limits)


@contextlib.contextmanager
def _naming(uri: str) -> Iterator[None]:
    try:
        yield
    except ImageError as error:
        raise BracketError("decode", error.kind, f"{uri}: {error}") from error


def planned_bytes(bracket: Bracket, options: FuseOptions, stages: Stages) -> int:
    """Bytes of pixels that fusing `bracket` holds at once, by the header of its first exposure."""
    frame = _first_header(bracket.uris[0], options.limits, stages).decoded_bytes
    # The exposures, the fused picture, the reference, and a decoder's or encoder's copy of one.
    count = len(bracket.uris)
    # For the merged image: exposures of 8 bit once more in 16, the image itself, the encoder's copy.
    merge = 2 * (count + 2) if options.export_merge else 0
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
    with _naming(uri):
        return image_io.read_header(data, limits)


def check_alike(headers: dict[str, ImageHeader]) -> None:
    """Raise unless all exposures have one size."""
    sizes = {uri: f"{header.width}x{header.height}" for uri, header in headers.items()}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{files.basename(uri)} {size}" for uri, size in sizes.items())
        raise BracketError(
            "decode", "size_mismatch", f"exposures differ in size ({listed}); a bracket needs one size"
        )


def same_depth(frames: list[Pixels]) -> list[Pixels]:
    """All frames in the deepest type among them; 8-bit values v become 257 v, so white stays white."""
    if len({frame.dtype for frame in frames}) == 1:
        return frames
    return [deepened(frame) for frame in frames]


def deepened(frame: Pixels) -> Pixels:
    """The frame in 16 bit."""
    return frame if frame.dtype == np.uint16 else frame.astype(np.uint16) * np.uint16(257)
