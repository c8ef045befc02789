"""The slow twin against even slower loops, and as the thing training differentiates through."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lutfuse.models.fusion.twin import MAX_WEIGHT, apply_lut, fuse_twin, luma_of, merge, slice_weights


def identity_lut(n: int) -> torch.Tensor:
    """[N, N, N, 3] float64, indexed [blue, green, red, channel]."""
    blue, green, red = torch.meshgrid(*[torch.linspace(0, 1, n, dtype=torch.float64)] * 3, indexing="ij")
    return torch.stack([red, green, blue], dim=-1)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_luma_weighs_channels_as_the_design_says() -> None:
    colour = torch.tensor([1.0, 10.0, 100.0], dtype=torch.float64).reshape(3, 1, 1)
    assert luma_of(colour).item() == pytest.approx(0.299 + 5.87 + 11.4)


def test_slice_interpolates_cells_about_their_centres_and_clamps_at_the_border() -> None:
    grid = random(2, 3, 4, 5, 7)
    dark = torch.zeros(2, 3, 33, 41, dtype=torch.float64)  # luma 0: knot 0 alone
    expected = F.interpolate(grid[:, :, 0], (33, 41), mode="bilinear", align_corners=False)
    torch.testing.assert_close(slice_weights(grid, dark), expected)


def test_slice_has_a_luma_knot_at_black_and_one_at_white() -> None:
    grid = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64).reshape(1, 1, 3, 1, 1)
    luma = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0], dtype=torch.float64).reshape(1, 1, 1, 5)
    assert slice_weights(grid, luma).flatten().tolist() == [1, 1.5, 2, 3, 4]


def test_slicing_bands_equals_slicing_the_whole() -> None:
    grid, luma = random(1, 2, 8, 5, 6), random(1, 2, 50, 20, seed=1)
    bands = [slice_weights(grid, luma[:, :, y : y + 7], band=(y, 50)) for y in range(0, 50, 7)]
    torch.testing.assert_close(torch.cat(bands, dim=2), slice_weights(grid, luma))


def test_merge_is_the_weighted_mean() -> None:
    images, weights = random(1, 2, 3, 1, 1), torch.tensor([3.0, 1.0]).double().reshape(1, 2, 1, 1)
    torch.testing.assert_close(merge(images, weights), (3 * images[:, 0] + images[:, 1]) / 4)


def test_merge_counts_exposures_alike_where_all_weights_vanish() -> None:
    images = random(1, 5, 3, 2, 2)
    torch.testing.assert_close(merge(images, torch.zeros(1, 5, 2, 2).double()), images.mean(1))


@pytest.mark.parametrize("n", [2, 3, 33, 129])
def test_identity_lut_changes_nothing(n: int) -> None:
    image = random(1, 3, 9, 11)
    torch.testing.assert_close(apply_lut(identity_lut(n)[None], image), image)


def test_lut_is_indexed_blue_green_red() -> None:
    lut = torch.zeros(1, 2, 2, 2, 3, dtype=torch.float64)
    lut[0, 0, 0, 1] = 1.0  # the node of pure red
    red, blue = torch.eye(3, dtype=torch.float64)[[0, 2]].reshape(2, 1, 3, 1, 1)
    assert apply_lut(lut, red).sum() == 3
    assert apply_lut(lut, blue).sum() == 0


def test_lut_interpolates_trilinearly() -> None:
    lut, colour = random(1, 2, 2, 2, 3), torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    red, green, blue = ((1 - t, t) for t in colour.tolist())
    expected = sum(
        blue[b] * green[g] * red[r] * lut[0, b, g, r] for b in (0, 1) for g in (0, 1) for r in (0, 1)
    )
    torch.testing.assert_close(apply_lut(lut, colour.reshape(1, 3, 1, 1)).flatten(), expected)


def test_lut_takes_the_border_for_colours_out_of_range() -> None:
    image = torch.tensor([-0.5, 0.5, 1.5], dtype=torch.float64).reshape(1, 3, 1, 1)
    torch.testing.assert_close(apply_lut(identity_lut(9)[None], image).flatten().tolist(), [0.0, 0.5, 1.0])


def test_gradients_of_every_step_match_finite_differences() -> None:
    images, grid, lut = random(1, 2, 3, 3, 4), random(1, 2, 3, 2, 2, seed=1), random(1, 3, 3, 3, 3, seed=2)

    def whole(images: torch.Tensor, grid: torch.Tensor, lut: torch.Tensor) -> torch.Tensor:
        return apply_lut(lut, merge(images, slice_weights(grid, luma_of(images))))

    inputs = [tensor.requires_grad_() for tensor in (images, grid, lut)]
    assert torch.autograd.gradcheck(whole, inputs)


def test_reference_of_one_image_and_an_identity_is_that_image() -> None:
    image = np.random.default_rng(0).integers(0, 65536, (70, 5, 3)).astype(np.uint16)
    levels = fuse_twin([image], np.ones((1, 2, 1, 1), np.float32), identity_lut(5).numpy())
    np.testing.assert_allclose(levels, image, atol=1e-9)


def test_reference_cleans_odd_values_as_the_kernel_does() -> None:
    image = np.full((1, 1, 3), 255, np.uint8)
    grid = np.array([np.nan, np.inf], np.float32).reshape(1, 2, 1, 1)
    lut = np.full((2, 2, 2, 3), np.nan, np.float32)
    lut[1, 1, 1] = [2.0, -1.0, 0.5]
    assert fuse_twin([image], grid, lut).tolist() == [[[255.0, 0.0, 127.5]]]
    assert MAX_WEIGHT == 2**20
