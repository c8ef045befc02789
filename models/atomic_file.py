"""Files that are there whole or not at all: written under a hidden temporary name, renamed at the end."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

PARTIAL = ".partial"  # ends the name of a temporary file, which begins with a dot


@contextlib.contextmanager
def created(path: Path) -> Iterator[BinaryIO]:
    """A file to write to that appears under `path` when the block ends without an error.

    An older file of that name is replaced then, and kept if the block fails. Missing folders are made.

    Raises:
      OSError: a folder or the file cannot be written; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own for each attempt: two writers of one file must not share it.
    temporary = path.with_name(f".{uuid.uuid4().hex}{PARTIAL}")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            # Else the rename may reach the disk before the content, and a power cut leaves an empty file.
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write all of `content` to `path`, or nothing."""
    with created(path) as file:
        file.write(content)
