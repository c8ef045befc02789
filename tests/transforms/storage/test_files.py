"""Files by URI: whole or not at all."""

import errno
import os
import time
from pathlib import Path

import pytest

from lutfuse.transforms.storage import files, listing, retries
from lutfuse.transforms.storage.retries import StorageError


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(retries, "FIRST_WAIT_S", 0.0)


def test_join_and_parent_work_on_paths_and_uris():
    assert files.join("/a/", "b", "c.jpg") == "/a/b/c.jpg"
    assert files.join("/", "b") == "/b"
    assert files.join("gs://bucket", "b") == "gs://bucket/b"
    assert files.parent("gs://bucket/x/y.jpg") == "gs://bucket/x"
    assert files.parent("/y.jpg") == "/"
    assert files.parent("y.jpg") == ""
    assert files.basename("s3://b/x/y.jpg") == "y.jpg"


def test_write_creates_folders_and_replaces_older_content(tmp_path):
    uri = f"{tmp_path}/a/b.bin"
    files.write_bytes(uri, b"old and longer")
    files.write_bytes(uri, b"new")
    assert files.read_bytes(uri) == b"new"
    assert files.read_bytes(uri, limit=2) == b"ne"
    assert files.read_start(uri, 2) == (b"ne", 3)
    assert files.size(uri) == 3
    assert files.size(f"{tmp_path}/none") is None
    assert os.listdir(tmp_path / "a") == ["b.bin"]


def test_a_failed_stream_leaves_neither_a_partial_file_nor_a_changed_old_one(tmp_path):
    uri = f"{tmp_path}/x.jsonl"
    files.write_bytes(uri, b"old")

    def write_half():
        with files.create(uri) as file:
            file.write(b"half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        write_half()
    assert files.read_bytes(uri) == b"old"
    assert os.listdir(tmp_path) == ["x.jsonl"]


def test_gz_names_are_read_as_they_are(tmp_path):
    uri = f"{tmp_path}/x.gz"
    files.write_bytes(uri, b"not compressed")
    assert files.read_bytes(uri) == b"not compressed"


def test_a_local_file_is_asked_again_after_a_network_drives_timeout(tmp_path, monkeypatch):
    files.write_bytes(f"{tmp_path}/x", b"content")
    calls, open_file = [], Path.open

    def flaky(path, mode):
        calls.append(path)
        if len(calls) == 1:
            raise TimeoutError(errno.ETIMEDOUT, "nfs")
        return open_file(path, mode)

    monkeypatch.setattr(Path, "open", flaky)
    assert files.read_bytes(f"{tmp_path}/x") == b"content"
    assert len(calls) == 2


def test_a_write_that_fails_half_way_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    uri = f"{tmp_path}/x.jpg"
    files.write_bytes(uri, b"old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write_bytes(uri, b"new")
    assert files.read_bytes(uri) == b"old"
    assert os.listdir(tmp_path) == ["x.jpg"]


def test_what_a_killed_writer_left_is_swept_once_it_is_old(tmp_path):
    stale, fresh, picture = (tmp_path / n for n in (".0a.partial", ".0b.partial", "x.partial"))
    for path in (stale, fresh, picture):
        path.touch()
    long_ago = time.time() - 2 * files.STALE_S
    for path in (stale, picture):
        os.utime(path, (long_ago, long_ago))
    files.delete_partials(str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == [".0b.partial", "x.partial"]
    files.delete_partials("gs://nowhere/fused")


@pytest.mark.parametrize("call", ["scandir", "stat", "unlink"])
def test_a_sweep_passes_over_what_it_may_not_touch_and_goes_on(tmp_path, monkeypatch, call):
    long_ago = time.time() - 2 * files.STALE_S
    for folder in ("a", "b", "c"):
        files.write_bytes(f"{tmp_path}/{folder}/.0.partial", b"half")
        os.utime(tmp_path / folder / ".0.partial", (long_ago, long_ago))
    works = getattr(os, call)

    def locked(path, **how):
        if os.path.basename(path if call == "scandir" else os.path.dirname(path)) == "b":
            raise PermissionError("locked")
        return works(path, **how)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, locked)
        files.delete_partials(str(tmp_path))
    assert [path.parent.name for path in tmp_path.rglob(".0.partial")] == ["b"]


def test_a_file_deleted_while_partials_are_cleaned_up_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr(listing, "walk", lambda folder, everything: iter([f"{folder}/.0a.partial"]))
    files.delete_partials(str(tmp_path))


def test_an_unknown_kind_of_storage_is_refused_with_the_known_ones():
    with pytest.raises(StorageError, match="ftp://: no such storage; give a local path, gs:// or s3://"):
        files.read_bytes("ftp://host/x.jpg")


def test_check_writable_leaves_nothing_and_refuses_a_file_as_folder(tmp_path):
    files.check_writable(f"{tmp_path}/new")
    assert os.listdir(tmp_path / "new") == []
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        files.check_writable(f"{tmp_path}/file")


def test_delete_minds_no_missing_file(tmp_path):
    files.write_bytes(f"{tmp_path}/x", b"")
    files.delete([f"{tmp_path}/x", f"{tmp_path}/y"])
    assert os.listdir(tmp_path) == []
