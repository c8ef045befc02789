"""Distillation: hand values, who learns in which step, and runs that resume exactly."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from lutfuse.models.training.distil import centred, distance, distillation, image_variance, likelihood
from lutfuse.models.training.objective import collate, fuse_batch
from lutfuse.models.training.recipe import TrainConfig
from lutfuse.models.training.samples import whole_sample
from lutfuse.models.training.teacher import Belief, Gaussian
from lutfuse.models.training.trainer import Trainer

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def alternating(tiny) -> TrainConfig:
    return dataclasses.replace(tiny, steps=4, warmup_steps=1, lut_sizes=(3, 5, 9), distil="alternating")


@pytest.fixture(scope="module")
def frozen(alternating) -> TrainConfig:
    return dataclasses.replace(alternating, distil="frozen")


def weights(module: torch.nn.Module) -> list[torch.Tensor]:
    return [value.clone() for value in module.state_dict().values()]


def same(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_a_distance_counts_a_node_by_its_precision():
    believed = Gaussian(torch.tensor([0.0, 0.0]), torch.tensor([0.25, 1.0]))
    values = torch.tensor([1.0, 2.0])
    # Eq. (6): (1/0.25 + 4/1) / 2; alike: mean square 2.5 at the mean precision 2.5.
    assert distance(values, believed, 0.0, True).item() == pytest.approx(4)
    assert distance(values, believed, 0.0, False).item() == pytest.approx(6.25)


def test_a_factor_common_to_the_weights_of_a_cell_is_no_difference():
    log_grid = torch.randn(2, 3, 4, 5, 5)
    shifted = log_grid + torch.randn(2, 1, 1, 5, 5)
    assert torch.allclose(centred(log_grid), centred(shifted), atol=1e-5)


def test_the_variance_of_the_image_is_that_of_the_lut_and_of_the_merge():
    views = torch.zeros(1, 2, 3, 44, 44)
    views[:, 1] = 1
    grid = Gaussian(torch.zeros(1, 2, 4, 4, 4), torch.full((1, 2, 4, 4, 4), 0.5))
    lut = Gaussian(torch.zeros(1, 3, 3, 3, 3), torch.full((1, 3, 3, 3, 3), 0.01))
    # Equal weights: m = ½, and each frame adds (½ · ½)² · 0.5.
    expected = 0.01 + 2 * 0.25**2 * 0.5
    assert torch.allclose(image_variance(Belief(grid, lut), views), torch.tensor(expected), atol=1e-6)


def test_likelihood_asks_for_the_variance_that_the_error_has(pool):
    batch = collate([whole_sample(pool[3], range(5), 64, 44)], CPU)
    image = batch.reference + 0.1
    nodes = torch.zeros(1, 5, 4, 4, 4)

    def surprise(lut_variance: float) -> float:
        lut = Gaussian(torch.zeros(1, 3, 3, 3, 3), torch.full((1, 3, 3, 3, 3), lut_variance))
        return likelihood(image, batch, Belief(Gaussian(nodes, nodes + 1e-9), lut)).item()

    tested = np.geomspace(1e-3, 1e-1, 21)
    best = tested[np.argmin([surprise(float(variance)) for variance in tested])]
    assert math.log10(best) == pytest.approx(-2, abs=0.11)


def test_likelihood_moves_no_mean(pool, alternating):
    trainer = Trainer(alternating, CPU)
    batch = collate([whole_sample(pool[3], range(5), 64, 44)], CPU)
    means = [torch.zeros(1, 5, 4, 4, 4, requires_grad=True), torch.zeros(1, 3, 3, 3, 3, requires_grad=True)]
    variances = [torch.ones_like(mean).detach().requires_grad_() for mean in means]
    believed = Belief(Gaussian(means[0], variances[0]), Gaussian(means[1], variances[1]))
    likelihood(batch.reference, batch, believed).backward()
    assert all(mean.grad is None for mean in means)
    assert all(variance.grad is not None and variance.grad.abs().max() > 0 for variance in variances)
    assert trainer.teacher is not None


def test_a_student_that_agrees_pays_nothing_and_one_that_does_not_is_pulled(pool, alternating):
    trainer = Trainer(alternating, CPU)
    fused = fuse_batch(trainer.student, collate([whole_sample(pool[3], (0, 4), 32, 44)], CPU), 5)
    agreed = Belief(
        Gaussian(fused.grid.log().detach() + 3, torch.ones_like(fused.grid)),
        Gaussian(fused.lut.detach(), torch.ones_like(fused.lut)),
    )
    assert all(
        term.item() == pytest.approx(0, abs=1e-9)
        for term in distillation(fused, agreed, alternating).values()
    )
    other = agreed._replace(lut=Gaussian(agreed.lut.mean + 0.1, agreed.lut.variance))
    distillation(fused, other, alternating)["kd_lut"].backward()
    assert trainer.student.implicit_lut.offset.weight.grad.abs().max() > 0


def test_a_step_of_the_student_leaves_the_teacher_alone_and_the_other_way_round(pool, alternating):
    trainer = Trainer(alternating, CPU)
    teacher, student = weights(trainer.teacher.teacher), weights(trainer.student)
    trainer.teacher.train_step(pool, [])
    assert same(student, weights(trainer.student))
    assert not same(teacher, weights(trainer.teacher.teacher))
    trainer.teacher.teacher.zero_grad(set_to_none=True)
    teacher = weights(trainer.teacher.teacher)
    report = trainer.student_step(pool, [])
    assert {"kd_lut", "kd_grid"} <= report.keys()
    assert same(teacher, weights(trainer.teacher.teacher))
    assert all(p.grad is None for p in trainer.teacher.teacher.parameters())
    assert not same(student, weights(trainer.student))


def test_alternating_steps_teacher_and_student_in_turn(pool, alternating):
    trainer = Trainer(alternating, CPU)
    report = trainer.train_step(pool, [])
    assert (trainer.step, trainer.teacher.step, trainer.updates, trainer.total) == (1, 1, 1, 4)
    assert {"teacher_loss", "teacher_nll", "loss", "kd_lut"} <= report.keys()


def test_a_frozen_teacher_is_trained_first_and_then_stays(pool, frozen):
    trainer = Trainer(frozen, CPU)
    for _ in range(2):
        assert "loss" not in trainer.train_step(pool, [])
    learnt = weights(trainer.teacher.teacher)
    assert (trainer.step, trainer.updates, trainer.total) == (0, 2, 6)
    trainer.train_step(pool, [])
    assert (trainer.step, trainer.updates) == (1, 3)
    assert same(learnt, weights(trainer.teacher.teacher))


def test_students_begin_alike_with_and_without_a_teacher(alternating):
    plain = dataclasses.replace(alternating, distil="none")
    assert same(weights(Trainer(plain, CPU).student), weights(Trainer(alternating, CPU).student))


@pytest.mark.parametrize("distil", ["alternating", "frozen"])
@pytest.mark.parametrize("before", [1, 3])
def test_a_resumed_run_with_a_teacher_equals_an_uninterrupted_one(
    distil, before, alternating, pool, tmp_path
):
    config = dataclasses.replace(alternating, distil=distil)
    whole, first, second = (Trainer(config, CPU) for _ in range(3))
    for _ in range(4):
        whole.train_step(pool, pool[2:])
    for _ in range(before):
        first.train_step(pool, pool[2:])
    first.save(tmp_path / "state")
    second.load(tmp_path / "state")
    for _ in range(4 - before):
        second.train_step(pool, pool[2:])
    assert second.updates == whole.updates == 4
    for part in (lambda t: t.student, lambda t: t.average, lambda t: t.teacher.teacher):
        assert same(weights(part(whole)), weights(part(second)))


def test_a_larger_lut_is_compared_on_every_other_node(pool, monkeypatch, alternating):
    trainer = Trainer(alternating, CPU)
    batch = collate([whole_sample(pool[3], (0, 4), 32, 44)], CPU)
    asked, forward = [], trainer.teacher.teacher.forward

    def watched(thumbs: torch.Tensor, size: int) -> Belief:
        asked.append(size)
        return forward(thumbs, size)

    monkeypatch.setattr(trainer.teacher.teacher, "forward", watched)
    for size in (3, 9):
        terms = trainer.teacher.terms(fuse_batch(trainer.student, batch, size), torch.rand(1, 2, 3, 64, 64))
        assert terms["kd_lut"].isfinite()
    assert asked == [3, 5]


def test_the_teacher_learns_that_its_error_is_what_it_says(pool, alternating):
    loss = dataclasses.replace(alternating.loss, teacher_nll=1.0)
    config = dataclasses.replace(alternating, steps=60, learning_rate=1e-2, loss=loss)
    trainer = Trainer(config, CPU)
    first = trainer.teacher.train_step([pool[3]], [])["teacher_nll"]
    for _ in range(15):
        last = trainer.teacher.train_step([pool[3]], [])["teacher_nll"]
    assert last < first
