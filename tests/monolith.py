"""The six convolutional decoders as one function with branches, by hand: what the modular ones are compared with.

It reads the modular decoder's own parameters, for grey images of 28 x 28, and knows nothing of its parts; the layer
norm, which has a derivative by hand, is the same function.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mixvae.modules.layers import standardised


def monolith(conditioning: str, output: str, width: int = 16) -> Callable[..., Float[Array, "b"]]:
    """nll(params, z [B, D], e [B, E], x [B, 28, 28, 1]) in nats."""

    def film(p: dict, name: str, h: Array, e: Array) -> Array:
        if conditioning != "film":
            return h
        scale_shift = dense(p[name]["Dense_0"], e)
        scale, shift = jnp.split(scale_shift.reshape(len(e), *[1] * (h.ndim - 2), -1), 2, -1)
        return (1.0 + scale) * standardised(h) + shift

    def nll(params: dict, z: Array, e: Array, x: Array) -> Array:
        p, head = params["params"]["decoder"]["backbone"], params["params"]["decoder"]["head"]["pixels"]["Dense_0"]
        if conditioning == "concat":
            z = jnp.concatenate([z, e], -1)
        h = jax.nn.gelu(film(p, "FiLMLayer_0", dense(p["Dense_0"], z), e))
        h = dense(p["Dense_1"], h).reshape(len(z), 7, 7, 2 * width)
        h = jax.nn.gelu(film(p, "FiLMLayer_1", h, e))
        h = jnp.pad(h, [(0, 0), (1, 1), (1, 1), (0, 0)])
        h = jnp.concatenate([h[:, :-1, :-1], h[:, :-1, 1:], h[:, 1:, :-1], h[:, 1:, 1:]], -1)
        h = unfold(dense(p["TransposedConvolution_0"]["Dense_0"], h), 14)
        h = jax.nn.gelu(film(p, "FiLMLayer_2", h, e))
        kernel = head["kernel"].reshape(4, width, -1).swapaxes(0, 1).reshape(width, -1)
        a, b, c, d = jnp.split(affine(h, kernel, 0.0), 4, -1)
        sides = ((1, 0), (0, 1))
        h = sum(
            jnp.pad(part, [(0, 0), sides[i], sides[j], (0, 0)])
            for part, i, j in ((a, 0, 0), (b, 0, 1), (c, 1, 0), (d, 1, 1))
        )
        h = unfold(h + head["bias"], 28)
        if output == "standard":
            softplus = jnp.maximum(h, 0) - jnp.log(0.5 + 0.5 * jnp.tanh(0.5 * jnp.abs(h)))
            return summed(softplus - x * h)
        mean, s = jnp.split(h, 2, -1)
        log_sigma = math.log(0.05) + (math.log(0.5) - math.log(0.05)) * jax.nn.sigmoid(s)
        residual = (x - jax.nn.sigmoid(mean)) * jnp.exp(-log_sigma)
        return summed(0.5 * jnp.square(residual) + log_sigma)

    return nll


def dense(p: dict, h: Array) -> Array:
    """h W + b."""
    return affine(h, p["kernel"], p["bias"])


def affine(h: Array, kernel: Array, bias: Array | float) -> Array:
    """h kernel + bias, all leading axes of h as one."""
    return (h.reshape(-1, h.shape[-1]) @ kernel + bias).reshape(*h.shape[:-1], -1)


def unfold(h: Array, side: int) -> Array:
    """[B, n, n, 4 F] -> [B, side, side, F], the margin cropped."""
    b, n, _, f = h.shape
    h = h.reshape(b, n, n, 2, 2, f // 4).swapaxes(2, 3).reshape(b, 2 * n, 2 * n, f // 4)
    return h[:, 1 : 1 + side, 1 : 1 + side]


def summed(pixels: Array) -> Array:
    """[B, H, W, C] -> [B], as a product with ones."""
    return jnp.matmul(pixels.reshape(len(pixels), -1), jnp.ones(pixels[0].size), precision="highest")
