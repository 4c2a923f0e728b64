"""From a latent to features: `backbone(z, condition)`, each block passed through `condition` before its activation."""

import math
from collections.abc import Callable

import flax.linen as nn
from jaxtyping import Array, Float

from mixvae.modules.layers import Dense, TransposedConvolution

zeros = nn.initializers.zeros
lifted = nn.initializers.normal(1.0)  # Norm(W z) would forget how long z is; Norm(W z + b) does not


def unconditioned(h: Array) -> Array:
    """The condition of a backbone that has none."""
    return h


class DenseBackbone(nn.Module):
    """A multilayer perceptron: [*b, D] -> [*b, hidden_dims[-1]]."""

    hidden_dims: tuple[int, ...] = (128, 512)

    @nn.compact
    def __call__(self, z: Float[Array, "*b d"], condition: Callable = unconditioned) -> Float[Array, "*b f"]:
        h = z
        for layer, features in enumerate(self.hidden_dims):
            h = nn.gelu(condition(Dense(features, bias_init=zeros if layer else lifted)(h)))
        return h


class ConvBackbone(nn.Module):
    """Two dense blocks, then one transposed convolution: [*b, D] -> [*b, 2 ceil(H/4), 2 ceil(W/4), width].

    The head doubles once more and crops to H x W, so any H, W >= 8 work.
    """

    output_hw: tuple[int, int] = (28, 28)
    width: int = 16
    hidden: int = 256

    @nn.compact
    def __call__(self, z: Float[Array, "*b d"], condition: Callable = unconditioned) -> Float[Array, "*b h w f"]:
        h, w = (math.ceil(n / 4) for n in self.output_hw)
        x = nn.gelu(condition(Dense(self.hidden, bias_init=lifted)(z)))
        x = Dense(h * w * 2 * self.width)(x).reshape(*z.shape[:-1], h, w, 2 * self.width)
        x = nn.gelu(condition(x))
        return nn.gelu(condition(TransposedConvolution(self.width)(x)))
