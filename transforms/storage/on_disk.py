"""Collections that spill to temporary files, so that memory does not grow with the number of brackets.

One process lists, validates and counts a million brackets, be it on a laptop or in a template's launcher. The
files are unnamed, so a killed process leaves none behind.
"""

import heapq
import itertools
import pickle
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

IN_MEMORY = 20_000  # items that a collection holds before it uses a file
PAGE = 100  # items of each sorted run that are in memory while runs are merged
CACHE_KB = 4096  # memory of a Seen before SQLite uses a file

T = TypeVar("T")


class Seen:
    """A set of texts that only grows; exact, not a hash filter."""

    def __init__(self) -> None:
        # "" is a temporary file of SQLite, created when the cache is full. It needs no journal.
        self._database = sqlite3.connect("", check_same_thread=False)
        for statement in (
            f"PRAGMA cache_size = -{CACHE_KB}",
            "PRAGMA journal_mode = OFF",
            "CREATE TABLE seen (text BLOB PRIMARY KEY) WITHOUT ROWID",
        ):
            self._database.execute(statement)

    def add(self, text: str) -> bool:
        """Add `text`; returns whether it is new."""
        return self._database.execute("INSERT OR IGNORE INTO seen VALUES (?)", [_encoded(text)]).rowcount == 1

    def __contains__(self, text: str) -> bool:
        found = self._database.execute("SELECT 1 FROM seen WHERE text = ?", [_encoded(text)])
        return found.fetchone() is not None

    def close(self) -> None:
        """Free the memory and the file."""
        self._database.close()


def _encoded(text: str) -> bytes:
    # As bytes: file names that are not UTF-8 hold lone surrogates, which SQLite does not take as text.
    return text.encode("utf-8", "surrogatepass")


class Backlog(Generic[T]):
    """A list to append to and to iterate over."""

    def __init__(self) -> None:
        self._latest: list[T] = []
        self._file: IO[bytes] | None = None
        self._end = 0  # of the data in the file; iterators move its position

    def append(self, item: T) -> None:
        """Add `item` to the end."""
        self._latest.append(item)
        if len(self._latest) == IN_MEMORY:
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed with its owner)
            self._file.seek(self._end)
            pickle.dump(self._latest, self._file)
            self._end = self._file.tell()
            self._latest = []

    def __iter__(self) -> Iterator[T]:
        position = 0
        while self._file is not None and position < self._end:
            self._file.seek(position)
            items = pickle.load(self._file)  # noqa: S301 (what `append` wrote)
            position = self._file.tell()
            yield from items
        yield from self._latest


def in_order(items: Iterable[T], key: Callable[[T], Any] | None = None) -> Iterator[T]:
    """`items` in the order of `sorted`, by an external merge sort if there are many."""
    source = iter(items)
    run = sorted(itertools.islice(source, IN_MEMORY), key=key)  # type: ignore[type-var, arg-type]
    if len(run) < IN_MEMORY:
        yield from run
        return
    with tempfile.TemporaryFile() as file:
        runs = []
        while run:
            runs.append(_write_run(file, run))
            run = sorted(itertools.islice(source, IN_MEMORY), key=key)  # type: ignore[type-var, arg-type]
        yield from heapq.merge(*(_read_run(file, pages) for pages in runs), key=key)


def _write_run(file: IO[bytes], run: list[T]) -> list[int]:
    pages = []
    for start in range(0, len(run), PAGE):
        pages.append(file.tell())
        pickle.dump(run[start : start + PAGE], file)
    return pages


def _read_run(file: IO[bytes], pages: list[int]) -> Iterator[Any]:
    for page in pages:
        file.seek(page)  # the other runs share the file
        yield from pickle.load(file)  # noqa: S301 (what `_write_run` wrote)


class Column:
    """Numbers of which the median is taken, without NaNs. They are stored on disk, eight bytes each."""

    def __init__(self) -> None:
        self.count = 0
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed with its owner)

    def add(
        self,
        values: npt.NDArray[np.float64],  # [n]
    ) -> None:
        """Append `values`."""
        known = values[~np.isnan(values)]
        self._file.write(known.tobytes())
        self.count += len(known)

    def median(self) -> float | None:
        """The median, or None if there are no values."""
        self._file.seek(0)
        return float(np.median(np.fromfile(self._file))) if self.count else None
