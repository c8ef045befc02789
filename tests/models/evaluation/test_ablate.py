"""Ablation: which variants there are, and what is not done again."""

import csv
import dataclasses
from pathlib import Path

import pytest

from lutfuse.models.checked import ConfigError
from lutfuse.models.evaluation import ablate
from lutfuse.models.evaluation.ablate import Ablation, chosen, read_cases, variants_of
from lutfuse.models.student.config import StudentConfig
from lutfuse.models.training.recipe import TrainConfig
from lutfuse.models.training.train import TrainRun

TINY = TrainConfig(
    student=StudentConfig(
        thumb=32, luma_bins=4, grid_rows=4, grid_cols=4, width=8, blocks=1, latent=6, lut_hidden=8
    ),
    steps=2, warmup_steps=1, frames_per_batch=4, view=44, lut_sizes=(3,), scene_side=64, held_out=0.4,
)  # fmt: skip


@pytest.fixture
def ablation(write_bracket, tmp_path) -> Ablation:
    for k in range(4):
        write_bracket(tmp_path / "data" / f"b{k}", suffix="png", size=(56, 56), seed=k)
    return Ablation(TrainRun(tmp_path / "out", data=(tmp_path / "data",), config=TINY, threads=1))


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


def test_only_variants_that_there_are_can_be_chosen():
    variants = variants_of(TINY)
    assert chosen((), variants) == list(variants)
    assert chosen(("no-lut", "recipe"), variants) == ["no-lut", "recipe"]
    with pytest.raises(ConfigError, match="no-sense is no variant; known are recipe, no-teacher"):
        chosen(("recipe", "no-sense"), variants)
    with pytest.raises(ConfigError, match="no-teacher is the recipe itself"):
        chosen(("no-teacher",), variants)


def test_a_bracket_of_three_frames_is_a_pair_too_and_one_of_two_is_only_that(write_bracket, tmp_path):
    write_bracket(tmp_path / "set" / "a", 2)
    write_bracket(tmp_path / "set" / "b", 3)
    cases = [(case.of, case.name, len(case.frames)) for case in read_cases(tmp_path / "set", 100)]
    assert cases == [("set, pairs", "a", 2), ("set, all frames", "b", 3), ("set, pairs", "b", 2)]


def test_what_is_done_is_not_done_again(ablation, monkeypatch):
    only = dataclasses.replace(ablation, only=("recipe",))
    tables = ablate.ablate(only)
    weights = only.training.output / "recipe" / "student.safetensors"
    before, scored, score_cases = weights.stat().st_mtime_ns, [], ablate.score_cases

    def watched(predictor, lut_size, cases):
        scored.append(lut_size)
        return score_cases(predictor, lut_size, cases)

    monkeypatch.setattr(ablate, "score_cases", watched)
    assert ablate.ablate(only) == tables
    assert weights.stat().st_mtime_ns == before
    assert scored == list(ablate.SIZES_COMPARED)  # PSNR against N is measured anew


def test_the_table_keeps_variants_of_an_earlier_run(ablation):
    out = ablation.training.output
    ablate.ablate(dataclasses.replace(ablation, only=("no-lut",)))
    assert not (out / "psnr_vs_n.png").exists()  # the recipe itself is not trained
    weights = out / "no-lut" / "student.safetensors"
    ablate.ablate(dataclasses.replace(ablation, only=("no-priors",), weights=weights))
    assert {row["variant"] for row in read(out / "ablation.csv")} == {"no-lut", "no-priors"}
    assert (out / "psnr_vs_n.png").exists()


def test_without_references_psnr_against_n_is_left_out(ablation, write_bracket, tmp_path):
    for k in range(3):
        write_bracket(tmp_path / "pairs" / f"b{k}", 2, suffix="png", size=(56, 56), seed=k)
    training = dataclasses.replace(ablation.training, data=(tmp_path / "pairs",))
    ablate.ablate(dataclasses.replace(ablation, training=training, only=("recipe",)))
    assert (training.output / "ablation.csv").exists()
    assert not (training.output / "psnr_vs_n.csv").exists()
