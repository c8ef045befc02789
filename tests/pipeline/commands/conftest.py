"""What the commands that train are tested on: a tiny recipe, and brackets small enough for seconds."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

TINY = {
    "student": {
        "thumb": 32, "luma_bins": 4, "grid_rows": 4, "grid_cols": 4, "width": 8, "blocks": 1, "latent": 6,
        "lut_hidden": 8,
    },
    "teacher": {"thumb": 64, "width": 8, "blocks": 1, "latent": 6, "lut_hidden": 8, "lut_size": 3},
    "steps": 2, "teacher_steps": 1, "warmup_steps": 1, "frames_per_batch": 4, "view": 44, "lut_sizes": [3],
    "scene_side": 64, "hdr_views": 1, "hdr_side": 48, "held_out": 0.4,
}  # fmt: skip


@pytest.fixture
def write_recipe(tmp_path: Path) -> Callable[..., Path]:
    """Writes the tiny recipe with changes as a file for --config: (**changes) to its path."""

    def write(**changes: object) -> Path:
        path = tmp_path / "recipe.json"
        path.write_text(json.dumps(TINY | changes))
        return path

    return write


@pytest.fixture
def write_brackets(write_bracket: Callable[..., list[str]]) -> Callable[..., Path]:
    """Writes bracket folders of 56×56 px: (root, count, frames) to the root."""

    def write(root: Path, count: int = 4, frames: int = 3) -> Path:
        for k in range(count):
            write_bracket(root / f"b{k}", frames, suffix="png", size=(56, 56), seed=k)
        return root

    return write
