"""Shapes, equivariance and the parameter budget of the student."""

import pytest
import torch

from lutfuse.models.checked import ConfigError
from lutfuse.models.student.config import MAX_PARAMETERS, StudentConfig
from lutfuse.models.student.implicit_lut import lattice
from lutfuse.models.student.network import (
    Student,
    luma_tents,
    merged,
    parameter_count,
    priors_of,
    splat,
    statistics,
)


@pytest.fixture
def student(tiny: StudentConfig) -> Student:
    """Random in every layer, so that nothing is zero by initialisation."""
    torch.manual_seed(1)
    model = Student(tiny).requires_grad_(False)
    torch.nn.init.normal_(model.head.weight)
    return model


def test_the_shipped_shape_fits_the_parameter_budget():
    assert parameter_count(Student(StudentConfig())) <= MAX_PARAMETERS


@pytest.mark.parametrize("frames", range(2, 10))
def test_every_number_of_frames_gives_positive_weights_and_one_latent_code(student, frames):
    grid, latent = student(torch.rand(2, frames, 3, 32, 32))
    assert grid.shape == (2, frames, 4, 4, 4)
    assert latent.shape == (2, 6)
    assert grid.min() > 0


def test_permuting_the_frames_permutes_the_grid_and_keeps_the_code(student):
    thumbs, order = torch.rand(1, 4, 3, 32, 32), [2, 0, 3, 1]
    grid, latent = student(thumbs)
    permuted, same = student(thumbs[:, order])
    assert torch.allclose(permuted, grid[:, order], rtol=1e-4)
    assert torch.allclose(same, latent, atol=1e-5)


def test_brackets_of_a_batch_do_not_see_each_other(student):
    thumbs = torch.rand(3, 2, 3, 32, 32)
    grid, latent = student(thumbs)
    alone, code = student(thumbs[1:2])
    assert torch.allclose(grid[1:2], alone, rtol=1e-4)
    assert torch.allclose(latent[1:2], code, atol=1e-5)


def test_an_untrained_student_is_the_plain_average(tiny):
    grid, _ = Student(tiny)(torch.rand(1, 3, 3, 32, 32))
    assert torch.equal(grid, torch.ones_like(grid))


def test_weights_stay_within_their_range_whatever_the_logits(student, tiny):
    student.head.weight.mul_(1e6)
    grid, _ = student(torch.rand(1, 2, 3, 32, 32))
    bound = torch.tensor(tiny.log_weight_range).exp()
    assert grid.max() <= bound * 1.0001
    assert grid.min() >= 0.9999 / bound


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_black_and_white_frames_give_finite_weights(student, level):
    grid, latent = student(torch.full((1, 2, 3, 32, 32), level))
    assert grid.isfinite().all()
    assert latent.isfinite().all()


def test_tents_share_each_level_between_its_two_knots():
    tents = luma_tents(torch.tensor([[0.0, 0.5, 1.0]]), 4)
    assert tents[:, 0].T.tolist() == [[1, 0, 0, 0], [0, 0.5, 0.5, 0], [0, 0, 0, 1]]


def test_splat_reports_the_share_of_pixels_at_each_knot_and_cell(tiny):
    thumbs = torch.zeros(1, 2, 3, 32, 32)
    thumbs[:, 1, :, :16] = 1  # upper half of the second frame is white
    shares = splat(thumbs, priors_of(thumbs), tiny)
    shares = shares.reshape(1, 2, 4, 6, 4, 4)[:, :, :, 0]  # knots × maps, the first map counts
    assert (shares.sum(2) - 1).abs().max() < 1e-6
    assert shares[0, 1, 3, 0].tolist() == [1, 1, 1, 1]
    assert shares[0, 1, 0, 3].tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("bad", [{"thumb": 40}, {"thumb": 16}, {"grid_rows": 12}, {"grid_cols": 5}])
def test_sizes_that_do_not_divide_are_refused(bad):
    with pytest.raises(ConfigError, match="px"):
        StudentConfig(**bad)


def test_unknown_configuration_keys_are_an_error_that_names_them():
    with pytest.raises(ConfigError, match="'depth'"):
        StudentConfig.from_json({"depth": 3})


def test_configuration_survives_json(tiny):
    assert StudentConfig.from_json(tiny.to_json()) == tiny


def test_the_code_sees_what_the_weights_merge():
    """With all weight on one frame, the statistics are those of that frame."""
    thumbs = torch.stack((torch.zeros(1, 3, 32, 32), torch.ones(1, 3, 32, 32)), 1)
    grid = torch.stack((torch.full((1, 4, 4, 4), 1e-6), torch.ones(1, 4, 4, 4)), 1)
    seen = statistics(merged(thumbs, grid), 4)
    assert torch.allclose(seen, torch.tensor([[0, 0, 0, 4.0, 1, 1, 1, 1, 0]]), atol=1e-3)


def test_statistics_tell_grey_from_colour():
    grey, red = torch.full((1, 3, 8, 8), 0.5), torch.zeros(1, 3, 8, 8)
    red[:, 0] = 1
    assert statistics(grey, 4)[0, -1] < 1e-6 < statistics(red, 4)[0, -1]


@pytest.mark.parametrize("change", [{"priors": False}, {"lut": False}, {"weight_grid": False}])
def test_parts_can_be_left_out(student, change, tiny):
    thumbs = torch.rand(1, 2, 3, 32, 32)
    without = Student(StudentConfig.from_json(tiny.to_json() | change)).requires_grad_(False)
    torch.nn.init.normal_(without.head.weight)
    torch.nn.init.normal_(without.implicit_lut.offset.weight)
    grid, latent = without(thumbs)
    assert torch.equal(grid, torch.ones_like(grid)) == (not without.config.weight_grid)
    assert torch.equal(without.implicit_lut.bake(latent, 5)[0], lattice(5)) == (not without.config.lut)
