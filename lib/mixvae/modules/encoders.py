"""Encoders: an image -> a posterior over channels, and one over every channel's latent plane."""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from mixvae.modules.layers import Convolution, Dense, LayerNorm, pad, space_to_depth

LOG_VAR_RANGE = (-8.0, 4.0)
LAYOUTS = ("decentralized", "shared")


class Posterior(NamedTuple):
    """q(c|x) = softmax(logits) and q(z_k|x) = N(mean_k, diag exp(log_var_k)).

    The shared layout has one latent for all channels: its axis L is 1 instead of K, and broadcasts.
    """

    logits: Float[Array, "*b k"]
    mean: Float[Array, "*b l d"]
    log_var: Float[Array, "*b l d"]


class PosteriorHead(nn.Module):
    """Features [*b, F] -> Posterior, with log variances clipped to LOG_VAR_RANGE."""

    num_components: int
    latent_dim: int
    num_latents: int

    @nn.compact
    def __call__(self, h: Float[Array, "*b f"]) -> Posterior:
        self.sow("intermediates", "features", h)
        stats = nn.Dense(2 * self.num_latents * self.latent_dim, name="latent")(h)
        stats = stats.reshape(*h.shape[:-1], self.num_latents, 2, self.latent_dim)
        log_var = jnp.clip(stats[..., 1, :], *LOG_VAR_RANGE)
        return Posterior(nn.Dense(self.num_components, name="router")(h), stats[..., 0, :], log_var)


class Normed(nn.Module):
    """gelu(LayerNorm(layer(x))), its leading axes as one, which XLA on CPU sums over sooner."""

    layer: nn.Module

    @nn.compact
    def __call__(self, x: Array) -> Array:
        h = self.layer(x)
        return nn.gelu(LayerNorm()(h.reshape(-1, h.shape[-1]))).reshape(h.shape)


class DenseEncoder(nn.Module):
    """A multilayer perceptron over the flattened image; its layers are the dense decoder's, the last one first."""

    posterior: PosteriorHead
    hidden_dims: tuple[int, ...] = (128, 512)

    @nn.compact
    def __call__(self, x: Float[Array, "*b h w c"]) -> Posterior:
        h = x.reshape(*x.shape[:-3], -1)
        for features in reversed(self.hidden_dims):
            h = Normed(Dense(features))(h)
        return self.posterior(h)


class ConvEncoder(nn.Module):
    """Overlapping 8x8 patches every 4 pixels, one more halving, then a dense layer over the whole image.

    Overlapping patches first: at full and at half resolution products are narrow and copies large (compare Xiao et al.,
    2021, for what the overlap is good for).
    """

    posterior: PosteriorHead
    width: int = 16
    hidden: int = 256

    @nn.compact
    def __call__(self, x: Float[Array, "*b h w c"]) -> Posterior:
        h = Normed(Convolution(4 * self.width, stride=4))(x)
        h = Normed(Dense(2 * self.width))(h)
        h = pad(h, (h.shape[-3] % 2, 0), (h.shape[-2] % 2, 0))
        h = Normed(Dense(4 * self.width))(space_to_depth(h))
        h = Normed(Dense(self.hidden))(h.reshape(*h.shape[:-3], -1))
        return self.posterior(h)


ENCODERS = {"conv": ConvEncoder, "dense": DenseEncoder}
