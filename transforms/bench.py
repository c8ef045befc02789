"""`lutfuse bench`: time of each stage on this machine, next to other ways to fuse.

Images are synthesised and encoded by the real codecs. Each figure is the median of repeated runs on one
thread, interleaved so that other load on the machine slows all stages alike. On the CPU it is CPU time, which
other load distorts least; on a GPU it is wall-clock time.
"""

import platform
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import torch

from lutfuse.models.fusion.classical import opencv_mertens
from lutfuse.models.fusion.kernel import available_paths, fuse
from lutfuse.models.fusion.twin import fuse_twin
from lutfuse.models.student.predictor import Predictor
from lutfuse.models.synthetic.camera import photograph
from lutfuse.models.synthetic.scene import render_radiance
from lutfuse.transforms.fuse import scores, used_device
from lutfuse.transforms.images import io as image_io

STAGES = ("decode", "student", "bake", "fuse", "metrics", "encode")
BASELINES = ("opencv_mertens", "torch")
BRACKET_SIZES = (2, 3, 5, 9)  # exposures per bracket, by default
EV_RANGE = 4.0  # exposures span -4…+4 EV


def median_msec(
    jobs: dict[str, Callable[[], object]], repeats: int, clock: Callable[[], float] = time.process_time
) -> dict[str, float]:
    """Median time of each job in msec. The jobs take turns; a first round to warm up is not counted."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(repeats + 1):
        for name, job in jobs.items():
            start = clock()
            job()
            times[name].append((clock() - start) * 1e3)
    return {name: statistics.median(rounds[1:]) for name, rounds in times.items()}


def bench_bracket(
    radiance: np.ndarray, count: int, *, predictor: Predictor, lut_size: int, device: str, repeats: int
) -> dict[str, Any]:
    """Times in msec of a bracket of `count` exposures, rendered from `radiance` [H, W, 3] float32."""
    evs = np.linspace(-EV_RANGE, EV_RANGE, count)
    rng = np.random.default_rng(count)
    files = [image_io.encode(photograph(radiance, float(ev), rng), format="jpeg") for ev in evs]
    frames = [image_io.decode(data).pixels for data in files]
    prediction = predictor.predict(frames)
    grid, lut = prediction.grid, predictor.bake(prediction.latent, lut_size)
    ordered = [frames[i] for i in prediction.order]
    fused = fuse(ordered, grid, lut, device=device)
    jobs: dict[str, Callable[[], object]] = {
        "decode": lambda: [image_io.decode(data) for data in files],
        "student": lambda: predictor.predict(frames),
        "bake": lambda: predictor.bake(prediction.latent, lut_size),
        "fuse": lambda: fuse(ordered, grid, lut, device=device),
        "metrics": lambda: scores(frames, fused, None),
        "encode": lambda: image_io.encode(fused, format="jpeg"),
    }
    baselines: dict[str, Callable[[], object]] = {
        "opencv_mertens": lambda: opencv_mertens(frames),
        "torch": lambda: fuse_twin(ordered, grid, lut, dtype=torch.float32),
    }
    # One round is enough for the baselines: they take seconds and differ by factors.
    clock = time.perf_counter if used_device(device) == "cuda" else time.process_time
    times = median_msec(jobs, repeats, clock) | median_msec(baselines, 1, clock)
    total = sum(times[stage] for stage in STAGES)
    codecs = times["decode"] + times["encode"]
    return times | {"exposures": count, "total": total, "total_to_codecs": total / codecs}


def bench(
    *, width: int, height: int, exposures: Sequence[int], lut_size: int, device: str, repeats: int
) -> Any:
    """All figures as plain JSON values: times in msec, rates in brackets per hour and core."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    predictor = Predictor.load()
    radiance = render_radiance(width, height, seed=0)
    brackets = [
        bench_bracket(radiance, count, predictor=predictor, lut_size=lut_size, device=device, repeats=repeats)
        for count in exposures
    ]
    for bracket in brackets:
        bracket["brackets_per_hour_per_core"] = 3.6e6 / bracket["total"]
    return {
        "machine": {"processor": _processor(), "python": platform.python_version()},
        "kernel": available_paths()[-1] if used_device(device) == "cpu" else "cuda",
        "width": width,
        "height": height,
        "lut_size": lut_size,
        "repeats": repeats,
        "brackets": brackets,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 (a device file, not a path to join)
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
