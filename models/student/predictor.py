"""The student as a library: decoded frames in, weight grid and latent code out, LUTs of any size."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch

from lutfuse.models.contract import F32, Image
from lutfuse.models.student.checkpoint import SHIPPED, load_student
from lutfuse.models.student.network import Student
from lutfuse.models.student.thumbnails import check_bracket, exposure_order, informative, thumbnail

_THREADS = threading.Lock()


@dataclass(frozen=True)
class Prediction:
    """G and z of eq. 1 (docs/method.md) for one bracket; the grid's exposures follow `order`."""

    order: tuple[int, ...]  # dark → bright indices into the images given
    grid: F32  # [K, D, Gh, Gw] ≥ 0, fusion weights; 0 for a frame that shows nothing
    latent: F32  # [Z], code of the whole bracket


class Predictor:
    """A loaded student. The same bracket gives the same bytes in every run, order and thread setting."""

    def __init__(self, student: Student, model_id: str) -> None:
        self._student = student
        self.model_id = model_id

    @classmethod
    def load(cls, weights: str | Path | None = None) -> Self:
        """Read a `.safetensors` file and the JSON beside it; None takes the shipped weights."""
        return cls(*load_student(Path(weights) if weights is not None else SHIPPED))

    def predict(self, images: Sequence[Image]) -> Prediction:
        """Grid and latent code from K = 2…9 frames [H, W, 3] RGB u8 | u16 of one size, in any order."""
        check_bracket(images)
        thumbs = [thumbnail(image, self._student.config.thumb) for image in images]
        order = exposure_order(thumbs)
        ordered = np.stack([thumbs[k] for k in order])
        shown = list(informative(list(ordered)))
        stacked = np.ascontiguousarray(ordered[shown].transpose(0, 3, 1, 2))
        with _one_thread(), torch.inference_mode():
            weights, latent = self._student(torch.from_numpy(stacked)[None])
        grid = np.zeros((len(order), *weights.shape[2:]), np.float32)
        grid[shown] = weights[0].numpy()
        return Prediction(order, grid, latent[0].numpy())

    def bake(self, latent: F32, size: int) -> F32:
        """Eq. 3: latent [Z] → LUT [N, N, N, 3] float32 in [0, 1], lut[b, g, r, channel], red fastest."""
        with _one_thread(), torch.inference_mode():
            code = torch.from_numpy(np.ascontiguousarray(latent, np.float32))[None]
            return np.asarray(self._student.implicit_lut.bake(code, size)[0].clamp(0, 1).numpy(), np.float32)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """One thread of torch, for sums round by how threads share them; the caller's setting is restored."""
    with _THREADS:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)
