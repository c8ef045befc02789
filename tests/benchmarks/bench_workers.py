"""Brackets an hour of two worker processes beside one, on real brackets repeated.

    python tests/benchmarks/bench_workers.py --input FOLDER [--repeat 8] [--rounds 3] [--workers 1 2]

Runs of the real command take turns, so that a busy machine slows them alike; a figure is the median of
its rounds. The rate is taken between pictures, from when each worker has had time for its first, so
start-up does not count. On a machine that others use, two processes also get twice the share of it: only
an idle one proves anything.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from lutfuse.transforms.inputs.discovery import find_brackets


def write_repeated(source: Path, repeat: int, target: Path) -> int:
    """A manifest of every bracket below `source`, `repeat` times; returns how many."""
    brackets = [bracket for bracket in find_brackets(str(source)) if bracket.problem is None]
    lines = [
        json.dumps({"group_id": f"{i}/{bracket.group_id}", "uris": bracket.uris})
        for i in range(repeat)
        for bracket in brackets
    ]
    target.write_text("\n".join(lines))
    return len(lines)


def rate(manifest: Path, output: Path, workers: int) -> float:
    """Brackets an hour of one run."""
    command = [sys.executable, "-m", "lutfuse", "fuse", "--input", manifest, "--output", output]
    if workers > 1:
        command += ["--direct_running_mode=multi_processing", f"--direct_num_workers={workers}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    times = sorted(path.stat().st_mtime for path in (output / "fused").rglob("*.jpg"))
    warm = 2 * workers
    return (len(times) - warm) / (times[-1] - times[warm - 1]) * 3600


def main() -> None:
    """Prints the median rate of each number of workers, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--input", type=Path, required=True, help="folder of brackets")
    parser.add_argument(
        "--repeat", type=int, default=8, help="times each bracket is fused (default: %(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="runs a figure (default: %(default)s)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    args = parser.parse_args()
    rates: dict[int, list[float]] = {workers: [] for workers in args.workers}
    with tempfile.TemporaryDirectory(prefix="lutfuse-workers-") as name:
        folder = Path(name)
        count = write_repeated(args.input.absolute(), args.repeat, folder / "brackets.jsonl")
        print(f"{count} brackets a run")
        for turn in range(args.rounds):
            for workers in args.workers:
                output = folder / f"out-{turn}-{workers}"
                rates[workers].append(rate(folder / "brackets.jsonl", output, workers))
                print(
                    f"round {turn}: {workers} worker(s) {rates[workers][-1]:,.0f} brackets an hour",
                    flush=True,
                )
    medians = {workers: statistics.median(found) for workers, found in rates.items()}
    for workers, median in medians.items():
        times = median / medians[args.workers[0]]
        print(f"{workers} worker(s): {median:,.0f} an hour, {times:.2f} times the first")


if __name__ == "__main__":
    main()
