"""The training measures agree with the judge, and each regulariser punishes exactly its fault."""

import numpy as np
import pytest
import torch

from lutfuse.models.metrics import structure
from lutfuse.models.student.implicit_lut import lattice
from lutfuse.models.training import losses


def bracket(frames: int, side: int = 64, seed: int = 0) -> torch.Tensor:
    """[1, K, 3, S, S]: one textured scene at rising exposures, in whole 8-bit levels."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.random((1, 3, side // 8, side // 8)).astype(np.float32))
    scene = torch.nn.functional.interpolate(coarse, side, mode="bicubic").clamp(0.05, 1)
    scene = scene * (0.8 + 0.2 * torch.from_numpy(rng.random((1, 3, side, side)).astype(np.float32)))
    gains = torch.linspace(-2, 1.5, frames).exp().view(1, frames, 1, 1, 1)
    return ((scene[:, None] * gains).clamp(0, 1) * 255).round() / 255


def to_numpy(image: torch.Tensor) -> np.ndarray:
    return (image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


@pytest.mark.parametrize("frames", [2, 3, 7])
@pytest.mark.parametrize("name", ["mef_ssim", "mef_ssim_c"])
def test_mef_measures_agree_with_the_metrics(name, frames):
    views = bracket(frames)
    fused = (views.mean(1) * 255).round() / 255
    ours = getattr(losses, name)(fused, views, stride=1).item()
    judge = getattr(structure, name)([to_numpy(view) for view in views[0]], to_numpy(fused[0]))
    assert ours == pytest.approx(judge, abs=2e-3)


def test_ssim_agrees_with_the_metric():
    views = bracket(2)
    ours = losses.ssim(views[:, 0], views[:, 1], stride=1).item()
    assert ours == pytest.approx(structure.ssim(to_numpy(views[0, 0]), to_numpy(views[0, 1])), abs=1e-3)


@pytest.mark.parametrize("name", ["mef_ssim", "mef_ssim_c"])
def test_skipping_windows_changes_a_score_little(name):
    views, measure = bracket(3, side=128), getattr(losses, name)
    assert measure(views.mean(1), views).item() == pytest.approx(
        measure(views.mean(1), views, 1).item(), abs=5e-3
    )


@pytest.mark.parametrize("name", ["mef_ssim", "mef_ssim_c"])
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_flat_frames_neither_blow_up_a_score_nor_its_gradient(name, level):
    views = torch.cat((bracket(2), torch.full((1, 1, 3, 64, 64), level)), 1)
    views[..., :32] = 1.0  # half of every frame is clipped, too
    fused = views.mean(1).requires_grad_()
    score = getattr(losses, name)(fused, views)
    score.sum().backward()
    assert -1 <= score.item() <= 1.01
    assert fused.grad.isfinite().all()
    assert fused.grad.abs().max() < 1


@pytest.mark.parametrize("name", ["mef_ssim", "mef_ssim_c"])
def test_opposed_frames_that_cancel_keep_a_score_in_range(name):
    view = bracket(1)[:, 0]
    views = torch.stack((view, 1 - view), 1)
    assert -1 <= getattr(losses, name)(view, views).item() <= 1.01


def test_following_the_gradient_raises_both_scores():
    views = bracket(3)
    fused = torch.full((1, 3, 64, 64), 0.5, requires_grad=True)
    optimiser = torch.optim.Adam([fused], lr=0.02)
    before = (losses.mef_ssim(fused, views) + losses.mef_ssim_c(fused, views)).item()
    for _ in range(30):
        optimiser.zero_grad()
        loss = -(losses.mef_ssim(fused, views) + losses.mef_ssim_c(fused, views)).sum()
        loss.backward()
        optimiser.step()
    assert -loss.item() > before + 0.5


@pytest.mark.parametrize("size", [2, 9, 33])
@pytest.mark.parametrize("loss", [losses.lut_smoothness, losses.lut_monotonicity, losses.lut_long_range])
def test_the_identity_lut_costs_nothing_at_any_size(loss, size):
    assert loss(lattice(size)[None]).item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("loss", [losses.lut_smoothness, losses.lut_long_range])
def test_lut_costs_hardly_depend_on_its_size(loss):
    def curve(size: int) -> torch.Tensor:
        return (lattice(size) + 0.1 * torch.sin(3 * lattice(size)))[None]

    assert loss(curve(17)).item() == pytest.approx(loss(curve(33)).item(), rel=0.15)


def test_only_falling_tones_break_monotonicity():
    rising, falling = lattice(9)[None] ** 2 + 0.2 * lattice(9), 1 - lattice(9)[None]
    assert losses.lut_monotonicity(rising).item() < 1e-6
    assert losses.lut_monotonicity(falling).item() == pytest.approx(3 * 1.1**2, rel=1e-4)


def test_long_range_term_sees_what_neighbours_do_not():
    """A slow drift over the cube has tiny local differences but large ones eight steps apart."""
    drift = lattice(33)[None] + 0.2 * lattice(33)[None, ..., :1]
    assert losses.lut_smoothness(drift).item() < 1e-6
    assert losses.lut_long_range(drift).item() > 1e-3


def test_a_constant_grid_is_smooth_and_a_checkerboard_is_not():
    grid = torch.ones(1, 2, 4, 6, 6)
    assert losses.grid_smoothness(3 * grid).item() == pytest.approx(0, abs=1e-9)
    grid[..., ::2, ::2] = 5
    assert losses.grid_smoothness(grid).item() > 0.1


def test_reversed_tones_cost_and_the_right_order_does_not():
    views = bracket(2)
    torch.manual_seed(0)
    assert losses.tone_order(views.mean(1), views).item() == 0
    assert losses.tone_order(1 - views.mean(1), views).item() > 0.1
