"""The fusion step: one bracket in, one fused image in storage and one row out.

`fuse_bracket` does the work in plain Python; `FuseBrackets` calls it for each element and counts. A runner
may retry a bundle: the same bracket gives the same bytes under the same name, so a retry changes nothing.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import cv2
from apache_beam.utils.shared import Shared

from lutfuse.models.contract import Pixels
from lutfuse.models.fusion.kernel import cuda_device_count, fuse
from lutfuse.models.metrics.images import proxy
from lutfuse.models.metrics.pixels import clipped_shares, psnr
from lutfuse.models.metrics.structure import mef_ssim, ssim
from lutfuse.transforms.counters import count, measure, report
from lutfuse.transforms.edit import plan_edit
from lutfuse.transforms.exports import exports_done, write_exports
from lutfuse.transforms.exposures import planned_bytes, read_exposures, read_reference, same_depth
from lutfuse.transforms.images import io as image_io
from lutfuse.transforms.images.exif import carry_exif
from lutfuse.transforms.images.types import DecodedImage
from lutfuse.transforms.inflight import MemoryBudget
from lutfuse.transforms.inputs.brackets import Bracket
from lutfuse.transforms.options import FuseOptions
from lutfuse.transforms.recovery import pack_row, recover_row
from lutfuse.transforms.rows import METRICS_SCHEMA, TIMINGS, Row, check_row, failure_row, printable
from lutfuse.transforms.stages import BracketError, Stages
from lutfuse.transforms.storage import files
from lutfuse.transforms.storage.retries import is_fatal
from lutfuse.transforms.task import Task, prepare
from lutfuse.transforms.weights import load_predictor

if TYPE_CHECKING:
    # The process that submits the job must not import torch; workers do so in `setup`.
    from lutfuse.models.student.predictor import Predictor

FAILURES = "failures"
MIME = {"jpeg": "image/jpeg", "png": "image/png", "tiff": "image/tiff"}
# px; SSIM and MEF-SSIM are measured on copies halved until no side is longer (480x270 for UHD): at full size
# they would take longer than all other stages together. PSNR is measured at full size.
PROXY_SIDE = 512
# Brackets that a process fuses on the GPU at a time, each on its own stream: one is copied while the other is
# computed. Threads that wait hold no GPU memory.
MAX_ON_GPU = 2
GPU_SLOTS = threading.BoundedSemaphore(MAX_ON_GPU)


def fuse_bracket(bracket: Bracket, options: FuseOptions, predictor: "Predictor") -> Row:
    """Fuse one bracket and write the image.

    Args:
      bracket: what to fuse.
      options: how to fuse, and where to write.
      predictor: the model, shared by all brackets of a process.

    Returns:
      A row of `METRICS_SCHEMA`.

    Raises:
      BracketError: this bracket cannot be fused; the message says why.
      OSError: the storage is down or full, which fails the job.
    """
    stages = Stages()
    return fuse_task(prepare(bracket, options, predictor.model_id, stages), predictor, stages)


def fuse_task(task: Task, predictor: "Predictor", stages: Stages) -> Row:
    """`fuse_bracket` for a prepared task; `stages` holds the times of its preparation."""
    start = time.perf_counter() - sum(stages.msec.values()) / 1e3
    bracket, options = task.bracket, task.options
    images, bytes_in = read_exposures(bracket, options.limits, stages)
    frames = same_depth([image.pixels for image in images])
    edit = plan_edit(frames, options, predictor, stages, task.given)
    device = used_device(options.device)
    with stages("fuse"), GPU_SLOTS if device == "cuda" else contextlib.nullcontext():
        fused = fuse(edit.sorted(frames), edit.grid, edit.lut, device=device)
    reference = read_reference(bracket, fused.shape[:2], options.limits, stages)
    with stages("metrics"):
        row = _basic_columns(task, fused)
        row |= {"lut_size": len(edit.lut), "bytes_in": bytes_in, "device": device}
        row |= scores(frames, fused, reference)
    with stages("encode"):
        data = _encode(fused, images[edit.middle], options, pack_row(row, task))
    write_exports(task, edit, images, stages)
    with stages("write"):
        files.write_bytes(row["output_uri"], data, mime=MIME[options.image_format])
    row |= dict.fromkeys(TIMINGS, 0.0) | stages.msec
    row |= {"bytes_out": len(data), "worker": socket.gethostname()}
    row["total_ms"] = (time.perf_counter() - start) * 1e3
    return check_row(row, METRICS_SCHEMA)


def _basic_columns(task: Task, fused: Pixels) -> Row:
    bracket, options = task.bracket, task.options
    height, width = fused.shape[:2]
    return {
        "group_id": printable(bracket.group_id),
        "status": "fused",
        "input_uris": [printable(uri) for uri in bracket.uris],
        "output_uri": task.output_uri,
        "n_exposures": len(bracket.uris),
        "width": width,
        "height": height,
        "bit_depth": 8 if options.image_format == "jpeg" else fused.dtype.itemsize * 8,
        "look": None if options.look is None else options.look.name,
        "model": task.model_id,
    }


def used_device(device: str) -> str:
    """Resolve "auto", "cpu" or "cuda" to the device of this machine, "cpu" or "cuda".

    Raises:
      RuntimeError: `device` is "cuda" and there is no CUDA device.
    """
    found = cuda_device_count() > 0
    if device == "cuda" and not found:
        raise RuntimeError("--device cuda: no CUDA device here; use --device auto, or a worker with a GPU")
    return "cuda" if found and device != "cpu" else "cpu"


def _encode(fused: Pixels, middle: DecodedImage, options: FuseOptions, comment: str) -> bytes:
    height, width = fused.shape[:2]
    exif = carry_exif(middle.exif, width, height)
    return image_io.encode(
        fused,
        format=options.image_format,
        quality=options.quality,
        icc=middle.icc,
        exif=exif,
        comment=comment,
    )


def scores(frames: list[Pixels], fused: Pixels, reference: Pixels | None) -> Row:
    """The quality columns of a row; None where a score is not defined (no reference, tiny image).

    All images are [H, W, 3] of one size; `frames`, `fused` and `reference` are each uint8 or uint16.
    """
    small = [proxy(image, PROXY_SIDE) for image in (*frames, fused)]
    low, high = clipped_shares(fused)
    row: Row = {"psnr_db": None, "ssim": None, "clipped_low": low, "clipped_high": high}
    row["mef_ssim"] = _score_or_none(mef_ssim, small[:-1], small[-1])
    if reference is not None:
        row["psnr_db"] = _score_or_none(psnr, fused, reference)
        row["ssim"] = _score_or_none(ssim, small[-1], proxy(reference, PROXY_SIDE))
    return row


def _score_or_none(score: Callable[..., float], *images: object) -> float | None:
    try:
        return score(*images)
    except ValueError:
        return None


class FuseBrackets(beam.DoFn):
    """Calls `fuse_bracket`; emits metrics rows, and failure rows under the tag `FAILURES`."""

    def __init__(self, options: FuseOptions, progress_file: str | None = None) -> None:
        self.options, self.progress_file = options, progress_file
        self._shared, self._shared_budget = Shared(), Shared()

    def setup(self) -> None:
        """Load the model once per process, however many threads the runner has."""
        cv2.setNumThreads(1)  # the runner has a worker per core; more threads would compete for them
        used_device(self.options.device)  # fails the job at once instead of every bracket
        self._predictor = self._shared.acquire(lambda: load_predictor(self.options.weights))
        self._budget = self._shared_budget.acquire(lambda: MemoryBudget(self.options.max_inflight_bytes))

    # Any: Beam would take a union with TaggedOutput as the type of the main output.
    def process(self, bracket: Bracket) -> Iterator[Any]:
        """Turn one bracket into exactly one row."""
        stages = Stages()
        try:
            task = prepare(bracket, self.options, self._predictor.model_id, stages)
            row = None if self.options.overwrite else self._recover(task)
            outcome = "skipped" if row else "fused"
            yield row or self._fuse(task, stages)
        except BracketError as error:
            outcome = "failed"
            count(f"failed-{error.stage}")
            failure = failure_row(bracket.group_id, bracket.uris, error.stage, error.error_type, str(error))
            yield beam.pvalue.TaggedOutput(FAILURES, failure)
        count(outcome)
        report(self.progress_file, outcome)

    def _recover(self, task: Task) -> Row | None:
        try:
            row = recover_row(task)
            return row if row and exports_done(task) else None
        except OSError as error:
            if is_fatal(error):
                raise
            return None  # such as a name that is too long: writing reports the error for this bracket

    def _fuse(self, task: Task, stages: Stages) -> Row:
        size = planned_bytes(task.bracket, self.options, Stages())
        start = time.perf_counter()
        with self._budget.hold(size):
            measure("wait-msec", (time.perf_counter() - start) * 1e3)
            row = fuse_task(task, self._predictor, stages)
        for name in TIMINGS:
            measure(f"{name.removesuffix('_ms')}-msec", row[name])
        for name in ("bytes_in", "bytes_out"):
            count(name.replace("_", "-"), row[name])
        return row
