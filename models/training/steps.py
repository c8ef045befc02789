"""What steps of the student and of the teacher have in common: batch, learning rate, update."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from lutfuse.models.training.recipe import TrainConfig
from lutfuse.models.training.samples import Sample, draw_samples
from lutfuse.models.training.scenes import Scene

MAX_GRADIENT_NORM = 1.0


def draw_batch(
    real: Sequence[Scene],
    rendered: Sequence[Scene],
    config: TrainConfig,
    step: int,
    *,
    thumb: int | None = None,  # px, of the thumbnails (default: the student's); the crops stay the same
    stream: Sequence[int] = (),  # another sequence of batches
) -> tuple[list[Sample], int]:
    """The samples and the LUT size of a step: a function of seed and step, whatever happened before."""
    rng = np.random.default_rng([config.seed, step, *stream])
    from_rendered = bool(rendered) and (not real or rng.random() < config.hdr_share)
    pool = rendered if from_rendered else real
    side = thumb or config.student.thumb
    samples = draw_samples(pool, rng, side, config.view, config.frames_per_batch)
    return samples, int(rng.choice(config.lut_sizes))


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """Linear warm-up times half a cosine, down to zero at the last step."""
    warm = min(1.0, (step + 1) / config.warmup_steps)
    done = min(1.0, step / steps)
    return float(config.learning_rate * warm * 0.5 * (1 + np.cos(np.pi * done)))


def new_optimiser(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW with the recipe's weight decay."""
    return torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)


def descend(
    terms: Mapping[str, Tensor], model: nn.Module, optimiser: torch.optim.Optimizer, rate: float
) -> dict[str, float]:
    """One update of `model` by the sum of the terms; returns the sum as `loss`, and the terms."""
    for group in optimiser.param_groups:
        group["lr"] = rate
    total = torch.stack(list(terms.values())).sum()
    optimiser.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
    optimiser.step()
    return {"loss": total.item()} | {name: term.item() for name, term in terms.items()}


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state, flat, for a safetensors file."""
    state = optimiser.state_dict()["state"]
    return {f"{index}.{name}": value for index, values in state.items() for name, value in values.items()}


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `optimiser_tensors`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict(optimiser.state_dict() | {"state": state})
