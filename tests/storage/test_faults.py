"""Stores that fail on purpose: nothing partial, nothing lost, passing troubles survived and counted."""

import io
import re

import apache_beam as beam
import google.auth
import pytest
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from google.auth.exceptions import DefaultCredentialsError

from lutfuse.transforms.storage import files, object_stores, retries
from lutfuse.transforms.storage.retries import is_fatal

OLD, NEW = b"old" * 1000, bytes(range(256)) * 1000
READ_FAULTS = [500, 503, 429, "early", "reset", "cut", "short", "stall"]
WRITE_FAULTS = [500, 503, 429, "early", "reset", "lost", "stall"]


@pytest.fixture(autouse=True)
def _quick(quick_timeouts):
    pass


@pytest.fixture
def media(bucket):
    """The requests that carry an object's bytes, down and up."""
    if bucket.scheme == "gs":
        return "GET .*alt=media", "(POST|PUT) /upload"
    return "GET .*x.bin", "PUT .*x.bin"


def test_a_read_survives_every_passing_trouble_and_a_short_answer_is_noticed(bucket, media):
    uri = f"{bucket.root}/x.bin"
    bucket.put("x.bin", NEW)
    for kind in READ_FAULTS:
        fault = bucket.proxy.inject(kind, media[0])
        assert files.read_bytes(uri) == NEW, kind
        assert fault.hits, kind
        bucket.proxy.inject(kind, media[0])
        assert files.read_bytes(uri, limit=1000) == NEW[:1000], kind


def test_a_copy_on_disk_survives_every_passing_trouble_and_starts_anew_each_time(bucket, media, monkeypatch):
    monkeypatch.setattr(object_stores, "CHUNK_BYTES", 1000)
    bucket.put("x.bin", NEW)
    for kind in READ_FAULTS:
        fault = bucket.proxy.inject(kind, media[0])
        with files.opened(f"{bucket.root}/x.bin") as file:
            assert file.read() == NEW, kind
        assert fault.hits, kind
    bucket.put("x.bin", b"")
    with files.opened(f"{bucket.root}/x.bin") as file:
        assert file.read() == b""
    with pytest.raises(FileNotFoundError), files.opened(f"{bucket.root}/none.bin"):
        pass


def test_a_read_that_stays_short_is_an_error_and_never_half_a_picture(bucket, media, monkeypatch):
    monkeypatch.setattr(retries, "ATTEMPTS", 3)
    bucket.put("x.bin", NEW)
    fault = bucket.proxy.inject("short", media[0], times=99)
    with pytest.raises(Exception, match=".") as caught:
        files.read_bytes(f"{bucket.root}/x.bin")
    assert is_fatal(caught.value)
    assert len(fault.hits) == 3


@pytest.mark.parametrize("size", [1, 40], ids=["one-request", "resumable"])
def test_a_write_is_there_whole_or_not_at_all(bucket, media, size, monkeypatch):
    uri, data = f"{bucket.root}/x.bin", NEW * size
    for kind in WRITE_FAULTS if size == 1 else [503, "early", "lost"]:
        files.write_bytes(uri, OLD, mime="image/jpeg")
        fault = bucket.proxy.inject(kind, media[1], times=2)
        files.write_bytes(uri, data, mime="image/jpeg")
        assert len(fault.hits) == 2, kind
        assert bucket.get("x.bin") == data, kind
        assert bucket.mime("x.bin") == "image/jpeg"
    monkeypatch.setattr(retries, "ATTEMPTS", 2)
    files.write_bytes(uri, OLD)
    for kind in (503, "early"):
        bucket.proxy.inject(kind, media[1], times=2)
        with pytest.raises(Exception, match=".") as caught:
            files.write_bytes(uri, data)
        assert is_fatal(caught.value)
        assert bucket.get("x.bin") == OLD
    assert bucket.keys() == ["x.bin"]


def test_a_stream_whose_block_fails_leaves_no_object(bucket):
    uri = f"{bucket.root}/x.jsonl"

    def write_half():
        with files.create(uri) as file:
            file.write(NEW)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        write_half()
    assert bucket.keys() == []
    with files.create(uri) as file:
        file.write(b"whole")
    assert bucket.get("x.jsonl") == b"whole"


@pytest.mark.parametrize(("status", "kind"), [(403, PermissionError), (404, FileNotFoundError)])
def test_permanent_errors_are_the_ones_of_files_and_are_not_tried_again(bucket, status, kind):
    uri = f"{bucket.root}/x.bin"
    bucket.put("x.bin", NEW)
    operations = [files.read_bytes, lambda uri: files.write_bytes(uri, OLD)]
    for operation in operations if status == 403 else operations[:1]:
        fault = bucket.proxy.inject(status, "x.bin|upload", times=9)
        with pytest.raises(kind, match=re.escape(uri)):
            operation(uri)
        assert len(fault.hits) == 1
        bucket.proxy.faults.clear()


def test_empty_objects_are_read_as_empty(bucket):
    bucket.put("x.bin", b"")
    assert files.read_bytes(f"{bucket.root}/x.bin") == b""
    assert files.read_bytes(f"{bucket.root}/x.bin", limit=9) == b""
    assert files.size(f"{bucket.root}/x.bin") == 0


def test_a_missing_bucket_is_said_to_be_missing(bucket):
    with pytest.raises(FileNotFoundError):
        list(files.list_files(f"{bucket.root}-none/in"))


def test_pages_are_asked_for_again(bucket):
    bucket.put("in/1.jpg", b"x")
    for kind in (503, "reset", "cut"):
        bucket.proxy.inject(kind, "prefix=in")
        assert list(files.list_files(f"{bucket.root}/in")) == [f"{bucket.root}/in/1.jpg"]


def test_retries_are_counted_in_beams_metrics(bucket, media):
    bucket.put("x.bin", NEW)
    bucket.proxy.inject(503, media[0], times=3)
    pipeline = beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions(bucket.beam_args))
    _ = pipeline | beam.Create([f"{bucket.root}/x.bin"]) | beam.Map(lambda uri: len(files.read_bytes(uri)))
    result = pipeline.run()
    found = result.metrics().query(MetricsFilter().with_namespace("lutfuse"))["counters"]
    assert {counter.key.metric.name: counter.committed for counter in found} == {"storage-retries": 3}


def test_missing_credentials_are_said_at_once_with_the_remedy(bucket, monkeypatch, tmp_path):
    if bucket.scheme == "gs":
        object_stores.gcs_store.cache_clear()
        monkeypatch.setattr(google.auth, "default", none_found)
        bucket.proxy.inject(401, times=9)
        remedy = "gcloud auth application-default login"
    else:
        object_stores.s3_store.cache_clear()
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        remedy = "set AWS_ACCESS_KEY_ID"
    with pytest.raises(PermissionError, match=remedy):
        files.check_writable(f"{bucket.root}/out")
    assert len([line for line in bucket.proxy.requests if line.startswith(("PUT", "POST"))]) <= 1
    object_stores.gcs_store.cache_clear()


def none_found(**_):
    raise DefaultCredentialsError("no credentials")


def test_a_stream_longer_than_memory_allows_is_uploaded_from_disk(bucket, monkeypatch):
    monkeypatch.setattr(files, "SPOOL_BYTES", 1000)
    monkeypatch.setattr(object_stores, "CHUNK_BYTES", 1 << 18)  # gs:// takes it in pieces
    with files.create(f"{bucket.root}/x.bin") as file:
        for _ in range(5):
            file.write(NEW)
        assert not isinstance(file._file, io.BytesIO)
    assert bucket.get("x.bin") == NEW * 5
