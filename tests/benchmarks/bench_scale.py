"""A manifest of 10 thousand to a million brackets through everything but the pixels.

    python tests/benchmarks/bench_scale.py [--brackets 10000 100000 1000000] [--json FILE]

The real launcher and the real graph run; only the pictures are left out: the heavy step looks for a
finished image, finds none and yields a plausible row at once. Each size runs in processes of its own, as
on a remote runner: the launcher before the job (listing, judging, writing the resolved manifest), all
workers (the graph, on Beam's in-process runner), the launcher after it (counting rows). CPU time is what
counts, so a busy machine does not matter much.
"""

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from rich.console import Console

from lutfuse.pipeline import graph, job
from lutfuse.pipeline.commands.fuse import add_fuse_arguments, quiet_logs, resolve
from lutfuse.pipeline.config import JobConfig
from lutfuse.pipeline.run_file import Found
from lutfuse.transforms.fuse import FuseBrackets
from lutfuse.transforms.rows import METRICS_SCHEMA, STAGES, Row, check_row
from lutfuse.transforms.stages import BracketError, Stages
from lutfuse.transforms.task import Task

EXPOSURES = 3
LAUNCHER_MB = 20  # that the launcher may need for the last size more than for the first
FAIL_EVERY = 1000  # one bracket in so many fails, so that both tables have rows


class Unpictured(FuseBrackets):
    """The heavy step without model and pixels: checks, skip check, counters and rows are the real ones."""

    def setup(self) -> None:
        self._predictor = mock.Mock(model_id="lutfuse-000000000000")

    def _fuse(self, task: Task, stages: Stages) -> Row:
        bracket = task.bracket
        if int(bracket.group_id.rpartition("-")[2]) % FAIL_EVERY == 0:
            raise BracketError("decode", "truncated", f"{bracket.uris[0]}: ends in the middle of a scan")
        row = dict.fromkeys(METRICS_SCHEMA.names) | {f"{stage}_ms": 12.345 for stage in STAGES}
        row |= {
            "group_id": bracket.group_id,
            "status": "fused",
            "input_uris": list(bracket.uris),
            "output_uri": task.output_uri,
            "model": self._predictor.model_id,
            "device": "cpu",
            "worker": "worker-0",
            "total_ms": 98.7,
            "mef_ssim": 0.987654321,
            "clipped_low": 0.01,
            "clipped_high": 0.02,
        }
        row |= dict.fromkeys(("n_exposures", "width", "height", "bit_depth", "lut_size"), 3)
        row |= dict.fromkeys(("bytes_in", "bytes_out"), 5_000_000)
        return check_row(row, METRICS_SCHEMA)


def write_input(path: Path, count: int) -> None:
    """A manifest as a customer would bring it."""
    with path.open("w") as file:
        for i in range(count):
            folder = f"gs://pictures/2026/{i % 365:03}/bracket-{i:07}"
            uris = [f"{folder}/IMG_{i * EXPOSURES + k:08}.jpg" for k in range(EXPOSURES)]
            file.write(json.dumps({"group_id": f"{i % 365:03}/bracket-{i:07}", "uris": uris}) + "\n")


def config_of(folder: Path) -> JobConfig:
    """The job on that manifest."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_fuse_arguments(parser)
    argv = [f"--input={folder}/brackets.jsonl", f"--output={folder}/out"]
    return resolve(*parser.parse_known_args(argv))


def _lines(path: str) -> int:
    with Path(path).open("rb") as file:
        return sum(1 for _ in file)


def begin(folder: Path) -> dict[str, Any]:
    """The launcher before the job: every bracket judged and written down."""
    config = config_of(folder)
    return {"brackets": job.write_manifest(config, job.open_input(config)).brackets}


def work(folder: Path) -> dict[str, Any]:
    """What all workers do together, but for the pixels."""
    config = config_of(folder)
    found = Found(brackets=_lines(config.manifest_uri))
    with mock.patch.object(graph, "FuseBrackets", Unpictured):
        pipeline = beam.Pipeline(runner=FnApiRunner())
        job.build_graph(pipeline, config, found)
        pipeline.run().wait_until_finish()
    return {}


def end(folder: Path) -> dict[str, Any]:
    """The launcher after the job: every bracket accounted for, and the summary."""
    config = config_of(folder)
    found = Found(brackets=_lines(config.manifest_uri))
    with Path("/dev/null").open("w") as nowhere:
        job.finish(config, found, Console(file=nowhere))
    counts = json.loads((folder / "out" / "run.json").read_text())["counts"]
    shards = sorted((folder / "out").glob("*/*.parquet"))
    sizes = [path.stat().st_size for path in shards if path.parent.name == "metrics"]
    return {
        "rows": sum(counts.values()),
        "files": len(sizes),
        "file_mb": [min(sizes) / 1e6, max(sizes) / 1e6],
    }


def measured(step: Callable[[Path], dict[str, Any]], folder: Path) -> dict[str, Any]:
    """What `step` returns in a process of its own, with CPU time, wall-clock time and peak memory."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_measure, (step, folder))


def _measure(step: Callable[[Path], dict[str, Any]], folder: Path) -> dict[str, Any]:
    quiet_logs(verbose=False)
    wall, cpu = time.perf_counter(), time.process_time()
    result = step(folder)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return result | {
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - wall,
        "peak_mb": peak_mb,
    }


def simulate(counts: list[int]) -> Iterator[dict[str, Any]]:
    """One document of figures per size."""
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="lutfuse-scale-") as name:
            folder = Path(name)
            write_input(folder / "brackets.jsonl", count)
            steps = {step.__name__: measured(step, folder) for step in (begin, work, end)}
            cpu_ms = sum(step["cpu_s"] for step in steps.values()) * 1e3
            yield {"brackets": count, "cpu_ms_per_bracket": cpu_ms / count} | steps


def main() -> None:
    """Prints all sizes; an error where a row is missing, or CPU or the launcher's memory is too much."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--brackets", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    args = parser.parse_args()
    print("brackets  CPU msec each  CPU s and peak MB of: begin, work, end  rows  Parquet files and MB")
    results = []
    for result in simulate(args.brackets):
        results.append(result)
        steps = [result[step] for step in ("begin", "work", "end")]
        shown = ", ".join(f"{step['cpu_s']:.1f} s {step['peak_mb']:.0f} MB" for step in steps)
        low, high = result["end"]["file_mb"]
        print(
            f"{result['brackets']:8,}  {result['cpu_ms_per_bracket']:.3f}  {shown}  "
            f"{result['end']['rows']:,}  {result['end']['files']} of {low:.1f} to {high:.1f}",
            flush=True,
        )
    if args.json:
        args.json.write_text(json.dumps(results, indent=2))
    for result in results:
        assert result["begin"]["brackets"] == result["end"]["rows"] == result["brackets"], "rows are missing"
        assert result["cpu_ms_per_bracket"] <= 1.0, "over 1 msec of CPU a bracket around the pixels"
        for step in ("begin", "end"):
            grown = result[step]["peak_mb"] - results[0][step]["peak_mb"]
            assert grown <= LAUNCHER_MB, "the launcher's memory grows with the number of brackets"


if __name__ == "__main__":
    main()
