"""The optimisation itself: one step, the moving average, validation, a checkpoint that resumes exactly."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from models import losses
from models.checkpoint import write_whole
from models.config import ConfigError, TrainConfig
from models.data import Sample, draw_samples, whole_sample
from models.objective import Batch, collate, fuse, objective
from models.scenes import Scene
from models.student import Student

VALIDATION_LUT_SIZE = 33
MAX_GRADIENT_NORM = 1.0


class Trainer:
    """Student, optimiser and the moving average of the student, which is the one that ships."""

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.device = device
        self.student = Student(config.student).to(device)
        self.average = Student(config.student).to(device).requires_grad_(False)
        self.average.load_state_dict(self.student.state_dict())
        self.optimiser = torch.optim.AdamW(
            self.student.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
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

    def learning_rate(self) -> float:
        """Linear warm-up, times half a cosine down to zero at the last step."""
        warm = min(1.0, (self.step + 1) / self.config.warmup_steps)
        done = min(1.0, self.step / self.config.steps)
        return float(self.config.learning_rate * warm * 0.5 * (1 + np.cos(np.pi * done)))

    def train_step(self, real: Sequence[Scene], rendered: Sequence[Scene]) -> dict[str, float]:
        """One update; returns the weighted terms of the loss and their sum."""
        drawn, lut_size = draw_batch(real, rendered, self.config, self.step)
        torch.manual_seed(self.config.seed + self.step)  # for what the loss draws
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate()
        terms = objective(self.student, collate(drawn, self.device), self.config.loss_at(self.step), lut_size)
        total = torch.stack(list(terms.values())).sum()
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), MAX_GRADIENT_NORM)
        self.optimiser.step()
        self.step += 1
        self._update_average()
        return {"loss": total.item()} | {name: term.item() for name, term in terms.items()}

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.config.average_decay, self.step / (self.step + 20))
        for mean, now in zip(self.average.parameters(), self.student.parameters(), strict=True):
            mean.lerp_(now, 1 - decay)

    def save(self, path: Path) -> None:
        """All tensors of the run in one safetensors file, the step among them; nothing is pickled."""
        tensors = {f"student.{name}": value for name, value in self.student.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.average.state_dict().items()}
        for index, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": value for name, value in state.items()}
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
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in parts["optimiser"].items():
            index, _, name = key.partition(".")
            state.setdefault(int(index), {})[name] = value
        self.optimiser.load_state_dict(self.optimiser.state_dict() | {"state": state})


def draw_batch(
    real: Sequence[Scene], rendered: Sequence[Scene], config: TrainConfig, step: int
) -> tuple[list[Sample], int]:
    """The samples and the LUT size of a step: a function of seed and step, whatever happened before."""
    rng = np.random.default_rng([config.seed, step])
    from_rendered = bool(rendered) and (not real or rng.random() < config.hdr_share)
    pool = rendered if from_rendered else real
    samples = draw_samples(pool, rng, config.student.thumb, config.view, config.frames_per_batch)
    return samples, int(rng.choice(config.lut_sizes))


@torch.inference_mode()
def validate(
    student: Student, scenes: Sequence[Scene], config: TrainConfig, device: torch.device
) -> dict[str, float]:
    """Mean scores over whole scenes for their extreme pair and for all frames; PSNR in dB, where known."""
    rows: dict[str, list[float]] = {}
    for scene in scenes:
        n = len(scene.frames)
        for case, shown in {"pair": (0, n - 1), "all": tuple(range(n))}.items():
            batch = collate([whole_sample(scene, shown, config.student.thumb, config.view)], device)
            for name, score in _scores(fuse(student, batch, VALIDATION_LUT_SIZE).image.clamp(0, 1), batch):
                rows.setdefault(f"{case}_{name}", []).append(score)
    return {name: round(float(np.mean(values)), 4) for name, values in sorted(rows.items())}


def _scores(image: Tensor, batch: Batch) -> list[tuple[str, float]]:
    scores = [
        ("mef_ssim", losses.mef_ssim(image, batch.views).item()),
        ("mef_ssim_c", losses.mef_ssim_c(image, batch.views).item()),
    ]
    if batch.trust.item():
        error = (image - batch.reference).square().mean().clamp_min(1e-9)
        scores.append(("psnr_db", -10 * torch.log10(error).item()))
    return scores
