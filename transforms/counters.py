"""Progress of a running job: Beam's counters, and a progress file for local jobs.

Local runners report counters only at the end, so their workers also append one letter per bracket to a file,
which the launcher counts. A remote runner shows the counters on its own page.
"""

import os
from pathlib import Path

from apache_beam.metrics.metric import Metrics

NAMESPACE = "lutfuse"  # of the counters; also the name of the logger
LETTERS = {"fused": b"f", "skipped": b"s", "failed": b"x"}


def count(name: str, by: int = 1) -> None:
    """Add `by` to a counter; no effect outside of a bundle, as in the launcher."""
    Metrics.counter(NAMESPACE, name).inc(by)


def measure(name: str, value: float) -> None:
    """Add `value`, rounded, to a distribution."""
    Metrics.distribution(NAMESPACE, name).update(round(value))


def report(path: str | None, outcome: str) -> None:
    """Append the letter of `outcome` to the progress file; no effect if `path` is None.

    Appending one byte is atomic, so workers need no lock.
    """
    if path is None:
        return
    file = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(file, LETTERS[outcome])
    finally:
        os.close(file)


def tally(path: str) -> dict[str, int]:
    """Brackets finished so far, by outcome. Only for display: a retried bracket counts twice."""
    letters = Path(path).read_bytes()
    return {outcome: letters.count(letter) for outcome, letter in LETTERS.items()}
