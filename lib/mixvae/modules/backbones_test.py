"""Backbones: what comes out, and that every block passes through the condition: leading axes [B, K], D=2."""

import jax
import numpy as np
import pytest

from mixvae.modules.backbones import ConvBackbone, DenseBackbone

B, K, D = 3, 5, 2
Z = np.random.default_rng(0).normal(size=(B, K, D)).astype(np.float32)
BACKBONES = [
    (DenseBackbone((6, 4, 9)), (9,), [(6,), (4,), (9,)]),
    (DenseBackbone((6,)), (6,), [(6,)]),
    (ConvBackbone((20, 30), width=4, hidden=6), (10, 16, 4), [(6,), (5, 8, 8), (10, 16, 4)]),
    (ConvBackbone((9, 8), width=3, hidden=5), (6, 4, 3), [(5,), (3, 2, 6), (6, 4, 3)]),
]


@pytest.mark.parametrize("backbone, features, blocks", BACKBONES)
def test_every_block_passes_through_the_condition(backbone, features, blocks):
    seen = []

    def condition(h):
        seen.append(h.shape)
        return 0.0 * h

    found, params = jax.jit(lambda z: backbone.init_with_output(jax.random.key(0), z, condition))(Z)
    assert seen == [(B, K, *block) for block in blocks]
    assert found.shape == (B, K, *features) and not found.any()
    free = jax.jit(backbone.apply)(params, Z)
    assert free.shape == found.shape and np.std(free, axis=(0, 1)).min() > 0


def test_a_dense_backbone_without_layers_is_the_latent():
    np.testing.assert_array_equal(DenseBackbone(()).apply({}, Z), Z)
