"""The classical answers that the student sees: exposure fusion, merged radiance and its tone mapping."""

import cv2
import numpy as np
import pytest
import torch

from lutfuse.models.student.priors import exposure_fusion, fusion_weights, merged_radiance, tone_mapped
from lutfuse.models.synthetic.camera import synthesise_bracket


def bracket(*stops: float, size: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Linear light [3, S, S] with ten stops of range, and its exposures [1, K, 3, S, S] in eight bits."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(-8, -1, (5, 5, 1)) + rng.uniform(-0.5, 0.5, (5, 5, 3))
    fine = rng.uniform(-0.5, 0.5, (size, size, 1))
    light = 2 ** torch.from_numpy(np.float32(cv2.resize(coarse, (size, size)) + fine)).permute(2, 0, 1)
    frames = torch.stack([(light * 2.0**ev).clamp(0, 1) ** (1 / 2.2) for ev in stops])
    return light, (frames[None] * 255).round() / 255


def psnr(image: torch.Tensor, reference: torch.Tensor) -> float:
    return float(-10 * (image - reference).square().mean().log10())


@pytest.mark.parametrize("stops", [(-2, 2), (-3, 0, 3), (-4, -2, 0, 2, 4)])
def test_exposure_fusion_is_close_to_opencv(stops):
    """On the synthesised room; the plain average of its frames is 14 to 22 dB away from OpenCV's answer."""
    room = synthesise_bracket(512, 512, stops, seed=1).exposures
    small = [cv2.resize(frame, (128, 128), interpolation=cv2.INTER_AREA) for frame in room]
    frames = torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2)[None] / 255
    theirs = torch.from_numpy(cv2.createMergeMertens().process(small)).permute(2, 0, 1).clamp(0, 1)
    fused = exposure_fusion(frames, fusion_weights(frames))[0].clamp(0, 1)
    assert psnr(fused, theirs) > 22
    assert psnr(fused, theirs) > psnr(frames.mean(1)[0], theirs) + 3


def test_fusing_copies_of_a_frame_gives_the_frame():
    _, frames = bracket(2)
    copies = frames.expand(-1, 4, -1, -1, -1)
    fused = exposure_fusion(copies, fusion_weights(copies))
    assert torch.allclose(fused, frames[:, 0], atol=1e-5)


def test_merged_radiance_recovers_the_light_up_to_its_scale():
    light, frames = bracket(0, 2, 4, 6)
    merged = merged_radiance(frames)[0]
    ratio = (merged / light).log2()
    assert ratio.std() < 0.15
    assert 0 < (merged > 1).float().mean() < 0.01


def test_priors_do_not_depend_on_the_order_of_the_frames():
    _, frames = bracket(0, 2, 4, 6)
    shuffled = frames[:, [2, 0, 3, 1]]
    assert torch.allclose(merged_radiance(frames), merged_radiance(shuffled), rtol=1e-4)
    one, other = (exposure_fusion(f, fusion_weights(f)) for f in (frames, shuffled))
    assert torch.allclose(one, other, atol=1e-5)


def test_tone_mapping_keeps_the_order_of_grey_levels_and_fills_the_range():
    ramp = torch.logspace(-3, 0, 64).expand(1, 3, 64, 64)
    mapped = tone_mapped(ramp)
    assert mapped.diff(dim=3).min() > 0
    assert mapped.min() == 0
    assert mapped.max() == 1


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_black_and_white_brackets_give_finite_pictures(level):
    frames = torch.full((1, 3, 3, 16, 16), level)
    assert exposure_fusion(frames, fusion_weights(frames)).isfinite().all()
    assert tone_mapped(merged_radiance(frames)).isfinite().all()


def foggy(spot: float | None = None) -> torch.Tensor:
    """A pair of low contrast, [1, 2, 3, 64, 64], and in both frames a spot of 2×2 px."""
    texture = torch.rand(64, 64, generator=torch.Generator().manual_seed(0)) * 0.06
    frames = torch.stack([(texture + level).expand(3, -1, -1) for level in (0.4, 0.64)])[None].clone()
    if spot is not None:
        frames[..., 40:42, 20:22] = spot
    return frames


@pytest.mark.parametrize("spot", [0.0, 1.0])
def test_a_spot_does_not_move_the_rest_of_the_picture(spot):
    plain, marked = (tone_mapped(merged_radiance(foggy(s))) for s in (None, spot))
    plain[..., 40:42, 20:22] = marked[..., 40:42, 20:22] = 0
    assert (plain - marked).abs().max() < 0.03


@pytest.mark.parametrize("levels", [(0.5, 0.5), (0.4, 0.63), (0.2, 0.9)])
def test_brackets_of_one_colour_stay_neither_black_nor_white(levels):
    frames = torch.stack([torch.full((3, 64, 64), level) for level in levels])[None]
    mapped = tone_mapped(merged_radiance(frames))
    assert mapped.std() < 1e-3
    assert min(levels) < mapped.mean() < 0.9


def test_the_less_range_a_picture_has_the_less_it_is_stretched():
    widths = []
    for span in (0.02, 0.1, 0.3):
        ramp = torch.linspace(0.5 - span / 2, 0.5 + span / 2, 64).expand(1, 2, 3, 64, 64)
        mapped = tone_mapped(merged_radiance(ramp))
        widths.append(float(mapped.max() - mapped.min()))
    assert widths[0] < 0.15
    assert widths == sorted(widths)
