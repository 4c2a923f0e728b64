"""How a channel's embedding `e` enters the decoder: `(h, e) -> h`.

`placement` says where a conditioner stands: at every `block` of the backbone, at its `input`, or `anywhere`, where it
needs no embedding. The decoder places it (see `decoders.py`); no part asks which one it is.
"""

from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from mixvae.modules.layers import standardised


class FiLMLayer(nn.Module):
    """(1 + gamma(e)) * Norm(h) + beta(e); Norm(h) itself at initialisation (Perez et al., 2018, arXiv:1709.07871).

    `h` is [*b, F] or, for feature maps, [*b, H, W, F] with `e` [*b, E]. Norm is a layer norm over the last axis
    without scale or bias, so that no image's features depend on another image of the batch.
    """

    placement: ClassVar[str] = "block"

    @nn.compact
    def __call__(self, h: Float[Array, "..."], e: Float[Array, "*b e"]) -> Float[Array, "..."]:
        film = nn.Dense(2 * h.shape[-1], kernel_init=nn.initializers.zeros)(e)
        film = film.reshape(*e.shape[:-1], *[1] * (h.ndim - e.ndim), film.shape[-1])
        gamma, beta = jnp.split(film, 2, axis=-1)
        norm = standardised(h)
        self.sow("intermediates", "norm", norm)
        return (1.0 + gamma) * norm + beta


class ConcatConditioner(nn.Module):
    """[z; e]: the embedding beside the latent, before the first layer."""

    placement: ClassVar[str] = "input"

    def __call__(self, z: Float[Array, "*b d"], e: Float[Array, "*b e"]) -> Float[Array, "*b d+e"]:
        return jnp.concatenate([z, e], axis=-1)


class NoopConditioner(nn.Module):
    """h: every channel shares one decoder and only the latent tells them apart."""

    placement: ClassVar[str] = "anywhere"

    def __call__(self, h: Float[Array, "..."], e: Array | None = None) -> Float[Array, "..."]:
        return h


CONDITIONERS = {"film": FiLMLayer, "concat": ConcatConditioner, "none": NoopConditioner}
