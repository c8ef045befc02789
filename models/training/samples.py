"""Training samples: random frames, crops, flips and quarter turns of scenes, in batches of one K."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from lutfuse.models.contract import EXPOSURES, F32, U8
from lutfuse.models.student.thumbnails import thumbnail
from lutfuse.models.training.scenes import Scene

# Frames per sample and the odds of each. Users have pairs most; full brackets are measured as well.
COUNTS = (2, 3, 4, 5, 6, 7, 9)
COUNT_ODDS = (0.48, 0.12, 0.06, 0.07, 0.05, 0.19, 0.03)
TURN_ODDS = (0.7, 0.1, 0.1, 0.1)  # of 0, 1, 2, 3 quarter turns
MIN_SIDE = 0.55  # of a crop, as a fraction of the scene's
IDLE_ODDS = (0.65, 0.25, 0.1)  # of 0, 1, 2 idle frames more
FULL_TRUST_FRAMES = 5  # so many frames hold all that a reference shows


class Sample(NamedTuple):
    """One training sample; where there is no reference, `trust` is 0 and `reference` zeros."""

    thumbs: F32  # [K, 3, S, S] in [0, 1]: what the student sees
    views: F32  # [K, 3, L, L] in [0, 1]: the same frames at the size of the loss
    idle: int  # how many of the last frames add nothing: no measure compares with them
    reference: F32  # [3, L, L] in [0, 1]
    trust: float  # in [0, 1], of the reference: how much of it the frames can hold


def split(scenes: Sequence[Scene], held_out: float, seed: int) -> tuple[list[Scene], list[Scene]]:
    """Training and validation scenes; all scenes of one origin are on the same side."""
    origins = sorted({scene.origin for scene in scenes})
    drawn = np.random.default_rng(seed).permutation(len(origins))[: round(held_out * len(origins))]
    out = {origins[i] for i in drawn}
    return [s for s in scenes if s.origin not in out], [s for s in scenes if s.origin in out]


def choose_frames(n: int, count: int, rng: np.random.Generator) -> tuple[int, ...]:
    """`count` of n frames, in order and from both halves of the bracket; with too few frames some repeat."""
    if count >= n:
        extra = rng.integers(0, n, count - n)
        return tuple(sorted([*range(n), *extra.tolist()]))
    while True:
        chosen = np.sort(rng.choice(n, count, replace=False))
        if chosen[0] <= (n - 1) / 2 <= chosen[-1]:
            return tuple(chosen.tolist())


def idle_frame(frames: U8, rng: np.random.Generator) -> U8:
    """A frame that adds nothing to frames [n, H, W, 3], dark → bright: black, white, a repeat, far beyond."""
    kind, stops = rng.choice(("black", "white", "again", "darker", "brighter")), rng.uniform(2, 8)
    if kind in ("black", "white"):
        return np.full_like(frames[0], 255 if kind == "white" else 0)
    if kind == "again":
        return np.asarray(frames[rng.integers(len(frames))])
    known, sign = (frames[0], -1) if kind == "darker" else (frames[-1], 1)
    levels = 255 * np.clip(np.linspace(0, 1, 256) * 2 ** (sign * stops / 2.2), 0, 1)
    return np.asarray(levels.round()[known], np.uint8)


def random_sample(
    scene: Scene, shown: Sequence[int], rng: np.random.Generator, thumb: int, view: int, idle: int = 0
) -> Sample:
    """Some frames of a scene and `idle` idle ones, all under the same random crop, flip and quarter turns."""
    height, width = scene.frames.shape[1:3]
    kept = rng.uniform(MIN_SIDE, 1, 2)
    rows, cols = max(1, round(height * kept[0])), max(1, round(width * kept[1]))
    top, left = rng.integers(height - rows + 1), rng.integers(width - cols + 1)
    flip, turns = rng.random() < 0.5, int(rng.choice(4, p=TURN_ODDS))

    def cut(image: U8) -> U8:
        crop = image[top : top + rows, left : left + cols]
        return np.rot90(crop[:, ::-1] if flip else crop, turns)

    extra = [idle_frame(scene.frames[list(shown)], rng) for _ in range(idle)]
    return _sample(scene, shown, cut, thumb, view, extra)


def whole_sample(scene: Scene, shown: Sequence[int], thumb: int, view: int) -> Sample:
    """Some frames of a scene, uncropped, for validation."""
    return _sample(scene, shown, lambda image: image, thumb, view)


def _sample(
    scene: Scene,
    shown: Sequence[int],
    cut: Callable[[U8], U8],
    thumb: int,
    view: int,
    extra: Sequence[U8] = (),
) -> Sample:
    def at(image: U8, size: int) -> F32:
        return thumbnail(np.ascontiguousarray(cut(image)), size).transpose(2, 0, 1)

    frames = [*(scene.frames[k] for k in shown), *extra]
    trust, reference = 0.0, np.zeros((3, view, view), np.float32)
    if scene.reference is not None:
        enough = min(FULL_TRUST_FRAMES, len(scene.frames))
        trust, reference = min(1.0, (len(shown) - 1) / (enough - 1)) ** 2, at(scene.reference, view)
    thumbs, views = (np.stack([at(frame, size) for frame in frames]) for size in (thumb, view))
    return Sample(thumbs, views, len(extra), reference, trust)


def draw_samples(
    scenes: Sequence[Scene], rng: np.random.Generator, thumb: int, view: int, frames_per_batch: int
) -> list[Sample]:
    """A batch of one random K: about `frames_per_batch` frames in all, at least two samples.

    Some batches have one or two idle frames more, as brackets in the field do.
    """
    count = int(rng.choice(COUNTS, p=COUNT_ODDS))
    fitting = [scene for scene in scenes if len(scene.frames) >= count] or list(scenes)
    drawn = [fitting[i] for i in rng.integers(0, len(fitting), max(2, frames_per_batch // count))]
    idle = min(int(rng.choice(len(IDLE_ODDS), p=IDLE_ODDS)), EXPOSURES.high - count)
    return [
        random_sample(scene, choose_frames(len(scene.frames), count, rng), rng, thumb, view, idle)
        for scene in drawn
    ]
