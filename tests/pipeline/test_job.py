"""A whole job: what ends it before it begins, how files are grouped, and that no row may be missing."""

import io
import json

import pytest
from rich.console import Console

from lutfuse.pipeline import cli, job
from lutfuse.pipeline.arguments import FAILED, OK, UsageError
from lutfuse.pipeline.run_file import Found
from lutfuse.transforms.inputs import discovery
from lutfuse.transforms.storage import files


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=200)


@pytest.fixture
def config(parse, tmp_path, write_bracket):
    write_bracket(tmp_path / "in" / "a", 2)

    def config(*argv):
        return parse("--input", f"{tmp_path}/in", "--output", f"{tmp_path}/out", *argv)

    return config


def test_a_job_that_lost_a_row_fails_and_says_so_in_its_run_file(config, console, tmp_path):
    assert job.run(config(), console) == OK
    with pytest.raises(job.JobError, match="2 brackets but 1 rows; run the same command again"):
        job.finish(config(), Found(brackets=2), console)
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert (run["status"], run["counts"]) == ("rows missing", {"fused": 1, "failed": 0})


def test_files_are_grouped_as_asked_for(config):
    assert [len(bracket.uris) for bracket in job.open_input(config())] == [2]
    # Synthesised images have no EXIF.
    alone = list(job.open_input(config("--group-by", "exif", "--exif-gap", "60")))
    assert [(len(bracket.uris), "--group-by folder" in bracket.problem) for bracket in alone] == [
        (1, True)
    ] * 2


def test_an_input_that_cannot_be_listed_is_wrong_usage(config, monkeypatch):
    def locked(*args, **kwargs):
        raise PermissionError(13, "access denied")

    monkeypatch.setattr(discovery, "find_brackets", locked)
    with pytest.raises(
        UsageError, match=r"^--input .*: cannot be listed \(PermissionError: .*access denied\)$"
    ):
        job.open_input(config())


def test_a_job_that_fails_is_one_line_and_with_verbose_the_error_itself(
    config, monkeypatch, capsys, tmp_path
):
    def broken(*args):
        raise RuntimeError("Traceback of a worker\n\n  the last line\n")

    monkeypatch.setattr(job, "run", broken)
    argv = ["fuse", "--input", f"{tmp_path}/in", "--output", f"{tmp_path}/out"]
    assert cli.main(argv) == FAILED
    message = capsys.readouterr().err
    assert message.startswith(
        "lutfuse fuse: the job failed: RuntimeError:   the last line\nfinished brackets are kept"
    )
    with pytest.raises(RuntimeError, match="Traceback of a worker"):
        cli.main([*argv, "--verbose"])


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_remote_job_is_waited_for_and_goes_on_when_that_is_interrupted(
    config, console, monkeypatch, interrupted
):
    class Result:
        def wait_until_finish(self):
            if interrupted:
                raise KeyboardInterrupt

    class Pipeline:
        def __init__(self, options):
            pass

        def run(self):
            return Result()

    monkeypatch.setattr(job.beam, "Pipeline", Pipeline)
    monkeypatch.setattr(job, "build_graph", lambda *args: None)
    remote = config("--runner", "FlinkRunner")
    # Nothing runs, so no row is ever written.
    with pytest.raises(KeyboardInterrupt if interrupted else job.JobError):
        job.run(remote, console)
    text = console.file.getvalue()
    assert "1 brackets submitted; the runner's own page shows the progress" in text
    assert ("the job continues without this command" in text) == interrupted
    assert files.size(remote.manifest_uri)
