"""What a million brackets cost on Dataflow: figures of `lutfuse bench --json` and your price list to a table.

    lutfuse bench --exposures 3 --json bench.json
    python deploy/cost.py --bench bench.json --prices deploy/prices.example.json [--bracket-mb 12]

A worker is a set of resources: its CPUs (decode, student, bake, metrics, encode, and without a GPU the
fusion), the student of each process (which serves one thread at a time), its GPU with the PCIe bus, and
its network. The slowest of them sets the pace and is named. Not in the model: start-up (minutes a
worker), stragglers at the end, retries, and everything that leaves the region.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

CPU_STAGES = ("decode", "student", "bake", "metrics", "encode")
IN_TURN = ("student", "bake")  # one thread of a process at a time
OVERHEAD_MSEC = 1.0  # of the pipeline around the pixels, at most (tests/benchmarks/bench_scale.py)


class CostError(ValueError):
    """An input file that the model cannot use."""


@dataclass(frozen=True)
class Profile:
    """One kind of worker, as in run_dataflow.sh; all prices are inputs.

    Attributes:
      vcpus: CPUs that the cloud sells, which are threads of a core.
      vcpu_speed: speed of one of them when all are busy, beside the core that `lutfuse bench` ran on.
      processes: that fuse on the worker at a time.
      memory_gb: of the worker.
      disk_gb: of the worker.
      gbit_s: network of the worker.
      gpu: its type, or None.
      gpu_usd_h: list price of its GPU, in dollars an hour.
      pcie_gb_s: what copies to and from the GPU reach.
      gpu_gb_s: what the kernel reaches in the GPU's memory.
    """

    vcpus: int
    vcpu_speed: float
    processes: int
    memory_gb: float
    disk_gb: float
    gbit_s: float
    gpu: str | None = None
    gpu_usd_h: float = 0.0
    pcie_gb_s: float = 6.0
    gpu_gb_s: float = 200.0


@dataclass(frozen=True)
class Prices:
    """The service's prices an hour in dollars; shuffle by volume."""

    vcpu_usd_h: float
    memory_gb_usd_h: float
    disk_gb_usd_h: float
    shuffle_usd_gb: float


def load(path: Path) -> tuple[Prices, dict[str, Profile]]:
    """Prices and profiles from a file like prices.example.json."""
    document = _json(path)
    try:
        profiles = {name: _made(Profile, given, name) for name, given in document["profiles"].items()}
        return _made(Prices, document["prices"], "prices"), profiles
    except KeyError as error:
        raise CostError(f"{path}: {error} is missing; start from deploy/prices.example.json") from None


def _made(kind: Any, given: dict[str, Any], name: str) -> Any:
    known = {field.name for field in fields(kind)}
    if unknown := given.keys() - known:
        raise CostError(f"{name}: unknown {', '.join(sorted(unknown))}; known are {', '.join(sorted(known))}")
    try:
        made = kind(**given)
    except TypeError as error:
        raise CostError(f"{name}: {error}") from None
    if bad := [key for key, value in vars(made).items() if isinstance(value, int | float) and value < 0]:
        raise CostError(f"{name}: {bad[0]} is negative; give 0 or more")
    return made


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CostError(f"{path}: cannot be read as JSON ({error})") from None
    if not isinstance(document, dict):
        raise CostError(f"{path}: must hold an object")
    return document


def seconds_of(
    profile: Profile, bracket: dict[str, float], pixels: int, bracket_mb: float
) -> dict[str, float]:
    """Seconds that one bracket keeps each resource of a worker busy, shared among all that it has of it."""
    on_cpu = CPU_STAGES if profile.gpu else (*CPU_STAGES, "fuse")
    cores = profile.vcpus * profile.vcpu_speed
    cpu_msec = sum(bracket[stage] for stage in on_cpu) + OVERHEAD_MSEC
    turn_msec = sum(bracket[stage] for stage in IN_TURN) / profile.vcpu_speed
    busy = {
        "CPUs": cpu_msec / 1e3 / cores,
        "student and bake in turn": turn_msec / 1e3 / profile.processes,
        "network": bracket_mb * 8e-3 / profile.gbit_s,
    }
    if profile.gpu:
        moved_gb = pixels * 3 * (bracket["exposures"] + 1) / 1e9  # 8 bit: the exposures in, one image out
        busy["PCIe and GPU"] = moved_gb / profile.pcie_gb_s + moved_gb / profile.gpu_gb_s
    return busy


def estimate(
    profile: Profile, prices: Prices, bracket: dict[str, float], pixels: int, bracket_mb: float
) -> dict[str, Any]:
    """Rate, cost and bottleneck of one profile for one kind of bracket."""
    busy = seconds_of(profile, bracket, pixels, bracket_mb)
    bottleneck = max(busy, key=busy.__getitem__)
    worker_usd_h = (
        profile.vcpus * prices.vcpu_usd_h
        + profile.memory_gb * prices.memory_gb_usd_h
        + profile.disk_gb * prices.disk_gb_usd_h
        + profile.gpu_usd_h
    )
    per_hour = 3600 / busy[bottleneck]
    stages = {stage: bracket[stage] for stage in CPU_STAGES} | (
        {} if profile.gpu else {"fuse": bracket["fuse"]}
    )
    return {
        "brackets_per_hour": per_hour,
        "worker_usd_per_hour": worker_usd_h,
        # Names and rows through the service's shuffle: 1 GB a million.
        "usd_per_million": worker_usd_h / per_hour * 1e6 + prices.shuffle_usd_gb,
        "bottleneck": bottleneck,
        "longest_stage": max(stages, key=stages.__getitem__),
        "busy": {name: seconds / busy[bottleneck] for name, seconds in busy.items()},
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a line for each profile and size of bracket."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bench", type=Path, required=True, help="output of lutfuse bench --json")
    parser.add_argument("--prices", type=Path, required=True, help="like deploy/prices.example.json")
    parser.add_argument(
        "--bracket-mb",
        type=float,
        default=12.0,
        help="stored MB read and written a bracket (default: %(default)g)",
    )
    parser.add_argument("--json", type=Path, help="also write the estimates to this file")
    args = parser.parse_args(argv)
    try:
        prices, profiles = load(args.prices)
        bench = _json(args.bench)
        pixels = bench["width"] * bench["height"]
        estimates = [
            {"profile": name, "exposures": bracket["exposures"]}
            | estimate(profile, prices, bracket, pixels, args.bracket_mb)
            for bracket in bench["brackets"]
            for name, profile in profiles.items()
        ]
    except KeyError as error:
        print(
            f"cost.py: {args.bench}: {error} is missing; write it with lutfuse bench --json", file=sys.stderr
        )
        return 2
    except CostError as error:
        print(f"cost.py: {error}", file=sys.stderr)
        return 2
    print(f"{'profile':8} {'K':>2} {'brackets/h':>11} {'$/h':>6} {'$/million':>10}  bottleneck")
    for e in estimates:
        busy = f" (GPU busy {e['busy']['PCIe and GPU']:.0%})" if "PCIe and GPU" in e["busy"] else ""
        print(
            f"{e['profile']:8} {e['exposures']:2} {e['brackets_per_hour']:11,.0f} "
            f"{e['worker_usd_per_hour']:6.2f} {e['usd_per_million']:10,.0f}  "
            f"{e['bottleneck']}, most of it {e['longest_stage']}{busy}"
        )
    if args.json:
        args.json.write_text(json.dumps(estimates, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
