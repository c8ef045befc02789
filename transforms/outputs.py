"""What a fused bracket leaves behind: its name, its configuration's digest, and its row inside the image."""

import hashlib
import json
from dataclasses import dataclass, field

from models.looks import Look
from transforms import image_io, storage
from transforms.brackets import Bracket
from transforms.rows import METRICS_SCHEMA, TIMINGS, Row, check_row

EXTENSIONS = {"jpeg": "jpg", "png": "png", "tiff": "tif"}
# Columns that may differ between two runs that give the same picture.
CIRCUMSTANCES = {*TIMINGS, "output_uri", "bytes_out", "device", "worker"}
# First bytes of a finished image that are sure to hold its row.
ROW_PREFIX_BYTES = 1 << 17


@dataclass(frozen=True)
class FuseOptions:
    """What the heavy step needs to know. Small and picklable.

    Attributes:
      output: root of the output tree, a folder or URI.
      image_format: "jpeg", "png" or "tiff".
      quality: JPEG quality, 1..100.
      lut_size: nodes along each axis of the baked LUT, 2..129.
      look: edits of every bracket's weight grid and LUT, or None.
      strength: how far the look is applied, 0..1.
      device: "auto", "cpu" or "cuda".
      overwrite: fuse again what an earlier run finished.
      weights: model weights, or None for the shipped ones.
      limits: largest image that is decoded.
    """

    output: str
    image_format: str = "jpeg"
    quality: int = 95
    lut_size: int = 33
    look: Look | None = None
    strength: float = 1.0
    device: str = "auto"
    overwrite: bool = False
    weights: str | None = None
    limits: image_io.DecodeLimits = field(default_factory=image_io.DecodeLimits)


def output_uri(group_id: str, options: FuseOptions) -> str:
    """Where the fused image of `group_id` goes; a function of its arguments alone."""
    return storage.join(options.output, "fused", f"{group_id}.{EXTENSIONS[options.image_format]}")


def config_hash(bracket: Bracket, options: FuseOptions, model_id: str) -> str:
    """Digest of all that decides the fused pixels and scores: options, model, inputs."""
    decisive = {
        "format": options.image_format,
        "quality": options.quality,
        "lut_size": options.lut_size,
        "look": None if options.look is None else options.look.at_strength(options.strength).digest(),
        "model": model_id,
        "uris": bracket.uris,
        "reference": bracket.reference,
    }
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]


def pack_row(row: Row, config: str) -> str:
    """What a fused image carries of its row: all that is the same wherever and whenever it is fused."""
    kept = {k: v for k, v in row.items() if k not in CIRCUMSTANCES}
    return json.dumps({"lutfuse": 1, "config": config, "row": kept}, sort_keys=True)


def recover_row(bracket: Bracket, options: FuseOptions, config: str) -> Row | None:
    """The row of an image that an earlier run finished under the same configuration, or None."""
    uri = output_uri(bracket.group_id, options)
    try:
        size = storage.size(uri)
        packed = image_io.read_comment(storage.read_bytes(uri, limit=ROW_PREFIX_BYTES)) if size else None
        document = json.loads(packed) if packed else {}
        if document.get("config") != config:
            return None
        row: Row = dict.fromkeys(METRICS_SCHEMA.names) | document["row"]
        row |= {"bytes_out": size, "output_uri": uri}
        return check_row(row, METRICS_SCHEMA)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None  # a foreign or damaged file: fuse again and replace it
