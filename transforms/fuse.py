"""The heavy step: one bracket in, one fused image in storage and one small row out.

`fuse_bracket` does the work and is plain Python; `FuseBrackets` calls it for each element and counts.
A runner may retry a bundle: the same bracket gives the same bytes under the same name, so a second
attempt replaces the first with itself.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import cv2
from apache_beam.metrics.metric import Metrics
from apache_beam.utils.shared import Shared

from lutfuse.models.contract import Pixels
from lutfuse.models.looks.cube import Cube
from lutfuse.models.looks.load import bake_look, edit_grid, unit_lut
from lutfuse.transforms.exports import Edit, exports_done, middle, write_exports
from lutfuse.transforms.exposures import planned_bytes, read_exposures, read_reference, same_depth
from lutfuse.transforms.images import io as image_io
from lutfuse.transforms.inflight import MemoryBudget
from lutfuse.transforms.inputs.brackets import Bracket
from lutfuse.transforms.luts import read_given
from lutfuse.transforms.outputs import FuseOptions, config_hash, output_uri, pack_row, recover_row
from lutfuse.transforms.progress_file import report
from lutfuse.transforms.rows import METRICS_SCHEMA, TIMINGS, Row, check_row, failure_row, printable
from lutfuse.transforms.stages import NAMESPACE, BracketError, Stages
from lutfuse.transforms.storage import files
from lutfuse.transforms.weights import load_predictor

if TYPE_CHECKING:
    # torch stays out of the process that submits the job; workers import it in `setup`.
    from lutfuse.models.student.predictor import Predictor

FAILURES = "failures"
MIME = {"jpeg": "image/jpeg", "png": "image/png", "tiff": "image/tiff"}
# Scores are taken on copies halved to at most this many px a side (480x270 for UHD): at full size they would
# cost more than everything else together. PSNR is taken at full size.
PROXY_SIDE = 512
# Brackets of this process on the GPU at a time, each on a stream of its own: one is copied while another is
# computed, and threads that wait hold no memory there.
GPU_SLOTS = 2
_GPU_SLOTS = threading.BoundedSemaphore(GPU_SLOTS)


def fuse_bracket(bracket: Bracket, options: FuseOptions, predictor: "Predictor") -> Row:
    """Fuses one bracket and writes the image.

    Args:
      bracket: what to fuse.
      options: how, and where to.
      predictor: the model, shared by all brackets of a process.

    Returns:
      A row of `METRICS_SCHEMA`.

    Raises:
      BracketError: this bracket cannot be fused; the message says why.
      OSError: the storage is down or full, which is no fault of the bracket.
    """
    start = time.perf_counter()
    if bracket.problem:
        raise BracketError("input", "invalid_bracket", bracket.problem)
    stages = Stages()
    given = read_given(bracket, options, stages)
    config = config_hash(bracket, options, predictor.model_id, given)
    images, bytes_in = read_exposures(bracket, options, stages)
    frames = same_depth([image.pixels for image in images])
    edit = plan_edit(frames, options, predictor, stages, given)
    device = used_device(options.device)
    fused = _apply(edit, frames, device, stages)
    reference = read_reference(bracket, fused.shape[:2], options, stages)
    with stages("metrics"):
        row = _describe(bracket, options, predictor, fused)
        row |= {"lut_size": len(edit.lut), "bytes_in": bytes_in, "device": device}
        row |= scores(frames, fused, reference)
    with stages("encode"):
        data = _encode(fused, images[middle(edit)], options, pack_row(row, config))
    write_exports(bracket, options, predictor.model_id, edit, images, stages)
    with stages("write"):
        files.write_bytes(row["output_uri"], data, mime=MIME[options.image_format])
    row |= dict.fromkeys(TIMINGS, 0.0) | stages.msec
    row |= {"bytes_out": len(data), "worker": socket.gethostname()}
    row["total_ms"] = (time.perf_counter() - start) * 1e3
    return check_row(row, METRICS_SCHEMA)


def plan_edit(
    frames: list[Pixels],
    options: FuseOptions,
    predictor: "Predictor",
    stages: Stages,
    given: Cube | None = None,
) -> Edit:
    """What the model and the look make of a bracket; a given LUT replaces what both make of its colours."""
    look = options.look and options.look.at_strength(options.strength)
    with stages("student"):
        prediction = predictor.predict(frames)
    with stages("bake"):
        grid = prediction.grid if look is None else edit_grid(prediction.grid, look)
        if given is not None:
            return Edit(prediction.order, grid, unit_lut(given))
        lut = predictor.bake(prediction.latent, options.lut_size)
        return Edit(prediction.order, grid, lut if look is None else bake_look(lut, look))


def _apply(edit: Edit, frames: list[Pixels], device: str, stages: Stages) -> Pixels:
    from lutfuse.models.fusion.kernel import fuse

    with stages("fuse"), _GPU_SLOTS if device == "cuda" else contextlib.nullcontext():
        return fuse([frames[i] for i in edit.order], edit.grid, edit.lut, device=device)


def _describe(bracket: Bracket, options: FuseOptions, predictor: "Predictor", fused: Pixels) -> Row:
    height, width = fused.shape[:2]
    return {
        "group_id": printable(bracket.group_id),
        "status": "fused",
        "input_uris": [printable(uri) for uri in bracket.uris],
        "output_uri": output_uri(bracket.group_id, options),
        "n_exposures": len(bracket.uris),
        "width": width,
        "height": height,
        "bit_depth": 8 if options.image_format == "jpeg" else fused.dtype.itemsize * 8,
        "look": None if options.look is None else options.look.name,
        "model": predictor.model_id,
    }


def used_device(device: str) -> str:
    """ "cpu" or "cuda": what `device` (which may be "auto") means on this machine.

    Raises:
      RuntimeError: "cuda" was asked for and there is none.
    """
    from lutfuse.models.fusion.kernel import cuda_device_count

    found = cuda_device_count() > 0
    if device == "cuda" and not found:
        raise RuntimeError("--device cuda: no CUDA device here; use --device auto, or a worker with a GPU")
    return "cuda" if found and device != "cpu" else "cpu"


def _encode(fused: Pixels, middle: image_io.DecodedImage, options: FuseOptions, comment: str) -> bytes:
    height, width = fused.shape[:2]
    exif = image_io.carry_exif(middle.exif, width, height)
    return image_io.encode(
        fused,
        format=options.image_format,
        quality=options.quality,
        icc=middle.icc,
        exif=exif,
        comment=comment,
    )


def scores(frames: list[Pixels], fused: Pixels, reference: Pixels | None) -> Row:
    """The quality columns of a row; None where a score is not defined (no reference, tiny image)."""
    from lutfuse.models.metrics.images import proxy
    from lutfuse.models.metrics.pixels import clipped_shares, psnr
    from lutfuse.models.metrics.structure import mef_ssim, ssim

    small = [proxy(image, PROXY_SIDE) for image in (*frames, fused)]
    low, high = clipped_shares(fused)
    row: Row = {"psnr_db": None, "ssim": None, "clipped_low": low, "clipped_high": high}
    row["mef_ssim"] = _defined(mef_ssim, small[:-1], small[-1])
    if reference is not None:
        row["psnr_db"] = _defined(psnr, fused, reference)
        row["ssim"] = _defined(ssim, small[-1], proxy(reference, PROXY_SIDE))
    return row


def _defined(score: Callable[..., float], *images: object) -> float | None:
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
        """Loads the model once per process, however many threads the runner has."""
        cv2.setNumThreads(1)  # the runner has a worker for every core; threads below it would only fight
        used_device(self.options.device)  # fails the job at once, not every bracket
        self._predictor = self._shared.acquire(lambda: load_predictor(self.options.weights))
        self._budget = self._shared_budget.acquire(lambda: MemoryBudget(self.options.max_inflight_bytes))

    # Any: Beam would take a union with TaggedOutput for the type of the main output.
    def process(self, bracket: Bracket) -> Iterator[Any]:
        """One bracket to exactly one row."""
        try:
            row = None if bracket.problem or self.options.overwrite else self._recover(bracket)
            outcome = "skipped" if row else "fused"
            yield row or self._fuse(bracket)
        except BracketError as error:
            outcome = "failed"
            Metrics.counter(NAMESPACE, f"failed-{error.stage}").inc()
            failure = failure_row(bracket.group_id, bracket.uris, error.stage, error.error_type, str(error))
            yield beam.pvalue.TaggedOutput(FAILURES, failure)
        Metrics.counter(NAMESPACE, outcome).inc()
        report(self.progress_file, outcome)

    def _recover(self, bracket: Bracket) -> Row | None:
        model_id = self._predictor.model_id
        given = read_given(bracket, self.options, Stages())
        try:
            row = recover_row(bracket, self.options, config_hash(bracket, self.options, model_id, given))
            return row if row and exports_done(bracket, self.options, model_id) else None
        except OSError as error:
            if files.is_fatal(error):
                raise
            return None  # a name too long, an unreadable place: writing will say it of this bracket

    def _fuse(self, bracket: Bracket) -> Row:
        size = 0 if bracket.problem else planned_bytes(bracket, self.options, Stages())
        start = time.perf_counter()
        with self._budget.hold(size):
            waited_msec = round((time.perf_counter() - start) * 1e3)
            Metrics.distribution(NAMESPACE, "wait-msec").update(waited_msec)
            row = fuse_bracket(bracket, self.options, self._predictor)
        for name in TIMINGS:
            Metrics.distribution(NAMESPACE, f"{name.removesuffix('_ms')}-msec").update(round(row[name]))
        for name in ("bytes_in", "bytes_out"):
            Metrics.counter(NAMESPACE, name.replace("_", "-")).inc(row[name])
        return row
