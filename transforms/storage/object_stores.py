"""`gs://` and `s3://` objects, through storage clients configured by Beam's own options.

Beam's file objects are not used: an exception inside an open S3 stream publishes what was written so far,
names with `*`, `?` or `[` are taken for patterns, and each operation opens a new connection. Here an object
is written by one request with all its bytes, so that writes are atomic.

The clients do not retry; `retries.retrying` does, and counts.
"""

import contextlib
import errno
import io
import os
import shutil
from collections.abc import Iterator
from functools import lru_cache
from typing import IO, Any, Protocol

from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, S3Options

from lutfuse.transforms.storage.retries import ShortReadError, StorageError

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 60.0  # without receiving a byte
CHUNK_BYTES = 8 << 20  # of a large object, in memory while it is copied from or to a file
CONNECTIONS = 32  # kept open per client; more than a worker has threads
_S3_ARGUMENTS = {
    "endpoint_url": "s3_endpoint_url",
    "region_name": "s3_region_name",
    "api_version": "s3_api_version",
    "verify": "s3_verify",
    "aws_access_key_id": "s3_access_key_id",
    "aws_secret_access_key": "s3_secret_access_key",
    "aws_session_token": "s3_session_token",
}


class ObjectStore(Protocol):
    """What the pipeline needs of a store; `key` is an object's literal name in `bucket`."""

    def read(self, bucket: str, key: str, limit: int | None) -> tuple[bytes, int]:
        """(all bytes or the first `limit`, the object's size); ShortReadError if another number arrives."""

    def fetch(self, bucket: str, key: str, file: IO[bytes]) -> None:
        """Replace the content of `file` by the object; ShortReadError if another number of bytes arrives."""

    def size(self, bucket: str, key: str) -> int | None:
        """Size in bytes, or None if there is no such object."""

    def write(self, bucket: str, key: str, data: bytes | IO[bytes], mime: str) -> None:
        """Write the object atomically."""

    def page(self, bucket: str, prefix: str, token: str | None) -> tuple[list[str], str | None]:
        """(some keys that start with `prefix`, in order, the token of the next page or None)."""

    def delete(self, bucket: str, key: str) -> None:
        """Delete the object; no error if there is none."""


def split_uri(uri: str) -> tuple[str, str, str]:
    """(scheme, bucket, key) of `uri`; the key is everything after the bucket, literally."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    return scheme, bucket, key


def store_of(scheme: str) -> ObjectStore:
    """The store of a URI's scheme; equal options share one client per process."""
    options: PipelineOptions = FileSystems._pipeline_options or PipelineOptions([])
    if scheme == "s3":
        s3 = options.view_as(S3Options)
        arguments = ((name, getattr(s3, option)) for name, option in _S3_ARGUMENTS.items())
        return s3_store(not s3.s3_disable_ssl, READ_TIMEOUT_S, *arguments)
    if scheme == "gs":
        google = options.view_as(GoogleCloudOptions)
        return gcs_store(
            os.environ.get("STORAGE_EMULATOR_HOST"), google.project, google.impersonate_service_account
        )
    raise StorageError(f"{scheme}://: no such storage; give a local path, gs:// or s3://")


def check_length(received: int, expected: int, bucket: str, key: str) -> None:
    """Raise ShortReadError unless as many bytes were received as expected."""
    if received != expected:
        raise ShortReadError(f"{bucket}/{key}: received {received} bytes of {expected}")


def _empty(file: IO[bytes]) -> None:
    # An earlier attempt may have left some bytes.
    file.seek(0)
    file.truncate()


@lru_cache(maxsize=8)
def s3_store(use_ssl: bool, read_timeout_s: float, *arguments: tuple[str, Any]) -> "S3Store":
    """The client for these options, made once per process."""
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=read_timeout_s,
        max_pool_connections=CONNECTIONS,
        retries={"total_max_attempts": 1, "mode": "standard"},
    )
    # A session of its own: boto3's default one is not safe to share between threads.
    return S3Store(boto3.session.Session().client("s3", use_ssl=use_ssl, config=config, **dict(arguments)))


class S3Store:
    """Amazon S3 and compatible stores; `client` is boto3's, which threads may share."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def read(self, bucket: str, key: str, limit: int | None) -> tuple[bytes, int]:
        """In one request: the answer to a ranged request has the object's size, too."""
        wanted = None if limit is None else max(limit, 1)
        with self._get(bucket, key, wanted) as (body, total):
            data: bytes = body.read() if wanted is None else body.read(wanted)
        check_length(len(data), total if wanted is None else min(total, wanted), bucket, key)
        return data, total

    def fetch(self, bucket: str, key: str, file: IO[bytes]) -> None:
        """In one request."""
        _empty(file)
        with self._get(bucket, key, None) as (body, total):
            shutil.copyfileobj(body, file, CHUNK_BYTES)
        check_length(file.tell(), total, bucket, key)

    @contextlib.contextmanager
    def _get(self, bucket: str, key: str, limit: int | None) -> Iterator[tuple[IO[bytes], int]]:
        last = "" if limit is None else limit - 1
        try:
            answer = self.client.get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{last}")
        except self.client.exceptions.ClientError as error:
            if error.response.get("Error", {}).get("Code") != "InvalidRange":
                raise
            yield io.BytesIO(), 0  # an empty object has no range
            return
        # Some stores ignore ranges and send all bytes, as HTTP allows.
        total = answer.get("ContentRange", "").rpartition("/")[2] or answer["ContentLength"]
        with answer["Body"] as body:
            yield body, int(total)

    def size(self, bucket: str, key: str) -> int | None:
        """Size in bytes, or None if there is no such object."""
        try:
            return int(self.client.head_object(Bucket=bucket, Key=key)["ContentLength"])
        except self.client.exceptions.ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
                return None
            raise

    def write(self, bucket: str, key: str, data: bytes | IO[bytes], mime: str) -> None:
        """One PUT (5 GB at most) with a checksum: a killed multipart upload would leave its parts behind."""
        self.client.put_object(Bucket=bucket, Key=key, Body=data, ContentType=mime)

    def page(self, bucket: str, prefix: str, token: str | None) -> tuple[list[str], str | None]:
        """Up to 1,000 keys per page."""
        more = {"ContinuationToken": token} if token else {}
        answer = self.client.list_objects_v2(Bucket=bucket, Prefix=prefix, **more)
        return [item["Key"] for item in answer.get("Contents", [])], answer.get("NextContinuationToken")

    def delete(self, bucket: str, key: str) -> None:
        """Delete the object; S3 reports no error if there is none."""
        self.client.delete_object(Bucket=bucket, Key=key)


@lru_cache(maxsize=8)
def gcs_store(emulator: str | None, project: str | None, account: str | None) -> "GcsStore":
    """The client for the current options, made once per process; the arguments are the cache's key."""
    import google.auth
    from apache_beam.io.gcp.gcsio import create_storage_client
    from google.auth.exceptions import DefaultCredentialsError

    options: PipelineOptions = FileSystems._pipeline_options or PipelineOptions([])
    try:
        google.auth.default(scopes=options.view_as(GoogleCloudOptions).gcp_oauth_scopes)
    except DefaultCredentialsError:
        # Checked here because Beam would wait for half a minute. Public buckets need no credentials.
        return GcsStore(create_storage_client(options, use_credentials=False))
    return GcsStore(create_storage_client(options))


class GcsStore:
    """Google Cloud Storage; `client` is `google.cloud.storage.Client`."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self._calls = {"retry": None, "timeout": (CONNECT_TIMEOUT_S, READ_TIMEOUT_S)}

    def read(self, bucket: str, key: str, limit: int | None) -> tuple[bytes, int]:
        """In two requests, the size first; the CRC32C is verified where all bytes are read."""
        size = self._size_of(bucket, key)
        wanted = size if limit is None else min(size, limit)
        if wanted == 0:
            return b"", size
        part = {} if wanted == size else {"start": 0, "end": wanted - 1}
        # raw_download: otherwise the store decompresses gzip objects, and their size differs.
        data = (
            self.client.bucket(bucket).blob(key).download_as_bytes(raw_download=True, **part, **self._calls)
        )
        check_length(len(data), wanted, bucket, key)
        return data, size

    def fetch(self, bucket: str, key: str, file: IO[bytes]) -> None:
        """In two requests, the size first; the CRC32C is verified."""
        size = self._size_of(bucket, key)
        _empty(file)
        if size:
            self.client.bucket(bucket).blob(key).download_to_file(file, raw_download=True, **self._calls)
        check_length(file.tell(), size, bucket, key)

    def size(self, bucket: str, key: str) -> int | None:
        """Size in bytes, or None if there is no such object."""
        blob = self.client.bucket(bucket).get_blob(key, **self._calls)
        return None if blob is None else blob.size

    def _size_of(self, bucket: str, key: str) -> int:
        size = self.size(bucket, key)
        if size is None:
            raise FileNotFoundError(errno.ENOENT, "no such object", f"gs://{bucket}/{key}")
        return size

    def write(self, bucket: str, key: str, data: bytes | IO[bytes], mime: str) -> None:
        """One upload with its CRC32C; the object appears when the upload is complete."""
        objects = self.client.bucket(bucket)
        how = {"content_type": mime, "checksum": "crc32c", **self._calls}
        if isinstance(data, bytes):
            objects.blob(key).upload_from_string(data, **how)
        else:
            # In chunks; by default the client holds 100 MB in memory.
            objects.blob(key, chunk_size=CHUNK_BYTES).upload_from_file(data, rewind=True, **how)

    def page(self, bucket: str, prefix: str, token: str | None) -> tuple[list[str], str | None]:
        """Up to 1,000 keys per page."""
        listing = self.client.list_blobs(
            bucket, prefix=prefix, page_token=token, fields="items(name),nextPageToken", **self._calls
        )
        names = [blob.name for blob in next(listing.pages, ())]
        return names, listing.next_page_token

    def delete(self, bucket: str, key: str) -> None:
        """Delete the object; no error if there is none."""
        from google.cloud.exceptions import NotFound

        with contextlib.suppress(NotFound):
            self.client.bucket(bucket).delete_blob(key, **self._calls)
