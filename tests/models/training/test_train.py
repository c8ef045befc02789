"""The objective, the trainer and the command around them, on brackets small enough for seconds."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from lutfuse.models.checked import ConfigError
from lutfuse.models.student.checkpoint import load_student
from lutfuse.models.student.config import StudentConfig
from lutfuse.models.training.objective import collate, fidelity, fuse, objective
from lutfuse.models.training.recipe import LossWeights, TrainConfig
from lutfuse.models.training.samples import random_sample, whole_sample
from lutfuse.models.training.scenes import Scene
from lutfuse.models.training.steps import draw_batch, learning_rate
from lutfuse.models.training.train import choose_device, main
from lutfuse.models.training.trainer import Trainer, validate

STUDENT = StudentConfig(
    thumb=32, luma_bins=4, grid_rows=4, grid_cols=4, width=8, blocks=1, latent=6, lut_hidden=8
)
TINY = TrainConfig(
    student=STUDENT, steps=6, warmup_steps=2, frames_per_batch=4, view=44, lut_sizes=(3, 5),
    scene_side=64, hdr_views=1, hdr_side=48, held_out=0.4,
)  # fmt: skip
CPU = torch.device("cpu")


def scene(seed: int, frames: int = 3) -> Scene:
    rng = np.random.default_rng(seed)
    light = cv2.resize(
        rng.lognormal(0, 1.5, (8, 8, 3)).astype(np.float32), (56, 56), interpolation=cv2.INTER_CUBIC
    )
    exposed = [np.clip(light * 0.25 * 2.0**ev, 0, 1) ** 0.45 for ev in np.linspace(-2, 2, frames)]
    stack = (np.stack(exposed) * 255).astype(np.uint8)
    return Scene(f"s{seed}", f"s{seed}", stack, stack[frames // 2] if frames > 2 else None)


@pytest.fixture(scope="module")
def pool() -> list[Scene]:
    return [scene(k, 2 + k % 4) for k in range(5)]


@pytest.fixture
def data_folder(tmp_path: Path) -> Path:
    for k in range(5):
        folder = tmp_path / "data" / f"b{k}"
        folder.mkdir(parents=True)
        for j, frame in enumerate(scene(k).frames):
            cv2.imwrite(str(folder / f"{j}.png"), frame)
    return tmp_path / "data"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(TINY.to_json()))
    return path


def state(trainer: Trainer) -> list[torch.Tensor]:
    return [
        value.clone()
        for value in (*trainer.student.state_dict().values(), *trainer.average.state_dict().values())
    ]


def test_training_lowers_the_loss_on_what_it_sees(pool):
    torch.set_num_threads(1)
    config = TrainConfig.from_json(TINY.to_json() | {"steps": 40, "learning_rate": 5e-3})
    trainer = Trainer(config, CPU)
    batch = collate([whole_sample(pool[2], (0, 3), 32, 44)], CPU)

    def loss() -> float:
        return sum(term.item() for term in objective(trainer.student, batch, config.loss, 5).values())

    before = loss()
    for _ in range(40):
        trainer.train_step([pool[2]], [])
    assert loss() < 0.9 * before


def test_a_resumed_run_equals_an_uninterrupted_one(pool, tmp_path, monkeypatch):
    # A loss that draws at random, as tone_order does; it always counts here.
    monkeypatch.setattr(
        "lutfuse.models.training.losses.tone_order",
        lambda image, views: (image.mean() * torch.rand(())).abs(),
    )
    whole, first, second = (Trainer(TINY, CPU) for _ in range(3))
    for _ in range(4):
        whole.train_step(pool, pool[:2])
    for _ in range(2):
        first.train_step(pool, pool[:2])
    first.save(tmp_path / "state")
    second.load(tmp_path / "state")
    for _ in range(2):
        second.train_step(pool, pool[:2])
    assert second.step == whole.step == 4
    assert all(torch.equal(a, b) for a, b in zip(state(whole), state(second), strict=True))


def test_the_batch_of_a_step_depends_on_seed_and_step_only(pool):
    once, again, other = (draw_batch(pool, [], TINY, step) for step in (3, 3, 4))
    assert once[1] == again[1]
    assert all(np.array_equal(a.views, b.views) for a, b in zip(once[0], again[0], strict=True))
    assert once[0][0].views.shape != other[0][0].views.shape or not np.array_equal(
        once[0][0].views, other[0][0].views
    )


def test_rendered_scenes_alone_are_enough(pool):
    samples, size = draw_batch([], pool, TINY, 0)
    assert len(samples) >= 2
    assert size in TINY.lut_sizes


def test_the_learning_rate_warms_up_and_ends_at_zero():
    rates = [learning_rate(TINY, step, TINY.steps) for step in range(TINY.steps + 1)]
    assert rates[0] < rates[1]
    assert rates[-1] == pytest.approx(0, abs=1e-9)


def test_every_term_of_the_objective_has_a_weight_and_a_gradient(pool):
    trainer = Trainer(TINY, CPU)
    torch.nn.init.normal_(trainer.student.implicit_lut.offset.weight, std=0.5)
    torch.nn.init.normal_(trainer.student.head.weight)
    batch = collate([whole_sample(pool[2], (0, 3), 32, 44)], CPU)
    terms = objective(trainer.student, batch, TINY.loss, 5)
    assert set(terms) < set(LossWeights.__dataclass_fields__)
    assert all(term.isfinite() for term in terms.values())
    torch.stack(list(terms.values())).sum().backward()
    assert all(p.grad is not None for p in trainer.student.parameters())


def test_an_unknown_reference_has_no_say(pool):
    batch = collate([whole_sample(pool[0], (0, 1), 32, 44)], CPU)
    image = fuse(Trainer(TINY, CPU).student, batch, 5).image
    terms = fidelity(image, batch, LossWeights())
    assert terms["reference_l1"].item() == terms["reference_ssim"].item() == 0
    assert terms["mef_ssim"].item() > 0


def test_the_reference_counts_less_for_a_pair_than_for_a_full_bracket(pool):
    pair, full = (collate([whole_sample(pool[3], shown, 32, 44)], CPU) for shown in ((0, 4), range(5)))
    image = torch.zeros_like(pair.reference)
    per_frames = [fidelity(image, batch, LossWeights())["reference_l1"].item() for batch in (pair, full)]
    assert per_frames[1] == pytest.approx(16 * per_frames[0])


def test_frames_that_show_nothing_do_not_judge(pool):
    plain = collate([whole_sample(pool[3], (0, 4), 32, 44)], CPU)
    black = torch.zeros_like(plain.views[:, :1])
    more = plain._replace(views=torch.cat((plain.views, black), 1))
    image = torch.rand_like(plain.reference)
    for name, term in fidelity(image, plain, LossWeights()).items():
        assert fidelity(image, more, LossWeights())[name] == term
    drawn = [random_sample(pool[3], (0, 4), np.random.default_rng(0), 32, 44, idle=1)]
    batch = collate(drawn, CPU)
    assert batch.thumbs.shape[1] == batch.views.shape[1] == 3
    assert torch.equal(batch.judges, batch.views[:, :2])


def test_mef_ssim_yields_where_a_full_bracket_has_a_reference(pool):
    full = collate([whole_sample(pool[3], range(5), 32, 44)], CPU)
    unknown = full._replace(trust=torch.zeros(1))
    image = full.views.mean(1)
    with_reference, alone = (fidelity(image, b, LossWeights())["mef_ssim"].item() for b in (full, unknown))
    assert with_reference == pytest.approx((1 - LossWeights().mef_yields) * alone)


def test_colour_counts_more_late_in_the_training():
    config = TrainConfig(steps=10, late_share=0.5, late_mef_ssim_c=2)
    assert [config.loss_at(step).mef_ssim_c for step in (0, 4)] == [config.loss.mef_ssim_c] * 2
    assert [config.loss_at(step).mef_ssim_c for step in (5, 9)] == [2, 2]


def test_validation_scores_pair_and_full_bracket(pool):
    scores = validate(Trainer(TINY, CPU).average, pool[:2], TINY, CPU)
    assert set(scores) == {
        f"{case}_{name}" for case in ("all", "pair") for name in ("mef_ssim", "mef_ssim_c", "psnr_db")
    }


def test_the_command_trains_logs_and_saves_loadable_weights(data_folder, recipe, tmp_path):
    out = tmp_path / "run"
    argv = ["--data", str(data_folder), "--config", str(recipe), "--output", str(out), "--name", "mine"]
    argv += ["--checkpoint-every", "3", "--threads", "1"]
    assert main(argv) == 0
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [3, 6]
    assert {"loss", "pair_mef_ssim", "steps_per_s"} <= rows[0].keys()
    _, model_id = load_student(out / "student.safetensors")
    assert model_id.startswith("mine-")
    # Done already: nothing is trained again. More steps are another recipe.
    assert main(argv) == 0
    assert main([*argv, "--steps", "9"]) == 2


def test_the_json_of_a_weights_file_repeats_its_recipe(data_folder, recipe, tmp_path):
    first, second = tmp_path / "one", tmp_path / "two"
    common = ["--data", str(data_folder), "--threads", "1", "--steps", "2"]
    assert main([*common, "--config", str(recipe), "--output", str(first)]) == 0
    assert main([*common, "--config", str(first / "student.json"), "--output", str(second)]) == 0
    assert (first / "student.safetensors").read_bytes() == (second / "student.safetensors").read_bytes()


@pytest.mark.parametrize("distil", ["frozen", "alternating"])
def test_the_command_trains_with_a_teacher_and_ships_the_student_alone(distil, data_folder, recipe, tmp_path):
    teacher = {"thumb": 64, "width": 8, "blocks": 1, "latent": 4, "lut_hidden": 4, "lut_size": 3}
    recipe.write_text(json.dumps(TINY.to_json() | {"teacher": teacher, "teacher_steps": 3}))
    out = tmp_path / "run"
    argv = ["--data", str(data_folder), "--config", str(recipe), "--output", str(out), "--distil", distil]
    argv += ["--checkpoint-every", "3", "--threads", "1"]
    assert main(argv) == 0
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    seen = [(row["step"], row["teacher_step"]) for row in rows]
    assert seen == ([(0, 3), (3, 3), (6, 3)] if distil == "frozen" else [(3, 3), (6, 6)])
    assert {"loss", "kd_lut", "pair_mef_ssim"} <= rows[-1].keys()
    student, _ = load_student(out / "student.safetensors")
    assert student.config == TINY.student
    assert main(argv) == 0


def test_radiance_images_train_too(recipe, tmp_path):
    light = np.random.default_rng(0).lognormal(0, 2, (64, 128, 3)).astype(np.float32)
    (tmp_path / "hdr").mkdir()
    for name in ("a", "b", "c"):
        cv2.imwrite(str(tmp_path / "hdr" / f"{name}.hdr"), light)
    argv = ["--hdr", str(tmp_path / "hdr"), "--config", str(recipe), "--steps", "1", "--threads", "1"]
    assert main([*argv, "--output", str(tmp_path / "run")]) == 0


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ([], "give --data or --hdr"),
        (["--data", "missing"], "--data missing is not a folder"),
        (["--hdr", "missing"], "--hdr missing is not a folder"),
        (["--data", "."], "holds a bracket"),
        (["--data", ".", "--threads", "0"], "--threads is 0"),
        (["--data", ".", "--checkpoint-every", "0"], "--checkpoint-every is 0"),
        (["--data", ".", "--config", "missing.json"], "cannot be read"),
        (["--data", ".", "--config", "list.json"], "the file holds []; it must be one JSON object"),
        (["--data", ".", "--config", "odd.json"], "unknown TrainConfig keys"),
        (["--data", ".", "--steps", "0"], "at least 1"),
        (["--data", ".", "--init", "none.safetensors"], "does not exist"),
        (["--data", ".", "--output", "list.json"], "cannot be made"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_to_do(extra, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("list.json").write_text("[]")
    Path("odd.json").write_text('{"stpes": 3}')
    assert main(["--output", "out", *extra]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "bad", [{"view": 20}, {"steps": 0}, {"held_out": 1.0}, {"loss": {"l2": 1}}, {"student": {"x": 1}}]
)
def test_impossible_recipes_are_refused(bad):
    with pytest.raises(ConfigError):
        TrainConfig.from_json(bad)


def test_a_recipe_survives_json():
    assert TrainConfig.from_json(json.loads(json.dumps(TINY.to_json()))) == TINY


def test_auto_takes_what_the_machine_has_and_a_missing_gpu_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == CPU
    with pytest.raises(ConfigError, match="--device cpu"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == torch.device("cuda")


def test_a_student_starts_where_another_one_was():
    first, second = Trainer(TINY, CPU), Trainer(TINY, CPU)
    torch.nn.init.normal_(first.student.head.weight)
    second.start_from(first.student)
    for ours, theirs in zip(second.student.parameters(), first.student.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    for ours, theirs in zip(second.student.parameters(), second.average.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("change", [{"width": 16}, {"priors": False}])
def test_weights_of_another_shape_to_start_from_are_refused(change):
    other = TrainConfig.from_json(TINY.to_json() | {"student": STUDENT.to_json() | change})
    with pytest.raises(ConfigError, match="do not fit"):
        Trainer(TINY, CPU).start_from(Trainer(other, CPU).student)


def test_the_command_goes_on_from_weights_and_says_from_which(data_folder, recipe, tmp_path):
    common = ["--data", str(data_folder), "--threads", "1", "--steps", "1", "--config", str(recipe)]
    assert main([*common, "--output", str(tmp_path / "one")]) == 0
    first = tmp_path / "one" / "student.safetensors"
    assert main([*common, "--output", str(tmp_path / "two"), "--init", str(first)]) == 0
    card = json.loads((tmp_path / "two" / "student.json").read_text())
    assert (
        card["provenance"]["init"]["sha256"] == json.loads(first.with_suffix(".json").read_text())["sha256"]
    )
