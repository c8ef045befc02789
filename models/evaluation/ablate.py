"""What each part of the method is worth: one training per part left out, scored on the same brackets."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lutfuse.models.atomic_file import write_whole
from lutfuse.models.checked import ConfigError
from lutfuse.models.contract import DEFAULT_LUT_SIZE, EXPOSURES, U8
from lutfuse.models.evaluation.evaluate import read_bracket, student_method, timed
from lutfuse.models.evaluation.line_plot import check_matplotlib, line_plot
from lutfuse.models.evaluation.scores import Row, score, summary, to_csv, to_markdown
from lutfuse.models.student.predictor import Predictor
from lutfuse.models.training import train
from lutfuse.models.training.recipe import TrainConfig
from lutfuse.models.training.scene_cache import Scenes
from lutfuse.models.training.scenes import bracket_folders
from lutfuse.models.training.train import TrainRun
from lutfuse.models.training.watch import SILENT, Watch

# name: what it changes in the recipe, which may be nothing
VARIANTS: dict[str, dict[str, Any]] = {
    "recipe": {},
    "no-teacher": {"distil": "none"},
    "frozen-teacher": {"distil": "frozen"},
    "alternating-teacher": {"distil": "alternating"},
    "no-uncertainty": {"distil": "alternating", "kd_uncertainty": False},
    "no-long-range": {"loss": {"lut_long_range": 0.0}},
    "no-lut": {"student": {"lut": False}},
    "no-weight-grid": {"student": {"weight_grid": False}},
    "no-priors": {"student": {"priors": False}},
}
SCORES_COMPARED = ("psnr_db", "ssim", "mef_ssim", "mef_ssim_c", "ciede2000")
SIZES_COMPARED = (4, 8, 16, 32, 64)
HELD_OUT = "held-out"


@dataclasses.dataclass(frozen=True)
class Ablation:
    """Which variants of a training to compare, and on what."""

    training: TrainRun  # of the recipe; each variant is one like it, in a folder of its output
    tests: tuple[Path, ...] = ()  # folders of bracket folders to score on besides the held-out scenes
    max_side: int = 1024  # px, to which the long side of larger test images is reduced first
    only: tuple[str, ...] = ()  # names of VARIANTS to train; none are all
    weights: Path | None = None  # .safetensors for PSNR against N; None are those of the variant `recipe`


@dataclasses.dataclass(frozen=True)
class Case:
    """A bracket to score on."""

    of: str  # the set it belongs to
    name: str
    frames: list[U8]  # dark → bright
    reference: U8 | None


def ablate(ablation: Ablation, watch: Watch = SILENT) -> str:
    """Train and score the variants; write and return the tables, in Markdown.

    Writes ablation.csv and ablation.md after every variant, then psnr_vs_n.csv and psnr_vs_n.png. What an
    earlier call finished in the same folder is not done again.

    Raises:
      ValueError: it cannot be done as it is described (ConfigError), or a file cannot be read.
      OSError: something cannot be written.
    """
    check_matplotlib()
    training, output = ablation.training, ablation.training.output
    variants = variants_of(training.config)
    names = chosen(ablation.only, variants)
    given = Predictor.load(ablation.weights) if ablation.weights else None
    cases = [case for root in ablation.tests for case in read_cases(root, ablation.max_side)]
    train.prepare_torch(training)
    scenes = train.prepare_scenes(training, watch)
    cases = [*held_out_cases(scenes, training.config), *cases]
    if not cases:
        raise ConfigError("no scene is held out to score on; give brackets to test on, or raise held_out")
    for name in names:
        watch.note(f"variant {name}: {json.dumps(VARIANTS[name])}")
        run = dataclasses.replace(training, output=output / name, name=name, config=variants[name], init=None)
        train_and_score(run, scenes, cases, watch)
        write_tables(output, variants, cases)
    weights = output / "recipe" / "student.safetensors"
    if given or weights.exists():
        write_sizes(output, given or Predictor.load(weights), cases, watch)
    return (output / "ablation.md").read_text()


def variants_of(recipe: TrainConfig) -> dict[str, TrainConfig]:
    """The variants as recipes, without those that equal one before them."""
    result: dict[str, TrainConfig] = {}
    for name, change in VARIANTS.items():
        config = TrainConfig.from_json(_merged(recipe.to_json(), change))
        if config not in result.values():
            result[name] = config
    return result


def _merged(values: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    inner = {k: _merged(values[k], v) if isinstance(v, dict) else v for k, v in change.items()}
    return dict(values) | inner


def chosen(names: Sequence[str], variants: Mapping[str, TrainConfig]) -> list[str]:
    """`names`, or all of `variants` where there are none; ConfigError for one that is not among them."""
    for name in names:
        if name not in VARIANTS:
            raise ConfigError(f"{name} is no variant; known are {', '.join(VARIANTS)}")
        if name not in variants:
            raise ConfigError(f"{name} is the recipe itself; name recipe instead")
    return list(names or variants)


def read_cases(root: Path, max_side: int) -> Iterator[Case]:
    """The brackets below `root`: all frames and, of three or more, also the outermost two."""
    folders = bracket_folders(root)
    if not folders:
        raise ConfigError(f"{root} holds no bracket; a bracket is a folder of {EXPOSURES} images")
    for folder in folders:
        frames, reference = read_bracket(folder, max_side, ends=False)
        yield from _cases(root.name, folder.relative_to(root).as_posix(), frames, reference)


def held_out_cases(scenes: Scenes, recipe: TrainConfig) -> Iterator[Case]:
    """The scenes that training leaves out, one view of each radiance image."""
    _, (real, rendered) = scenes.split(recipe)
    for scene in real + rendered[:: recipe.hdr_views]:
        yield from _cases(HELD_OUT, scene.name, list(scene.frames), scene.reference)


def _cases(of: str, name: str, frames: list[U8], reference: U8 | None) -> Iterator[Case]:
    if len(frames) > EXPOSURES.low:
        yield Case(f"{of}, all frames", name, frames, reference)
    yield Case(f"{of}, pairs", name, [frames[0], frames[-1]], reference)


def train_and_score(run: TrainRun, scenes: Scenes, cases: Sequence[Case], watch: Watch = SILENT) -> None:
    """Train one variant, and write its scores.json unless it has been scored on the same cases."""
    trainer = train.resume(run, train.choose_device(run.device), watch=watch)
    train.train_on(scenes, run, trainer, watch)
    path, key = run.output / "scores.json", _key(run.output, cases)
    if not path.exists() or json.loads(path.read_text())["key"] != key:
        rows = score_cases(Predictor.load(run.output / "student.safetensors"), DEFAULT_LUT_SIZE, cases)
        write_whole(path, json.dumps({"key": key, "rows": rows}).encode())


def _key(folder: Path, cases: Sequence[Case]) -> str:
    """Changes with the weights and with what they are scored on."""
    digest = hashlib.sha256((folder / "student.safetensors").read_bytes())
    for case in cases:
        digest.update(f"{case.of}/{case.name}/{len(case.frames)}/{case.frames[0].shape}".encode())
        for image in [*case.frames, *([] if case.reference is None else [case.reference])]:
            digest.update(image.tobytes())
    return digest.hexdigest()


def score_cases(predictor: Predictor, lut_size: int, cases: Sequence[Case]) -> list[Row]:
    """The mean scores of each set of brackets."""
    method = student_method(predictor, lut_size)
    scored = [score(c.name, c.of, c.frames, c.reference, *timed(c.frames, method)) for c in cases]
    # `summary` takes the mean per method: here a method is a set of brackets.
    return [
        {"set": row["method"], "brackets": row["bracket"]} | {key: row[key] for key in SCORES_COMPARED}
        for row in summary(scored)
    ]


def write_tables(output: Path, variants: Mapping[str, TrainConfig], cases: Sequence[Case]) -> None:
    """ablation.csv and ablation.md of all variants that were scored on `cases`."""
    rows: list[Row] = []
    for name in variants:
        path = output / name / "scores.json"
        if not path.exists():
            continue
        stored = json.loads(path.read_text())
        if stored["key"] == _key(output / name, cases):
            rows += [{"variant": name} | row for row in stored["rows"]]
    recipe = next(iter(variants.values()))
    lines = [
        f"Each variant changes one thing in the recipe; {recipe.steps} steps of the student, seed "
        f"{recipe.seed}, N = {DEFAULT_LUT_SIZE}, about {recipe.frames_per_batch} frames per batch, views of "
        f"{recipe.view} px, distil = {recipe.distil}. Means over brackets.\n"
    ]
    for of in dict.fromkeys(row["set"] for row in rows):
        mine = [{k: v for k, v in row.items() if k != "set"} for row in rows if row["set"] == of]
        lines += [f"## {of}\n", to_markdown(mine)]
    write_whole(output / "ablation.csv", to_csv(rows).encode())
    write_whole(output / "ablation.md", "\n".join(lines).encode())


def write_sizes(output: Path, predictor: Predictor, cases: Sequence[Case], watch: Watch = SILENT) -> None:
    """psnr_vs_n.csv and psnr_vs_n.png, and the table as the last part of ablation.md."""
    known = [case for case in cases if case.reference is not None]
    if not known:
        watch.note("no bracket has a reference: PSNR against N is left out")
        return
    rows: list[Row] = [
        {"lut_size": size} | row for size in SIZES_COMPARED for row in score_cases(predictor, size, known)
    ]
    lines = {
        str(of): [float(row["psnr_db"] or math.nan) for row in rows if row["set"] == of]
        for of in dict.fromkeys(row["set"] for row in rows)
    }
    table = (output / "ablation.md").read_text() + f"\n## Size of the LUT\n\n{to_markdown(rows)}"
    write_whole(output / "ablation.md", table.encode())
    write_whole(output / "psnr_vs_n.csv", to_csv(rows).encode())
    write_whole(
        output / "psnr_vs_n.png", line_plot(SIZES_COMPARED, lines, "N, nodes along each axis", "PSNR, dB")
    )
