"""Distillation, eq. 5 and 6 (docs/method.md): training the teacher, and its terms in the student's loss."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lutfuse.models.fusion.twin import apply_lut, luma_of, merge, slice_weights
from lutfuse.models.training.objective import Batch, Fused, apply_grids, collate, objective
from lutfuse.models.training.recipe import TrainConfig
from lutfuse.models.training.scenes import Scene
from lutfuse.models.training.steps import (
    descend,
    draw_batch,
    learning_rate,
    new_optimiser,
    optimiser_tensors,
    restore_optimiser,
)
from lutfuse.models.training.teacher import GRID_VARIANCE, LUT_VARIANCE, Belief, Gaussian, Teacher

STREAM = (1,)  # gives the teacher other batches than the student's
GRID_EPS, LUT_EPS = 1e-2, 1e-4  # ε of eq. 6: no one is surer of ln G than ±0.1, of a colour than ±0.01
UNSEEN_PULL = 1e-3  # towards the variance where nothing was learnt, for nodes that no pixel visits


def distance(values: Tensor, believed: Gaussian, eps: float, by_uncertainty: bool) -> Tensor:
    """One half of eq. 6; without uncertainty all nodes count by the mean precision."""
    precision = (believed.variance + eps).reciprocal()
    if not by_uncertainty:
        precision = precision.mean()
    return ((values - believed.mean).square() * precision).mean()


def centred(log_grid: Tensor) -> Tensor:
    """ln G [B, K, D, Gh, Gw] less its mean over K and D: a factor common to a cell has no effect."""
    return log_grid - log_grid.mean((1, 2), keepdim=True)


def distillation(fused: Fused, believed: Belief, config: TrainConfig) -> dict[str, Tensor]:
    """The two weighted terms of eq. 6."""
    loss, sure = config.loss, config.kd_uncertainty
    grid = Gaussian(centred(believed.log_grid.mean), believed.log_grid.variance)
    return {
        "kd_lut": loss.kd_lut * distance(fused.lut, believed.lut, LUT_EPS, sure),
        "kd_grid": loss.kd_grid * distance(centred(fused.grid.log()), grid, GRID_EPS, sure),
    }


def image_variance(believed: Belief, views: Tensor) -> Tensor:
    """σ² of the teacher's image on views [B, K, 3, L, L]: [B, 3, L, L].

    That of the LUT at m, plus that of m, from ∂m/∂ln w_k = α_k (x_k − m) with α_k = w_k / Σ w_j; the LUT's
    slope is taken as one. Gradients reach the variances only, so that no mean moves to look surer.
    """
    luma = luma_of(views)
    with torch.no_grad():
        weights = slice_weights(believed.log_grid.mean.exp(), luma)
        merged = merge(views, weights)
        alpha = (weights / weights.sum(1, keepdim=True))[:, :, None]
        sensitivity = (alpha * (views - merged[:, None])).square()
    of_merge = (sensitivity * slice_weights(believed.log_grid.variance, luma)[:, :, None]).sum(1)
    return apply_lut(believed.lut.variance, merged) + of_merge


def likelihood(image: Tensor, batch: Batch, believed: Belief) -> Tensor:
    """Mean of −ln p(reference) under the image's variance, times trust; it teaches the variances alone."""
    variance = image_variance(believed, batch.views)
    error = (image.detach() - batch.reference).square()
    surprise = (error / variance + variance.log()) / 2
    unseen = [
        (believed.log_grid.variance.log() - math.log(GRID_VARIANCE)).square().mean(),
        (believed.lut.variance.log() - math.log(LUT_VARIANCE)).square().mean(),
    ]
    return (batch.trust * surprise.mean((1, 2, 3))).mean() + UNSEEN_PULL * torch.stack(unseen).sum()


class TeacherTrainer:
    """A teacher and its optimiser; its steps depend on seed and step alone, like the student's."""

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        self.config = config
        self.device = device
        self.teacher = Teacher(config).to(device)
        self.optimiser = new_optimiser(self.teacher, config)
        self.step = 0
        self.steps = config.teacher_steps if config.distil == "frozen" else config.steps

    def train_step(self, real: Sequence[Scene], rendered: Sequence[Scene]) -> dict[str, float]:
        """One update of the teacher; the names of its terms begin with `teacher_`."""
        config = self.config
        drawn, _ = draw_batch(real, rendered, config, self.step, thumb=config.teacher.thumb, stream=STREAM)
        torch.manual_seed(config.seed + self.step)
        batch = collate(drawn, self.device)
        believed = self.teacher(batch.thumbs, config.teacher.lut_size)
        fused = apply_grids(believed.log_grid.mean.exp(), believed.lut.mean, batch)
        terms = objective(fused, batch, config.loss_at(self.step * config.steps // self.steps))
        terms["nll"] = config.loss.teacher_nll * likelihood(fused.image, batch, believed)
        rate = learning_rate(config, self.step, self.steps)
        report = descend(terms, self.teacher, self.optimiser, rate)
        self.step += 1
        return {f"teacher_{name}": value for name, value in report.items()}

    def terms(self, fused: Fused, thumbs: Tensor) -> dict[str, Tensor]:
        """Eq. 6 for a step of the student; thumbs [B, K, 3, S, S] show its crops at the teacher's size."""
        lut = fused.lut
        if lut.shape[1] > self.config.teacher.lut_size and lut.shape[1] % 2:
            lut = lut[
                :, ::2, ::2, ::2
            ]  # every other node of an odd lattice is a lattice too: an eighth of the work
        with torch.no_grad():
            believed = self.teacher(thumbs, lut.shape[1])
        return distillation(fused._replace(lut=lut), believed, self.config)

    def tensors(self) -> dict[str, Tensor]:
        """Teacher, optimiser and step, for a checkpoint."""
        state = {f"teacher.{name}": value for name, value in self.teacher.state_dict().items()}
        optimiser = optimiser_tensors(self.optimiser)
        state |= {f"teacher_optimiser.{name}": value for name, value in optimiser.items()}
        return state | {"teacher_step": torch.tensor(self.step)}

    def restore(self, parts: Mapping[str, dict[str, Tensor]]) -> None:
        """The inverse of `tensors`; `parts` holds them by the name before the first dot."""
        self.teacher.load_state_dict(parts["teacher"])
        restore_optimiser(self.optimiser, parts.get("teacher_optimiser", {}))
        self.step = int(parts["teacher_step"][""])
