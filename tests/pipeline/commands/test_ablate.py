"""`lutfuse ablate`, on brackets small enough for seconds."""

import csv
import importlib.util
import json
from pathlib import Path

import cv2
import pytest

from lutfuse.models.evaluation.ablate import SIZES_COMPARED, VARIANTS
from lutfuse.pipeline.cli import main


@pytest.fixture
def argv(write_brackets, write_recipe, tmp_path) -> list[str]:
    data = write_brackets(tmp_path / "data")
    return ["ablate", "--data", str(data), "--config", str(write_recipe()), "--threads", "1"]


def read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_all_variants_are_trained_scored_and_tabled(argv, write_brackets, tmp_path, capsys):
    out, test = tmp_path / "out", write_brackets(tmp_path / "test", 1, frames=2)
    assert main([*argv, "--output", str(out), "--test", str(test)]) == 0
    rows = read(out / "ablation.csv")
    assert {row["variant"] for row in rows} == set(VARIANTS) - {"no-teacher"}
    assert {row["set"] for row in rows} == {"held-out, all frames", "held-out, pairs", "test, pairs"}
    table = (out / "ablation.md").read_text()
    assert capsys.readouterr().out.strip() == table.strip()
    assert "2 steps of the student" in table
    sizes = read(out / "psnr_vs_n.csv")
    assert [int(row["lut_size"]) for row in sizes if row["set"] == "held-out, pairs"] == list(SIZES_COMPARED)
    assert "| 64 |" in table
    assert cv2.imread(str(out / "psnr_vs_n.png")) is not None


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--only", "recipe,no-sense"], "--only no-sense is no variant; known are recipe, no-teacher"),
        (["--only", "no-teacher"], "--only no-teacher is the recipe itself"),
        (["--test", "missing"], "--test: missing is not a folder"),
        (["--test", "empty"], "empty holds no bracket"),
        (["--max-side", "0"], "--max-side: 0 is out of range"),
        (["--weights", "missing.safetensors"], "does not exist"),
        (["--config", "all.json"], "no scene is held out"),
        (["--config", "odd.json"], "steps is 'x'"),
        (["--output", "all.json"], "cannot be made"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_to_do(
    extra, message, argv, write_recipe, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    write_recipe(held_out=0).rename("all.json")
    write_recipe()
    Path("odd.json").write_text(json.dumps({"steps": "x"}))
    assert main([*argv, "--output", "out", *extra]) == 2
    error = capsys.readouterr().err
    assert error.startswith("lutfuse ablate: ")
    assert message in error


def test_a_missing_matplotlib_is_said_before_any_training(argv, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main([*argv, "--output", str(tmp_path / "out")]) == 2
    assert "pip install 'lutfuse[plot]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_help_names_every_variant(capsys):
    with pytest.raises(SystemExit):
        main(["ablate", "--help"])
    text = capsys.readouterr().out
    assert all(name in text for name in VARIANTS)
