"""Which errors are worth another try, which end the job, and that waiting ends."""

import errno

import pytest
from apache_beam.io.filesystem import BeamIOError

from lutfuse.transforms.storage import retries
from lutfuse.transforms.storage.retries import (
    StorageError,
    as_os_error,
    explain,
    is_fatal,
    is_transient,
    retrying,
)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(retries, "FIRST_WAIT_S", 0.0)


class HttpError(Exception):
    def __init__(self, code):
        super().__init__(f"status {code}")
        self.code = code


class BotoError(Exception):
    def __init__(self, code, name="Oops"):
        super().__init__(f"status {code}")
        self.response = {"ResponseMetadata": {"HTTPStatusCode": code}, "Error": {"Code": name}}


class ConnectionClosedError(Exception):
    """As botocore names a dropped connection; it has no base in common with Python's."""


class NoCredentialsError(Exception):
    pass


@pytest.mark.parametrize("kind", [HttpError, BotoError])
@pytest.mark.parametrize(("code", "transient"), [(503, True), (429, True), (403, False), (404, False)])
def test_http_status_decides_also_inside_beams_wrapping(kind, code, transient):
    assert is_transient(kind(code)) == transient
    assert is_transient(BeamIOError("failed", {"gs://b/x": kind(code)})) == transient


def test_s3s_own_code_decides_where_the_status_does_not():
    assert is_transient(BotoError(400, "RequestTimeout"))
    assert not is_transient(BotoError(400, "InvalidArgument"))


def test_dropped_connections_and_timeouts_are_transient_whatever_their_class():
    assert is_transient(ConnectionClosedError())
    assert is_transient(retries.ShortReadError("half"))
    error = ValueError("outer")
    error.__cause__ = TimeoutError("slow")
    assert is_transient(error)


@pytest.mark.parametrize(
    ("number", "fatal"), [(errno.ENOSPC, True), (errno.EROFS, True), (errno.EACCES, False)]
)
def test_a_full_disk_ends_the_job_and_a_forbidden_file_only_its_bracket(number, fatal):
    assert is_fatal(OSError(number, "x")) == fatal


def test_transient_errors_are_tried_again_until_it_works():
    calls = []

    def flaky(word, *, count):
        calls.append(word)
        if len(calls) < count:
            raise HttpError(503)
        return word

    assert retrying(flaky, "done", count=4) == "done"
    assert len(calls) == 4


def test_permanent_errors_are_raised_at_once_and_transient_ones_in_the_end():
    calls = []

    def failing(error):
        calls.append(error)
        raise error

    with pytest.raises(FileNotFoundError):
        retrying(failing, FileNotFoundError("x"))
    assert len(calls) == 1
    calls.clear()
    with pytest.raises(ConnectionResetError):
        retrying(failing, ConnectionResetError("peer"))
    assert len(calls) == retries.ATTEMPTS


def test_waits_grow_with_jitter_and_stay_below_their_limit(monkeypatch):
    waits = []
    monkeypatch.setattr(retries, "FIRST_WAIT_S", 0.5)
    monkeypatch.setattr("tenacity.nap.time.sleep", waits.append)

    def failing():
        raise TimeoutError

    with pytest.raises(TimeoutError):
        retrying(failing)
    expected = [0.5, 1, 2, 4, 8, 16, 30]
    assert all(low <= wait <= min(low + 0.5, 30) for low, wait in zip(expected, waits, strict=True))
    assert waits[:6] != expected[:6]


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (BotoError(404), FileNotFoundError, "no such object"),
        (BotoError(403), PermissionError, "access denied"),
        (HttpError(401), PermissionError, "AWS_ACCESS_KEY_ID"),
        (NoCredentialsError("none"), PermissionError, "AWS_ACCESS_KEY_ID"),
        (HttpError(400), StorageError, "status 400"),
        (KeyError("x"), StorageError, "KeyError"),
    ],
)
def test_an_object_fails_with_the_error_that_a_file_would_and_names_itself(error, kind, words):
    translated = as_os_error(error, "s3://bucket/key")
    assert type(translated) is kind
    assert words in str(translated)
    assert "s3://bucket/key" in str(translated)


def test_explain_shows_the_storages_own_words():
    error = BeamIOError("Match operation failed", {"gs://b/x": PermissionError("no access\nmore")})
    assert explain(error) == "PermissionError: no access"
