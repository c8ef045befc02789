"""What training minimises on one batch."""

import numpy as np
import pytest
import torch

from lutfuse.models.training.objective import collate, fidelity, fuse_batch, objective
from lutfuse.models.training.recipe import LossWeights
from lutfuse.models.training.samples import random_sample, whole_sample
from lutfuse.models.training.trainer import Trainer

CPU = torch.device("cpu")


def test_every_term_of_the_objective_has_a_weight_and_a_gradient(pool, tiny):
    trainer = Trainer(tiny, CPU)
    torch.nn.init.normal_(trainer.student.implicit_lut.offset.weight, std=0.5)
    torch.nn.init.normal_(trainer.student.head.weight)
    batch = collate([whole_sample(pool[2], (0, 3), 32, 44)], CPU)
    terms = objective(fuse_batch(trainer.student, batch, 5), batch, tiny.loss)
    assert set(terms) < set(LossWeights.__dataclass_fields__)
    assert all(term.isfinite() for term in terms.values())
    torch.stack(list(terms.values())).sum().backward()
    assert all(p.grad is not None for p in trainer.student.parameters())


def test_an_unknown_reference_has_no_say(pool, tiny):
    batch = collate([whole_sample(pool[0], (0, 1), 32, 44)], CPU)
    image = fuse_batch(Trainer(tiny, CPU).student, batch, 5).image
    terms = fidelity(image, batch, LossWeights())
    assert terms["reference_l1"].item() == terms["reference_ssim"].item() == 0
    assert terms["mef_ssim"].item() > 0


def test_the_reference_counts_less_for_a_pair_than_for_a_full_bracket(pool):
    pair, full = (collate([whole_sample(pool[3], shown, 32, 44)], CPU) for shown in ((0, 4), range(5)))
    image = torch.zeros_like(pair.reference)
    per_frames = [fidelity(image, batch, LossWeights())["reference_l1"].item() for batch in (pair, full)]
    assert per_frames[1] == pytest.approx(16 * per_frames[0])


def test_frames_that_show_nothing_do_not_judge(pool):
    plain = collate([whole_sample(pool[3], (0, 4), 32, 44)], CPU)
    black = torch.zeros_like(plain.views[:, :1])
    more = plain._replace(views=torch.cat((plain.views, black), 1))
    image = torch.rand_like(plain.reference)
    for name, term in fidelity(image, plain, LossWeights()).items():
        assert fidelity(image, more, LossWeights())[name] == term
    drawn = [random_sample(pool[3], (0, 4), np.random.default_rng(0), 32, 44, idle=1)]
    batch = collate(drawn, CPU)
    assert batch.thumbs.shape[1] == batch.views.shape[1] == 3
    assert torch.equal(batch.active, batch.views[:, :2])


def test_mef_ssim_yields_where_a_full_bracket_has_a_reference(pool):
    full = collate([whole_sample(pool[3], range(5), 32, 44)], CPU)
    unknown = full._replace(trust=torch.zeros(1))
    image = full.views.mean(1)
    with_reference, alone = (fidelity(image, b, LossWeights())["mef_ssim"].item() for b in (full, unknown))
    assert with_reference == pytest.approx((1 - LossWeights().mef_yields) * alone)
