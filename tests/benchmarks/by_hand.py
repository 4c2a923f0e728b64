"""A training step of the convolutional presets by hand in PyTorch: nets, views, objective, AdamW, clip, average.

For grey images of 28 x 28 with FiLM, the standard head and straight-through, all channels open. Convolutions are
PyTorch's own, channels last; features between layers are [B, H, W, F].
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mixvae import Knobs
from mixvae.config import AugmentConfig, ModelConfig
from mixvae.model import CENTRE
from mixvae.modules.encoders import LOG_VAR_RANGE

EPSILON = 1e-6


class Draws(NamedTuple):
    """The random numbers of a step."""

    latent: Tensor  # normal [B, K, D]
    gumbel: Tensor  # [B, K]
    affine: Tensor  # uniform in (-1, 1), [6, B]


def draw(model: ModelConfig, count: int) -> Draws:
    """The random numbers of a step on `count` images."""
    k, d = model.num_components, model.latent_dim
    gumbel = -torch.empty(count, k).exponential_().log()
    return Draws(torch.randn(count, k, d), gumbel, 2 * torch.rand(6, count) - 1)


class Net(nn.Module):
    """Encoder, decoder and embeddings of the convolutional presets."""

    def __init__(self, model: ModelConfig):
        super().__init__()
        k, d, e = model.num_components, model.latent_dim, model.component_embedding_dim
        w, hidden = model.width, model.hidden
        self.latent_dim, self.embeddings = d, nn.Parameter(torch.randn(k, e))
        self.patches, self.mix = nn.Conv2d(1, 4 * w, 8, stride=4, padding=2), nn.Linear(4 * w, 2 * w)
        self.halve, self.gather = nn.Conv2d(2 * w, 4 * w, 2, stride=2), nn.Linear(16 * 4 * w, hidden)
        self.norms = nn.ModuleList(nn.LayerNorm(size, eps=EPSILON) for size in (4 * w, 2 * w, 4 * w, hidden))
        self.router, self.latent = nn.Linear(hidden, k), nn.Linear(hidden, 2 * k * d)
        self.lift, self.spread = nn.Linear(d, hidden), nn.Linear(hidden, 49 * 2 * w)
        self.enlarge = nn.ConvTranspose2d(2 * w, w, 4, stride=2, padding=1)
        self.pixels = nn.ConvTranspose2d(w, 1, 4, stride=2, padding=1)
        self.films = nn.ModuleList(nn.Linear(e, 2 * size) for size in (hidden, 2 * w, w))
        self.to(memory_format=torch.channels_last)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits [B, K], means and log variances [B, K, D] of images [B, 1, H, W]."""
        h = self.normed(0, self.patches(x - CENTRE).permute(0, 2, 3, 1))
        h = F.pad(self.normed(1, self.mix(h)), (0, 0, 1, 0, 1, 0))
        h = self.normed(2, self.halve(h.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
        h = self.normed(3, self.gather(h.flatten(1)))
        mean, log_var = self.latent(h).view(len(x), -1, 2, self.latent_dim).unbind(2)
        return self.router(h), mean, log_var.clamp(*LOG_VAR_RANGE)

    def normed(self, i: int, h: Tensor) -> Tensor:
        """gelu(LayerNorm(h))."""
        return F.gelu(self.norms[i](h), approximate="tanh")

    def decode(self, z: Tensor, e: Tensor) -> Tensor:
        """The logits [B, 1, H, W] of latents [B, D] by embeddings [B, E]."""
        h = self.conditioned(0, self.lift(z), e)
        h = self.conditioned(1, self.spread(h).view(len(z), 7, 7, -1), e)
        h = self.conditioned(2, self.enlarge(h.permute(0, 3, 1, 2)).permute(0, 2, 3, 1), e)
        return self.pixels(h.permute(0, 3, 1, 2))

    def conditioned(self, i: int, h: Tensor, e: Tensor) -> Tensor:
        """gelu((1 + gamma(e)) Norm(h) + beta(e))."""
        gamma, beta = self.films[i](e).view(len(e), *[1] * (h.ndim - 2), -1).chunk(2, -1)
        return F.gelu((1 + gamma) * F.layer_norm(h, h.shape[-1:], eps=EPSILON) + beta, approximate="tanh")


def objective(net: Net, x: Tensor, draws: Draws, knobs: Knobs, limits: AugmentConfig) -> Tensor:
    """The loss of images [B, 1, H, W], nats; what has no weight is not computed."""
    logits, mean, log_var = net.encode(x)
    log_q = logits.log_softmax(-1)
    loss = torch.zeros(())
    if knobs.w_evidence > 0:
        soft = ((logits + draws.gumbel) / knobs.tau).softmax(-1)
        hard = F.one_hot((logits + draws.gumbel).argmax(-1), soft.shape[-1])
        w = hard + knobs.router_recon * (soft - soft.detach())
        z = torch.einsum("bk,bkd->bd", w, mean + (0.5 * log_var).exp() * draws.latent)
        made = net.decode(z, w @ net.embeddings)
        recon = F.binary_cross_entropy_with_logits(made, x, reduction="sum") / len(x)
        kl_z = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum((1, 2)).mean()
        kl_c = (log_q.exp() * log_q).sum(-1).mean() + math.log(logits.shape[-1])
        loss = loss + knobs.w_evidence * (recon + knobs.beta_z * kl_z + knobs.beta_c * kl_c)
    if knobs.w_inv > 0 or knobs.w_mi > 0:
        log_q = torch.stack([log_q, net.encode(view(x, draws.affine, limits))[0].log_softmax(-1)])
        q, target = log_q.exp(), log_q[0].detach()
        inv = F.kl_div(log_q[1], target, reduction="batchmean", log_target=True)
        entropy, mean_entropy = torch.special.entr(q.mean(1)).sum(-1).mean(), -(q * log_q).sum(-1).mean()
        loss = loss + knobs.w_inv * inv - knobs.w_mi * (2 * entropy - mean_entropy)
    return loss


def view(x: Tensor, uniform: Tensor, limits: AugmentConfig) -> Tensor:
    """A random affine view of every image, bilinear, 0 outside."""
    turn, tall, wide, slant, down, right = uniform
    cos, sin = (math.radians(limits.degrees) * turn).cos(), (math.radians(limits.degrees) * turn).sin()
    tall, wide, slant = 1 + limits.scale * tall, 1 + limits.scale * wide, limits.shear * slant
    pixels = limits.shift * 2 / (x.shape[-1] - 1)  # an image is 2 wide to affine_grid
    rows = (
        torch.stack([sin * slant + cos * wide, sin * tall, pixels * right], -1),
        torch.stack([cos * slant - sin * wide, cos * tall, pixels * down], -1),
    )
    grid = F.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=True)
    return F.grid_sample(x, grid, align_corners=True)
