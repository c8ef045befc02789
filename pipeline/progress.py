"""Terminal output of a job: a progress bar while it runs, and summary tables at its end."""

import contextlib
import math
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from lutfuse.transforms.counters import tally
from lutfuse.transforms.rows import TIMINGS, Account

POLL_S = 0.25
LOG_EVERY_S = 30.0  # between two progress lines where there is no terminal


@contextlib.contextmanager
def progress_bar(total: int, console: Console) -> Iterator[str]:
    """Show a bar of `total` brackets while the block runs; yields the file that workers append to."""
    with tempfile.TemporaryDirectory(prefix="lutfuse-") as folder:
        path = Path(folder) / "progress"
        path.touch()
        done = threading.Event()
        watcher = threading.Thread(target=_watch, args=(str(path), total, console, done), daemon=True)
        watcher.start()
        try:
            yield str(path)
        finally:
            done.set()
            watcher.join()


def _watch(path: str, total: int, console: Console, done: threading.Event) -> None:
    columns = (
        TextColumn("fusing"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}{task.fields[failed]}"),
    )
    terminal = console.is_terminal
    with Progress(*columns, console=console, disable=not terminal, refresh_per_second=4) as bar:
        bar.add_task("", total=total, rate="", left="", failed="")
        since_line = 0.0
        while not done.wait(POLL_S):
            line = _update(bar, path)
            since_line += POLL_S
            if not terminal and since_line >= LOG_EVERY_S:
                since_line = 0.0
                console.print(line)
        _update(bar, path)
        bar.update(bar.task_ids[0], left="")


def _update(bar: Progress, path: str) -> str:
    """Brings the bar up to date; returns the same as one line of text."""
    counts, task = tally(path), bar.tasks[0]
    done, total = sum(counts.values()), round(task.total or 0)
    fields = bar_fields(counts, total, task.elapsed or 0.0)
    bar.update(task.id, completed=done, rate=fields["rate"], left=fields["left"], failed=fields["failed"])
    return f"{done}/{total} brackets " + " ".join(fields.values())


def bar_fields(counts: dict[str, int], total: int, elapsed_s: float) -> dict[str, str]:
    """Texts of the bar: rate, time left and failures; empty where there is nothing to say.

    Brackets that an earlier run finished take no time, so they count neither for the rate nor the time left.
    """
    done = sum(counts.values())
    worked_on = done - counts["skipped"]
    rate = worked_on / elapsed_s if elapsed_s > 0 else 0.0
    left = (total - done) / rate if rate else math.inf
    return {
        "rate": f"{rate * 60:.1f}/min" if worked_on else "",
        "left": f"{_clock(left)} left" if rate and left else "",
        "failed": f"  {counts['failed']} failed" if counts["failed"] else "",
    }


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"


def summary(account: Account) -> list[Table]:
    """Tables for the end of a job: counts, median scores and times, and the first failures."""
    tables = [_overview(account)]
    if account.failed:
        tables.append(_failures(account))
    return tables


def _overview(account: Account) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    earlier = f" ({account.recovered} by an earlier run)" if account.recovered else ""
    table.add_row("brackets", str(account.fused + account.failed))
    table.add_row("fused", f"{account.fused}{earlier}")
    table.add_row("failed", str(account.failed))
    for column, name, unit in (
        ("psnr_db", "PSNR", " dB"),
        ("ssim", "SSIM", ""),
        ("mef_ssim", "MEF-SSIM", ""),
    ):
        numbers = account.numbers[column]
        value = numbers.median()
        if value is not None:
            table.add_row(name, f"{value:.{2 if unit else 4}f}{unit} (median of {numbers.count})")
    times = {name: account.numbers[name].median() for name in TIMINGS}
    if times["total_ms"] is not None:
        listed = "  ".join(
            f"{name.removesuffix('_ms')} {value:.0f}" for name, value in times.items() if value
        )
        table.add_row("median msec", listed)
    return table


def _failures(account: Account) -> Table:
    table = Table("failed bracket", "stage", "why", box=None, pad_edge=False)
    for row in account.first_failures:
        # As Text: rich reads square brackets in a str as markup.
        table.add_row(Text(row["group_id"]), row["stage"], Text(row["message"]))
    if account.failed > len(account.first_failures):
        table.add_row(f"… and {account.failed - len(account.first_failures)} more", "", "")
    return table
