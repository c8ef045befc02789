"""`lutfuse evaluate`: the quality table of a set of brackets, ours beside Mertens and the plain average."""

import argparse
import csv
import io
import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from lutfuse.models.checked import ConfigError
from lutfuse.models.contract import DEFAULT_LUT_SIZE, EXPOSURES, LUT_SIZES, U8
from lutfuse.models.evaluation.contact_sheet import contact_sheet
from lutfuse.models.fusion import kernel as fusion
from lutfuse.models.metrics.colour import colour_difference
from lutfuse.models.metrics.pixels import clipped_shares, psnr
from lutfuse.models.metrics.structure import mef_ssim, mef_ssim_c, ssim
from lutfuse.models.student.checkpoint import output_folder, write_whole
from lutfuse.models.student.implicit_lut import check_lut_size
from lutfuse.models.student.predictor import Predictor
from lutfuse.models.training.scenes import (
    bracket_folders,
    exposure_files,
    exposure_fusion,
    read_rgb,
    reference_file,
)

DESCRIPTION = """\
Fuse every bracket below DIR with the student, with OpenCV's Mertens and by plain averaging, and score the
results. Writes OUTPUT/scores.csv and OUTPUT/scores.md, one line per bracket and method, and contact sheets
in OUTPUT/sheets; prints the means. Images are read with 8 bits per channel.
"""

NO_LIMIT = 1 << 16
SCORES = {
    "psnr_db": 2, "ssim": 4, "mef_ssim": 4, "mef_ssim_c": 4, "ciede2000": 2,
    "clipped_low": 4, "clipped_high": 4, "msec": 1,
}  # name: decimals  # fmt: skip

Method = Callable[[list[U8]], U8]
Row = dict[str, str | int | float | None]


def main(argv: list[str]) -> int:
    """Runs the command; 0 scored, 2 wrong usage or an unreadable bracket."""
    args = _parser().parse_args(argv)
    try:
        rows = _evaluate(args)
    except ValueError as error:
        print(f"lutfuse evaluate: error: {error}", file=sys.stderr)
        return 2
    write_whole(args.output / "scores.csv", to_csv(rows).encode())
    write_whole(args.output / "scores.md", to_markdown(rows).encode())
    print(to_markdown(summary(rows)))
    print(f"per bracket: {args.output / 'scores.md'}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lutfuse evaluate", description=DESCRIPTION)
    parser.add_argument(
        "--data", type=Path, action="append", required=True, metavar="DIR",
        help="folder of bracket folders, searched recursively; may be given more than once",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="where tables and sheets go"
    )
    parser.add_argument(
        "--weights", type=Path, metavar="FILE", help=".safetensors to use (default: the shipped weights)"
    )
    parser.add_argument(
        "--frames", choices=("all", "ends"), default="all",
        help="all frames of a bracket, or its darkest and brightest only (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--lut-size",
        type=int,
        default=DEFAULT_LUT_SIZE,
        metavar="N",
        help=f"{LUT_SIZES} nodes a side (default: %(default)s)",
    )
    parser.add_argument(
        "--max-side", type=int, default=NO_LIMIT, metavar="PX",
        help="reduce larger images to this long side first (default: native size)",
    )  # fmt: skip
    parser.add_argument("--no-sheets", action="store_true", help="tables only")
    return parser


def _evaluate(args: argparse.Namespace) -> list[Row]:
    folders = [(root, folder) for root in args.data for folder in bracket_folders(root)]
    if not folders:
        raise ConfigError(f"--data {args.data[0]} holds no bracket; a bracket is a folder of 2 to 9 images")
    if args.max_side < 1:
        raise ConfigError(f"--max-side is {args.max_side} px; it must be at least 1")
    methods = {
        "lutfuse": student_method(Predictor.load(args.weights), args.lut_size),
        "mertens": exposure_fusion,
        "average": plain_average,
    }
    sheets = output_folder(args.output / "sheets")
    rows: list[Row] = []
    for root, folder in folders:
        name = folder.relative_to(root).as_posix() if folder != root else folder.name
        frames, reference = read_bracket(folder, args.max_side, args.frames == "ends")
        fused = {method: run(frames, function) for method, function in methods.items()}
        rows += [score(name, method, frames, reference, *fused[method]) for method in methods]
        if not args.no_sheets:
            results = [(method, image) for method, (image, _) in fused.items()]
            _write_sheet(sheets / f"{name.replace('/', '--')}.jpg", frames, results, reference)
    return rows


def read_bracket(folder: Path, max_side: int, ends: bool) -> tuple[list[U8], U8 | None]:
    """Frames dark → bright (with `ends` the outermost two) and the reference of a bracket folder."""
    frames = sorted(
        (read_rgb(path, max_side) for path in exposure_files(folder)), key=lambda f: float(f.mean())
    )
    if len(frames) > EXPOSURES.high:
        raise ConfigError(f"{folder} holds {len(frames)} exposures; a bracket has at most {EXPOSURES.high}")
    path = reference_file(folder)
    return [frames[0], frames[-1]] if ends else frames, read_rgb(path, max_side) if path else None


def student_method(predictor: Predictor, lut_size: int) -> Method:
    """The student and the kernel, as the job runs them."""
    check_lut_size(lut_size)

    def method(frames: list[U8]) -> U8:
        prediction = predictor.predict(frames)
        lut = predictor.bake(prediction.latent, lut_size)
        ordered = [frames[k] for k in prediction.order]
        return fusion.fuse(ordered, prediction.grid, lut, device="cpu")

    return method


def plain_average(frames: list[U8]) -> U8:
    total = np.zeros(frames[0].shape, np.float32)
    for frame in frames:
        total += frame
    return np.asarray((total / len(frames)).round(), np.uint8)


def run(frames: list[U8], method: Method) -> tuple[U8, float]:
    """The fused image and the wall time in msec it took, decoding left out."""
    start = time.perf_counter()
    image = method(frames)
    return image, (time.perf_counter() - start) * 1e3


def score(name: str, method: str, frames: list[U8], reference: U8 | None, image: U8, msec: float) -> Row:
    """One line of the table; what cannot be measured on this bracket is None."""
    low, high = clipped_shares(image)
    row: Row = {"bracket": name, "method": method, "frames": len(frames)}
    against = (
        {}
        if reference is None
        else {
            "psnr_db": _measured(lambda: psnr(image, reference)),
            "ssim": _measured(lambda: ssim(image, reference)),
            "ciede2000": _measured(lambda: colour_difference(image, reference)),
        }
    )
    values: dict[str, float | None] = {
        **against,
        "mef_ssim": _measured(lambda: mef_ssim(frames, image)),
        "mef_ssim_c": _measured(lambda: mef_ssim_c(frames, image)),
        "clipped_low": low,
        "clipped_high": high,
        "msec": msec,
    }
    return row | {key: _rounded(values.get(key), decimals) for key, decimals in SCORES.items()}


def _measured(metric: Callable[[], float]) -> float | None:
    """None where the images are too small for the metric's window."""
    try:
        return metric()
    except ValueError:
        return None


def _rounded(value: float | None, decimals: int) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, decimals)


def summary(rows: Sequence[Row]) -> list[Row]:
    """Per method the mean of every score over the brackets that have it; of msec the median."""
    result: list[Row] = []
    for method in dict.fromkeys(row["method"] for row in rows):
        mine = [row for row in rows if row["method"] == method]
        line: Row = {"bracket": f"mean of {len(mine)}", "method": method, "frames": None}
        for key, decimals in SCORES.items():
            values = [value for row in mine if isinstance(value := row[key], float)]
            middle = statistics.median if key == "msec" else statistics.fmean
            line[key] = _rounded(middle(values), decimals) if values else None
        result.append(line)
    return result


def to_csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def to_markdown(rows: Sequence[Row]) -> str:
    """Rows as a Markdown table; what was not measured is a dash."""
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    lines += ["| " + " | ".join("–" if v is None else str(v) for v in row.values()) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _write_sheet(path: Path, frames: list[U8], results: list[tuple[str, U8]], reference: U8 | None) -> None:
    inputs = [(f"frame {k}", frame) for k, frame in enumerate(frames)]
    outputs = results + ([("reference", reference)] if reference is not None else [])
    sheet = contact_sheet([inputs, outputs])
    _, encoded = cv2.imencode(".jpg", sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    write_whole(path, encoded.tobytes())
