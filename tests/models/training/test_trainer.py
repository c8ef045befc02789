"""The trainer: it learns, resumes exactly, depends on seed and step alone, and validates."""

import numpy as np
import pytest
import torch

from lutfuse.models.checked import ConfigError
from lutfuse.models.training.objective import collate, fuse_batch, objective
from lutfuse.models.training.recipe import TrainConfig
from lutfuse.models.training.samples import whole_sample
from lutfuse.models.training.steps import draw_batch, learning_rate
from lutfuse.models.training.trainer import Trainer, validate

CPU = torch.device("cpu")


def state(trainer: Trainer) -> list[torch.Tensor]:
    return [
        value.clone()
        for value in (*trainer.student.state_dict().values(), *trainer.average.state_dict().values())
    ]


def test_training_lowers_the_loss_on_what_it_sees(pool, tiny):
    torch.set_num_threads(1)
    config = TrainConfig.from_json(tiny.to_json() | {"steps": 40, "learning_rate": 5e-3})
    trainer = Trainer(config, CPU)
    batch = collate([whole_sample(pool[2], (0, 3), 32, 44)], CPU)

    def loss() -> float:
        return sum(
            term.item()
            for term in objective(fuse_batch(trainer.student, batch, 5), batch, config.loss).values()
        )

    before = loss()
    for _ in range(40):
        trainer.train_step([pool[2]], [])
    assert loss() < 0.9 * before


def test_a_resumed_run_equals_an_uninterrupted_one(pool, tmp_path, monkeypatch, tiny):
    # A loss that draws at random, as tone_order does; it always counts here.
    monkeypatch.setattr(
        "lutfuse.models.training.losses.tone_order",
        lambda image, views: (image.mean() * torch.rand(())).abs(),
    )
    whole, first, second = (Trainer(tiny, CPU) for _ in range(3))
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


def test_the_batch_of_a_step_depends_on_seed_and_step_only(pool, tiny):
    once, again, other = (draw_batch(pool, [], tiny, step) for step in (3, 3, 4))
    assert once[1] == again[1]
    assert all(np.array_equal(a.views, b.views) for a, b in zip(once[0], again[0], strict=True))
    assert once[0][0].views.shape != other[0][0].views.shape or not np.array_equal(
        once[0][0].views, other[0][0].views
    )


def test_rendered_scenes_alone_are_enough(pool, tiny):
    samples, size = draw_batch([], pool, tiny, 0)
    assert len(samples) >= 2
    assert size in tiny.lut_sizes


def test_the_learning_rate_warms_up_and_ends_at_zero(tiny):
    rates = [learning_rate(tiny, step, tiny.steps) for step in range(tiny.steps + 1)]
    assert rates[0] < rates[1]
    assert rates[-1] == pytest.approx(0, abs=1e-9)


def test_validation_scores_pair_and_full_bracket(pool, tiny):
    scores = validate(Trainer(tiny, CPU).average, pool[:2], tiny, CPU)
    assert set(scores) == {
        f"{case}_{name}" for case in ("all", "pair") for name in ("mef_ssim", "mef_ssim_c", "psnr_db")
    }


def test_a_student_starts_where_another_one_was(tiny):
    first, second = Trainer(tiny, CPU), Trainer(tiny, CPU)
    torch.nn.init.normal_(first.student.head.weight)
    second.start_from(first.student)
    for ours, theirs in zip(second.student.parameters(), first.student.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    for ours, theirs in zip(second.student.parameters(), second.average.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("change", [{"width": 16}, {"priors": False}])
def test_weights_of_another_shape_to_start_from_are_refused(change, tiny):
    other = TrainConfig.from_json(tiny.to_json() | {"student": tiny.student.to_json() | change})
    with pytest.raises(ConfigError, match="do not fit"):
        Trainer(tiny, CPU).start_from(Trainer(other, CPU).student)
