"""Killed at any moment and started again: nothing lost, nothing doubled, the same bytes."""

import os
import random
import signal
import time

import pytest

from lutfuse.transforms.fuse import FuseBrackets
from lutfuse.transforms.inputs.discovery import find_brackets
from lutfuse.transforms.options import FuseOptions

WORKERS = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")


def check_complete(source, output, clean, pictures, rows):
    ids = sorted(bracket.group_id for bracket in find_brackets(str(source)))
    assert sorted(row["group_id"] for row in rows(output, "metrics")) == ids
    assert rows(output, "failures") == []
    assert pictures(output) == pictures(clean)
    assert len(pictures(clean)) == len(ids)
    assert not [p for p in output.rglob("*") if "beam-temp" in p.name or p.suffix == ".tmp"]


def test_a_killed_job_is_finished_by_running_it_again(tree, tmp_path, running, lutfuse, pictures, rows):
    source, output, clean = tree(12), tmp_path / "out", tmp_path / "clean"
    assert lutfuse(source, clean) == 0
    command = running(source, output)
    command.wait_for(pictures=3)
    assert command.kill() == -signal.SIGKILL
    done = pictures(output)
    assert 3 <= len(done) < 12
    stamps = {name: (output / "fused" / name).stat().st_mtime_ns for name in done}
    assert lutfuse(source, output) == 0
    check_complete(source, output, clean, pictures, rows)
    assert {name: (output / "fused" / name).stat().st_mtime_ns for name in done} == stamps
    recovered = [row for row in rows(output, "metrics") if row["total_ms"] is None]
    assert len(recovered) == len(done)


def test_a_killed_worker_ends_the_job_with_a_clear_word_and_a_second_run_finishes(
    tree, tmp_path, running, lutfuse, pictures, rows
):
    source, output = tree(30), tmp_path / "out"
    command = running(source, output, *WORKERS)
    command.wait_for(pictures=2)
    os.kill(command.workers()[0], signal.SIGKILL)
    assert command.process.wait(120) == 1, command.log.read_text()
    assert "a worker process ended early" in command.log.read_text()
    assert command.workers() == []
    assert lutfuse(source, output) == 0
    check_complete(source, output, output, pictures, rows)


def test_clocks_that_are_wrong_change_nothing(tree, tmp_path, lutfuse, pictures):
    source, output = tree(2), tmp_path / "out"
    assert lutfuse(source, output) == 0
    before = pictures(output)
    for path, years in ((output, 30), (source, -30)):
        for file in path.rglob("*.jpg"):
            when = time.time() + years * 31_557_600
            os.utime(file, (when, when))
    stamps = {p: p.stat().st_mtime_ns for p in (output / "fused").iterdir()}
    assert lutfuse(source, output) == 0
    assert pictures(output) == before
    assert {p: p.stat().st_mtime_ns for p in (output / "fused").iterdir()} == stamps


def test_looking_at_a_finished_bracket_costs_a_fiftieth_of_fusing_it_at_most(tree, tmp_path):
    step = FuseBrackets(FuseOptions(output=str(tmp_path / "out")))
    step.setup()
    brackets = list(find_brackets(str(tree(6, size=(640, 480)))))
    list(step.process(brackets[0]))  # loads what is loaded once

    def cpu_s():
        start = time.process_time()
        rows = [row for bracket in brackets[1:] for row in step.process(bracket)]
        assert len(rows) == 5
        return time.process_time() - start

    assert cpu_s() > 50 * cpu_s()


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("flags", [(), WORKERS], ids=["one-process", "two-workers"])
def test_ten_kills_at_random_moments_lose_and_double_nothing(
    tree, tmp_path, running, lutfuse, pictures, rows, flags
):
    seed = int(os.environ.get("LUTFUSE_SEED", random.randrange(10**6)))
    print(f"LUTFUSE_SEED={seed}")
    moments = random.Random(seed)
    source, output, clean = tree(200, size=(480, 320)), tmp_path / "out", tmp_path / "clean"
    start = time.monotonic()
    assert running(source, clean, *flags).process.wait() == 0
    whole_s = time.monotonic() - start
    left = []
    for _ in range(10):
        command = running(source, output, *flags)
        # From the first import to the last rename; most kills come while brackets are fused.
        time.sleep(moments.uniform(0, 0.6 * whole_s))
        command.kill()
        left.append(len(pictures(output)))
        assert pictures(output).items() <= pictures(clean).items()
    assert left == sorted(left)
    print(f"clean run {whole_s:.0f} s; pictures after each kill {left}")
    command = running(source, output, *flags)
    assert command.process.wait() == 0, command.log.read_text()
    check_complete(source, output, clean, pictures, rows)
