"""How much memory the threads of a worker may take for pixels at a time."""

import contextlib
import threading
from collections import deque
from collections.abc import Iterator


class MemoryBudget:
    """A number of bytes that threads share, first come first served.

    Whoever does not fit waits; who is larger than all of it waits until nobody holds any and runs alone. In
    order of arrival, so that a large one is not passed for ever by small ones. A thread holds one share at a
    time (never one within another), so nobody waits for a share that waits itself.
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"limit of {limit} bytes; it must be at least 1")
        self.limit = limit
        self._held = 0
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Waits until `size` bytes are free and holds them while the block runs."""
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
                self._changed.notify_all()  # the next in line may fit as well

    def _fits(self, size: int) -> bool:
        return self._held == 0 or self._held + size <= self.limit
