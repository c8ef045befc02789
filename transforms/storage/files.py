"""Files by URI: local paths, `gs://` and `s3://` behave alike.

Writes are atomic: a local file is written under a temporary name and renamed, an object is one upload.
Transient errors are retried with backoff and jitter (`retries`). All errors are OSErrors, the same for files
and objects: FileNotFoundError, PermissionError, or StorageError with the store's own message.
"""

import contextlib
import glob
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, TypeVar

from lutfuse.models.atomic_file import PARTIAL, created, write_whole
from lutfuse.transforms.storage import listing, object_stores
from lutfuse.transforms.storage.object_stores import ObjectStore, split_uri
from lutfuse.transforms.storage.retries import as_os_error, retrying

STALE_S = 3600.0  # no write takes an hour, so the writer of an older temporary file is gone
SPOOL_BYTES = 16 << 20  # of a stream to an object, held in memory before it moves to a temporary file

T = TypeVar("T")


def is_local(uri: str) -> bool:
    """Whether `uri` is a local path rather than an object in a bucket."""
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


def _object(uri: str, operation: Callable[[ObjectStore, str, str], T]) -> T:
    """`operation(store, bucket, key)` with retries; errors become OSErrors that name `uri`."""
    scheme, bucket, key = split_uri(uri)
    try:
        store = object_stores.store_of(scheme)
        return retrying(operation, store, bucket, key)
    except OSError:
        raise
    except Exception as error:
        # Storage clients raise many types without a common base class.
        raise as_os_error(error, uri) from error


def read_bytes(uri: str, *, limit: int | None = None) -> bytes:
    """Content of `uri`, or its first `limit` bytes; raises OSError, also for an incomplete transfer."""
    return _read(uri, limit)[0]


def read_start(uri: str, limit: int) -> tuple[bytes, int]:
    """(first `limit` bytes, size in bytes), with fewer requests than `read_bytes` and `size`."""
    return _read(uri, limit)


def _read(uri: str, limit: int | None) -> tuple[bytes, int]:
    if is_local(uri):
        return retrying(_read_local, uri, limit)
    return _object(uri, lambda store, bucket, key: store.read(bucket, key, limit))


def _read_local(path: str, limit: int | None) -> tuple[bytes, int]:
    with Path(path).open("rb") as file:
        return file.read(-1 if limit is None else limit), os.fstat(file.fileno()).st_size


@contextlib.contextmanager
def opened(uri: str) -> Iterator[IO[bytes]]:
    """A large file, opened for reading; an object is first copied to a temporary file as a whole."""
    if is_local(uri):
        with Path(uri).open("rb") as file:
            yield file
        return
    with tempfile.TemporaryFile() as copy:
        _object(uri, lambda store, bucket, key: store.fetch(bucket, key, copy))
        copy.seek(0)
        yield copy


def size(uri: str) -> int | None:
    """Size of `uri` in bytes, or None if there is no such file."""
    if is_local(uri):
        path = Path(uri)
        return path.stat().st_size if path.is_file() else None
    return _object(uri, lambda store, bucket, key: store.size(bucket, key))


def write_bytes(uri: str, data: bytes, *, mime: str = "application/octet-stream") -> None:
    """Write `data` to `uri` atomically, replacing an existing file."""
    if is_local(uri):
        retrying(write_whole, Path(uri), data)
    else:
        _object(uri, lambda store, bucket, key: store.write(bucket, key, data, mime))


@contextlib.contextmanager
def create(uri: str) -> Iterator[IO[bytes]]:
    """A stream to write to; the file appears under `uri` if the block ends without an error."""
    if is_local(uri):
        with created(Path(uri)) as file:
            yield file
        return
    # An upload still open when the block fails would publish half of the data, so it starts afterwards.
    with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as spool:
        yield spool

        def upload(store: ObjectStore, bucket: str, key: str) -> None:
            spool.seek(0)
            store.write(bucket, key, spool, "application/octet-stream")

        _object(uri, upload)


def list_files(uri: str) -> Iterator[str]:
    """All files below the folder `uri`, grouped by folder, without hidden ones."""
    if is_local(uri):
        return listing.walk(uri)
    return listing.visible(listing.list_objects(join(uri, "")), uri.rstrip("/"))


def match_files(pattern: str) -> Iterator[str]:
    """Files that match a glob; a folder that matches stands for all files below it."""
    return listing.match_local(pattern) if is_local(pattern) else listing.match_objects(pattern)


def delete(uris: Iterable[str]) -> None:
    """Delete files; no error where one does not exist."""
    for uri in uris:
        if is_local(uri):
            Path(uri).unlink(missing_ok=True)
        else:
            _object(uri, lambda store, bucket, key: store.delete(bucket, key))


def delete_below(folder: str, prefix: str) -> None:
    """Delete the subfolders of `folder` whose names start with `prefix`, with their content."""
    if is_local(folder):
        for path in Path(folder).glob(f"{glob.escape(prefix)}*"):
            shutil.rmtree(path, ignore_errors=True)
    else:
        delete(list(listing.list_objects(join(folder, prefix))))


def delete_partials(folder: str) -> None:
    """Delete temporary files that killed writers left below the local `folder`; object stores have none."""
    if not is_local(folder):
        return
    with contextlib.suppress(OSError):  # cleaning up must not fail a job
        for name in listing.walk(folder, everything=True):
            if name.endswith(PARTIAL) and basename(name).startswith("."):
                _delete_stale(Path(name))


def _delete_stale(path: Path) -> None:
    # An error is no problem: a live writer has just renamed the file, or it belongs to someone else.
    with contextlib.suppress(OSError):
        if abs(time.time() - path.stat().st_mtime) > STALE_S:
            path.unlink()


def check_writable(folder: str) -> None:
    """Write and delete a small file below `folder`; raises OSError if that fails."""
    probe = join(folder, f"probe-{uuid.uuid4().hex}.tmp")
    write_bytes(probe, b"lutfuse")
    delete([probe])
