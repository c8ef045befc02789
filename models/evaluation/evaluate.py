"""The quality of a set of brackets: ours beside Mertens and the plain average, with contact sheets."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2

from lutfuse.models.atomic_file import write_whole
from lutfuse.models.checked import ConfigError
from lutfuse.models.contract import DEFAULT_LUT_SIZE, EXPOSURES, U8
from lutfuse.models.evaluation.contact_sheet import contact_sheet
from lutfuse.models.evaluation.scores import Row, score, to_csv, to_markdown
from lutfuse.models.fusion import kernel
from lutfuse.models.fusion.classical import opencv_mertens, plain_average
from lutfuse.models.student.implicit_lut import check_lut_size
from lutfuse.models.student.predictor import Predictor
from lutfuse.models.training.scenes import (
    bracket_folders,
    exposure_files,
    read_rgb,
    reference_file,
    to_u8,
)

NATIVE_SIDE = 1 << 16  # px, beyond every image that OpenCV reads

Method = Callable[[list[U8]], U8]


@dataclass(frozen=True)
class Evaluation:
    """What to score, and how."""

    data: tuple[Path, ...]  # folders of bracket folders
    output: Path  # folder for scores.csv, scores.md and sheets/
    weights: Path | None = None  # .safetensors; None are the shipped ones
    ends: bool = False  # only the darkest and the brightest frame of each bracket
    lut_size: int = DEFAULT_LUT_SIZE
    max_side: int = NATIVE_SIDE  # px, to which the long side of larger images is reduced first
    sheets: bool = True


def evaluate(evaluation: Evaluation) -> list[Row]:
    """Scores every bracket with every method; writes and returns the table, a row per bracket and method.

    Raises:
      ValueError: there is no bracket (ConfigError), or a file that cannot be read.
      OSError: something cannot be written.
    """
    folders = [(root, folder) for root in evaluation.data for folder in bracket_folders(root)]
    if not folders:
        raise ConfigError(
            f"{evaluation.data[0]} holds no bracket; a bracket is a folder of {EXPOSURES} images"
        )
    methods = {
        "lutfuse": student_method(Predictor.load(evaluation.weights), evaluation.lut_size),
        "mertens": mertens,
        "average": plain_average,
    }
    rows: list[Row] = []
    for root, folder in folders:
        name = folder.relative_to(root).as_posix() if folder != root else folder.name
        rows += _score_bracket(name, folder, methods, evaluation)
    write_whole(evaluation.output / "scores.csv", to_csv(rows).encode())
    write_whole(evaluation.output / "scores.md", to_markdown(rows).encode())
    return rows


def _score_bracket(name: str, folder: Path, methods: dict[str, Method], evaluation: Evaluation) -> list[Row]:
    frames, reference = read_bracket(folder, evaluation.max_side, evaluation.ends)
    fused = {method: timed(frames, function) for method, function in methods.items()}
    if evaluation.sheets:
        outputs = [(method, image) for method, (image, _) in fused.items()]
        sheet = evaluation.output / "sheets" / f"{name.replace('/', '--')}.jpg"
        _write_sheet(sheet, frames, outputs + ([] if reference is None else [("reference", reference)]))
    return [score(name, method, frames, reference, *fused[method]) for method in methods]


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
    """The student and the kernel, as a job runs them."""
    check_lut_size(lut_size)

    def method(frames: list[U8]) -> U8:
        prediction = predictor.predict(frames)
        lut = predictor.bake(prediction.latent, lut_size)
        ordered = [frames[k] for k in prediction.order]
        return kernel.fuse(ordered, prediction.grid, lut, device="cpu")

    return method


def mertens(frames: list[U8]) -> U8:
    """OpenCV's exposure fusion in 8 bits."""
    return to_u8(opencv_mertens(frames))


def timed(frames: list[U8], method: Method) -> tuple[U8, float]:
    """The fused image and the wall time in msec it took, without decoding."""
    start = time.perf_counter()
    image = method(frames)
    return image, (time.perf_counter() - start) * 1e3


def _write_sheet(path: Path, frames: list[U8], outputs: list[tuple[str, U8]]) -> None:
    inputs = [(f"frame {k}", frame) for k, frame in enumerate(frames)]
    sheet = contact_sheet([inputs, outputs])
    _, encoded = cv2.imencode(".jpg", sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    write_whole(path, encoded.tobytes())
