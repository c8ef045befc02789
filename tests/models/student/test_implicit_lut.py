"""The coordinate network and its baking."""

import pytest
import torch

from lutfuse.models.student.config import StudentConfig
from lutfuse.models.student.implicit_lut import ImplicitLut, lattice

TINY = StudentConfig(latent=5, lut_hidden=7)


@pytest.fixture
def trained() -> ImplicitLut:
    torch.manual_seed(0)
    lut = ImplicitLut(TINY)
    torch.nn.init.normal_(lut.offset.weight, std=0.1)
    return lut.requires_grad_(False)


def test_lattice_has_red_fastest():
    nodes = lattice(3)
    assert nodes[0, 0, 2].tolist() == [1, 0, 0]
    assert nodes[0, 2, 0].tolist() == [0, 1, 0]
    assert nodes[2, 0, 0].tolist() == [0, 0, 1]


def test_untrained_lut_is_the_identity():
    lut = ImplicitLut(TINY).bake(torch.randn(2, 5), 5)
    assert torch.equal(lut, lattice(5).expand(2, -1, -1, -1, -1))


@pytest.mark.parametrize("size", [2, 3, 17, 33])
def test_a_node_has_the_same_colour_in_every_size_that_holds_it(trained, size):
    latent = torch.randn(1, 5)
    corners = trained.bake(latent, size)[:, :: size - 1, :: size - 1, :: size - 1]
    assert torch.allclose(corners, trained.bake(latent, 2), atol=1e-6)


def test_a_bake_beyond_one_chunk_equals_the_network_at_each_node(trained):
    latent = torch.randn(1, 5)
    baked = trained.bake(latent, 17)  # 4913 nodes, more than one chunk
    picked = lattice(17)[16, 3, 7]
    assert torch.allclose(baked[0, 16, 3, 7], picked + trained(picked[None], latent)[0, 0], atol=1e-6)


def test_each_bracket_of_a_batch_gets_its_own_lut(trained):
    latents = torch.randn(3, 5)
    together = trained.bake(latents, 4)
    alone = torch.cat([trained.bake(latent[None], 4) for latent in latents])
    assert torch.allclose(together, alone, atol=1e-6)
    assert not torch.allclose(together[0], together[1])


def test_gradients_reach_every_parameter():
    torch.manual_seed(0)
    lut = ImplicitLut(TINY)
    torch.nn.init.normal_(lut.offset.weight)
    lut.bake(torch.randn(2, 5), 3).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in lut.parameters())


@pytest.mark.parametrize("size", [-1, 0, 1, 130])
def test_sizes_outside_2_to_129_are_refused(trained, size):
    with pytest.raises(ValueError, match="2 to 129"):
        trained.bake(torch.zeros(1, 5), size)
