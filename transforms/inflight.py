"""Limits the memory that the threads of a worker hold for pixels at a time."""

import contextlib
import threading
from collections import deque
from collections.abc import Iterator


class MemoryBudget:
    """A memory budget in bytes that threads share, first come, first served.

    A request that does not fit waits; one larger than the whole limit waits until nothing is held. Requests
    are served in order, so that small ones cannot starve a large one. A thread must hold one share at a time:
    nested requests could deadlock.
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"limit of {limit} bytes; it must be at least 1")
        self.limit = limit
        self._held = 0
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()

    @property
    def held(self) -> int:
        """Bytes that are held now."""
        return self._held

    @property
    def waiting(self) -> int:
        """Number of requests that wait."""
        return len(self._queue)

    @contextlib.contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Wait until `size` bytes are free, and hold them while the block runs."""
        self._enter(size)
        try:
            yield
        finally:
            with self._changed:
                self._held -= size
                self._changed.notify_all()

    def _enter(self, size: int) -> None:
        ticket = object()
        with self._changed:
            self._queue.append(ticket)
            try:
                self._changed.wait_for(lambda: self._queue[0] is ticket and self._fits(size))
                self._held += size
            finally:
                self._queue.remove(ticket)
                self._changed.notify_all()  # the next request may fit, too

    def _fits(self, size: int) -> bool:
        return self._held == 0 or self._held + size <= self.limit
