"""A worker's threads never hold more pixels than allowed, and none waits for ever."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lutfuse.transforms.exposures import planned_bytes
from lutfuse.transforms.fuse import FuseBrackets
from lutfuse.transforms.images import io as image_io
from lutfuse.transforms.inflight import MemoryBudget
from lutfuse.transforms.inputs.brackets import Bracket
from lutfuse.transforms.options import FuseOptions
from lutfuse.transforms.stages import BracketError, Stages
from lutfuse.transforms.storage import files


class Gauge:
    """Counts what is held at a time."""

    def __init__(self):
        self.lock, self.now, self.most, self.log = threading.Lock(), 0, 0, []

    def add(self, size):
        with self.lock:
            self.now += size
            self.most = max(self.most, self.now)
            self.log.append((size, self.now))


def start(budget, size, gauge, release=None):
    def work():
        with budget.hold(size):
            gauge.add(size)
            if release is None:
                time.sleep(random.uniform(0, 0.002))
            else:
                release.wait(10)
            gauge.add(-size)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_many_threads_stay_within_the_limit_and_all_come_through():
    budget, gauge = MemoryBudget(100), Gauge()
    sizes = [random.Random(7).choice([0, 1, 10, 40, 60, 100]) for _ in range(200)]
    threads = [start(budget, size, gauge) for size in sizes]
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert 60 < gauge.most <= 100
    assert (budget.held, budget.waiting) == (0, 0)


def test_a_bracket_over_the_limit_runs_alone():
    budget, gauge, release = MemoryBudget(100), Gauge(), threading.Event()
    small = start(budget, 10, gauge, release)
    until(lambda: gauge.now == 10)
    large = start(budget, 500, gauge)
    until(lambda: budget.waiting == 1)
    assert gauge.now == 10
    release.set()
    small.join(10)
    large.join(10)
    assert (500, 500) in gauge.log


def test_a_large_bracket_is_not_passed_by_small_ones_that_came_later():
    budget, gauge, release = MemoryBudget(100), Gauge(), threading.Event()
    first = start(budget, 60, gauge, release)
    until(lambda: gauge.now == 60)
    large = start(budget, 100, gauge)
    until(lambda: budget.waiting == 1)
    late = start(budget, 10, gauge)
    until(lambda: budget.waiting == 2)
    release.set()
    for thread in (first, large, late):
        thread.join(10)
    assert [size for size, _ in gauge.log if size > 0] == [60, 100, 10]


def test_an_error_gives_back_what_was_held():
    budget = MemoryBudget(100)
    with pytest.raises(ZeroDivisionError), budget.hold(100):
        raise ZeroDivisionError
    with budget.hold(100):
        pass


def test_who_gives_up_waiting_lets_the_next_one_in(monkeypatch):
    budget = MemoryBudget(100)

    def interrupted(condition):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(budget._changed, "wait_for", interrupted)
        with pytest.raises(KeyboardInterrupt), budget.hold(10):
            pass
    assert budget.waiting == 0
    with budget.hold(100):
        pass


def test_a_limit_below_a_byte_is_refused():
    with pytest.raises(ValueError, match="limit of 0 bytes"):
        MemoryBudget(0)


def test_a_bracket_is_planned_from_one_header_before_anything_is_decoded(
    tmp_path, write_bracket, monkeypatch
):
    monkeypatch.setattr(image_io, "decode", None)
    options = FuseOptions(output=str(tmp_path))
    frame = 64 * 48 * 3
    uris = tuple(write_bracket(tmp_path / "a", 3))
    assert planned_bytes(Bracket("a", uris), options, Stages()) == 5 * frame
    assert planned_bytes(Bracket("a", uris, reference=uris[0]), options, Stages()) == 6 * frame
    deep = tuple(write_bracket(tmp_path / "b", 2, suffix="tif", dtype=np.uint16))
    assert planned_bytes(Bracket("b", deep), options, Stages()) == 4 * 2 * frame


def test_a_header_behind_the_first_bytes_is_found_and_a_missing_one_is_the_decoders_failure(
    tmp_path, write_bracket, monkeypatch
):
    monkeypatch.setattr("lutfuse.transforms.exposures.HEADER_BYTES", 30)
    options = FuseOptions(output=str(tmp_path))
    uris = tuple(write_bracket(tmp_path / "a", 2))
    assert planned_bytes(Bracket("a", uris), options, Stages()) == 4 * 64 * 48 * 3
    for content, kind in (
        (b"\xff\xd8\xff\xe0", "truncated"),
        (b"nothing at all like a picture", "not_an_image"),
    ):
        files.write_bytes(uris[0], content)
        with pytest.raises(BracketError, match="0.jpg") as caught:
            planned_bytes(Bracket("a", uris), options, Stages())
        assert (caught.value.stage, caught.value.error_type) == ("decode", kind)
    files.write_bytes(uris[0], b"\xff\xd8\xff\xe0" + bytes(100))
    with pytest.raises(BracketError, match="0.jpg"):
        planned_bytes(Bracket("a", uris), options, Stages())


def test_threads_of_a_worker_wait_for_each_other_and_lose_nothing(tmp_path, write_bracket):
    options = FuseOptions(output=f"{tmp_path}/out", max_inflight_bytes=6 * 64 * 48 * 3)
    step = FuseBrackets(options)
    step.setup()
    brackets = [Bracket(str(i), tuple(write_bracket(tmp_path / str(i), 2 + i % 4, seed=i))) for i in range(8)]
    with ThreadPoolExecutor(8) as threads:
        rows = list(threads.map(lambda bracket: next(step.process(bracket)), brackets))
    assert [row["group_id"] for row in rows] == [bracket.group_id for bracket in brackets]
    assert step._budget.limit == options.max_inflight_bytes
    assert step._budget._held == 0


def test_an_output_name_that_no_disk_can_hold_fails_its_own_bracket_only(tmp_path, write_bracket):
    step = FuseBrackets(FuseOptions(output=f"{tmp_path}/out"))
    step.setup()
    bracket = Bracket("/".join(["n" * 200] * 25), tuple(write_bracket(tmp_path / "in", 2)))
    (result,) = step.process(bracket)
    assert (result.value["stage"], result.value["error_type"]) == ("write", "OSError")
    assert "too long" in result.value["message"]


def test_storage_that_stays_away_while_looking_for_a_result_is_the_jobs_error(
    tmp_path, write_bracket, monkeypatch
):
    step = FuseBrackets(FuseOptions(output=f"{tmp_path}/out"))
    step.setup()

    def gone(uri, limit):
        raise TimeoutError("no answer")

    monkeypatch.setattr(files, "read_start", gone)
    with pytest.raises(TimeoutError):
        next(step.process(Bracket("a", tuple(write_bracket(tmp_path / "in", 2)))))
