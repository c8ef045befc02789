"""A tiny recipe, and scenes small enough for seconds."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch

from lutfuse.models.student.config import StudentConfig
from lutfuse.models.training.recipe import TeacherConfig, TrainConfig
from lutfuse.models.training.scenes import Scene


@pytest.fixture(scope="session")
def tiny() -> TrainConfig:
    """A recipe without a teacher, and the sizes of one for those who want it."""
    return TrainConfig(
        student=StudentConfig(
            thumb=32, luma_bins=4, grid_rows=4, grid_cols=4, width=8, blocks=1, latent=6, lut_hidden=8
        ),
        teacher=TeacherConfig(thumb=64, width=8, blocks=1, latent=5, lut_hidden=6, bases=2, lut_size=5),
        steps=6, teacher_steps=2, warmup_steps=2, frames_per_batch=4, view=44, lut_sizes=(3, 5),
        scene_side=64, hdr_views=1, hdr_side=48, held_out=0.4,
    )  # fmt: skip


def smooth_scene(seed: int, frames: int) -> Scene:
    rng = np.random.default_rng(seed)
    light = cv2.resize(
        rng.lognormal(0, 1.5, (8, 8, 3)).astype(np.float32), (56, 56), interpolation=cv2.INTER_CUBIC
    )
    exposed = [np.clip(light * 0.25 * 2.0**ev, 0, 1) ** 0.45 for ev in np.linspace(-2, 2, frames)]
    stack = (np.stack(exposed) * 255).astype(np.uint8)
    return Scene(f"s{seed}", f"s{seed}", stack, stack[frames // 2] if frames > 2 else None)


@pytest.fixture(scope="session")
def pool() -> list[Scene]:
    """Scenes of 2, 3, 4, 5 and 2 frames; those of two have no reference."""
    torch.set_num_threads(1)
    return [smooth_scene(k, 2 + k % 4) for k in range(5)]


@pytest.fixture
def noise_scene() -> Callable[..., Scene]:
    """A scene of sorted noise, 48×64 px: (frames, reference, name) to it."""

    def make(frames: int = 5, reference: bool = True, name: str = "s") -> Scene:
        rng = np.random.default_rng(1)
        stack = np.sort(rng.integers(0, 256, (frames, 48, 64, 3), dtype=np.uint8), 0)
        return Scene(name, name, stack, stack[frames // 2] if reference else None)

    return make
