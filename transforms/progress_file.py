"""How far a local job is: workers append one letter a bracket to a file that the launcher counts.

In-process and multi-processing runners report metrics only when they are done, hence the file. On a
remote runner there is none, and the counters are on the runner's own page.
"""

import os
from pathlib import Path

LETTERS = {"fused": b"f", "skipped": b"s", "failed": b"x"}


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
