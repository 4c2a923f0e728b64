"""Layers that XLA on CPU runs faster than Flax's, equal to them.

It runs a convolution inside a loop several times slower than outside it; a matrix product has no such penalty, and a
GPU loses nothing by it. So `Convolution` and `TransposedConvolution` are shifted slices side by side, then one Dense:
`nn.Conv` and `nn.ConvTranspose` with SAME padding up to the order of their kernel's entries; leading axes are free.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Images = Float[Array, "*b h w c"]

EPSILON = 1e-6  # of a layer norm's variance


def space_to_depth(x: Images, size: int = 2) -> Float[Array, "*b h//{size} w//{size} {size}*{size}*c"]:
    """Fold every size x size block of pixels into the features of one; H and W are multiples of `size`."""
    *lead, h, w, c = x.shape
    blocks = x.reshape(*lead, h // size, size, w // size, size, c).swapaxes(-4, -3)
    return blocks.reshape(*lead, h // size, w // size, size * size * c)


def depth_to_space(x: Images) -> Float[Array, "*b 2*h 2*w c//4"]:
    """The inverse of `space_to_depth`."""
    *lead, h, w, c = x.shape
    return x.reshape(*lead, h, w, 2, 2, c // 4).swapaxes(-4, -3).reshape(*lead, 2 * h, 2 * w, c // 4)


def pad(x: Images, rows: tuple[int, int], columns: tuple[int, int]) -> Float[Array, "*b h2 w2 c"]:
    """Zeros around height and width."""
    return jnp.pad(x, [(0, 0)] * (x.ndim - 3) + [rows, columns, (0, 0)])


def windows(x: Images) -> Float[Array, "*b h-1 w-1 4*c"]:
    """Every 2 x 2 window of pixels, side by side in the feature axis, row by row."""
    h, w = x.shape[-3] - 1, x.shape[-2] - 1
    return jnp.concatenate([x[..., i : i + h, j : j + w, :] for i in range(2) for j in range(2)], -1)


def affine(x: Float[Array, "*b f"], kernel: Float[Array, "f g"], bias: Float[Array, "g"] | float) -> Array:
    """x @ kernel + bias, [*b, g], leading axes as one: for the gradient of several XLA on CPU copies and transposes."""
    return (x.reshape(-1, x.shape[-1]) @ kernel + bias).reshape(*x.shape[:-1], kernel.shape[-1])


class Dense(nn.Module):
    """`nn.Dense`, faster where there are several leading axes."""

    features: int
    bias_init: nn.initializers.Initializer = nn.initializers.zeros

    @nn.compact
    def __call__(self, x: Float[Array, "*b f"]) -> Float[Array, "*b g"]:
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (x.shape[-1], self.features))
        return affine(x, kernel, self.param("bias", self.bias_init, (self.features,)))


@jax.custom_jvp
def standardised(x: Float[Array, "*b f"]) -> Float[Array, "*b f"]:
    """y = (x - mean) / sqrt(variance + EPSILON) over the last axis: a layer norm (Ba et al., 2016, arXiv:1607.06450).

    Its derivative is written out, as the one that JAX finds takes more passes over the features:
    dy = (dx - mean(dx) - y mean(y dx)) / sqrt(variance + EPSILON).
    """
    return _standardised(x)[0]


def _standardised(x: Array) -> tuple[Array, Array]:
    mean = x.mean(-1, keepdims=True)
    variance = jnp.maximum(0.0, jnp.square(x).mean(-1, keepdims=True) - jnp.square(mean))
    factor = jax.lax.rsqrt(variance + EPSILON)
    return (x - mean) * factor, factor


@standardised.defjvp
def _slope(at: tuple[Array], along: tuple[Array]) -> tuple[Array, Array]:
    (x,), (dx,) = at, along
    y, factor = _standardised(x)
    return y, factor * (dx - dx.mean(-1, keepdims=True) - y * (y * dx).mean(-1, keepdims=True))


class LayerNorm(nn.Module):
    """`nn.LayerNorm` over the last axis."""

    @nn.compact
    def __call__(self, x: Float[Array, "*b f"]) -> Float[Array, "*b f"]:
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
        return standardised(x) * scale + self.param("bias", nn.initializers.zeros, (x.shape[-1],))


class Convolution(nn.Module):
    """Divides height and width by an even `stride`, rounded up; its kernel is twice as wide, so windows overlap."""

    features: int
    stride: int

    @nn.compact
    def __call__(self, x: Images) -> Float[Array, "*b h2 w2 f"]:
        margins = (self.stride + -n % self.stride for n in x.shape[-3:-1])
        padded = pad(x, *((m // 2, m - m // 2) for m in margins))
        return Dense(self.features)(windows(space_to_depth(padded, self.stride)))


class DenseOfWindows(nn.Module):
    """`Dense(features)(windows(x with a margin of one pixel))`.

    Where a window holds more numbers than the products of its pixels, pixels are multiplied first, and each product is
    added where its windows are: the same sum, without a copy of every pixel for every window.
    """

    features: int

    @nn.compact
    def __call__(self, x: Images) -> Float[Array, "*b h+1 w+1 f"]:
        c, f = x.shape[-1], self.features
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (4 * c, f))
        bias = self.param("bias", nn.initializers.zeros, (f,))
        if c <= f:
            return affine(windows(pad(x, (1, 1), (1, 1))), kernel, bias)
        products = jnp.split(affine(x, kernel.reshape(4, c, f).swapaxes(0, 1).reshape(c, 4 * f), 0.0), 4, -1)
        return sum(pad(products[2 * i + j], (1 - i, i), (1 - j, j)) for i in range(2) for j in range(2)) + bias


class TransposedConvolution(nn.Module):
    """A 4x4 transposed convolution that doubles height and width, then crops to `output_hw` where that is smaller."""

    features: int
    output_hw: tuple[int, int] | None = None

    @nn.compact
    def __call__(self, x: Images) -> Float[Array, "*b h2 w2 f"]:
        phases = DenseOfWindows(4 * self.features, name="Dense_0")(x)
        h, w = self.output_hw or (2 * x.shape[-3], 2 * x.shape[-2])
        return depth_to_space(phases)[..., 1 : 1 + h, 1 : 1 + w, :]
