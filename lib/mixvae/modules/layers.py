"""Convolutions as matrix products: shifted slices side by side, then one Dense.

XLA on CPU runs a convolution inside a loop several times slower than outside it; a matrix product has no such
penalty, and a GPU loses nothing by it. `Convolution` and `TransposedConvolution` equal `nn.Conv` and
`nn.ConvTranspose` with SAME padding up to the order of their kernel's entries (`conv_kernel`,
`transposed_kernel`); leading axes are free.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

Images = Float[Array, "*b h w c"]


def space_to_depth(x: Images) -> Float[Array, "*b h//2 w//2 4*c"]:
    """Fold every 2 x 2 block of pixels into the features of one; H and W even."""
    *lead, h, w, c = x.shape
    return x.reshape(*lead, h // 2, 2, w // 2, 2, c).swapaxes(-4, -3).reshape(*lead, h // 2, w // 2, 4 * c)


def depth_to_space(x: Float[Array, "*b h w 4*c"]) -> Float[Array, "*b 2*h 2*w c"]:
    """The inverse of `space_to_depth`."""
    *lead, h, w, c = x.shape
    return x.reshape(*lead, h, w, 2, 2, c // 4).swapaxes(-4, -3).reshape(*lead, 2 * h, 2 * w, c // 4)


def pad(x: Images, rows: tuple[int, int], columns: tuple[int, int]) -> Images:
    """Zeros around height and width."""
    return jnp.pad(x, [(0, 0)] * (x.ndim - 3) + [rows, columns, (0, 0)])


def neighbourhoods(x: Images, size: int) -> Float[Array, "*b h-size+1 w-size+1 size*size*c"]:
    """Every size x size window of pixels, side by side in the feature axis, row by row."""
    h, w = x.shape[-3] - size + 1, x.shape[-2] - size + 1
    return jnp.concatenate([x[..., i : i + h, j : j + w, :] for i in range(size) for j in range(size)], -1)


class Convolution(nn.Module):
    """A 3x3 convolution (stride 1), or a 4x4 one that halves height and width (stride 2, odd sizes rounded up)."""

    features: int
    stride: int = 1

    @nn.compact
    def __call__(self, x: Images) -> Images:
        if self.stride == 1:
            windows = neighbourhoods(pad(x, (1, 1), (1, 1)), 3)
        else:
            h, w = x.shape[-3:-1]
            windows = neighbourhoods(space_to_depth(pad(x, (1, 1 + h % 2), (1, 1 + w % 2))), 2)
        return nn.Dense(self.features)(windows)


class TransposedConvolution(nn.Module):
    """A 4x4 transposed convolution that doubles height and width, then crops to `output_hw` where that is smaller."""

    features: int
    output_hw: tuple[int, int] | None = None

    @nn.compact
    def __call__(self, x: Images) -> Images:
        phases = nn.Dense(4 * self.features)(neighbourhoods(pad(x, (1, 1), (1, 1)), 2))
        h, w = self.output_hw or (2 * x.shape[-3], 2 * x.shape[-2])
        return depth_to_space(phases)[..., 1 : 1 + h, 1 : 1 + w, :]


def conv_kernel(kernel: Any, stride: int = 1) -> Array:
    """`nn.Conv`'s [size, size, C, F] kernel as `Convolution`'s Dense kernel."""
    *_, c, f = kernel.shape
    if stride == 1:
        return kernel.reshape(9 * c, f)
    return kernel.reshape(2, 2, 2, 2, c, f).transpose(0, 2, 1, 3, 4, 5).reshape(16 * c, f)


def transposed_kernel(kernel: Any) -> Array:
    """`nn.ConvTranspose`'s [4, 4, C, F] kernel as `TransposedConvolution`'s Dense kernel."""
    *_, c, f = kernel.shape
    return kernel.reshape(2, 2, 2, 2, c, f)[:, ::-1, :, ::-1].transpose(0, 2, 4, 1, 3, 5).reshape(4 * c, 4 * f)
