"""`lutfuse ablate`: what each part of the method is worth, one training per part left out."""

import argparse
import dataclasses
import hashlib
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from lutfuse.models.checked import ConfigError
from lutfuse.models.contract import DEFAULT_LUT_SIZE, U8
from lutfuse.models.evaluation import evaluate
from lutfuse.models.evaluation.evaluate import Row
from lutfuse.models.evaluation.line_plot import line_plot
from lutfuse.models.student.checkpoint import output_folder, write_whole
from lutfuse.models.student.predictor import Predictor
from lutfuse.models.training import train
from lutfuse.models.training.recipe import TrainConfig
from lutfuse.models.training.samples import split
from lutfuse.models.training.scenes import Scene, bracket_folders

DESCRIPTION = """\
Train the recipe, and the recipe with one thing changed, each with the same seed, the same batches and the
same number of student steps, and score them on the same brackets: the held-out scenes and those of --test.
Writes OUTPUT/ablation.csv and ablation.md after every variant, then PSNR against the size of the LUT as
psnr_vs_n.csv and psnr_vs_n.png. Run the same command again to go on after an interruption.
"""

# name: what it changes in the recipe; where that changes nothing, the variant is the recipe itself.
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
SCORES = ("psnr_db", "ssim", "mef_ssim", "mef_ssim_c", "ciede2000")
SIZES_COMPARED = (4, 8, 16, 32, 64)
HELD_OUT = "held-out"


@dataclasses.dataclass(frozen=True)
class TestBracket:
    """A bracket to score on."""

    __test__ = False  # not one of pytest's

    set: str
    name: str
    frames: list[U8]  # dark → bright
    reference: U8 | None


def main(argv: list[str]) -> int:
    """Runs the command; 0 done, 2 wrong usage."""
    args = _parser().parse_args(argv)
    try:
        _ablate(args)
    except ValueError as error:
        print(f"lutfuse ablate: error: {error}", file=sys.stderr)
        return 2
    print((args.output / "ablation.md").read_text())
    return 0


def _parser() -> argparse.ArgumentParser:
    changes = "\n".join(f"  {name:20} {json.dumps(change)}" for name, change in VARIANTS.items())
    parser = argparse.ArgumentParser(
        prog="lutfuse ablate", description=DESCRIPTION, epilog=f"variants and what they change:\n{changes}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    train.add_arguments(parser)
    scores = parser.add_argument_group("scores")
    scores.add_argument(
        "--test", type=Path, action="append", default=[], metavar="DIR",
        help="folder of bracket folders to score on besides the held-out scenes; may be given more than once",
    )  # fmt: skip
    scores.add_argument(
        "--max-side", type=int, default=1024, metavar="PX",
        help="long side to which test images are reduced first (default: %(default)s)",
    )  # fmt: skip
    scores.add_argument(
        "--only", type=lambda text: text.split(","), metavar="NAME,…",
        help="variants to train; the table also shows those that are there (default: all)",
    )  # fmt: skip
    scores.add_argument(
        "--weights", type=Path, metavar="FILE",
        help=".safetensors for PSNR against N (default: those of the variant `recipe`)",
    )  # fmt: skip
    return parser


def _ablate(args: argparse.Namespace) -> None:
    recipe = train.resolve(args)
    variants = variants_of(recipe)
    for name in args.only or ():
        if name not in VARIANTS:
            raise ConfigError(f"--only {name} is no variant; known are {', '.join(VARIANTS)}")
        if name not in variants:
            raise ConfigError(f"--only {name} is the recipe itself; name recipe instead")
    if args.max_side < 1:
        raise ConfigError(f"--max-side is {args.max_side} px; it must be at least 1")
    chosen = Predictor.load(args.weights) if args.weights else None
    given = [bracket for root in args.test for bracket in read_tests(root, args.max_side)]
    device = train.choose_device(args.device)
    torch.set_num_threads(args.threads)
    scenes = train.load_scenes(args.data, args.hdr, recipe, output_folder(args.output / "scenes"))
    tests = [*held_out_tests(scenes, recipe), *given]
    if not tests:
        raise ConfigError("no scene is held out to score on; give --test, or raise held_out in --config")
    for name in args.only or variants:
        train.console.print(f"variant {name}: {json.dumps(VARIANTS[name])}")
        _train_and_score(name, variants[name], scenes, tests, device, args)
        write_tables(args.output, variants, tests)
    weights = args.output / "recipe" / "student.safetensors"
    if chosen or weights.exists():
        write_sizes(args.output, chosen or Predictor.load(weights), tests)


def variants_of(recipe: TrainConfig) -> dict[str, TrainConfig]:
    """The variants as recipes, without those that are what another already is."""
    result: dict[str, TrainConfig] = {}
    for name, change in VARIANTS.items():
        config = TrainConfig.from_json(_merged(recipe.to_json(), change))
        if config not in result.values():
            result[name] = config
    return result


def _merged(values: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    inner = {k: _merged(values[k], v) if isinstance(v, dict) else v for k, v in change.items()}
    return dict(values) | inner


def read_tests(root: Path, max_side: int) -> Iterator[TestBracket]:
    """The brackets below `root`, whole and, where that is something else, as their extreme pair."""
    folders = bracket_folders(root) if root.is_dir() else []
    if not folders:
        raise ConfigError(f"--test {root} holds no bracket; a bracket is a folder of 2 to 9 images")
    for folder in folders:
        frames, reference = evaluate.read_bracket(folder, max_side, ends=False)
        yield from _cases(root.name, folder.relative_to(root).as_posix(), frames, reference)


def held_out_tests(scenes: Sequence[list[Scene]], recipe: TrainConfig) -> Iterator[TestBracket]:
    """The scenes that training leaves out, one view of each radiance image."""
    real, rendered = (split(part, recipe.held_out, recipe.seed)[1] for part in scenes)
    for scene in real + rendered[:: recipe.hdr_views]:
        yield from _cases(HELD_OUT, scene.name, list(scene.frames), scene.reference)


def _cases(of: str, name: str, frames: list[U8], reference: U8 | None) -> Iterator[TestBracket]:
    if len(frames) > 2:
        yield TestBracket(f"{of}, all frames", name, frames, reference)
    yield TestBracket(f"{of}, pairs", name, [frames[0], frames[-1]], reference)


def _train_and_score(
    name: str,
    config: TrainConfig,
    scenes: tuple[list[Scene], list[Scene]],
    tests: Sequence[TestBracket],
    device: torch.device,
    args: argparse.Namespace,
) -> None:
    folder = output_folder(args.output / name)
    options = argparse.Namespace(**vars(args) | {"output": folder, "name": name, "init": None})
    train.train(train.resume(config, device, folder, None), *scenes, options)
    path = folder / "scores.json"
    key = _key(folder, tests)
    if not path.exists() or json.loads(path.read_text())["key"] != key:
        rows = score_tests(Predictor.load(folder / "student.safetensors"), DEFAULT_LUT_SIZE, tests)
        write_whole(path, json.dumps({"key": key, "rows": rows}).encode())


def _key(folder: Path, tests: Sequence[TestBracket]) -> str:
    """Changes with the weights and with what they are scored on."""
    digest = hashlib.sha256((folder / "student.safetensors").read_bytes())
    for test in tests:
        digest.update(f"{test.set}/{test.name}/{len(test.frames)}/{test.frames[0].shape}".encode())
        for image in [*test.frames, *([] if test.reference is None else [test.reference])]:
            digest.update(image.tobytes())
    return digest.hexdigest()


def score_tests(predictor: Predictor, lut_size: int, tests: Sequence[TestBracket]) -> list[Row]:
    """The mean scores of each set of brackets."""
    method = evaluate.student_method(predictor, lut_size)
    scored = [
        evaluate.score(t.name, t.set, t.frames, t.reference, *evaluate.run(t.frames, method)) for t in tests
    ]
    # `summary` takes the mean per method: here a method is a set of brackets.
    return [
        {"set": row["method"], "brackets": row["bracket"]} | {key: row[key] for key in SCORES}
        for row in evaluate.summary(scored)
    ]


def write_tables(output: Path, variants: Mapping[str, TrainConfig], tests: Sequence[TestBracket]) -> None:
    """ablation.csv and ablation.md of all variants that were scored on `tests`."""
    rows: list[Row] = []
    for name in variants:
        path = output / name / "scores.json"
        if not path.exists():
            continue
        stored = json.loads(path.read_text())
        if stored["key"] == _key(output / name, tests):
            rows += [{"variant": name} | row for row in stored["rows"]]
    recipe = next(iter(variants.values()))
    lines = [
        f"Each variant changes one thing in the recipe; {recipe.steps} steps of the student, seed "
        f"{recipe.seed}, N = {DEFAULT_LUT_SIZE}, about {recipe.frames_per_batch} frames per batch, views of "
        f"{recipe.view} px, distil = {recipe.distil}. Means over brackets.\n"
    ]
    for of in dict.fromkeys(row["set"] for row in rows):
        mine = [{k: v for k, v in row.items() if k != "set"} for row in rows if row["set"] == of]
        lines += [f"## {of}\n", evaluate.to_markdown(mine)]
    write_whole(output / "ablation.csv", evaluate.to_csv(rows).encode())
    write_whole(output / "ablation.md", "\n".join(lines).encode())


def write_sizes(output: Path, predictor: Predictor, tests: Sequence[TestBracket]) -> None:
    """psnr_vs_n.csv and psnr_vs_n.png, and the table as the last part of ablation.md."""
    known = [test for test in tests if test.reference is not None]
    if not known:
        train.console.print("no test bracket has a reference: PSNR against N is left out")
        return
    rows: list[Row] = [
        {"lut_size": size} | row for size in SIZES_COMPARED for row in score_tests(predictor, size, known)
    ]
    lines = {
        str(of): [float(row["psnr_db"] or math.nan) for row in rows if row["set"] == of]
        for of in dict.fromkeys(row["set"] for row in rows)
    }
    table = (output / "ablation.md").read_text() + f"\n## Size of the LUT\n\n{evaluate.to_markdown(rows)}"
    write_whole(output / "ablation.md", table.encode())
    write_whole(output / "psnr_vs_n.csv", evaluate.to_csv(rows).encode())
    write_whole(output / "psnr_vs_n.png", line_plot(SIZES_COMPARED, lines, "N, nodes a side", "PSNR, dB"))
