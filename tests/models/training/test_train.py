"""A training from start to end, as a library; the command's tests have the rest."""

import dataclasses
from collections.abc import Mapping

import pytest
import torch

from lutfuse.models.checked import ConfigError
from lutfuse.models.training.train import TrainRun, choose_device, train
from lutfuse.models.training.watch import Watch


class Recorder(Watch):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, int, int]] = []
        self.rows: list[Mapping[str, float]] = []
        self.notes: list[str] = []

    def progress(self, task: str, done: int, total: int) -> None:
        self.steps.append((task, done, total))

    def row(self, row: Mapping[str, float]) -> None:
        self.rows.append(row)

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def run(tiny, write_bracket, tmp_path) -> TrainRun:
    for k in range(4):
        write_bracket(tmp_path / "data" / f"b{k}", suffix="png", size=(56, 56), seed=k)
    return TrainRun(
        tmp_path / "out", data=(tmp_path / "data",), config=tiny, device="cpu", threads=1, checkpoint_every=4
    )


def weights(run: TrainRun) -> bytes:
    return (run.output / "student.safetensors").read_bytes()


def test_a_run_tells_its_progress_and_every_checkpoint(run):
    watch = Recorder()
    train(run, watch)
    assert watch.steps[:5] == [("brackets", done, 4) for done in range(5)]
    assert watch.steps[-7:] == [("steps", done, 6) for done in range(7)]
    assert [row["step"] for row in watch.rows] == [4, 6]
    assert not watch.notes


def test_a_run_that_was_killed_goes_on_from_its_checkpoint_to_the_same_weights(run, tmp_path):
    class Killed(Recorder):
        def row(self, row: Mapping[str, float]) -> None:
            raise KeyboardInterrupt

    train(run)
    again, watch = dataclasses.replace(run, output=tmp_path / "again"), Recorder()
    with pytest.raises(KeyboardInterrupt):
        train(again, Killed())
    train(again, watch)
    assert watch.notes == ["resuming at step 4 of 6"]
    assert weights(again) == weights(run)


def test_scenes_are_prepared_once(run):
    train(run)
    prepared = {path: path.stat().st_mtime_ns for path in (run.output / "scenes").iterdir()}
    train(run)
    assert {path: path.stat().st_mtime_ns for path in (run.output / "scenes").iterdir()} == prepared
    assert len(prepared) == 4


def test_a_run_that_holds_out_everything_is_refused(run):
    every = dataclasses.replace(run, config=dataclasses.replace(run.config, held_out=0.99))
    with pytest.raises(ConfigError, match="held_out is 0.99: with so few brackets none is left"):
        train(every)


def test_an_output_with_another_recipe_is_refused(run):
    train(run)
    with pytest.raises(ConfigError, match="another configuration; choose another folder"):
        train(dataclasses.replace(run, config=dataclasses.replace(run.config, seed=1)))


def test_folders_without_a_bracket_are_named(run, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no bracket below .*empty"):
        train(dataclasses.replace(run, data=(tmp_path / "empty",)))


def test_auto_takes_what_the_machine_has_and_a_missing_gpu_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(ConfigError, match="use cpu"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == torch.device("cuda")
