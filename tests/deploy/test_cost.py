"""The cost model: right on an example done by hand, and honest about which resource is the slow one."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
BRACKET = {
    "exposures": 3,
    "decode": 100.0,
    "student": 30.0,
    "bake": 9.0,
    "fuse": 40.0,
    "metrics": 20.0,
    "encode": 40.0,
}
PIXELS = 3840 * 2160
PRICES = {"vcpu_usd_h": 0.05, "memory_gb_usd_h": 0.0, "disk_gb_usd_h": 0.0, "shuffle_usd_gb": 0.0}
GPU = {"gpu": "nvidia-l4", "gpu_usd_h": 0.4, "processes": 1}


@pytest.fixture
def prices(cost):
    return cost.Prices(**PRICES)


@pytest.fixture
def cpu(cost):
    return cost.Profile(vcpus=8, vcpu_speed=0.5, processes=8, memory_gb=0, disk_gb=0, gbit_s=10)


@pytest.fixture
def bench(tmp_path):
    path = tmp_path / "bench.json"
    path.write_text(json.dumps({"width": 3840, "height": 2160, "brackets": [BRACKET]}))
    return path


def test_an_example_done_by_hand(cost, cpu, prices):
    made = cost.estimate(cpu, prices, BRACKET, PIXELS, bracket_mb=0)
    # 240 msec of CPU on 8 CPUs at half speed: 60 msec a bracket.
    assert made["brackets_per_hour"] == pytest.approx(60_000)
    assert made["worker_usd_per_hour"] == pytest.approx(0.4)
    assert made["usd_per_million"] == pytest.approx(0.4 / 60_000 * 1e6)
    assert (made["bottleneck"], made["longest_stage"]) == ("CPUs", "decode")


def test_a_gpu_takes_the_fusion_from_the_cpus_and_costs_its_price(cost, cpu, prices):
    gpu = replace(cpu, **GPU)
    made = cost.estimate(gpu, prices, BRACKET, PIXELS, bracket_mb=0)
    assert made["worker_usd_per_hour"] == pytest.approx(0.8)
    assert made["busy"]["PCIe and GPU"] < 1
    assert cost.seconds_of(gpu, BRACKET, PIXELS, 0)["CPUs"] == pytest.approx(0.050)


@pytest.mark.parametrize(
    ("changes", "bracket_mb", "slow"),
    [
        ({}, 0, "CPUs"),
        ({}, 1000, "network"),
        (GPU, 0, "student and bake in turn"),
        (GPU | {"processes": 8, "pcie_gb_s": 0.1}, 0, "PCIe and GPU"),
    ],
)
def test_the_slowest_resource_sets_the_pace_and_is_named(cost, cpu, prices, changes, bracket_mb, slow):
    made = cost.estimate(replace(cpu, **changes), prices, BRACKET, PIXELS, bracket_mb)
    assert made["bottleneck"] == slow
    assert made["busy"][slow] == 1
    assert max(made["busy"].values()) == 1


def test_the_example_prices_cover_the_profiles_of_the_launch_script(cost, bench, tmp_path, capsys):
    target = tmp_path / "estimates.json"
    argv = ["--bench", bench, "--prices", DEPLOY / "prices.example.json", "--json", target]
    assert cost.main([str(part) for part in argv]) == 0
    profiles = {made["profile"] for made in json.loads(target.read_text())}
    script = (DEPLOY / "run_dataflow.sh").read_text()
    assert profiles == {"cpu", "t4", "l4", "a100"}
    assert all(f"\n  {name})" in script for name in profiles)
    printed = capsys.readouterr().out
    assert all(name in printed for name in (*profiles, "$/million", "bottleneck"))


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("not json", "cannot be read as JSON"),
        ("[]", "must hold an object"),
        ("{}", "'profiles' is missing"),
        ('{"prices": {}, "profiles": {"x": {"gpus": 1}}}', "unknown gpus"),
        ('{"prices": {}, "profiles": {"x": {"vcpus": 1}}}', "missing"),
        (
            json.dumps({"prices": PRICES | {"vcpu_usd_h": -1}, "profiles": {}}),
            "vcpu_usd_h is negative",
        ),
    ],
)
def test_unusable_inputs_end_with_2_and_say_why(cost, bench, tmp_path, capsys, document, said):
    prices = tmp_path / "prices.json"
    prices.write_text(document)
    assert cost.main(["--bench", str(bench), "--prices", str(prices)]) == 2
    assert said in capsys.readouterr().err


def test_a_file_that_is_no_bench_ends_with_2(cost, tmp_path, capsys):
    path = tmp_path / "bench.json"
    path.write_text("{}")
    assert cost.main(["--bench", str(path), "--prices", str(DEPLOY / "prices.example.json")]) == 2
    assert "lutfuse bench --json" in capsys.readouterr().err
