"""`lutfuse train`, on brackets small enough for seconds."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from lutfuse.models.student.checkpoint import load_student
from lutfuse.models.training.recipe import TrainConfig
from lutfuse.pipeline.cli import main
from lutfuse.pipeline.training import ConsoleWatch


def train(*argv: object) -> int:
    return main(["train", "--threads", "1", *map(str, argv)])


@pytest.fixture
def data(write_brackets, tmp_path) -> Path:
    return write_brackets(tmp_path / "data", 5)


def log(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_the_command_trains_logs_and_saves_loadable_weights(data, write_recipe, tmp_path, capsys):
    out = tmp_path / "run"
    argv = ["--data", data, "--config", write_recipe(steps=6), "--output", out, "--name", "mine"]
    argv += ["--checkpoint-every", 3]
    assert train(*argv) == 0
    rows = log(out)
    assert [row["step"] for row in rows] == [3, 6]
    assert {"loss", "pair_mef_ssim", "steps_per_s"} <= rows[0].keys()
    _, model_id = load_student(out / "student.safetensors")
    assert model_id.startswith("mine-")
    assert "pair_mef_ssim" in capsys.readouterr().err
    # Done already: nothing is trained again. More steps are another recipe.
    assert train(*argv) == 0
    assert "resuming at step 6 of 6" in capsys.readouterr().err
    assert len(log(out)) == 2
    assert train(*argv, "--steps", 9) == 2
    assert "another configuration; choose another folder" in capsys.readouterr().err


def test_the_json_of_a_weights_file_repeats_its_recipe(data, write_recipe, tmp_path):
    first, second = tmp_path / "one", tmp_path / "two"
    assert train("--data", data, "--config", write_recipe(), "--output", first) == 0
    assert train("--data", data, "--config", first / "student.json", "--output", second) == 0
    assert (first / "student.safetensors").read_bytes() == (second / "student.safetensors").read_bytes()


@pytest.mark.parametrize("distil", ["frozen", "alternating"])
def test_the_command_trains_with_a_teacher_and_ships_the_student_alone(distil, data, write_recipe, tmp_path):
    out, recipe = tmp_path / "run", write_recipe(steps=6, teacher_steps=3)
    argv = ["--data", data, "--config", recipe, "--output", out, "--distil", distil, "--checkpoint-every", 3]
    assert train(*argv) == 0
    rows = log(out)
    seen = [(row["step"], row["teacher_step"]) for row in rows]
    assert seen == ([(0, 3), (3, 3), (6, 3)] if distil == "frozen" else [(3, 3), (6, 6)])
    assert {"loss", "kd_lut", "pair_mef_ssim"} <= rows[-1].keys()
    student, _ = load_student(out / "student.safetensors")
    assert student.config == TrainConfig.from_json(json.loads(recipe.read_text())).student
    assert train(*argv) == 0


def test_radiance_images_train_too(write_recipe, tmp_path):
    light = np.random.default_rng(0).lognormal(0, 2, (64, 128, 3)).astype(np.float32)
    (tmp_path / "hdr").mkdir()
    for name in ("a", "b", "c"):
        cv2.imwrite(str(tmp_path / "hdr" / f"{name}.hdr"), light)
    argv = ["--hdr", tmp_path / "hdr", "--config", write_recipe(), "--steps", 1, "--output", tmp_path / "run"]
    assert train(*argv) == 0
    assert "hdr_pair_psnr_db" in log(tmp_path / "run")[0]


def test_the_command_goes_on_from_weights_and_says_from_which(data, write_recipe, tmp_path):
    common = ["--data", data, "--steps", 1, "--config", write_recipe()]
    assert train(*common, "--output", tmp_path / "one") == 0
    first = tmp_path / "one" / "student.safetensors"
    assert train(*common, "--output", tmp_path / "two", "--init", first) == 0
    card = json.loads((tmp_path / "two" / "student.json").read_text())
    expected = json.loads(first.with_suffix(".json").read_text())["sha256"]
    assert card["provenance"]["init"]["sha256"] == expected


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ([], "give --data or --hdr"),
        (["--data", "missing"], "--data: missing is not a folder"),
        (["--hdr", "missing"], "--hdr: missing is not a folder"),
        (["--data", "."], "no bracket below ."),
        (["--data", ".", "--threads", "0"], "--threads: 0 is out of range"),
        (["--data", ".", "--checkpoint-every", "0"], "--checkpoint-every: 0 is out of range"),
        (["--data", ".", "--config", "missing.json"], "cannot be read"),
        (["--data", ".", "--config", "list.json"], "the file holds []; it must be one JSON object"),
        (["--data", ".", "--config", "odd.json"], "unknown TrainConfig keys"),
        (["--data", ".", "--steps", "0"], "--steps: 0 is out of range"),
        (["--data", ".", "--seed", "-1"], "--seed: -1 is out of range"),
        (["--data", ".", "--init", "none.safetensors"], "none.safetensors does not exist"),
        (["--data", ".", "--init", "list.json"], "list.json: the file holds []"),
        (["--data", ".", "--out", "out"], "unrecognized arguments: --out"),
        (["--data", ".", "--output", "list.json"], "--output list.json: cannot be made"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_to_do(extra, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("list.json").write_text("[]")
    Path("odd.json").write_text('{"stpes": 3}')
    assert main(["train", "--output", "out", *extra]) == 2
    error = capsys.readouterr().err
    assert error.startswith("lutfuse train: ")
    assert message in error


def test_an_unreadable_picture_exits_with_2_and_is_named(data, write_recipe, tmp_path, capsys):
    (data / "b2" / "1.png").write_bytes(b"no image")
    assert train("--data", data, "--config", write_recipe(), "--output", tmp_path / "run") == 2
    assert "1.png is not an image" in capsys.readouterr().err


def test_a_bar_starts_anew_when_its_task_does(capsys):
    with ConsoleWatch() as watch:
        for variant in range(2):
            watch.note(f"variant {variant}")
            assert list(watch.track("steps", [1, 2])) == [1, 2]
    assert "variant 1" in capsys.readouterr().err
