"""A worker's threads never hold more pixels than allowed, and none waits for ever."""

import random
import threading
import time

import pytest

from lutfuse.transforms.inflight import MemoryBudget


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


def test_a_request_that_is_interrupted_lets_the_next_one_in(monkeypatch):
    budget = MemoryBudget(100)

    def interrupted(condition, predicate):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(threading.Condition, "wait_for", interrupted)
        with pytest.raises(KeyboardInterrupt), budget.hold(10):
            pass
    assert budget.waiting == 0
    with budget.hold(100):
        pass


def test_a_limit_below_a_byte_is_refused():
    with pytest.raises(ValueError, match="limit of 0 bytes"):
        MemoryBudget(0)
