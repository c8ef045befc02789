"""From URIs to pixels: the exposures of one bracket, and its reference."""

import logging

import numpy as np
from apache_beam.metrics.metric import Metrics

from transforms import image_io, storage
from transforms.brackets import Bracket
from transforms.outputs import FuseOptions
from transforms.stages import NAMESPACE, BracketError, Stages

Pixels = np.ndarray  # [H, W, 3] uint8 or uint16, display-encoded RGB

_log = logging.getLogger(NAMESPACE)


def read_exposures(
    bracket: Bracket, options: FuseOptions, stages: Stages
) -> tuple[list[image_io.DecodedImage], int]:
    """The decoded exposures in the bracket's order, and how many bytes were read."""
    images, size = {}, 0
    for uri in bracket.uris:
        with stages("read"):
            data = _read(uri, options.limits)
        with stages("decode"):
            images[uri] = decode_named(uri, data, options.limits)
        size += len(data)
    check_alike(images)
    return [images[uri] for uri in bracket.uris], size


def _read(uri: str, limits: image_io.DecodeLimits) -> bytes:
    # One byte more than allowed tells "too large" without reading all of it.
    data = storage.read_bytes(uri, limit=limits.max_bytes + 1)
    if len(data) > limits.max_bytes:
        raise BracketError("read", "too_large", f"{uri}: over {limits.max_bytes} bytes")
    return data


def read_reference(
    bracket: Bracket, size: tuple[int, int], options: FuseOptions, stages: Stages
) -> Pixels | None:
    """The reference's pixels; None, with a warning, where there is none of that `size` (H, W) to be had.

    A bad reference costs the bracket its PSNR, never its picture.
    """
    if bracket.reference is None:
        return None
    try:
        with stages("read"):
            data = _read(bracket.reference, options.limits)
        with stages("decode"):
            pixels = decode_named(bracket.reference, data, options.limits).pixels
    except BracketError as error:
        _warn_reference(bracket, str(error))
        return None
    if pixels.shape[:2] != size:
        _warn_reference(bracket, f"is {pixels.shape[1]}x{pixels.shape[0]}, the bracket {size[1]}x{size[0]}")
        return None
    return pixels


def _warn_reference(bracket: Bracket, why: str) -> None:
    _log.warning("%s: reference %s not used: %s", bracket.group_id, bracket.reference, why)
    Metrics.counter(NAMESPACE, "bad-reference").inc()


def decode_named(uri: str, data: bytes, limits: image_io.DecodeLimits) -> image_io.DecodedImage:
    """`image_io.decode`, with the file's URI in the error."""
    try:
        return image_io.decode(data, limits)
    except image_io.ImageError as error:
        raise BracketError("decode", error.kind, f"{uri}: {error}") from error


def check_alike(images: dict[str, image_io.DecodedImage]) -> None:
    """Raise unless all exposures have one size."""
    sizes = {uri: f"{d.pixels.shape[1]}x{d.pixels.shape[0]}" for uri, d in images.items()}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{storage.basename(uri)} {size}" for uri, size in sizes.items())
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
