"""The stages of fusing a bracket: how long each took, and in which one an error occurred."""

import contextlib
import time
from collections.abc import Iterator

from lutfuse.transforms.images.types import ImageError
from lutfuse.transforms.storage.retries import explain, is_fatal


class BracketError(Exception):
    """One bracket cannot be fused; the job continues.

    Attributes:
      stage: where the error occurred, one of `rows.STAGES` or "input".
      error_type: short category for counting.
    """

    def __init__(self, stage: str, error_type: str, message: str) -> None:
        super().__init__(message)
        self.stage, self.error_type = stage, error_type


class Stages:
    """Times the stages of one bracket, and turns errors within them into BracketErrors.

    `stages("read")` is a context manager; its time is added to `msec["read_ms"]`. Fatal storage errors pass.
    """

    def __init__(self) -> None:
        self.msec: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        except BracketError:
            raise
        except Exception as error:
            if is_fatal(error):
                raise
            kind = error.kind if isinstance(error, ImageError) else type(error).__name__
            raise BracketError(stage, kind, explain(error)) from error
        finally:
            elapsed = (time.perf_counter() - start) * 1e3
            self.msec[f"{stage}_ms"] = self.msec.get(f"{stage}_ms", 0.0) + elapsed
