"""Object stores on loopback, each its own process, and a proxy that breaks what passes through it.

A test asks for `bucket` and runs once with `gs://` and once with `s3://`.
"""

import contextlib
import http.client
import importlib.util
import io
import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from lutfuse.transforms.storage import files

SERVERS = {
    "gs": ("gcp_storage_emulator", ["start", "--in-memory", "--quiet", "--host=127.0.0.1", "--port={port}"]),
    "s3": ("moto.server", ["--host=127.0.0.1", "--port={port}"]),
}
# Looks like what 'gcloud auth application-default login' writes; its token is never checked nor refreshed.
CREDENTIALS = {
    "type": "authorized_user",
    "client_id": "test",
    "client_secret": "test",
    "refresh_token": "test",
    "token": "test",
    "expiry": "2099-01-01T00:00:00Z",
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@contextlib.contextmanager
def running_server(scheme: str) -> Iterator[str]:
    module, arguments = SERVERS[scheme]
    package = module.partition(".")[0]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed (pip install 'lutfuse[test]')")
    port = free_port()
    command = [sys.executable, "-m", module, *(argument.format(port=port) for argument in arguments)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(url, process)
        yield url
    finally:
        process.kill()
        process.wait()


def wait_for(url: str, process: subprocess.Popen, limit_s: float = 60) -> None:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 (our own loopback server)
            return
        time.sleep(0.1)
    pytest.fail(f"no server at {url}")


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """URLs of the stores by scheme; the environment has made-up credentials for both."""
    file = tmp_path_factory.mktemp("credentials") / "adc.json"
    file.write_text(json.dumps(CREDENTIALS))
    environment = {
        "GOOGLE_APPLICATION_CREDENTIALS": str(file),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in environment.items():
            patch.setenv(name, value)
        yield {scheme: stack.enter_context(running_server(scheme)) for scheme in SERVERS}


@dataclass
class Bucket:
    """A bucket of its own for a test, behind a proxy that does nothing until it is told to."""

    scheme: str
    name: str
    url: str
    client: Any
    proxy: "Proxy"

    @property
    def root(self) -> str:
        return f"{self.scheme}://{self.name}"

    @property
    def beam_args(self) -> list[str]:
        if self.scheme == "gs":
            return ["--project=test"]
        return [f"--s3_endpoint_url={self.url}", "--s3_region_name=us-east-1"]

    def put(self, key: str, data: bytes) -> None:
        if self.scheme == "gs":
            self.client.bucket(self.name).blob(key).upload_from_string(data)
        else:
            self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def get(self, key: str) -> bytes:
        if self.scheme == "gs":
            return self.client.bucket(self.name).blob(key).download_as_bytes()
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def mime(self, key: str) -> str:
        if self.scheme == "gs":
            return self.client.bucket(self.name).get_blob(key).content_type
        return self.client.head_object(Bucket=self.name, Key=key)["ContentType"]

    def keys(self, prefix: str = "") -> list[str]:
        if self.scheme == "gs":
            return sorted(blob.name for blob in self.client.list_blobs(self.name, prefix=prefix))
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return sorted(item["Key"] for page in pages for item in page.get("Contents", []))

    def rows(self, table: str, output: str = "out") -> list[dict[str, Any]]:
        """All rows of a job's table, "metrics" or "failures"."""
        keys = [key for key in self.keys(f"{output}/{table}/") if key.endswith(".parquet")]
        return [row for key in keys for row in pq.read_table(io.BytesIO(self.get(key))).to_pylist()]

    def upload(self, folder: Path, prefix: str) -> None:
        for path in folder.rglob("*.*"):
            self.put(f"{prefix}/{path.relative_to(folder)}", path.read_bytes())


def admin_client(scheme: str, url: str) -> Any:
    """A client straight to the server, past proxy and product code."""
    if scheme == "gs":
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage as gcs

        return gcs.Client(
            project="test", credentials=AnonymousCredentials(), client_options={"api_endpoint": url}
        )
    import boto3

    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)


@pytest.fixture(scope="session")
def clients(servers: dict[str, str]) -> dict[str, Any]:
    """Clients straight to the servers."""
    return {scheme: admin_client(scheme, url) for scheme, url in servers.items()}


@pytest.fixture(params=["gs", "s3"])
def bucket(request, servers, clients, monkeypatch) -> Iterator[Bucket]:
    """A fresh bucket of each store, and the options of this process set to find it."""
    scheme, name = request.param, f"test-{uuid.uuid4().hex[:12]}"
    client = clients[scheme]
    client.create_bucket(name) if scheme == "gs" else client.create_bucket(Bucket=name)
    with Proxy(servers[scheme]) as proxy:
        if scheme == "gs":
            monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
        made = Bucket(scheme, name, proxy.url, client, proxy)
        monkeypatch.setattr(FileSystems, "_pipeline_options", PipelineOptions(made.beam_args))
        monkeypatch.setattr("lutfuse.transforms.storage.retries.FIRST_WAIT_S", 0.01)
        yield made


@dataclass
class Fault:
    """What to do with requests whose "METHOD path" matches, the first `times` of them.

    kind: a status, or "early" (reset while the request is sent), "reset" (after it), "lost" (done, but the
    answer is lost), "cut" (half of the answer, then a reset), "short" (half of the answer, and a header that
    says so), "stall" (no answer in time), "whole" (all of the object, whatever range is asked for).
    """

    kind: int | str
    pattern: str = "."
    times: int = 1
    hits: list[str] = field(default_factory=list)


class Proxy:
    """A reverse proxy on loopback that injects faults."""

    def __init__(self, target: str) -> None:
        self.target = target.removeprefix("http://")
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.lock = threading.Lock()
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> "Proxy":
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def inject(self, kind: int | str, pattern: str = ".", times: int = 1) -> Fault:
        self.faults.append(Fault(kind, pattern, times))
        return self.faults[-1]

    def pick(self, line: str) -> int | str | None:
        with self.lock:
            self.requests.append(line)
            for fault in self.faults:
                if len(fault.hits) < fault.times and re.search(fault.pattern, line):
                    fault.hits.append(line)
                    return fault.kind
        return None


class _Handler(BaseHTTPRequestHandler):
    owner: Proxy
    protocol_version = "HTTP/1.1"
    # Head and body in one packet: else each answer waits for the client's delayed acknowledgement.
    disable_nagle_algorithm = True
    wbufsize = -1

    def handle_one_request(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle_one_request()

    def handle_expect_100(self) -> bool:
        super().handle_expect_100()
        self.wfile.flush()
        return True

    def log_message(self, *_: object) -> None:
        pass

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _reset(self) -> None:
        # A linger of zero seconds makes close() send RST instead of a polite end.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def _relay(self) -> None:
        kind = self.owner.pick(f"{self.command} {self.path}")
        if kind == "early":
            return self._reset()
        body = self._body()
        if kind == "reset":
            return self._reset()
        if kind == "stall":
            time.sleep(2)
            return self._reset()
        if isinstance(kind, int):
            return self._answer(kind, {}, f"injected {kind}".encode())
        status, headers, answer = self._forward(body, ("range",) if kind == "whole" else ())
        if kind == "lost":
            return self._reset()
        if kind == "short":
            answer = answer[: len(answer) // 2]
        return self._answer(status, headers, answer, cut=kind == "cut")

    def _forward(self, body: bytes, without: tuple[str, ...]) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.owner.target, timeout=60)
        without = ("transfer-encoding", "expect", *without)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in without}
        headers["Content-Length"] = str(len(body))
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, dict(answer.getheaders()), data

    def _answer(self, status: int, headers: dict[str, str], data: bytes, *, cut: bool = False) -> None:
        self.send_response_only(status)
        skipped = ("transfer-encoding", "connection", "content-length")
        for name, value in headers.items():
            if name.lower() not in skipped:
                self.send_header(name, value)
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(data))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if cut else data)
        if cut:
            self.wfile.flush()
            self._reset()

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_PATCH = _relay  # noqa: N815


@pytest.fixture
def quick_timeouts(monkeypatch) -> None:
    """Clients give up after a second without a byte."""
    monkeypatch.setattr("lutfuse.transforms.storage.object_stores.READ_TIMEOUT_S", 1.0)


@pytest.fixture
def upload_bracket(bucket: Bucket, write_bracket, tmp_path: Path) -> Callable[..., list[str]]:
    """`write_bracket`, into the bucket: (prefix, count, ...) to its URIs."""

    def write(prefix: str, count: int = 3, **scene: Any) -> list[str]:
        folder = tmp_path / "upload" / prefix
        paths = write_bracket(folder, count, **scene)
        bucket.upload(folder, prefix)
        return [files.join(bucket.root, prefix, os.path.basename(path)) for path in paths]

    return write
