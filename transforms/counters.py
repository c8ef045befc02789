"""What can be seen of a job while it runs: the runner's counters, and a file for local jobs.

In-process and multi-processing runners report counters only at the end, so their workers also append one
letter a bracket to a file that the launcher counts. A remote runner shows the counters on its own page.
"""

import os
from pathlib import Path

from apache_beam.metrics.metric import Metrics

NAMESPACE = "lutfuse"  # of the counters, and name of the log
LETTERS = {"fused": b"f", "skipped": b"s", "failed": b"x"}


def count(name: str, by: int = 1) -> None:
    """Add to a counter. Outside of a bundle, as in the launcher, it goes nowhere."""
    Metrics.counter(NAMESPACE, name).inc(by)


def measure(name: str, value: float) -> None:
    """Put a value, rounded, into a distribution."""
    Metrics.distribution(NAMESPACE, name).update(round(value))


def report(path: str | None, outcome: str) -> None:
    """Append the letter of `outcome`; no-op without a path. Appends of one byte never mix."""
    if path is None:
        return
    file = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(file, LETTERS[outcome])
    finally:
        os.close(file)


def tally(path: str) -> dict[str, int]:
    """Brackets done so far by outcome. A retried bracket counts again: this is for people, not for rows."""
    letters = Path(path).read_bytes()
    return {outcome: letters.count(letter) for outcome, letter in LETTERS.items()}
