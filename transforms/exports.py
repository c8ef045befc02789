"""Exports for editing: a bracket's LUT as a `.cube`, and the merged image that the LUT acts on.

Both contain a key of their settings, the `.cube` in its header and the image in its comment, so that a re-run
recognises exports that are up to date. The `.cube` also contains a digest of its nodes: an edited one is only
replaced with `--overwrite`.
"""

import logging

import numpy as np

from lutfuse.models.contract import F32, Pixels
from lutfuse.models.looks.cube import MAX_TEXT, Cube, CubeError, read_cube, write_cube
from lutfuse.models.looks.look import Look
from lutfuse.transforms.counters import NAMESPACE, count
from lutfuse.transforms.edit import Edit
from lutfuse.transforms.exposures import as_16_bit
from lutfuse.transforms.images import io as image_io
from lutfuse.transforms.images.exif import carry_exif
from lutfuse.transforms.images.types import DecodedImage
from lutfuse.transforms.luts import lut_uri
from lutfuse.transforms.recovery import ROW_PREFIX_BYTES
from lutfuse.transforms.rows import printable
from lutfuse.transforms.stages import Stages
from lutfuse.transforms.storage import files
from lutfuse.transforms.task import LUT_MARK, Task, lut_mark

ACTS_ON = "Acts on the merged image of its bracket (see --export-merge), not on camera frames."
_HEADER_BYTES = 4096  # more than the title and comments of an exported .cube take
_IDENTITY = np.indices((2, 2, 2), np.float32)[::-1].transpose(1, 2, 3, 0).copy()

_log = logging.getLogger(NAMESPACE)


def _lut_uri(task: Task) -> str:
    return lut_uri(files.join(task.options.output, "luts"), task.bracket.group_id)


def merge_uri(task: Task) -> str:
    """URI of the merged image."""
    return files.join(task.options.output, "merge", f"{task.bracket.group_id}.tif")


def exports_done(task: Task) -> bool:
    """Whether every export that the options ask for exists and is up to date."""
    options = task.options
    if options.export_luts and not _lut_done(_lut_uri(task), task.lut_key):
        return False
    if options.export_merge:
        uri = merge_uri(task)
        head = files.read_bytes(uri, limit=ROW_PREFIX_BYTES) if files.size(uri) else b""
        return image_io.read_comment(head) == _merge_comment(task)
    return True


def write_exports(task: Task, edit: Edit, images: list[DecodedImage], stages: Stages) -> None:
    """Write the exports that the options ask for; `images` are the decoded exposures.

    To be called before the fused image is written, so that a finished bracket has all its exports.
    """
    options = task.options
    if options.export_luts:
        with stages("encode"):
            text = cube_text(edit.lut, task)
        with stages("write"):
            _write_lut(_lut_uri(task), text, overwrite=options.overwrite)
    if options.export_merge:
        with stages("fuse"):
            merged = merge([image.pixels for image in images], edit, device=options.device)
        with stages("encode"):
            data = merge_tiff(merged, images[edit.middle], _merge_comment(task))
        with stages("write"):
            files.write_bytes(merge_uri(task), data, mime="image/tiff")


def merge(frames: list[Pixels], edit: Edit, *, device: str) -> Pixels:
    """The merged image m of eq. 2, on which the LUT acts: [H, W, 3] uint16, rounded to the nearest level.

    The kernel merges in float32 and rounds after the LUT, so 16-bit frames and an identity LUT give m.
    """
    from lutfuse.models.fusion.kernel import fuse

    return fuse([as_16_bit(frame) for frame in edit.sorted(frames)], edit.grid, _IDENTITY, device=device)


def merge_tiff(merged: Pixels, like: DecodedImage, comment: str | None = None) -> bytes:
    """The merged image as a 16-bit TIFF with the ICC profile and EXIF of the exposure `like`."""
    height, width = merged.shape[:2]
    exif = carry_exif(like.exif, width, height)
    return image_io.encode(merged, format="tiff", icc=like.icc, exif=exif, comment=comment)


def _merge_comment(task: Task) -> str:
    return f"lutfuse merged image, key: {task.merge_key}"


def cube_text(lut: F32, task: Task, title: str | None = None) -> bytes:
    """`lut` [N, N, N, 3] as a `.cube`; its header names what it acts on, and the bracket, model and look.

    Raises:
      CubeError: `title` does not fit into the header.
    """
    bracket = task.bracket
    names = ", ".join(files.basename(uri) for uri in bracket.uris)
    facts = [
        f"bracket: {bracket.group_id} ({len(bracket.uris)} exposures: {names})",
        f"model: {task.model_id}",
        f"look: {_describe_look(task.options.look)}",
    ]
    mark = f"{LUT_MARK} {task.lut_key} {Cube(lut).digest}"
    default = _header_line(bracket.group_id).replace('"', "'")
    return write_cube(
        lut, title=title or default, comments=[ACTS_ON, *map(_header_line, facts), mark]
    ).encode()


def _describe_look(look: Look | None) -> str:
    if look is None:
        return "none"
    inside = "; its balance and detail are in the merged image" if look.balance or look.detail else ""
    return f"{look.name} at strength {look.strength:g}{inside}"


def _header_line(text: str) -> str:
    """`text` as one printable line, truncated to what a `.cube` may hold."""
    line = "".join(c if c.isprintable() else "?" for c in printable(text)).encode()
    return line.decode() if len(line) <= MAX_TEXT else line[: MAX_TEXT - 3].decode(errors="ignore") + "…"


def _lut_done(uri: str, key: str) -> bool:
    """Whether the `.cube` at `uri` is up to date, or edited and thus to be kept."""
    if files.size(uri) is None:
        return False
    # The key comes before the table, so that megabytes are read only if it differs.
    head = files.read_bytes(uri, limit=_HEADER_BYTES).decode(errors="replace")
    return f"{LUT_MARK} {key} " in head or _is_edited(uri)


def _write_lut(uri: str, text: bytes, *, overwrite: bool) -> None:
    if not overwrite and files.size(uri) is not None and _is_edited(uri):
        _log.warning("%s: was edited and is kept; --overwrite would replace it", uri)
        count("kept-edited-lut")
        return
    files.write_bytes(uri, text, mime="text/plain")


def _is_edited(uri: str) -> bool:
    """Whether the `.cube` at `uri` differs from what an export wrote."""
    try:
        cube = read_cube(files.read_bytes(uri), name=uri)
    except CubeError:
        return True
    mark = lut_mark(cube)
    return mark is None or mark[1] != cube.digest
