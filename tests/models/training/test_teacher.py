"""The teacher: what it gives, how its bases are fused, and that its variance is one."""

import dataclasses
import math

import pytest
import torch

from lutfuse.models.training.teacher import VARIANCE_RANGE, Teacher, fused_bases, positive, product_of


def test_precisions_add_and_means_count_by_precision():
    fused = product_of(torch.tensor([[1.0, 5.0]]), torch.tensor([[0.5, 1.0]]), 1)
    # Precisions 2 and 1: variance 1/3, mean (2·1 + 1·5) / 3.
    assert fused.variance.item() == pytest.approx(1 / 3)
    assert fused.mean.item() == pytest.approx(7 / 3)


@pytest.mark.parametrize("count", [2, 5])
def test_a_belief_has_a_mean_and_a_positive_variance_per_node(count, tiny):
    torch.manual_seed(0)
    believed = Teacher(tiny)(torch.rand(3, count, 3, 64, 64), 5)
    for gaussian, shape in ((believed.log_grid, (3, count, 4, 4, 4)), (believed.lut, (3, 5, 5, 5, 3))):
        assert gaussian.mean.shape == gaussian.variance.shape == shape
        assert gaussian.mean.isfinite().all()
        assert (gaussian.variance > 0).all()


def test_a_variance_stays_positive_and_finite_whatever_the_network_says():
    expected = torch.tensor([-VARIANCE_RANGE, 0, VARIANCE_RANGE]).exp()
    assert torch.allclose(positive(torch.tensor([-1e9, 0.0, 1e9])), expected)


def test_the_scale_moves_the_variance_and_not_the_mean():
    means, raw = torch.tensor([[1.0, 5.0]]), torch.tensor([[0.3, -0.3]])
    scale = torch.zeros(1, requires_grad=True)
    once = fused_bases(means, raw, scale, 0.25, 1)
    wider = fused_bases(means, raw, scale + 1, 0.25, 1)
    assert torch.equal(once.mean, wider.mean)
    assert wider.variance.item() == pytest.approx(math.e * once.variance.item(), rel=0.02)
    assert not once.mean.requires_grad
    even = fused_bases(means, torch.zeros(1, 2), scale, 0.25, 1)
    assert (even.mean.item(), even.variance.item()) == pytest.approx((3, 0.25))


def test_the_order_of_the_frames_does_not_matter_but_to_the_grid(tiny):
    torch.manual_seed(0)
    teacher, thumbs = Teacher(tiny), torch.rand(1, 3, 3, 64, 64)
    once, turned = teacher(thumbs, 3), teacher(thumbs.flip(1), 3)
    assert torch.allclose(once.lut.mean, turned.lut.mean, atol=1e-6)
    assert torch.allclose(once.log_grid.mean.flip(1), turned.log_grid.mean, atol=1e-5)


def test_the_bases_differ_from_the_start_so_that_they_can_part(tiny):
    torch.manual_seed(0)
    weight = Teacher(tiny).head.weight[:8].reshape(2, 4, -1)
    assert not torch.equal(weight[0], weight[1])


@pytest.mark.parametrize("flag", ["priors", "weight_grid", "lut"])
def test_the_teacher_of_a_student_with_a_part_left_out_lacks_it_too(flag, tiny):
    config = dataclasses.replace(tiny, student=dataclasses.replace(tiny.student, **{flag: False}))
    believed = Teacher(config)(torch.rand(1, 2, 3, 64, 64), 3)
    assert (believed.log_grid.mean.abs().max() == 0) == (flag == "weight_grid")
    assert believed.lut.mean.shape == (1, 3, 3, 3, 3)
