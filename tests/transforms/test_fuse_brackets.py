"""The DoFn without a runner: one row per bracket, recovery on a second run, and threads that share memory."""

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lutfuse.transforms import fuse
from lutfuse.transforms.inflight import MemoryBudget
from lutfuse.transforms.inputs.brackets import Bracket
from lutfuse.transforms.storage import files
from lutfuse.transforms.task import Task


@pytest.fixture
def run(start_step):
    def run(bracket, options, progress=None):
        (result,) = start_step(options, progress).process(bracket)
        return result

    return run


def test_a_good_bracket_is_one_row_and_the_second_time_a_recovered_one(run, bracket, options, tmp_path):
    progress = tmp_path / "progress"
    progress.touch()
    assert run(bracket, options, str(progress))["total_ms"] > 0
    stamp = Path(Task(bracket, options, "").output_uri).stat().st_mtime_ns
    assert run(bracket, options, str(progress))["total_ms"] is None
    assert Path(Task(bracket, options, "").output_uri).stat().st_mtime_ns == stamp
    assert progress.read_bytes() == b"fs"


def test_overwrite_fuses_again(run, bracket, options):
    run(bracket, options)
    again = run(bracket, dataclasses.replace(options, overwrite=True))
    assert again["total_ms"] > 0


def test_a_bad_bracket_is_one_tagged_failure_row(run, options, tmp_path):
    progress = tmp_path / "progress"
    progress.touch()
    result = run(Bracket("b", ("/none.jpg", "/\udce9.jpg")), options, str(progress))
    assert result.tag == fuse.FAILURES
    assert result.value["stage"] == "read"
    assert result.value["input_uris"] == ["/none.jpg", "/\\udce9.jpg"]
    assert json.dumps(result.value)
    assert progress.read_bytes() == b"x"


def test_threads_of_a_worker_share_one_budget_and_lose_no_row(
    tmp_path, write_bracket, options, start_step, monkeypatch
):
    budgets = []

    def make(limit):
        budgets.append(MemoryBudget(limit))
        return budgets[-1]

    monkeypatch.setattr(fuse, "MemoryBudget", make)
    limit = 6 * 64 * 48 * 3
    step = start_step(dataclasses.replace(options, max_inflight_bytes=limit))
    brackets = [Bracket(str(i), tuple(write_bracket(tmp_path / str(i), 2 + i % 4, seed=i))) for i in range(8)]
    with ThreadPoolExecutor(8) as threads:
        rows = list(threads.map(lambda bracket: next(step.process(bracket)), brackets))
    assert [row["group_id"] for row in rows] == [bracket.group_id for bracket in brackets]
    assert [(budget.limit, budget.held) for budget in budgets] == [(limit, 0)]


def test_an_output_name_that_no_disk_can_hold_fails_its_own_bracket_only(
    tmp_path, write_bracket, options, run
):
    bracket = Bracket("/".join(["n" * 200] * 25), tuple(write_bracket(tmp_path / "in", 2)))
    result = run(bracket, options)
    assert (result.value["stage"], result.value["error_type"]) == ("write", "OSError")
    assert "too long" in result.value["message"]


def test_storage_that_stays_away_while_looking_for_a_result_is_the_jobs_error(
    bracket, options, start_step, monkeypatch
):
    step = start_step(options)

    def gone(uri, limit):
        raise TimeoutError("no answer")

    monkeypatch.setattr(files, "read_start", gone)
    with pytest.raises(TimeoutError):
        next(step.process(bracket))
