"""Files by URI: local paths, `gs://` and `s3://`, all through Beam's filesystems.

Every write is all or nothing: local files get a temporary name and a rename; on object storage an
object appears when its upload is complete. Transient errors are retried with backoff and jitter.
"""

import contextlib
import errno
import glob
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

import tenacity
from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

RETRIES = 5
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0

# A full or read-only disk fails every bracket alike, so it ends the job instead of its brackets.
_FATAL_ERRNO = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE}
_TRANSIENT_STATUS = {408, 429, 500, 502, 503, 504}
_TRANSIENT_NAMES = ("Timeout", "ConnectionError", "ConnectionReset", "EndpointConnection", "IncompleteRead")


def is_local(uri: str) -> bool:
    """Whether `uri` names a file of this machine rather than an object in a bucket."""
    return "://" not in uri


def join(root: str, *parts: str) -> str:
    """`root/part/part`, for local paths and URIs alike."""
    return "/".join([root.rstrip("/") or "/", *parts]).replace("//", "/", 1 if root == "/" else 0)


def basename(uri: str) -> str:
    """The last component of a path or URI."""
    return uri.rstrip("/").rsplit("/", 1)[-1]


def parent(uri: str) -> str:
    """Everything before the last component; empty where there is none."""
    head, slash, _ = uri.rstrip("/").rpartition("/")
    return head or slash


def status_code(error: BaseException) -> int | None:
    """HTTP status carried by a storage client's error, or None."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore
        return cast("int | None", response.get("ResponseMetadata", {}).get("HTTPStatusCode"))
    code = getattr(error, "code", None) or getattr(response, "status_code", None)
    return code if isinstance(code, int) else None


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what Beam wrapped inside it, and what each was raised from."""
    seen: list[BaseException | None] = [error]
    while seen:
        current = seen.pop()
        if current is None:
            continue
        yield current
        details = getattr(current, "exception_details", None)
        inner = list(details.values()) if isinstance(details, dict) else []
        seen += [e for e in inner if isinstance(e, BaseException)]
        seen.append(current.__cause__)


def is_transient(error: BaseException) -> bool:
    """Whether trying again may help: server errors, throttling, timeouts, dropped connections."""
    for cause in causes(error):
        if isinstance(cause, (TimeoutError, ConnectionError)) or status_code(cause) in _TRANSIENT_STATUS:
            return True
        if any(name in type(cause).__name__ for name in _TRANSIENT_NAMES):
            return True
    return False


def is_fatal(error: BaseException) -> bool:
    """Whether the error is the job's and not one bracket's: a full disk, or storage that stays away."""
    if is_transient(error):
        return True
    return any(isinstance(c, OSError) and c.errno in _FATAL_ERRNO for c in causes(error))


_retry = tenacity.retry(
    retry=tenacity.retry_if_exception(is_transient),
    wait=tenacity.wait_exponential_jitter(initial=FIRST_WAIT_S, max=LONGEST_WAIT_S),
    stop=tenacity.stop_after_attempt(RETRIES),
    reraise=True,
)


def _open(uri: str) -> BinaryIO:
    # Never let a ".gz" name trigger transparent decompression: sizes are checked on what is stored.
    return FileSystems.open(uri, compression_type=CompressionTypes.UNCOMPRESSED)


@_retry
def read_bytes(uri: str, *, limit: int | None = None) -> bytes:
    """Content of `uri`, or its first `limit` bytes; raises OSError (or Beam's BeamIOError)."""
    with _open(uri) as file:
        return file.read() if limit is None else file.read(limit)


@_retry
def exists(uri: str) -> bool:
    """Whether there is a file or object of that name."""
    return bool(FileSystems.exists(uri))


@_retry
def size(uri: str) -> int | None:
    """Bytes stored under `uri`, or None where there is no such file."""
    if is_local(uri):
        path = Path(uri)
        return path.stat().st_size if path.is_file() else None
    (result,) = FileSystems.match([uri], limits=[1])
    return next((m.size_in_bytes for m in result.metadata_list), None)


@_retry
def write_bytes(uri: str, data: bytes, *, mime: str = "application/octet-stream") -> None:
    """Publish `data` under `uri`, whole or not at all; an older file of that name is replaced."""
    if is_local(uri):
        with create(uri) as local:
            local.write(data)
        return
    with FileSystems.create(uri, mime_type=mime, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        file.write(data)


@contextlib.contextmanager
def create(uri: str) -> Iterator[BinaryIO]:
    """A stream for a long text that appears under `uri` when the block ends without an error.

    Only for files that nobody reads while they are written: an object store publishes what was sent.
    """
    if not is_local(uri):
        with FileSystems.create(uri, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            yield file
        return
    path = Path(uri)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own for each attempt: two workers given the same bundle must not share one.
    temporary = path.with_name(f".{uuid.uuid4().hex}.partial")
    try:
        with temporary.open("wb") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def list_files(uri: str) -> Iterator[str]:
    """All files below the folder `uri`, hidden ones left out, in an order that depends on names alone."""
    if is_local(uri):
        yield from _walk(uri)
    else:
        yield from _match(join(uri, "**"))


def match_files(pattern: str) -> Iterator[str]:
    """Files that match a glob; folders that match stand for all files below them."""
    if not is_local(pattern):
        found = list(_match(pattern))
        yield from found or _match(join(pattern, "**"))
        return
    # glob leaves hidden files out, as a shell does.
    for path in _by_folder(glob.iglob(pattern, recursive=True)):  # noqa: PTH207 (pathlib's would show them)
        if Path(path).is_dir():
            yield from _walk(path)
        else:
            yield path


@_retry
def _match(pattern: str) -> list[str]:
    (result,) = FileSystems.match([pattern])
    return _by_folder(m.path for m in result.metadata_list if not basename(m.path).startswith("."))


def _by_folder(paths: Iterable[str]) -> list[str]:
    # Plain sorting would put a subfolder between the files of its parent.
    return sorted(paths, key=lambda path: (parent(path), path))


def _walk(root: str) -> Iterator[str]:
    # os.walk lists names without a stat per file; symbolic links to folders are followed once.
    visited: set[str] = set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in visited:
            subfolders.clear()
            continue
        visited.add(real)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield f"{folder}/{name}"


def delete(uris: Iterable[str]) -> None:
    """Remove files that may or may not be there."""
    present = [uri for uri in uris if exists(uri)]
    if present:
        FileSystems.delete(present)


def delete_below(folder: str, prefix: str) -> None:
    """Remove the subfolders of `folder` whose names start with `prefix`, and all in them."""
    if is_local(folder):
        for path in Path(folder).glob(f"{glob.escape(prefix)}*"):
            shutil.rmtree(path, ignore_errors=True)
    else:
        delete(uri for uri in list_files(folder) if uri.startswith(join(folder, prefix)))


def check_writable(folder: str) -> None:
    """Write and remove a small probe below `folder`; raises the storage's own error."""
    probe = join(folder, f"probe-{uuid.uuid4().hex}.tmp")
    write_bytes(probe, b"lutfuse")
    delete([probe])


def explain(error: BaseException) -> str:
    """One line for people: what the storage said, without Beam's wrapping."""
    inner = [c for c in causes(error) if not isinstance(c, BeamIOError)]
    chosen = inner[0] if inner else error
    return f"{type(chosen).__name__}: {chosen}".splitlines()[0]
