"""The optimisation itself: one step, the moving average, validation, a checkpoint that resumes exactly."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from lutfuse.models.atomic_file import write_whole
from lutfuse.models.checked import ConfigError
from lutfuse.models.contract import DEFAULT_LUT_SIZE
from lutfuse.models.student.network import Student
from lutfuse.models.training import losses
from lutfuse.models.training.distil import TeacherTrainer
from lutfuse.models.training.objective import Batch, collate, fuse_batch, objective
from lutfuse.models.training.recipe import TrainConfig
from lutfuse.models.training.samples import whole_sample
from lutfuse.models.training.scenes import Scene
from lutfuse.models.training.steps import (
    descend,
    draw_batch,
    learning_rate,
    new_optimiser,
    optimiser_tensors,
    restore_optimiser,
)


class Trainer:
    """Student, optimiser, perhaps a teacher, and the moving average of the student: the one that ships."""

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.device = device
        self.student = Student(config.student).to(device)
        self.average = Student(config.student).to(device).requires_grad_(False)
        self.average.load_state_dict(self.student.state_dict())
        self.optimiser = new_optimiser(self.student, config)
        # After the student, which then starts the same with and without a teacher.
        self.teacher = None if config.distil == "none" else TeacherTrainer(config, device)
        self.step = 0

    def start_from(self, student: Student) -> None:
        """Begin with the weights of another student of the same configuration."""
        if student.config != self.config.student:
            raise ConfigError(
                f"the weights to start from do not fit: they are of {student.config}, the recipe asks for "
                f"{self.config.student}"
            )
        for mine in (self.student, self.average):
            mine.load_state_dict(student.state_dict())

    @property
    def updates(self) -> int:
        """Steps done, including those of a teacher that is trained first."""
        return self.step + (self.teacher.step if self.teacher and self.config.distil == "frozen" else 0)

    @property
    def total(self) -> int:
        """`updates` at the end."""
        return self.config.steps + (self.config.teacher_steps if self.config.distil == "frozen" else 0)

    def train_step(self, real: Sequence[Scene], rendered: Sequence[Scene]) -> dict[str, float]:
        """One update of the student, of a teacher that comes first, or both; returns loss and terms."""
        if self.teacher is None:
            return self.student_step(real, rendered)
        if self.config.distil == "alternating":
            return self.teacher.train_step(real, rendered) | self.student_step(real, rendered)
        if self.teacher.step < self.teacher.steps:
            return self.teacher.train_step(real, rendered)
        return self.student_step(real, rendered)

    def student_step(self, real: Sequence[Scene], rendered: Sequence[Scene]) -> dict[str, float]:
        """One update of the student and its average; returns the loss and its terms."""
        config = self.config
        drawn, lut_size = draw_batch(real, rendered, config, self.step)
        torch.manual_seed(config.seed + self.step)  # for what the loss draws
        batch = collate(drawn, self.device)
        fused = fuse_batch(self.student, batch, lut_size)
        terms = objective(fused, batch, config.loss_at(self.step))
        if self.teacher:
            larger, _ = draw_batch(real, rendered, config, self.step, thumb=config.teacher.thumb)
            terms |= self.teacher.terms(fused, collate(larger, self.device).thumbs)
        rate = learning_rate(config, self.step, config.steps)
        report = descend(terms, self.student, self.optimiser, rate)
        self.step += 1
        self._update_average()
        return report

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.config.average_decay, self.step / (self.step + 20))
        for mean, now in zip(self.average.parameters(), self.student.parameters(), strict=True):
            mean.lerp_(now, 1 - decay)

    def save(self, path: Path) -> None:
        """Write all tensors of the run, the step among them, to one safetensors file; nothing is pickled."""
        tensors = {f"student.{name}": value for name, value in self.student.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.average.state_dict().items()}
        tensors |= {f"optimiser.{key}": value for key, value in optimiser_tensors(self.optimiser).items()}
        if self.teacher:
            tensors |= self.teacher.tensors()
        tensors["step"] = torch.tensor(self.step)
        write_whole(path, save({name: value.detach().cpu().contiguous() for name, value in tensors.items()}))

    def load(self, path: Path) -> None:
        """Go on where `save` was called."""
        parts: dict[str, dict[str, Tensor]] = {"student": {}, "average": {}, "optimiser": {}}
        for key, value in load(path.read_bytes()).items():
            part, _, name = key.partition(".")
            parts.setdefault(part, {})[name] = value
        self.step = int(parts["step"][""])
        self.student.load_state_dict(parts["student"])
        self.average.load_state_dict(parts["average"])
        restore_optimiser(self.optimiser, parts["optimiser"])
        if self.teacher:
            self.teacher.restore(parts)


@torch.inference_mode()
def validate(
    student: Student, scenes: Sequence[Scene], config: TrainConfig, device: torch.device
) -> dict[str, float]:
    """Mean scores of whole scenes, fused from their outermost pairs and from all frames.

    PSNR is the mean over the scenes that have a reference.
    """
    scores: dict[str, list[float]] = {}
    for scene in scenes:
        every = tuple(range(len(scene.frames)))
        for case, shown in {"pair": (every[0], every[-1]), "all": every}.items():
            batch = collate([whole_sample(scene, shown, config.student.thumb, config.view)], device)
            image = fuse_batch(student, batch, DEFAULT_LUT_SIZE).image.clamp(0, 1)
            for name, score in _scores(image, batch):
                scores.setdefault(f"{case}_{name}", []).append(score)
    return {name: round(float(np.mean(values)), 4) for name, values in sorted(scores.items())}


def _scores(image: Tensor, batch: Batch) -> list[tuple[str, float]]:
    scores = [
        ("mef_ssim", losses.mef_ssim(image, batch.views).item()),
        ("mef_ssim_c", losses.mef_ssim_c(image, batch.views).item()),
    ]
    if batch.trust.item():
        error = (image - batch.reference).square().mean().clamp_min(1e-9)
        scores.append(("psnr_db", -10 * torch.log10(error).item()))
    return scores
