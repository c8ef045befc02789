"""The student S_θ(x̂_1…x̂_K) → (G, z), eq. 1 (docs/method.md): any K, in any order, ≤ 0.52 M parameters."""

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lutfuse.models.fusion.twin import luma_of, merge, slice_weights
from lutfuse.models.student import priors
from lutfuse.models.student.config import StudentConfig
from lutfuse.models.student.implicit_lut import ImplicitLut

SPLAT_MAPS = 4
PRIOR_MAPS = 2
STATISTICS = 5
SHRINK = 4  # of the thumbnails, for the priors and for what the weights merge


def luma_tents(values: Tensor, bins: int) -> Tensor:
    """Membership of luma [..., H, W] in the D knots of eq. 2: [..., D, H, W], sums to one over D."""
    position = (values.clamp(0, 1) * (bins - 1)).unsqueeze(-3)
    knots = torch.arange(bins, device=values.device, dtype=values.dtype).view(bins, 1, 1)
    return (1 - (position - knots).abs()).clamp_min(0)


class Priors(NamedTuple):
    """Classical answers at thumbnail size / SHRINK."""

    picture: Tensor  # [B, 3, H, W] in [0, 1]
    weights: Tensor  # [B, K, H, W], Σ over K = 1


@torch.no_grad()
def priors_of(small: Tensor) -> Priors:
    """Of frames [B, K, 3, H, W]: the mean of exposure fusion and tone-mapped radiance, and the weights."""
    weights = priors.fusion_weights(small)
    fused = priors.exposure_fusion(small, weights).clamp(0, 1)
    return Priors((fused + priors.tone_mapped(priors.merged_radiance(small))) / 2, weights)


def shrunk(thumbs: Tensor) -> Tensor:
    """Means of SHRINK × SHRINK pixels of [B, K, 3, S, S]."""
    small = F.avg_pool2d(thumbs.flatten(0, 1), SHRINK)
    return small.reshape(*thumbs.shape[:2], *small.shape[1:])


def splat(thumbs: Tensor, known: Priors | None, config: StudentConfig) -> Tensor:
    """What each node of the weight grid will act on: thumbs [B, K, 3, S, S] → [B, K, C·D, Gh, Gw].

    Per exposure, luma bin and cell: the fraction of pixels; their detail; the mean detail of all exposures at
    those pixels; the mean luma of all exposures there; with priors the exposure's weight and the luma of the
    picture there. Detail is |luma − its 3×3 mean| × 8.
    """
    levels = F.avg_pool2d(luma_of(thumbs), 2)
    detail = 8 * (levels - F.avg_pool2d(levels, 3, 1, 1, count_include_pad=False)).abs()
    own, shared = [torch.ones_like(levels), detail], [detail.mean(1), levels.mean(1)]
    if known:
        own.append(F.interpolate(known.weights, levels.shape[2:]))
        shared.append(F.interpolate(luma_of(known.picture)[:, None], levels.shape[2:])[:, 0])
    common = torch.stack(shared, 1)[:, None].expand(-1, levels.shape[1], -1, -1, -1)
    maps = torch.cat((torch.stack(own, 2), common), 2)
    tents = _cells(luma_tents(levels, config.luma_bins), config)
    means = tents @ _cells(maps, config).transpose(-1, -2) / tents.shape[-1]  # [B, K, Gh, Gw, D, C]
    return means.flatten(-2).permute(0, 1, 4, 2, 3)


def _cells(maps: Tensor, config: StudentConfig) -> Tensor:
    """[B, K, C, H, W] → [B, K, Gh, Gw, C, pixels of the cell]."""
    *lead, height, _ = maps.shape
    cells = maps.reshape(*lead, config.grid_rows, height // config.grid_rows, config.grid_cols, -1)
    return cells.permute(0, 1, 3, 5, 2, 4, 6).flatten(-2)


class ContextBlock(nn.Module):
    """Residual block on [B, K, C, Gh, Gw]; each exposure sees mean and peak of all, and the scene's mean."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3 * width, width, 1)
        self.scene = nn.Linear(2 * width, width)
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.out = nn.Conv2d(width, width, 3, padding=1)
        with torch.no_grad():
            self.out.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        mean, peak = x.mean(1, keepdim=True).expand_as(x), x.amax(1, keepdim=True).expand_as(x)
        pooled = torch.cat((x.mean((3, 4)), mean.mean((3, 4))), 2)  # [B, K, 2C]
        h = self.mix(torch.cat((x, mean, peak), 2).flatten(0, 1))
        h = F.silu(h + self.scene(pooled).flatten(0, 1)[:, :, None, None])
        h = self.out(F.silu(self.conv(h)))
        return cast(Tensor, x + h.reshape(x.shape))


class Student(nn.Module):
    """Weight grid and latent code from thumbnails, plus the implicit LUT that bakes the code."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.stem = nn.Conv2d(3, width // 2, 4, stride=4)
        self.down = nn.Conv2d(width // 2, width, 3, stride=2, padding=1)
        self.embed = nn.Conv2d(width + splat_channels(config), width, 1)
        self.blocks = nn.ModuleList(ContextBlock(width) for _ in range(config.blocks))
        self.head = nn.Conv2d(width, config.luma_bins, 1)
        self.latent = nn.Sequential(
            nn.Linear(seen_length(config), 2 * width), nn.SiLU(), nn.Linear(2 * width, config.latent)
        )
        self.implicit_lut = ImplicitLut(config)
        nn.init.zeros_(self.head.weight)  # an untrained student is the plain average
        nn.init.zeros_(cast(Tensor, self.head.bias))

    def forward(self, thumbs: Tensor) -> tuple[Tensor, Tensor]:
        """Eq. 1: thumbs [B, K, 3, S, S] float32 in [0, 1] → G [B, K, D, Gh, Gw] > 0, z [B, Z]."""
        config = self.config
        frames = thumbs.flatten(0, 1)
        x = F.silu(self.down(F.silu(self.stem(2 * frames - 1))))
        x = F.adaptive_avg_pool2d(x, (config.grid_rows, config.grid_cols))
        small = shrunk(thumbs)
        known = priors_of(small) if config.priors else None
        x = self.embed(torch.cat((x, splat(thumbs, known, config).flatten(0, 1)), 1))
        x = x.reshape(*thumbs.shape[:2], *x.shape[1:])
        for block in self.blocks:
            x = block(x)
        logits = self.head(x.flatten(0, 1)).reshape(*x.shape[:2], config.luma_bins, *x.shape[3:])
        bound = config.log_weight_range if config.weight_grid else 0
        grid = torch.exp(bound * torch.tanh(logits / config.log_weight_range))
        return grid, self.latent(seen_of(x, merged(small, grid), known, config))


def splat_channels(config: StudentConfig) -> int:
    """C·D of `splat`."""
    return (SPLAT_MAPS + (PRIOR_MAPS if config.priors else 0)) * config.luma_bins


def seen_of(x: Tensor, fused: Tensor, known: Priors | None, config: StudentConfig) -> Tensor:
    """What z is made of: features [B, K, C, Gh, Gw] pooled, statistics of m and, with priors, of theirs.

    The LUT corrects level and colour of m (eq. 2): z has to know m [B, 3, H, W], and what it should become.
    """
    pooled = x.mean((3, 4))
    spread = x.var((1, 3, 4), correction=0).add(1e-4).sqrt()
    seen = [pooled.mean(1), pooled.amax(1), spread, statistics(fused, config.merged_bins)]
    if known:
        seen.append(statistics(known.picture, config.merged_bins))
    return torch.cat(seen, 1)


def seen_length(config: StudentConfig) -> int:
    """Values per bracket in `seen_of`."""
    return 3 * config.width + (2 if config.priors else 1) * (config.merged_bins + STATISTICS)


def merged(small: Tensor, grid: Tensor) -> Tensor:
    """Eq. 2 on frames [B, K, 3, H, W]: [B, 3, H, W]."""
    return merge(small, slice_weights(grid, luma_of(small)))


def statistics(image: Tensor, bins: int) -> Tensor:
    """Luma histogram × 4, mean colour, luma² and saturation × 4 of [B, 3, H, W]: [B, bins + STATISTICS]."""
    luma = luma_of(image)
    histogram = 4 * luma_tents(luma, bins).mean((2, 3))
    saturation = 4 * (image - luma[:, None]).abs().mean((1, 2, 3))
    return torch.cat(
        (histogram, image.mean((2, 3)), luma.square().mean((1, 2))[:, None], saturation[:, None]), 1
    )


def parameter_count(model: nn.Module) -> int:
    """Parameters of a network, all of them."""
    return sum(p.numel() for p in model.parameters())
