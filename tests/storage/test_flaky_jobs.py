"""Whole jobs while the store fails: rows for what is lost, an end for what stays away, then all is done."""

import pytest

from lutfuse.pipeline import cli
from lutfuse.transforms.storage import retries

# Beam makes a new client for every file of s3://, seconds a job, so not every test runs there each time.
slow_on_s3 = pytest.mark.parametrize(
    "bucket", ["gs", pytest.param("s3", marks=pytest.mark.slow)], indirect=True
)


@pytest.fixture
def job(bucket, write_bracket, tmp_path):
    """Runs `lutfuse fuse` on four brackets in the bucket; returns its exit code and rows."""
    for i in range(4):
        write_bracket(tmp_path / "up" / f"b{i}", 2, seed=i)
    bucket.upload(tmp_path / "up", "in")

    def run():
        argv = ["fuse", "--input", f"{bucket.root}/in", "--output", f"{bucket.root}/out", *bucket.beam_args]
        code = cli.main(argv)
        return code, *(
            {row["group_id"]: row for row in bucket.rows(table)} for table in ("metrics", "failures")
        )

    return run


def download(bucket, name):
    """Requests for the bytes of an input."""
    return f"GET .*b{name}%2F0.jpg.*alt=media" if bucket.scheme == "gs" else f"GET .*in/b{name}/0.jpg"


def upload(bucket, name):
    """Requests that write a picture, or are about to: Cloud Storage has names in the request's body."""
    return "POST /upload" if bucket.scheme == "gs" else f"PUT .*fused/b{name}.jpg"


def test_what_is_forbidden_or_gone_is_a_row_at_once_and_a_second_run_fuses_it(bucket, job):
    forbidden = bucket.proxy.inject(403, download(bucket, 1), times=99)
    gone = bucket.proxy.inject(404, download(bucket, 2), times=99)
    code, metrics, failures = job()
    assert code == 3
    assert {name: (row["stage"], row["error_type"]) for name, row in failures.items()} == {
        "b1": ("read", "PermissionError"),
        "b2": ("read", "FileNotFoundError"),
    }
    assert sorted(metrics) == ["b0", "b3"]
    assert (len(forbidden.hits), len(gone.hits)) == (1, 1)
    bucket.proxy.faults.clear()
    code, metrics, failures = job()
    assert (code, len(metrics), len(failures)) == (0, 4, 0)


@slow_on_s3
def test_storage_that_stays_away_ends_the_job_and_a_second_run_finishes_it(bucket, job, monkeypatch, capsys):
    monkeypatch.setattr(retries, "ATTEMPTS", 3)
    away = bucket.proxy.inject(503, download(bucket, 2), times=99)
    code, *_ = job()
    assert code == 1
    assert "run the same command again" in capsys.readouterr().err
    assert len(away.hits) == 3
    bucket.proxy.faults.clear()
    code, metrics, failures = job()
    assert (code, len(metrics), len(failures)) == (0, 4, 0)


@slow_on_s3
def test_passing_troubles_anywhere_cost_time_and_nothing_else(bucket, job):
    faults = [
        bucket.proxy.inject(503, download(bucket, 0), times=2),
        bucket.proxy.inject("cut", download(bucket, 1), times=2),
        bucket.proxy.inject("early", upload(bucket, 3), times=2),
        bucket.proxy.inject(429, "prefix=in", times=2),
    ]
    code, metrics, failures = job()
    assert (code, len(metrics), len(failures)) == (0, 4, 0)
    assert [len(fault.hits) for fault in faults] == [2, 2, 2, 2]


@pytest.mark.slow
def test_a_store_that_fails_every_seventh_time_still_gets_every_row(bucket, job, monkeypatch):
    picks = []

    def every_seventh(line):
        picks.append(line)
        return 503 if len(picks) % 7 == 0 else None

    monkeypatch.setattr(bucket.proxy, "pick", every_seventh)
    code, metrics, failures = job()
    assert (code, len(metrics), len(failures)) == (0, 4, 0)
