"""What a fused bracket leaves behind: its name, its configuration's digest, and its row inside the image."""

import hashlib
import json
from dataclasses import dataclass, field

from lutfuse.models.contract import DEFAULT_LUT_SIZE
from lutfuse.models.looks.cube import Cube
from lutfuse.models.looks.load import Look
from lutfuse.transforms.images import io as image_io
from lutfuse.transforms.inputs.brackets import Bracket
from lutfuse.transforms.rows import METRICS_SCHEMA, TIMINGS, Row, check_row
from lutfuse.transforms.storage import files

EXTENSIONS = {"jpeg": "jpg", "png": "png", "tiff": "tif"}
# Columns that may differ between two runs that give the same picture.
CIRCUMSTANCES = {*TIMINGS, "output_uri", "bytes_out", "device", "worker"}
# Starts the comment of an exported .cube that says which LUT it is, and whether it was edited since.
LUT_MARK = "lutfuse key and nodes:"
# First bytes of a finished image that are sure to hold its row.
ROW_PREFIX_BYTES = 1 << 17


@dataclass(frozen=True)
class GivenLuts:
    """LUTs that take the place of the predicted ones.

    Attributes:
      uri: a folder with one `<group_id>.cube` a bracket, or one `.cube`.
      cube: the LUT of all brackets, where `uri` is one `.cube`.
    """

    uri: str
    cube: Cube | None = None


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
      luts: LUTs in place of the predicted ones and of the look's colours, or None.
      export_luts: also write each bracket's LUT as a `.cube`.
      export_merge: also write the merged image that the LUT acts on.
      device: "auto", "cpu" or "cuda".
      overwrite: fuse again what an earlier run finished.
      weights: model weights, or None for the shipped ones.
      limits: largest image that is decoded.
      max_inflight_bytes: of decoded pixels that the threads of a worker process hold at a time.
    """

    output: str
    image_format: str = "jpeg"
    quality: int = 95
    lut_size: int = DEFAULT_LUT_SIZE
    look: Look | None = None
    strength: float = 1.0
    luts: GivenLuts | None = None
    export_luts: bool = False
    export_merge: bool = False
    device: str = "auto"
    overwrite: bool = False
    weights: str | None = None
    limits: image_io.DecodeLimits = field(default_factory=image_io.DecodeLimits)
    max_inflight_bytes: int = 4096 * 10**6


def output_uri(group_id: str, options: FuseOptions) -> str:
    """Where the fused image of `group_id` goes; a function of its arguments alone."""
    return files.join(options.output, "fused", f"{group_id}.{EXTENSIONS[options.image_format]}")


def config_hash(bracket: Bracket, options: FuseOptions, model_id: str, given: Cube | None = None) -> str:
    """Digest of all that decides the fused pixels and scores: options, model, inputs, a given LUT.

    A given LUT that is the bracket's own, exported and never edited, counts as the prediction that it is.
    """
    size = options.lut_size if given is None else len(given.lut)
    decisive = {
        "format": options.image_format,
        "quality": options.quality,
        "lut_size": size,
        "look": _look_digest(options),
        "model": model_id,
        "uris": bracket.uris,
        "reference": bracket.reference,
    }
    if given is not None and lut_mark(given) != (lut_key(bracket, options, model_id, size), given.digest):
        decisive["lut"] = given.digest
    return _digest(decisive)


def lut_key(bracket: Bracket, options: FuseOptions, model_id: str, size: int) -> str:
    """Digest of all that decides the LUT of a bracket at `size` nodes an axis."""
    return _digest(["lut", size, _look_digest(options), model_id, bracket.uris])


def merge_key(bracket: Bracket, options: FuseOptions, model_id: str) -> str:
    """Digest of all that decides the merged image of a bracket."""
    return _digest(["merge", _look_digest(options), model_id, bracket.uris])


def lut_mark(cube: Cube) -> tuple[str, str] | None:
    """Key and digest of the nodes that an exported `.cube` carries; None for a `.cube` from elsewhere."""
    marks = [comment.split() for comment in cube.comments if comment.startswith(LUT_MARK)]
    return (marks[0][-2], marks[0][-1]) if marks and len(marks[0]) == len(LUT_MARK.split()) + 2 else None


def _look_digest(options: FuseOptions) -> str | None:
    return None if options.look is None else options.look.at_strength(options.strength).digest


def _digest(decisive: object) -> str:
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]


def pack_row(row: Row, config: str) -> str:
    """What a fused image carries of its row: all that is the same wherever and whenever it is fused."""
    kept = {k: v for k, v in row.items() if k not in CIRCUMSTANCES}
    return json.dumps({"lutfuse": 1, "config": config, "row": kept}, sort_keys=True)


def recover_row(bracket: Bracket, options: FuseOptions, config: str) -> Row | None:
    """The row of an image that an earlier run finished under the same configuration, or None."""
    uri = output_uri(bracket.group_id, options)
    try:
        start, size = files.read_start(uri, ROW_PREFIX_BYTES)
        packed = image_io.read_comment(start)
        document = json.loads(packed) if packed else {}
        if document.get("config") != config:
            return None
        row: Row = dict.fromkeys(METRICS_SCHEMA.names) | document["row"]
        row |= {"bytes_out": size, "output_uri": uri}
        return check_row(row, METRICS_SCHEMA)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None  # a foreign or damaged file: fuse again and replace it
