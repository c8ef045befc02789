"""The ablation command, on brackets small enough for seconds."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from lutfuse.models.evaluation import ablate
from lutfuse.models.evaluation.ablate import SIZES_COMPARED, VARIANTS, main, variants_of
from lutfuse.models.training.recipe import TrainConfig

RECIPE = {
    "student": {
        "thumb": 32, "luma_bins": 4, "grid_rows": 4, "grid_cols": 4, "width": 8, "blocks": 1, "latent": 6,
        "lut_hidden": 8,
    },
    "teacher": {"thumb": 64, "width": 8, "blocks": 1, "latent": 6, "lut_hidden": 8, "lut_size": 3},
    "steps": 2, "teacher_steps": 1, "warmup_steps": 1, "frames_per_batch": 4, "view": 44, "lut_sizes": [3],
    "scene_side": 64, "held_out": 0.4,
}  # fmt: skip


def write_brackets(root: Path, count: int, frames: int = 3, side: int = 56) -> Path:
    for k in range(count):
        folder = root / f"b{k}"
        folder.mkdir(parents=True)
        light = cv2.resize(np.random.default_rng(k).lognormal(0, 1.5, (8, 8, 3)), (side, side))
        for j, ev in enumerate(np.linspace(-2, 2, frames)):
            cv2.imwrite(str(folder / f"{j}.png"), np.clip(light * 0.25 * 2.0**ev, 0, 1) ** 0.45 * 255)
    return root


@pytest.fixture
def argv(tmp_path: Path) -> list[str]:
    (tmp_path / "recipe.json").write_text(json.dumps(RECIPE))
    data = write_brackets(tmp_path / "data", 4)
    return ["--data", str(data), "--config", str(tmp_path / "recipe.json"), "--threads", "1"]


def read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_variants_differ_from_the_recipe_by_what_they_say():
    recipe = TrainConfig()
    variants = variants_of(recipe)
    assert variants["recipe"] == recipe
    assert "no-teacher" not in variants  # the recipe has none
    assert variants["frozen-teacher"].distil == "frozen"
    assert not variants["no-uncertainty"].kd_uncertainty
    assert variants["no-long-range"].loss.lut_long_range == 0
    assert variants["no-long-range"].loss.mef_ssim == recipe.loss.mef_ssim
    assert not variants["no-lut"].student.lut
    assert not variants["no-weight-grid"].student.weight_grid
    assert not variants["no-priors"].student.priors


def test_with_a_teacher_in_the_recipe_its_absence_is_a_variant():
    variants = variants_of(TrainConfig(distil="alternating"))
    assert "alternating-teacher" not in variants
    assert variants["no-teacher"].distil == "none"
    assert variants["no-lut"].distil == "alternating"


def test_all_variants_are_trained_scored_and_tabled(argv, tmp_path, capsys):
    out = tmp_path / "out"
    test = write_brackets(tmp_path / "test", 1, frames=2)
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


def test_what_is_done_is_not_done_again(argv, tmp_path, monkeypatch):
    out = tmp_path / "out"
    assert main([*argv, "--output", str(out), "--only", "recipe"]) == 0
    before = (out / "recipe" / "student.safetensors").stat().st_mtime_ns
    monkeypatch.setattr(ablate, "SIZES_COMPARED", ())
    scored = []
    monkeypatch.setattr(ablate, "score_tests", lambda *a: scored.append(a) or [])
    monkeypatch.setattr(ablate, "write_sizes", lambda *a: None)
    assert main([*argv, "--output", str(out), "--only", "recipe"]) == 0
    assert (out / "recipe" / "student.safetensors").stat().st_mtime_ns == before
    assert not scored


def test_the_table_keeps_variants_of_an_earlier_run(argv, tmp_path):
    out = tmp_path / "out"
    assert main([*argv, "--output", str(out), "--only", "no-lut"]) == 0
    assert not (out / "psnr_vs_n.png").exists()  # the recipe itself is not trained
    weights = str(out / "no-lut" / "student.safetensors")
    assert main([*argv, "--output", str(out), "--only", "no-priors", "--weights", weights]) == 0
    assert {row["variant"] for row in read(out / "ablation.csv")} == {"no-lut", "no-priors"}
    assert (out / "psnr_vs_n.png").exists()


def test_without_references_psnr_against_n_is_left_out(argv, tmp_path):
    write_brackets(tmp_path / "pairs", 3, frames=2)
    argv[1] = str(tmp_path / "pairs")
    assert main([*argv, "--output", str(tmp_path / "out"), "--only", "recipe"]) == 0
    assert not (tmp_path / "out" / "psnr_vs_n.csv").exists()


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--only", "recipe,no-sense"], "--only no-sense is no variant; known are recipe, no-teacher"),
        (["--only", "no-teacher"], "--only no-teacher is the recipe itself"),
        (["--test", "missing"], "--test missing holds no bracket"),
        (["--max-side", "0"], "--max-side is 0 px"),
        (["--weights", "missing.safetensors"], "does not exist"),
        (["--config", "all.json"], "no scene is held out"),
        (["--config", "odd.json"], "steps is 'x'"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_to_do(extra, message, argv, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("all.json").write_text(json.dumps(RECIPE | {"held_out": 0}))
    Path("odd.json").write_text('{"steps": "x"}')
    assert main([*argv, "--output", "out", *extra]) == 2
    assert message in capsys.readouterr().err


def test_help_names_every_variant(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(name in text for name in VARIANTS)
