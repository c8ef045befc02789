"""Times the fusion kernel beside what it replaces, in one run on one machine: OpenCV's MergeMertens, torch,
and the floor of just reading the exposures and writing an image.

    python tests/benchmarks/bench_fuse.py [--images DARK BRIGHT …] [--rounds 7] [--device cuda] [--json FILE]

Cases take turns, round after round, so that a busy neighbour hits all of them. On the CPU the figure is the
CPU time of the process, which other processes disturb least; only threads are compared by the wall clock.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch

from lutfuse.models.fusion.kernel import available_paths, fuse
from lutfuse.models.fusion.twin import apply_lut, fuse_twin

HEIGHT, WIDTH = 2160, 3840
Times = dict[str, list[tuple[float, float]]]  # case: (wall, cpu) msec of each round


def bracket(k: int, paths: list[Path]) -> list[np.ndarray]:
    """K × [2160, 3840, 3] uint8, dark to bright: from files, or a rendered scene with noise."""
    if paths:
        read = [
            cv2.resize(cv2.imread(str(path)), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) for path in paths
        ]
        return [np.ascontiguousarray(read[i * len(read) // k][..., ::-1]) for i in range(k)]
    rng = np.random.default_rng(0)
    light = sum(
        cv2.resize(
            rng.random((9 * s, 16 * s, 3), np.float32) / s, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC
        )
        for s in (1, 4, 32)
    )
    stops = np.linspace(-3, 1, k) if k > 1 else np.zeros(1)
    noise = rng.standard_normal((HEIGHT, WIDTH, 3), np.float32) * 2
    return [
        np.clip(255 * np.clip(light * 2.0**ev, 0, 1) ** 0.45 + noise, 0, 255).astype(np.uint8) for ev in stops
    ]


def tone_lut(n: int) -> np.ndarray:
    """[N, N, N, 3] float32: a tone curve and a little cross-talk."""
    blue, green, red = np.meshgrid(*[np.linspace(0, 1, n)] * 3, indexing="ij")
    lut = np.stack([red, green, blue], -1)
    return (0.9 * lut**0.8 + 0.1 * lut[..., ::-1] ** 2).astype(np.float32)


def grid_of(k: int) -> np.ndarray:
    return np.random.default_rng(1).random((k, 8, 16, 16), np.float32)


def take_turns(cases: dict[str, Callable[[], Any]], rounds: int) -> Times:
    times: Times = {name: [] for name in cases}
    for case in cases.values():
        case()  # allocates, loads and warms up
    for _ in range(rounds):
        for name, case in cases.items():
            wall, cpu = time.perf_counter(), time.process_time()
            case()
            times[name].append(((time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3))
    return times


def cpu_cases(images: list[Path]) -> dict[str, Callable[[], Any]]:
    """Every case writes to arrays that exist already, apart from OpenCV's and torch's own."""
    u8 = {k: bracket(k, images) for k in (2, 3, 9)}
    u16 = [image.astype(np.uint16) * 257 for image in u8[2]]
    out8, out16 = np.empty_like(u8[2][0]), np.empty_like(u16[0])

    def kernel(k: int, n: int, *, deep: bool = False, **options: Any) -> Callable[[], Any]:
        frames, out = (u16, out16) if deep else (u8[k], out8)
        grid, lut = grid_of(k), tone_lut(n)
        return lambda: fuse(frames, grid, lut, **({"device": "cpu", "out": out} | options))

    cases: dict[str, Callable[[], Any]] = {
        "floor": lambda: np.bitwise_or(u8[2][0], u8[2][1], out=out8),
        "floor, fresh out": lambda: np.bitwise_or(u8[2][0], u8[2][1]),
        "K=2 N=33": kernel(2, 33),
        "K=2 N=33, fresh out": kernel(2, 33, out=None),
        "K=2 N=33, 2 threads": kernel(2, 33, threads=2),
        "K=2 N=9": kernel(2, 9),
        "K=2 N=65": kernel(2, 65),
        "K=3 N=33": kernel(3, 33),
        "K=9 N=33": kernel(9, 33),
        "K=2 N=33, 16 bits": kernel(2, 33, deep=True),
    }
    slower = [path for path in available_paths()[:-1] if path not in ("scalar", "tile")]
    return cases | {f"K=2 N=33, {path}": kernel(2, 33, path=path) for path in slower}


def other_cases(images: list[Path]) -> dict[str, Callable[[], Any]]:
    pair = bracket(2, images)
    mertens, lut = cv2.createMergeMertens(), torch.from_numpy(tone_lut(33))[None]
    image = torch.from_numpy(pair[0]).permute(2, 0, 1)[None].float() / 255
    return {
        "OpenCV MergeMertens": lambda: mertens.process(pair),
        "torch, LUT alone (grid_sample)": lambda: apply_lut(lut, image),
        "torch, the twin in float32": lambda: fuse_twin(pair, grid_of(2), tone_lut(33), dtype=torch.float32),
    }


def bars(cpu: dict[str, float], wall: dict[str, float]) -> list[tuple[str, float, str, bool]]:
    """(what, measured ratio, bar, met)."""
    base = cpu["K=2 N=33"]
    ratios = [
        ("MergeMertens / fuse", cpu["OpenCV MergeMertens"] / base, 25.0, True),
        ("fuse / floor", base / cpu["floor"], 5.0, False),
        (
            "fuse / floor, both into fresh memory",
            cpu["K=2 N=33, fresh out"] / cpu["floor, fresh out"],
            5.0,
            False,
        ),
        ("one thread / two (wall clock)", wall["K=2 N=33"] / wall["K=2 N=33, 2 threads"], 1.8, True),
        ("K = 9 / K = 2", cpu["K=9 N=33"] / base, 2.8, False),
        ("N = 65 / N = 9", cpu["K=2 N=65"] / cpu["K=2 N=9"], 1.15, False),
        ("16 bits / 8 bits", cpu["K=2 N=33, 16 bits"] / base, 2.0, False),
    ]
    return [
        (what, ratio, f"{'≥' if least else '≤'} {bar:g}", ratio >= bar if least else ratio <= bar)
        for what, ratio, bar, least in ratios
    ]


def measure_cpu(images: list[Path], rounds: int) -> dict[str, Any]:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    times = take_turns(cpu_cases(images), rounds) | take_turns(other_cases(images), max(rounds // 3, 1))
    wall = {name: median(w for w, _ in runs) for name, runs in times.items()}
    cpu = {name: median(c for _, c in runs) for name, runs in times.items()}
    where = f"path {available_paths()[-1]}, {platform.machine()}"
    print(f"\nUHD {WIDTH} × {HEIGHT}, {where}; medians of {rounds} rounds\n")
    print(f"| {'case':32} | CPU ms | wall ms |\n|{'-' * 34}|-------:|--------:|")
    for name in times:
        print(f"| {name:32} | {cpu[name]:6.1f} | {wall[name]:7.1f} |")
    print(f"\n| {'bar':38} | measured | bar    | met |\n|{'-' * 40}|---------:|--------|-----|")
    for what, ratio, bar, met in bars(cpu, wall):
        print(f"| {what:38} | {ratio:8.2f} | {bar:6} | {'yes' if met else 'no':3} |")
    return {"cpu_ms": cpu, "wall_ms": wall}


def time_on_gpu(case: Callable[[], Any], rounds: int) -> float:
    """Median msec of one call: ten calls between two events, so that launching does not count."""
    case()
    found = []
    for _ in range(rounds):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        for _ in range(10):
            case()
        end.record()
        end.synchronize()
        found.append(start.elapsed_time(end) / 10)
    return median(found)


def captured(case: Callable[[], Any]) -> Callable[[], Any]:
    """The same work as one CUDA graph: kernels alone, without Python between them."""
    case()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        case()
    return graph.replay


def measure_gpu(images: list[Path], rounds: int) -> dict[str, Any]:
    print(f"\n{torch.cuda.get_device_name()}, UHD; medians of {rounds} × 10 graph replays\n")
    # Much more than the L2 cache holds; a copy moves every byte twice.
    block, other = torch.empty((2, 1 << 30), dtype=torch.uint8, device="cuda")
    bandwidth = 2 * block.numel() / time_on_gpu(lambda: other.copy_(block), rounds) / 1e6
    print(f"device copy {bandwidth:.0f} GB/s\n\n| case               |    ms | bytes moved, GB/s | of copy |")
    print("|--------------------|------:|------------------:|--------:|")
    result: dict[str, Any] = {"copy_gb_s": bandwidth}
    for k, n, deep in (
        (2, 33, False),
        (2, 9, False),
        (2, 65, False),
        (3, 33, False),
        (9, 33, False),
        (2, 33, True),
    ):
        frames = [
            torch.from_numpy(image.astype(np.uint16) * 257 if deep else image).cuda()
            for image in bracket(k, images)
        ]
        # Four brackets in turn: one alone would stay in the L2 cache between replays.
        sets = [[frame.clone() for frame in frames] for _ in range(4)]
        grid, lut = torch.from_numpy(grid_of(k)).cuda(), torch.from_numpy(tone_lut(n)).cuda()
        outs = [torch.empty_like(frames[0]) for _ in sets]

        def work(sets: Any = sets, grid: Any = grid, lut: Any = lut, outs: Any = outs) -> None:
            for images, out in zip(sets, outs, strict=True):
                fuse(images, grid, lut, out=out)

        ms = time_on_gpu(captured(work), rounds) / len(sets)
        rate = (k + 1) * frames[0].nbytes / ms / 1e6
        name = f"K={k} N={n}, {16 if deep else 8} bits"
        print(f"| {name:18} | {ms:5.3f} | {rate:17.0f} | {100 * rate / bandwidth:6.1f}% |")
        result[name] = ms
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", nargs="+", type=Path, default=[], help="exposures to use, dark to bright")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--json", type=Path, help="also write the medians to this file")
    args = parser.parse_args()
    measure = measure_gpu if args.device == "cuda" else measure_cpu
    result = measure(args.images, args.rounds)
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
