"""What a person is shown while a job runs and when it is done."""

import io
import os
import time

import pyarrow as pa
from rich.console import Console

from lutfuse.pipeline import progress
from lutfuse.transforms.counters import report
from lutfuse.transforms.rows import FAILURES_SCHEMA, account, failure_row


def counts(fused=0, skipped=0, failed=0):
    return {"fused": fused, "skipped": skipped, "failed": failed}


def test_rate_and_time_left_count_only_the_brackets_worked_on():
    shown = progress.bar_fields(counts(fused=8, skipped=1000, failed=2), 1110, elapsed_s=60)
    assert shown == {"rate": "10.0/min", "left": "0:10:00 left", "failed": "  2 failed"}


def test_nothing_is_claimed_before_the_first_bracket():
    assert progress.bar_fields(counts(), 10, elapsed_s=0) == {"rate": "", "left": "", "failed": ""}


def test_the_bar_reaches_the_end_and_its_file_goes_away(tmp_path):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120)
    with progress.progress_bar(2, console) as path:
        report(path, "fused")
        report(path, "failed")
    text = out.getvalue()
    assert "2/2" in text
    assert "1 failed" in text
    assert not os.path.exists(path)


def test_without_a_terminal_a_line_now_and_then_takes_the_bars_place(monkeypatch):
    monkeypatch.setattr(progress, "LOG_EVERY_S", 0.01)
    monkeypatch.setattr(progress, "POLL_S", 0.01)
    out = io.StringIO()
    with progress.progress_bar(3, Console(file=out)) as path:
        report(path, "fused")
        time.sleep(0.2)
    assert "1/3 brackets" in out.getvalue()


def test_the_summary_lists_failures_and_says_how_many_more():
    failures = [failure_row(f"g{i}", ["x"], "read", "missing", "gone [bold]") for i in range(12)]
    tables = progress.summary(account([], [pa.RecordBatch.from_pylist(failures, schema=FAILURES_SCHEMA)]))
    out = io.StringIO()
    for table in tables:
        Console(file=out, width=120).print(table)
    text = out.getvalue()
    assert "failed    12" in text
    assert "g9" in text
    assert "g10" not in text
    assert "and 2 more" in text
    assert "gone [bold]" in text
