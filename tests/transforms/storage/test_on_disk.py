"""Collections on disk hold what those in memory hold, and no more memory for more items."""

import itertools
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lutfuse.transforms.storage import on_disk
from lutfuse.transforms.storage.on_disk import Backlog, Column, Seen, in_order


@pytest.fixture(params=[3, 20_000], ids=["on disk", "in memory"])
def limit(request, monkeypatch):
    monkeypatch.setattr(on_disk, "IN_MEMORY", request.param)
    monkeypatch.setattr(on_disk, "PAGE", 2)
    monkeypatch.setattr(on_disk, "CACHE_KB", 1)


def test_a_set_tells_new_texts_from_old_ones_whatever_their_characters(limit):
    texts = ["a", "A", "a ", "", "é", "e\u0301", "\udce9", "\ud83d\ude00", "😀", "x" * 100_000, "a\0b", "a\0"]
    texts += [f"{i % 365:03}/bracket-{i:07}" for i in range(5000)]
    seen = Seen()
    assert "a" not in seen
    assert [seen.add(text) for text in texts] == [True] * len(texts)
    assert not any(seen.add(text) for text in texts)
    assert all(text in seen for text in texts)
    assert "b" not in seen
    seen.close()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 6, 100])
def test_a_backlog_gives_back_what_was_put_in_as_often_as_asked(limit, count):
    backlog = Backlog()
    for i in range(count):
        backlog.append(f"{i}\udce9")
    expected = [f"{i}\udce9" for i in range(count)]
    assert list(backlog) == expected
    assert list(backlog) == expected
    backlog.append("late")
    assert list(backlog) == [*expected, "late"]


@pytest.mark.parametrize("taken", [1, 4, 7, 10])
def test_a_backlog_loses_nothing_to_a_reader_that_stops_or_appends(limit, taken):
    backlog, expected = Backlog(), [str(i) for i in range(10)]
    for text in expected:
        backlog.append(text)
    reader = iter(backlog)
    assert list(itertools.islice(reader, taken)) == expected[:taken]
    late = [f"late {i}" for i in range(7)]
    for text in late:
        backlog.append(text)
    assert list(backlog) == [*expected, *late]
    rest = list(reader)
    assert [*expected, *late][taken:][: len(rest)] == rest
    assert len(rest) >= 10 - taken
    assert list(zip(backlog, backlog, strict=True)) == [(text, text) for text in [*expected, *late]]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7, 100])
@pytest.mark.parametrize("key", [None, lambda text: text[::-1], len], ids=["plain", "reversed", "equal keys"])
def test_items_come_in_the_order_of_sorted(limit, count, key):
    texts = [f"{i * 7919 % 101}\udce9" for i in range(count)]
    assert list(in_order(iter(texts), key)) == sorted(texts, key=key)


def test_two_orders_at_a_time_do_not_disturb_each_other(limit):
    up, down = in_order(range(50)), in_order(range(50), key=lambda i: -i)
    assert list(zip(up, down, strict=True)) == [(i, 49 - i) for i in range(50)]


NUMBERS = [
    [],
    [np.nan],
    [1.0],
    [1.0, 3.0],
    [4.0, 1.0, 2.0],
    [np.nan, 5.0, np.nan, 7.0],
    [-1.5, -0.0, 0.0, 2.0],
    [-3.0, -2.0, -1.0],
    [np.inf, 1.0, np.inf],
    [-np.inf, 1.0],
    [5e-324, -5e-324, 1.7e308],
    [2.0] * 100,
]


@pytest.mark.parametrize("values", NUMBERS, ids=str)
def test_medians_by_hand(limit, values):
    check_median(np.array(values, np.float64))


@pytest.mark.parametrize("count", [99, 100, 2001])
def test_medians_are_those_of_arrow(limit, count):
    rng = np.random.default_rng(count)
    for values in (rng.normal(size=count), rng.lognormal(3, 2, count), rng.integers(0, 9, count) / 7):
        check_median(values)


def check_median(values):
    numbers = Column()
    for part in np.array_split(values, 3):
        numbers.add(part)
    kept = values[~np.isnan(values)]
    assert numbers.count == len(kept)
    expected = pc.quantile(pa.array(kept), q=0.5)[0].as_py() if len(kept) else None
    assert numbers.median() == (expected if expected is None else pytest.approx(expected, rel=1e-15))


def test_ten_times_as_many_items_need_no_more_memory(monkeypatch):
    monkeypatch.setattr(on_disk, "IN_MEMORY", 10_000)
    monkeypatch.setattr(on_disk, "PAGE", 50)

    def peak(count):
        tracemalloc.start()
        seen, backlog = Seen(), Backlog()
        for text in in_order(f"{i * 7919 % count:09}" for i in range(count)):
            assert seen.add(text)
            backlog.append(text)
        assert sum(1 for _ in backlog) == count
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    few = peak(20_000)
    assert peak(200_000) < 1.2 * few
