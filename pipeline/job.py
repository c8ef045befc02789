"""Runs one job: finds the brackets, writes the manifest, runs the graph, checks that no row is missing."""

import collections
import functools
import itertools
import json
import os
from collections.abc import Iterator

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from rich.console import Console

from lutfuse.pipeline import dataflow, graph
from lutfuse.pipeline.arguments import OK, SOME_FAILED, UsageError
from lutfuse.pipeline.beam_options import beam_options
from lutfuse.pipeline.config import JobConfig
from lutfuse.pipeline.local_runner import local_runner
from lutfuse.pipeline.locations import check_weights
from lutfuse.pipeline.progress import progress_bar, summary
from lutfuse.pipeline.run_file import Found, describe, write_run
from lutfuse.transforms.inputs import discovery
from lutfuse.transforms.inputs.brackets import Bracket, InputError, to_json
from lutfuse.transforms.inputs.exif_groups import group_by_exif
from lutfuse.transforms.rows import FAILURES_ACCOUNTED, METRICS_ACCOUNTED, Account, account, read_rows, shards
from lutfuse.transforms.storage import files
from lutfuse.transforms.storage.retries import explain

ROWS_PER_SHARD = 100_000
PROBLEMS_SHOWN = 10
_LOCAL_RUNNERS = (None, "DirectRunner", "FnApiRunner")


class JobError(RuntimeError):
    """The job as a whole failed."""


def run(config: JobConfig, console: Console) -> int:
    """Run the job of `config` and return the exit code.

    Raises:
      UsageError: the input is missing or empty, or the output cannot be written.
      JobError: rows are missing at the end.
    """
    options = beam_options(config)
    dataflow.check(config, options)
    if dataflow.is_rehearsal(options):
        return _rehearse(config, options, console)
    FileSystems.set_options(options)
    check_weights(config.fuse.weights)
    brackets = open_input(config)
    if config.dry_run:
        return _dry_run(config, brackets, console)
    _check_output(config)
    found = write_manifest(config, brackets)
    _delete_old_rows(config)
    write_run(config, found, "running")
    if not _run_graph(config, options, found, console):
        write_run(config, found, "submitted")
        return OK
    return finish(config, found, console)


def open_input(config: JobConfig) -> Iterator[Bracket]:
    """The brackets of the input, as a stream.

    Raises:
      UsageError: the input is missing or empty; while iterating, that it is not a valid manifest.
    """
    try:
        brackets = discovery.find_brackets(
            config.source,
            reference=config.reference,
            exclude=[files.join(config.fuse.output, folder) for folder in ("fused", "merge")],
            group=_grouping(config),
        )
        first = next(brackets, None)
    except InputError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"--input {config.source}: cannot be listed ({explain(error)})") from None
    if first is None:
        raise UsageError(
            f"--input {config.source}: no images found; give a folder, glob or manifest with "
            f"{', '.join(discovery.IMAGE_SUFFIXES)} files"
        )
    return itertools.chain([first], _with_usage_errors(brackets))


def _with_usage_errors(brackets: Iterator[Bracket]) -> Iterator[Bracket]:
    # Manifests are streamed, so an invalid one may be noticed late, but still before anything is fused.
    try:
        yield from brackets
    except InputError as error:
        raise UsageError(str(error)) from None


def _grouping(config: JobConfig) -> discovery.Grouping:
    if config.group_by == "exif":
        return functools.partial(group_by_exif, gap_s=config.exif_gap_s)
    return discovery.group_by_folder


def _dry_run(config: JobConfig, brackets: Iterator[Bracket], console: Console) -> int:
    found = Found()
    problems = (b for b in map(found.add, brackets) if b.problem)
    shown = list(itertools.islice(problems, PROBLEMS_SHOWN))
    collections.deque(problems, maxlen=0)  # counts the rest
    console.print_json(json.dumps(describe(config)))
    console.print(f"{found.brackets} brackets, {found.exposures} exposures, {found.unusable} unusable")
    for bracket in shown:
        console.print(f"  {bracket.group_id}: {bracket.problem}", markup=False, soft_wrap=True)
    console.print("dry run: nothing was written")
    return OK


def _check_output(config: JobConfig) -> None:
    try:
        files.check_writable(config.fuse.output)
    except Exception as error:
        # Storage clients raise many types; here they all mean the same.
        raise UsageError(
            f"--output {config.fuse.output}: cannot be written ({explain(error)}); "
            "choose another place or ask for write access"
        ) from error


def write_manifest(config: JobConfig, brackets: Iterator[Bracket]) -> Found:
    """Write the resolved manifest, which the pipeline reads."""
    found = Found()
    with files.create(config.manifest_uri) as file:
        for bracket in brackets:
            file.write(to_json(found.add(bracket)).encode() + b"\n")
    return found


def _delete_old_rows(config: JobConfig) -> None:
    # With another number of shards, some old files would remain. The rows of finished brackets are recovered
    # from their images.
    for table in ("metrics", "failures"):
        prefix = config.rows_prefix(table)
        files.delete(shards(prefix))
        # Temporary files of a killed run.
        files.delete_below(files.join(config.fuse.output, table), f"beam-temp-{config.job_id}-")
    files.delete_partials(files.join(config.fuse.output, "fused"))


def _is_local(options: PipelineOptions) -> bool:
    return options.view_as(StandardOptions).runner in _LOCAL_RUNNERS


def _run_graph(config: JobConfig, options: PipelineOptions, found: Found, console: Console) -> bool:
    """Run the graph; returns False if it was only written to a template."""
    if not _is_local(options):
        return _run_remote(config, options, found, console)
    pipeline = beam.Pipeline(runner=local_runner(options), options=options)
    with progress_bar(found.brackets, console) as progress_file:
        build_graph(pipeline, config, found, progress_file)
        pipeline.run().wait_until_finish()
    return True


def build_graph(
    pipeline: beam.Pipeline, config: JobConfig, found: Found, progress_file: str | None = None
) -> None:
    """Add the graph of the job to `pipeline`."""
    graph.build(
        pipeline,
        manifest=config.manifest_uri,
        options=config.fuse,
        metrics=config.rows_prefix("metrics"),
        failures=config.rows_prefix("failures"),
        shards=max(1, -(-found.brackets // ROWS_PER_SHARD)),
        progress_file=progress_file,
        hints=config.hints,
    )


def _run_remote(config: JobConfig, options: PipelineOptions, found: Found, console: Console) -> bool:
    pipeline = beam.Pipeline(options=options)
    build_graph(pipeline, config, found)
    result = pipeline.run()
    if dataflow.is_template(options):
        # The job runs when the template is launched.
        console.print("job written to the template; its rows appear when it has run", soft_wrap=True)
        return False
    console.print(
        f"{found.brackets} brackets submitted; the runner's own page shows the progress", soft_wrap=True
    )
    try:
        result.wait_until_finish()
    except KeyboardInterrupt:
        console.print(
            "the job continues without this command; cancel it on the runner's page", soft_wrap=True
        )
        raise
    return True


def _rehearse(config: JobConfig, options: PipelineOptions, console: Console) -> int:
    """Assemble the job without reading the input, and print what would be submitted."""
    pipeline = beam.Pipeline(options=options)
    build_graph(pipeline, config, Found())
    console.print_json(json.dumps(dataflow.submission(pipeline.run(), options)))
    console.print("dry run: nothing was read, written or submitted")
    return OK


def finish(config: JobConfig, found: Found, console: Console) -> int:
    """Check that every bracket has its row, write `run.json`, print the summary; returns the exit code.

    Raises:
      JobError: rows are missing.
    """
    done = account(
        read_rows(config.rows_prefix("metrics"), METRICS_ACCOUNTED),
        read_rows(config.rows_prefix("failures"), FAILURES_ACCOUNTED),
    )
    counts = {"fused": done.fused, "failed": done.failed}
    if sum(counts.values()) != found.brackets:
        write_run(config, found, "rows missing", counts)
        raise JobError(
            f"{found.brackets} brackets but {sum(counts.values())} rows; run the same command again"
        )
    write_run(config, found, "finished", counts, min(done.models, default=None))
    _print_summary(config, done, console)
    return SOME_FAILED if done.failed else OK


def _print_summary(config: JobConfig, done: Account, console: Console) -> None:
    for table in summary(done):
        console.print(table)
    output = config.fuse.output
    console.print(f"images    {files.join(output, 'fused')}{os.sep}", soft_wrap=True, markup=False)
    console.print(f"rows      {config.rows_prefix('metrics')}-*.parquet", soft_wrap=True, markup=False)
    if done.failed:
        console.print(f"failures  {config.rows_prefix('failures')}-*.parquet", soft_wrap=True, markup=False)
