"""Files by URI: atomic writes, listings without surprises, and which errors are worth another try."""

import errno
import os

import pytest
from apache_beam.io.filesystem import BeamIOError

from transforms import storage


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)


def test_join_and_parent_work_on_paths_and_uris():
    assert storage.join("/a/", "b", "c.jpg") == "/a/b/c.jpg"
    assert storage.join("/", "b") == "/b"
    assert storage.join("gs://bucket", "b") == "gs://bucket/b"
    assert storage.parent("gs://bucket/x/y.jpg") == "gs://bucket/x"
    assert storage.parent("/y.jpg") == "/"
    assert storage.parent("y.jpg") == ""
    assert storage.basename("s3://b/x/y.jpg") == "y.jpg"


def test_write_creates_folders_and_replaces_older_content(tmp_path):
    uri = f"{tmp_path}/a/b.bin"
    storage.write_bytes(uri, b"old and longer")
    storage.write_bytes(uri, b"new")
    assert storage.read_bytes(uri) == b"new"
    assert storage.read_bytes(uri, limit=2) == b"ne"
    assert storage.size(uri) == 3
    assert storage.size(f"{tmp_path}/none") is None
    assert os.listdir(tmp_path / "a") == ["b.bin"]


def test_a_failed_stream_leaves_neither_a_partial_file_nor_a_changed_old_one(tmp_path):
    uri = f"{tmp_path}/x.jsonl"
    storage.write_bytes(uri, b"old")

    def write_half():
        with storage.create(uri) as file:
            file.write(b"half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        write_half()
    assert storage.read_bytes(uri) == b"old"
    assert os.listdir(tmp_path) == ["x.jsonl"]


def test_gz_names_are_read_as_they_are(tmp_path):
    uri = f"{tmp_path}/x.gz"
    storage.write_bytes(uri, b"not compressed")
    assert storage.read_bytes(uri) == b"not compressed"


def test_transient_errors_are_tried_again_and_permanent_ones_are_not(monkeypatch):
    calls = []

    def flaky(uri, compression_type):
        calls.append(uri)
        raise ConnectionResetError("peer") if uri == "gs://b/flaky" else FileNotFoundError(uri)

    monkeypatch.setattr(storage.FileSystems, "open", flaky)
    with pytest.raises(ConnectionResetError):
        storage.read_bytes("gs://b/flaky")
    assert len(calls) == storage.RETRIES
    calls.clear()
    with pytest.raises(FileNotFoundError):
        storage.read_bytes("gs://b/none")
    assert len(calls) == 1


class HttpError(Exception):
    def __init__(self, code):
        super().__init__(f"status {code}")
        self.code = code


class BotoError(Exception):
    def __init__(self, code):
        super().__init__(f"status {code}")
        self.response = {"ResponseMetadata": {"HTTPStatusCode": code}}


@pytest.mark.parametrize("kind", [HttpError, BotoError])
@pytest.mark.parametrize(("code", "transient"), [(503, True), (429, True), (403, False), (404, False)])
def test_http_status_decides_also_inside_beams_wrapping(kind, code, transient):
    assert storage.is_transient(kind(code)) == transient
    assert storage.is_transient(BeamIOError("failed", {"gs://b/x": kind(code)})) == transient


def test_a_timeout_that_caused_another_error_is_transient():
    error = ValueError("outer")
    error.__cause__ = TimeoutError("slow")
    assert storage.is_transient(error)


@pytest.mark.parametrize(
    ("number", "fatal"), [(errno.ENOSPC, True), (errno.EROFS, True), (errno.EACCES, False)]
)
def test_a_full_disk_ends_the_job_and_a_forbidden_file_only_its_bracket(number, fatal):
    assert storage.is_fatal(OSError(number, "x")) == fatal


def test_files_of_one_folder_come_together_and_hidden_ones_not_at_all(tmp_path):
    for name in ("a/z.jpg", "a/b/1.jpg", "a/1.jpg", ".h/x.jpg", "a/.x.jpg"):
        storage.write_bytes(f"{tmp_path}/{name}", b"")
    expected = [f"{tmp_path}/a/1.jpg", f"{tmp_path}/a/z.jpg", f"{tmp_path}/a/b/1.jpg"]
    assert list(storage.list_files(str(tmp_path))) == expected
    assert list(storage.match_files(f"{tmp_path}/**/*.jpg")) == expected


def test_check_writable_leaves_nothing_and_refuses_a_file_as_folder(tmp_path):
    storage.check_writable(f"{tmp_path}/new")
    assert os.listdir(tmp_path / "new") == []
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        storage.check_writable(f"{tmp_path}/file")


def test_delete_minds_no_missing_file(tmp_path):
    storage.write_bytes(f"{tmp_path}/x", b"")
    storage.delete([f"{tmp_path}/x", f"{tmp_path}/y"])
    assert os.listdir(tmp_path) == []


def test_explain_shows_the_storages_own_words():
    error = BeamIOError("Match operation failed", {"gs://b/x": PermissionError("no access\nmore")})
    assert storage.explain(error) == "PermissionError: no access"
