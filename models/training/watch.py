"""What a training tells whoever waits for it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


class Watch:
    """The silent watcher; a subclass shows what it wants to show."""

    def progress(self, task: str, done: int, total: int) -> None:
        """`done` of the `total` parts of `task` are finished."""

    def row(self, row: Mapping[str, float]) -> None:
        """A checkpoint was written, and `row` to the log."""

    def note(self, text: str) -> None:
        """Anything else worth a line."""

    def track(self, task: str, items: Sequence[T]) -> Iterator[T]:
        """The items, one by one, with the progress through them."""
        for done, item in enumerate(items):
            self.progress(task, done, len(items))
            yield item
        self.progress(task, len(items), len(items))


SILENT = Watch()
