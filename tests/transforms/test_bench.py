"""The benchmark: medians of interleaved runs, and a figure for every stage."""

import itertools

import pytest

from lutfuse.transforms.bench import BASELINES, STAGES, bench, median_msec


def test_jobs_take_turns_and_the_first_round_does_not_count():
    calls, clock = [], itertools.count()
    jobs = {name: lambda name=name: calls.append(name) for name in "ab"}
    assert median_msec(jobs, 3, lambda: next(clock) / 1000) == pytest.approx({"a": 1, "b": 1})
    assert "".join(calls) == "ab" * 4


def test_the_median_is_that_of_the_counted_rounds():
    ends = iter([0, 99, 100, 101, 200, 202, 300, 309])  # 99 s to warm up, then 1, 2 and 9 s
    assert median_msec({"a": lambda: None}, 3, lambda: next(ends)) == {"a": 2000}


def test_every_stage_and_baseline_has_a_figure_for_every_bracket_size():
    result = bench(width=64, height=48, exposures=(2, 3), lut_size=5, device="cpu", repeats=1)
    assert (result["width"], result["height"], result["lut_size"]) == (64, 48, 5)
    assert result["machine"]["processor"]
    assert [bracket["exposures"] for bracket in result["brackets"]] == [2, 3]
    for bracket in result["brackets"]:
        assert all(bracket[name] >= 0 for name in (*STAGES, *BASELINES))
        assert bracket["total"] == pytest.approx(sum(bracket[stage] for stage in STAGES))
        assert bracket["total_to_codecs"] > 1
        assert bracket["brackets_per_hour_per_core"] == pytest.approx(3.6e6 / bracket["total"])
