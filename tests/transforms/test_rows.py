"""Rows are checked before Parquet can drop or invent anything."""

import time

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.testing.test_pipeline import TestPipeline

from lutfuse.transforms.rows import (
    FAILURES_SCHEMA,
    METRICS_SCHEMA,
    WriteRows,
    account,
    check_row,
    failure_row,
    read_rows,
    shards,
)


def row(**changes):
    return failure_row("a", ["x", "y"], "read", "missing", "no such file") | changes


def test_a_good_row_passes_unchanged():
    assert check_row(row(), FAILURES_SCHEMA) == row()


def test_missing_and_unknown_columns_are_named():
    bad = row(extra=1)
    del bad["stage"]
    with pytest.raises(ValueError, match=r"missing columns \['stage'\] and unknown columns \['extra'\]"):
        check_row(bad, FAILURES_SCHEMA)


def test_null_where_a_value_is_required_is_refused():
    with pytest.raises(ValueError, match="message is null"):
        check_row(row(message=None), FAILURES_SCHEMA)


def test_a_value_of_the_wrong_type_is_refused():
    with pytest.raises(TypeError, match="input_uris is 'x'"):
        check_row(row(input_uris="x"), FAILURES_SCHEMA)


@pytest.mark.parametrize(("count", "files"), [(0, 1), (1, 1), (50, 3)])
def test_rows_written_are_rows_read_whatever_the_number_of_shards(tmp_path, count, files):
    prefix = f"{tmp_path}/t/job"
    with TestPipeline(runner=FnApiRunner()) as pipeline:
        rows = pipeline | beam.Create([row(group_id=str(i)) for i in range(count)], reshuffle=False)
        _ = rows | WriteRows(prefix, FAILURES_SCHEMA, files)
    batches = list(read_rows(prefix))
    assert all(batch.schema == FAILURES_SCHEMA for batch in batches)
    names = [name for batch in batches for name in batch["group_id"].to_pylist()]
    assert sorted(names) == sorted(map(str, range(count)))
    assert len(shards(prefix)) <= files


def test_rows_of_another_job_in_the_same_folder_are_left_alone(tmp_path):
    for job in ("a1", "a12"):
        with TestPipeline(runner=FnApiRunner()) as pipeline:
            _ = (
                pipeline
                | beam.Create([row(group_id=job)])
                | WriteRows(f"{tmp_path}/{job}", FAILURES_SCHEMA, 1)
            )
    (batch,) = read_rows(f"{tmp_path}/a1", ["stage", "group_id"])
    assert batch.to_pylist() == [{"stage": "read", "group_id": "a1"}]
    assert list(read_rows(f"{tmp_path}/a2")) == []


def batches(schema, rows, size):
    return [pa.RecordBatch.from_pylist(rows[i : i + size], schema=schema) for i in range(0, len(rows), size)]


@pytest.mark.parametrize("size", [1, 3, 100])
def test_both_tables_are_accounted_for_whatever_their_batches(size):
    fused = [{"model": "m-1", "psnr_db": value, "total_ms": 5.0} for value in (1.0, None, 3.0, float("nan"))]
    fused += [{"model": "m-2", "psnr_db": None, "total_ms": None}]
    failed = [row(group_id=str(i)) for i in range(12)]
    found = account(batches(METRICS_SCHEMA, fused, size), batches(FAILURES_SCHEMA, failed, size))
    assert (found.fused, found.recovered, found.failed) == (5, 1, 12)
    assert found.models == {"m-1", "m-2"}
    assert [row["group_id"] for row in found.first_failures] == [str(i) for i in range(10)]
    medians = {name: (numbers.count, numbers.median()) for name, numbers in found.numbers.items()}
    assert medians["psnr_db"] == (2, 2.0)
    assert medians["total_ms"] == (4, 5.0)
    assert medians["ssim"] == (0, None)


def test_tables_without_rows_are_accounted_for():
    found = account([], [])
    assert (found.fused, found.failed, found.models, found.first_failures) == (0, 0, set(), [])


@pytest.mark.parametrize(
    ("column", "good", "bad"),
    [
        ("width", 3840, "3840"),
        ("width", 2**31 - 1, 2**31),
        ("width", np.int64(3840), 0.5),
        ("bytes_in", 2**40, 2**63),
        ("psnr_db", 31.5, "31.5"),
        ("psnr_db", np.float32(31.5), "high"),
        ("psnr_db", None, [31.5]),
        ("group_id", "Gruppe ä", "\udce9"),
        ("group_id", "a", b"\xff"),
        ("input_uris", ["ä.jpg"], ["\udce9.jpg"]),
        ("input_uris", [], [1]),
    ],
)
def test_values_are_judged_as_arrow_judges_them(column, good, bad):
    field = METRICS_SCHEMA.field(column)
    schema = pa.schema([field])
    check_row({column: good}, schema)
    assert pa.array([good], field.type).to_pylist() is not None
    with pytest.raises(TypeError, match=f"{column} is"):
        check_row({column: bad}, schema)


def test_a_checked_row_can_be_checked_a_thousand_times_in_no_time():
    plain = row()
    start = time.process_time()
    for _ in range(1000):
        check_row(plain, FAILURES_SCHEMA)
    assert time.process_time() - start < 0.1  # 1 usec a column; Arrow's own check takes 30


def test_many_small_bundles_leave_few_row_groups_and_shards_of_like_size(tmp_path, monkeypatch):
    monkeypatch.setattr("lutfuse.transforms.rows.ROWS_PER_GROUP", 50)
    prefix = f"{tmp_path}/t/job"
    with TestPipeline(runner=FnApiRunner()) as pipeline:
        numbers = pipeline | beam.Create(range(2000)) | beam.Reshuffle()
        _ = numbers | beam.Map(lambda i: row(group_id=str(i))) | WriteRows(prefix, FAILURES_SCHEMA, 4)
    files = [pq.ParquetFile(path) for path in shards(prefix)]
    assert len(files) == 4
    assert sum(file.metadata.num_row_groups for file in files) <= 2000 / 50 + 4
    sizes = [file.metadata.num_rows for file in files]
    assert sum(sizes) == 2000
    assert max(sizes) <= 2 * min(sizes)
