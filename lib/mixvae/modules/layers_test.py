"""The layers against Flax's own, values and gradients: leading axes [B, K], even and odd sizes."""

from functools import partial

import flax.linen as nn
import jax
import numpy as np
import pytest

from mixvae.modules.encoders import Normed
from mixvae.modules.layers import (
    Convolution,
    Dense,
    TransposedConvolution,
    depth_to_space,
    space_to_depth,
    standardised,
)

B, K, C, F = 2, 3, 5, 6
SIZES = [(20, 29), (9, 30)]


class Plain(nn.Module):
    """What `Normed` equals."""

    layer: nn.Module

    @nn.compact
    def __call__(self, x):
        return nn.gelu(nn.LayerNorm()(self.layer(x)))


def conv_kernel(kernel):
    """`nn.Conv`'s [2 stride, 2 stride, C, F] kernel as `Convolution`'s Dense kernel."""
    size, _, c, f = kernel.shape
    stride = size // 2
    return kernel.reshape(2, stride, 2, stride, c, f).transpose(0, 2, 1, 3, 4, 5).reshape(size * size * c, f)


def transposed_kernel(kernel):
    """`nn.ConvTranspose`'s [4, 4, C, F] kernel as `TransposedConvolution`'s Dense kernel."""
    *_, c, f = kernel.shape
    return kernel.reshape(2, 2, 2, 2, c, f)[:, ::-1, :, ::-1].transpose(0, 2, 4, 1, 3, 5).reshape(4 * c, 4 * f)


PAIRS = {
    "stride 2": (Convolution(F, stride=2), nn.Conv(F, (4, 4), (2, 2)), conv_kernel),
    "stride 4": (Convolution(F, stride=4), nn.Conv(F, (8, 8), (4, 4)), conv_kernel),
    "transposed": (TransposedConvolution(F), nn.ConvTranspose(F, (4, 4), (2, 2)), transposed_kernel),
    "transposed to fewer": (TransposedConvolution(1), nn.ConvTranspose(1, (4, 4), (2, 2)), transposed_kernel),
}


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def same(found, expected):
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("h, w", SIZES)
@pytest.mark.parametrize("name", PAIRS)
def test_equals_flax_in_values_and_gradients(name, h, w):
    ours, theirs, reorder = PAIRS[name]
    size, features = theirs.kernel_size[0], theirs.features
    x, kernel, bias = normal(0, B, K, h, w, C), normal(1, size, size, C, features) / size, normal(2, features)
    ours_bias = np.tile(bias, 4) if name.startswith("transposed") else bias
    weigh = normal(3, *jax.eval_shape(theirs.apply, {"params": {"kernel": kernel, "bias": bias}}, x).shape)

    def score(module, wrap):
        def weighted_mean(x, kernel, bias):
            y = module.apply({"params": wrap({"kernel": kernel, "bias": bias})}, x)
            return (weigh * y).mean(), y

        return jax.value_and_grad(weighted_mean, (0, 1), has_aux=True)

    @jax.jit
    def both(x, kernel, bias, ours_bias):
        (_, y), (to_x, to_kernel) = score(ours, lambda dense: {"Dense_0": dense})(x, reorder(kernel), ours_bias)
        (_, y_flax), (to_x_flax, to_kernel_flax) = score(theirs, lambda conv: conv)(x, kernel, bias)
        return (y, to_x, to_kernel), (y_flax, to_x_flax, reorder(to_kernel_flax))

    for found, expected in zip(*both(x, kernel, bias, ours_bias), strict=True):
        same(found / np.std(expected), expected / np.std(expected))


@pytest.mark.parametrize("ours, theirs", [(Dense(F), nn.Dense(F)), (Normed(Dense(F)), Plain(nn.Dense(F)))])
@pytest.mark.parametrize("lead", [(), (B,), (B, K, 7)])
def test_leading_axes_as_one_equal_them_as_they_are(ours, theirs, lead):
    shapes = jax.eval_shape(theirs.init, jax.random.key(0), np.zeros(C, np.float32))
    params = jax.tree.map(lambda leaf: normal(1, *leaf.shape), shapes)
    weigh = normal(3, *lead, F)

    @partial(jax.jit, static_argnums=0)
    def value_and_gradients(module, params, x):
        y, pull = jax.vjp(module.apply, params, x)
        return y, pull(weigh)

    x = normal(0, *lead, C)
    jax.tree.map(same, value_and_gradients(ours, params, x), value_and_gradients(theirs, params, x))


@pytest.mark.parametrize("derivative", [jax.jacfwd, jax.jacrev])
def test_a_standardised_row_has_the_derivatives_of_flax_layer_norm(derivative):
    plain = partial(nn.LayerNorm(use_bias=False, use_scale=False).apply, {})
    x = np.stack([2.0 + normal(0, F), 1e-4 * normal(1, F), np.full(F, 3.0, np.float32)])  # the last two: EPSILON counts
    expected = derivative(plain)(x)
    same(standardised(x), plain(x))
    same(derivative(standardised)(x) / np.max(np.abs(expected)), expected / np.max(np.abs(expected)))


def test_a_transposed_convolution_crops_at_the_far_ends():
    x = normal(0, B, K, 5, 8, C)
    params = {"params": {"Dense_0": {"kernel": normal(1, 4 * C, 4 * F), "bias": normal(2, 4 * F)}}}
    whole = TransposedConvolution(F).apply(params, x)
    cropped = TransposedConvolution(F, (9, 13)).apply(params, x)
    assert whole.shape == (B, K, 10, 16, F)
    np.testing.assert_array_equal(cropped, whole[..., :9, :13, :])


def test_space_to_depth_folds_blocks_and_depth_to_space_unfolds_them():
    x = normal(0, B, K, 20, 30, C)
    folded = space_to_depth(x)
    assert folded.shape == (B, K, 10, 15, 4 * C)
    np.testing.assert_array_equal(folded[1, 2, 3, 4], x[1, 2, 6:8, 8:10].reshape(-1))
    np.testing.assert_array_equal(depth_to_space(folded), x)
    np.testing.assert_array_equal(space_to_depth(depth_to_space(folded)), folded)
