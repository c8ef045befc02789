"""Training scenes: dense brackets with their references, read from folders.

Without a supplied reference, the mean of two classical answers to the *dense* bracket takes its place: a
training sample shows the student only some of the frames, and asks for this picture.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from lutfuse.models.contract import EXPOSURES, F32, U8
from lutfuse.models.fusion.classical import opencv_mertens
from lutfuse.models.student.priors import merged_radiance, tone_mapped
from lutfuse.models.student.thumbnails import exposure_order, thumbnail

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff"}
MIN_DENSE = 3  # frames; a pair holds no more than the student is shown of it
REFERENCE_RECIPE = "r2"  # changes with `dense_reference`, so that older prepared scenes are not used
RANK_SIDE = 64  # px, thumbnails by which frames are put in order


@dataclasses.dataclass(frozen=True)
class Scene:
    """A dense bracket; `origin` names the picture it is a view of: views of one are never split up."""

    name: str
    origin: str
    frames: U8  # [n, H, W, 3], dark → bright
    reference: U8 | None  # [H, W, 3]


def dense_reference(frames: Sequence[U8]) -> U8:
    """The mean of OpenCV's Mertens and the tone-mapped radiance of all frames: [H, W, 3] u8."""
    stacked = torch.from_numpy(np.stack(frames).transpose(0, 3, 1, 2)[None].astype(np.float32) / 255)
    mapped = tone_mapped(merged_radiance(stacked))[0].numpy().transpose(1, 2, 0)
    return to_u8((to_u8(opencv_mertens(frames)) / np.float32(255) + mapped) / 2)


def to_u8(image: F32) -> U8:
    """Values in [0, 1] as levels 0…255, rounded to the nearest; what lies beyond is clipped."""
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
    """The file of a bracket folder whose stem is `reference`, if there is one."""
    return next((p for p in sorted(folder.iterdir()) if p.stem.lower() == "reference"), None)


def load_scene(folder: Path, max_side: int) -> Scene:
    """A bracket folder as a scene; of more than nine frames, nine evenly spread exposures are kept.

    Raises:
      ValueError: an image cannot be read, or the sizes differ.
    """
    frames = [read_rgb(path, max_side) for path in exposure_files(folder)]
    if len({frame.shape for frame in frames}) != 1:
        raise ValueError(f"{folder}: frames differ in size; a bracket has one size")
    order = exposure_order([thumbnail(frame, RANK_SIDE) for frame in frames])
    if len(order) > EXPOSURES.high:
        order = tuple(order[round(i)] for i in np.linspace(0, len(order) - 1, EXPOSURES.high))
    frames = [frames[k] for k in order]
    return Scene(folder.name, folder.name, np.stack(frames), _reference(folder, frames, max_side))


def _reference(folder: Path, frames: Sequence[U8], max_side: int) -> U8 | None:
    """The reference in `folder`, else the dense one where there are frames enough."""
    supplied = reference_file(folder)
    if supplied is None:
        return dense_reference(frames) if len(frames) >= MIN_DENSE else None
    reference = read_rgb(supplied, max_side)
    if reference.shape != frames[0].shape:
        raise ValueError(f"{supplied}: size {reference.shape} is not the frames' {frames[0].shape}")
    return reference
