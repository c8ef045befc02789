"""The implicit LUT Φ_ψ(c, z) and its baking to a grid of any size, eq. 3 (docs/method.md)."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lutfuse.models.contract import LUT_SIZES
from lutfuse.models.student.config import StudentConfig

# Colours per pass: the hidden layers of so many stay in the cache, which halves the time of a bake.
CHUNK = 4096


def check_lut_size(size: int) -> None:
    """Raise ValueError unless a LUT may have `size` nodes a side."""
    if not LUT_SIZES.allow(size):
        raise ValueError(f"LUT size is {size}; it must lie in {LUT_SIZES}")


def lattice(size: int) -> Tensor:
    """The N³ lattice colours [N, N, N, 3] float32 in [0, 1], indexed [b, g, r]: red fastest, as in .cube."""
    axis = torch.linspace(0, 1, size)
    blue, green, red = torch.meshgrid(axis, axis, axis, indexing="ij")
    return torch.stack((red, green, blue), dim=-1)


class ImplicitLut(nn.Module):
    """A coordinate network: colour in, colour offset out, modulated by the bracket's latent code z.

    The last layer starts at zero, so an untrained LUT is the identity.
    """

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        hidden = config.lut_hidden
        self.identity = not config.lut
        self.colour = nn.Linear(3, hidden)
        self.colour_latent = nn.Linear(config.latent, hidden, bias=False)
        self.mix = nn.Linear(hidden, hidden)
        self.mix_latent = nn.Linear(config.latent, hidden, bias=False)
        self.offset = nn.Linear(hidden, 3)
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)

    def forward(self, colours: Tensor, latent: Tensor) -> Tensor:
        """Φ(c, z) for colours [P, 3] float32 in [0, 1] and latents [B, Z]: offsets [B, P, 3]."""
        bias = self.colour.bias + self.colour_latent(latent), self.mix.bias + self.mix_latent(latent)
        chunks = torch.split(colours, CHUNK)
        return torch.cat([self._offsets(part, *bias) for part in chunks], dim=1)

    def _offsets(self, colours: Tensor, colour_bias: Tensor, mix_bias: Tensor) -> Tensor:
        in_place = not torch.is_grad_enabled()
        h = (2 * colours - 1) @ self.colour.weight.T + colour_bias[:, None]
        h = F.silu(h, inplace=in_place) @ self.mix.weight.T
        return cast(Tensor, self.offset(F.silu(h.add_(mix_bias[:, None]), inplace=in_place)))

    def bake(self, latent: Tensor, size: int) -> Tensor:
        """LUT_N[c] = c + Φ(c, z), eq. 3: latents [B, Z] → [B, N, N, N, 3] float32, not yet clipped."""
        check_lut_size(size)
        colours = lattice(size).to(latent)
        if self.identity:
            return colours.expand(len(latent), -1, -1, -1, -1)
        offsets: Tensor = self(colours.reshape(-1, 3), latent)
        return colours + offsets.reshape(-1, size, size, size, 3)
