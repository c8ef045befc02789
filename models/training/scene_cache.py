"""The scenes of a training: each is prepared once and kept as .npz, for later runs with the same pictures."""

import zipfile
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lutfuse.models.atomic_file import created
from lutfuse.models.checked import ConfigError
from lutfuse.models.training.radiance import RADIANCE_SUFFIXES, read_radiance, render_bracket
from lutfuse.models.training.recipe import TrainConfig
from lutfuse.models.training.samples import split
from lutfuse.models.training.scenes import REFERENCE_RECIPE, Scene, bracket_folders, load_scene
from lutfuse.models.training.watch import SILENT, Watch


class Scenes(NamedTuple):
    """Photographed scenes, and scenes rendered from radiance images."""

    real: list[Scene]
    rendered: list[Scene]

    def split(self, config: TrainConfig) -> tuple["Scenes", "Scenes"]:
        """Those to train on, and those held out."""
        real, rendered = (split(part, config.held_out, config.seed) for part in self)
        return Scenes(real[0], rendered[0]), Scenes(real[1], rendered[1])


def load_scenes(
    data: Sequence[Path],  # folders of bracket folders
    hdr: Sequence[Path],  # folders of radiance images
    config: TrainConfig,
    cache: Path,  # folder of the prepared scenes
    watch: Watch = SILENT,
) -> Scenes:
    """All scenes of the folders, at the sizes of the recipe.

    Raises:
      ValueError: the folders hold no bracket (ConfigError), or one that cannot be read.
    """
    folders = [folder for root in data for folder in bracket_folders(root)]
    images = [p for root in hdr for p in sorted(root.rglob("*")) if p.suffix.lower() in RADIANCE_SUFFIXES]
    if not folders and not images:
        given = ", ".join(map(str, [*data, *hdr]))
        raise ConfigError(
            f"no bracket below {given}; give folders of 2 or more images each, or .hdr radiance images"
        )
    real = [_real(folder, config, cache) for folder in watch.track("brackets", folders)]
    views = [_rendered(image, config, cache) for image in watch.track("radiance", images)]
    return Scenes(real, [scene for of_one in views for scene in of_one])


def _real(folder: Path, config: TrainConfig, cache: Path) -> Scene:
    key = fingerprint(sorted(folder.iterdir()))
    path = cache / f"{folder.name}-{key}-{config.scene_side}-{REFERENCE_RECIPE}.npz"
    return cached(path, partial(load_scene, folder, config.scene_side))


def _rendered(image: Path, config: TrainConfig, cache: Path) -> list[Scene]:
    def build(view: int) -> Scene:
        return render_bracket(read_radiance(image), image.stem, view, config.hdr_side, config.seed)

    stem = f"{image.stem}-{fingerprint([image])}-{config.hdr_side}-{config.seed}-{REFERENCE_RECIPE}"
    return [cached(cache / f"{stem}-{view}.npz", partial(build, view)) for view in range(config.hdr_views)]


def fingerprint(paths: Sequence[Path]) -> str:
    """Eight hex digits that change when a file is replaced by another or rewritten."""
    facts = [f"{p.resolve()}:{p.stat().st_size}:{p.stat().st_mtime_ns}" for p in paths]
    return f"{zlib.crc32('|'.join(facts).encode()):08x}"


def cached(path: Path, build: Callable[[], Scene]) -> Scene:
    """The scene stored at `path`; where there is none, or a broken one, it is built and stored there."""
    try:
        with np.load(path) as stored:
            reference = stored["reference"] if stored["reference"].size else None
            return Scene(str(stored["name"]), str(stored["origin"]), stored["frames"], reference)
    except (FileNotFoundError, KeyError, ValueError, zipfile.BadZipFile):
        scene = build()
    reference = scene.reference if scene.reference is not None else np.zeros(0, np.uint8)
    with created(path) as file:
        np.savez(file, name=scene.name, origin=scene.origin, frames=scene.frames, reference=reference)
    return scene
