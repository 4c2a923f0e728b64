"""Output heads: features -> pixels, and the likelihood that scores them.

A head owns both, so that the numbers it makes are the numbers it is scored by. `project` turns the backbone's features
into `n` numbers a pixel, [..., H, W, n]; by default one dense layer over the last axis.
"""

import math
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from mixvae.settings import nearest

Pixels = Float[Array, "*#b h w c"]
PIXEL_AXES = (-3, -2, -1)
LIKELIHOODS = ("bernoulli", "gaussian")
SIGMA_PER = ("pixel", "image")


class StandardHead(nn.Module):
    """A mean per pixel, scored as Bernoulli (from the logits) or as a Gaussian of fixed sigma."""

    channels: int = 1
    likelihood: str = "bernoulli"
    sigma: float = 1.0
    project: Callable[[int], nn.Module] = nn.Dense

    def setup(self):
        if self.likelihood not in LIKELIHOODS:
            raise ValueError(nearest(f"likelihood={self.likelihood!r}", self.likelihood, LIKELIHOODS))
        self.pixels = self.project(self.channels)

    def __call__(self, features: Array) -> Pixels:
        """The mean, sigmoid of the logits, in (0, 1)."""
        return nn.sigmoid(self.pixels(features))

    def nll(self, features: Array, x: Pixels) -> Float[Array, "*#b"]:
        """-log p(x|z) in nats, summed over the pixels; a Gaussian's log(2 pi)/2 + log sigma are left out."""
        logits = self.pixels(features)
        if self.likelihood == "bernoulli":
            return bernoulli_nll(x, logits)
        return pixel_sum((x - nn.sigmoid(logits)) ** 2) / (2 * self.sigma**2)


class HeteroscedasticHead(nn.Module):
    """A mean and a sigma, per pixel or one an image: what the decoder expects, and how sure it is.

    log sigma = lo + (hi - lo) sigmoid(s) keeps sigma inside [sigma_min, sigma_max] with a gradient everywhere.
    """

    channels: int = 1
    sigma_min: float = 0.05
    sigma_max: float = 0.5
    sigma_per: str = "pixel"
    project: Callable[[int], nn.Module] = nn.Dense

    def setup(self):
        if self.sigma_per not in SIGMA_PER:
            raise ValueError(nearest(f"sigma_per={self.sigma_per!r}", self.sigma_per, SIGMA_PER))
        self.pixels = self.project(2 * self.channels)

    def mean_and_log_sigma(self, features: Array) -> tuple[Pixels, Float[Array, "*b h2 w2 c2"]]:
        """Means in (0, 1), and log sigma of shape [*b, H, W, C], or [*b, 1, 1, 1] where sigma is one an image."""
        mean, s = jnp.split(self.pixels(features), 2, axis=-1)
        if self.sigma_per == "image":
            s = s.mean(PIXEL_AXES, keepdims=True)
        low, high = math.log(self.sigma_min), math.log(self.sigma_max)
        return nn.sigmoid(mean), low + (high - low) * nn.sigmoid(s)

    def __call__(self, features: Array) -> tuple[Pixels, Pixels]:
        """(mean, sigma), both in pixel units of [0, 1]."""
        mean, log_sigma = self.mean_and_log_sigma(features)
        return mean, jnp.exp(log_sigma)

    def nll(self, features: Array, x: Pixels) -> Float[Array, "*#b"]:
        """sum_p [(x_p - m_p)^2 / (2 sigma_p^2) + log sigma_p] in nats, without the constant log(2 pi)/2 a pixel."""
        return gaussian_nll(x, *self.mean_and_log_sigma(features))


def bernoulli_nll(x: Pixels, logits: Array) -> Float[Array, "*#b"]:
    """sum_p [log(1 + exp(l_p)) - x_p l_p] in nats; the softplus to an absolute 1e-7.

    log(1 + exp(-|l|)) = -log(1/2 + tanh(|l|/2) / 2): XLA computes a tanh on CPU several times faster than an exp.
    """
    softplus = jnp.maximum(logits, 0) - jnp.log(0.5 + 0.5 * jnp.tanh(0.5 * jnp.abs(logits)))
    return pixel_sum(softplus - x * logits)


def gaussian_nll(x: Pixels, mean: Pixels, log_sigma: Array) -> Float[Array, "*#b"]:
    """sum_p [(x_p - m_p)^2 / (2 sigma_p^2) + log sigma_p] in nats; both terms are summed over the same pixels."""
    z = (x - mean) * jnp.exp(-log_sigma)
    return pixel_sum(0.5 * jnp.square(z) + log_sigma)


def pixel_sum(x: Pixels) -> Float[Array, "*#b"]:
    """The sum over an image, as a product with ones: a sum on CPU draws in what makes its terms, and slows it down."""
    flat = x.reshape(*x.shape[:-3], -1)
    return jnp.matmul(flat, jnp.ones(flat.shape[-1], x.dtype), precision="highest")
