"""Training scenes: dense brackets, with a reference where there is one; read from folders, kept as .npz.

Where nobody supplied a reference, the mean of two classical answers to the *dense* bracket stands in: a
training sample shows the student only some of the frames, and this is what they must be turned into.
"""

import dataclasses
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from lutfuse.models.contract import EXPOSURES, F32, U8
from lutfuse.models.student.priors import merged_radiance, tone_mapped
from lutfuse.models.student.thumbnails import exposure_order, thumbnail

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff"}
MIN_DENSE = 3  # with fewer frames the dense bracket knows no more than the student is shown
REFERENCE_RECIPE = "r2"  # changes with `dense_reference`: prepared scenes of another recipe are not used
RANK_SIDE = 64  # px, thumbnails by which frames are put in order


@dataclasses.dataclass(frozen=True)
class Scene:
    """A dense bracket; `origin` names the picture behind it, so that views of one never straddle a split."""

    name: str
    origin: str
    frames: U8  # [n, H, W, 3], dark → bright
    reference: U8 | None  # [H, W, 3]


def exposure_fusion(frames: Sequence[U8]) -> U8:
    """Multi-scale exposure fusion (Mertens et al. 2007) of all frames, [H, W, 3] u8."""
    return _to_u8(np.asarray(cv2.createMergeMertens().process(list(frames)), np.float32))


def dense_reference(frames: Sequence[U8]) -> U8:
    """The mean of multi-scale exposure fusion and tone-mapped radiance of all frames, [H, W, 3] u8."""
    stacked = torch.from_numpy(np.stack(frames).transpose(0, 3, 1, 2)[None].astype(np.float32) / 255)
    mapped = tone_mapped(merged_radiance(stacked))[0].numpy().transpose(1, 2, 0)
    return _to_u8((exposure_fusion(frames) / np.float32(255) + mapped) / 2)


def _to_u8(image: F32) -> U8:
    return np.asarray(np.clip(image * 255, 0, 255).round(), np.uint8)


def read_rgb(path: Path, max_side: int) -> U8:
    """An image as [H, W, 3] RGB u8, area-reduced to `max_side` px."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"{path} is not an image that OpenCV reads; remove or convert it")
    scale = max_side / max(image.shape[:2])
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(image[..., ::-1])


def bracket_folders(root: Path) -> list[Path]:
    """Every folder under `root`, itself included, that holds at least two exposures; sorted."""
    folders = {path.parent for path in root.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES}
    return sorted(folder for folder in folders if len(exposure_files(folder)) >= EXPOSURES.low)


def exposure_files(folder: Path) -> list[Path]:
    """The exposures of a bracket folder: its images except the one whose stem is `reference`."""
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    return [p for p in files if p.stem.lower() != "reference"]


def reference_file(folder: Path) -> Path | None:
    return next((p for p in sorted(folder.iterdir()) if p.stem.lower() == "reference"), None)


def load_scene(folder: Path, max_side: int) -> Scene:
    """A bracket folder as a scene; at most nine frames, evenly spread over the exposures, are kept."""
    frames = [read_rgb(path, max_side) for path in exposure_files(folder)]
    if len({frame.shape for frame in frames}) != 1:
        raise ValueError(f"{folder}: frames differ in size; a bracket has one size")
    order = exposure_order([thumbnail(frame, RANK_SIDE) for frame in frames])
    if len(order) > EXPOSURES.high:
        order = tuple(order[round(i)] for i in np.linspace(0, len(order) - 1, EXPOSURES.high))
    frames = [frames[k] for k in order]
    supplied = reference_file(folder)
    reference = None
    if supplied is not None:
        reference = read_rgb(supplied, max_side)
        if reference.shape != frames[0].shape:
            raise ValueError(f"{supplied}: size {reference.shape} is not the frames' {frames[0].shape}")
    elif len(frames) >= MIN_DENSE:
        reference = dense_reference(frames)
    return Scene(folder.name, folder.name, np.stack(frames), reference)


def fingerprint(paths: Sequence[Path]) -> str:
    """Eight hex digits that change when one of the files is another or was rewritten."""
    facts = [f"{p.resolve()}:{p.stat().st_size}:{p.stat().st_mtime_ns}" for p in paths]
    return f"{zlib.crc32('|'.join(facts).encode()):08x}"


def cached(path: Path, build: Callable[[], Scene]) -> Scene:
    """The scene stored at `path`, built and stored there the first time; a broken file is built again."""
    try:
        with np.load(path) as stored:
            reference = stored["reference"] if stored["reference"].size else None
            return Scene(str(stored["name"]), str(stored["origin"]), stored["frames"], reference)
    except (FileNotFoundError, KeyError, ValueError, zipfile.BadZipFile):
        scene = build()
    reference = scene.reference if scene.reference is not None else np.zeros(0, np.uint8)
    temporary = path.with_suffix(".part")
    with temporary.open("wb") as file:
        np.savez(file, name=scene.name, origin=scene.origin, frames=scene.frames, reference=reference)
    temporary.replace(path)
    return scene
