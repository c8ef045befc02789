"""`lutfuse bench`: how fast this machine fuses, stage by stage, beside what people use today.

The pictures are synthesised, the codecs real, and each figure is the median of repeated runs in one process
on one thread, interleaved so that a busy machine slows all of them alike. On the CPU it is CPU time, which a
busy machine distorts least and on a quiet one is what the clock shows; on a GPU it is the clock's.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from models.fusion import available_paths, fuse
from models.predictor import Predictor
from models.reference import fuse_reference
from models.synthetic.camera import photograph
from models.synthetic.scene import render_radiance
from transforms import image_io
from transforms.arguments import add_size, whole_number
from transforms.exposures import Pixels
from transforms.fuse import scores, used_device

STAGES = ("decode", "student", "bake", "fuse", "metrics", "encode")
RIVALS = ("opencv_mertens", "torch")
EXPOSURES = (2, 3, 5, 9)
EV_RANGE = 4.0  # exposures span -4…+4 EV


def median_msec(
    jobs: dict[str, Callable[[], object]], repeats: int, clock: Callable[[], float] = time.process_time
) -> dict[str, float]:
    """Median time of each job in msec, the jobs taking turns; a first round does not count."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(repeats + 1):
        for name, job in jobs.items():
            start = clock()
            job()
            times[name].append((clock() - start) * 1e3)
    return {name: statistics.median(rounds[1:]) for name, rounds in times.items()}


def mertens(frames: Sequence[Pixels]) -> np.ndarray:
    """OpenCV's exposure fusion (Mertens et al. 2007), the usual tool: [H, W, 3] float32."""
    merged: np.ndarray = cv2.createMergeMertens().process(list(frames))
    return merged


def bench_bracket(
    radiance: np.ndarray, count: int, *, predictor: Predictor, lut_size: int, device: str, repeats: int
) -> dict[str, Any]:
    """Times of one bracket of `count` exposures of `radiance` [H, W, 3] float32, in msec."""
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
    rivals: dict[str, Callable[[], object]] = {
        "opencv_mertens": lambda: mertens(frames),
        "torch": lambda: fuse_reference(ordered, grid, lut, dtype=torch.float32),
    }
    # One round of the rivals: they take seconds, and are ahead or behind by factors.
    clock = time.perf_counter if used_device(device) == "cuda" else time.process_time
    times = median_msec(jobs, repeats, clock) | median_msec(rivals, 1, clock)
    total = sum(times[stage] for stage in STAGES)
    codecs = times["decode"] + times["encode"]
    return times | {"exposures": count, "total": total, "total_to_codecs": total / codecs}


def bench(
    *, width: int, height: int, exposures: Sequence[int], lut_size: int, device: str, repeats: int
) -> Any:
    """All figures of this machine as plain JSON values: times in msec, rates in brackets an hour and core."""
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


def table(result: dict[str, Any]) -> Table:
    """The figures for people: a column a bracket size."""
    title = f"msec a bracket, {result['width']}x{result['height']}, one thread"
    shown = Table("", *(f"K = {bracket['exposures']}" for bracket in result["brackets"]), title=title)
    for name in (*STAGES, "total"):
        shown.add_row(name, *(f"{bracket[name]:.0f}" for bracket in result["brackets"]))
    shown.add_row("total / codecs", *(f"{bracket['total_to_codecs']:.2f}" for bracket in result["brackets"]))
    rates = (f"{bracket['brackets_per_hour_per_core']:.0f}" for bracket in result["brackets"])
    shown.add_row("brackets/hour/core", *rates)
    for name in RIVALS:
        ratios = (
            f"{bracket[name]:.0f} ({bracket[name] / bracket['fuse']:.0f}x)" for bracket in result["brackets"]
        )
        shown.add_row(f"{name}, instead of fuse", *ratios)
    return shown


def main(argv: Sequence[str]) -> int:
    """Runs `lutfuse bench ARGV` and returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="lutfuse bench",
        description="Measure this machine: msec of each stage per bracket, and the fusion beside OpenCV's "
        "Mertens and plain torch (in brackets: how many times as long as ours).",
        allow_abbrev=False,
    )
    add_size(parser)
    parser.add_argument(
        "--exposures",
        type=whole_number(2, 9),
        nargs="+",
        default=EXPOSURES,
        metavar="K",
        help="bracket sizes (default: 2 3 5 9)",
    )
    parser.add_argument(
        "--lut-size", type=whole_number(2, 129), default=33, metavar="N", help="default: %(default)s"
    )
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: %(default)s"
    )
    parser.add_argument(
        "--repeats", type=whole_number(1, 1000), default=7, help="runs a figure (default: %(default)s)"
    )
    parser.add_argument("--json", metavar="FILE", help="also write the figures to this file")
    args = vars(parser.parse_args(argv))
    target = args.pop("json")
    result = bench(**args)
    console = Console()
    console.print(f"{result['machine']['processor']}, kernel: {result['kernel']}")
    console.print(table(result))
    if target:
        with open(target, "w", encoding="utf-8") as file:  # noqa: PTH123 (the user's own path as given)
            json.dump(result, file, indent=2)
    return 0
