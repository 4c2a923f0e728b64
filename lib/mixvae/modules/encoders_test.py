"""Encoders: a posterior for every image by itself, in both layouts: B=3, K=5, D=2, H=20, W=30, C=3."""

from functools import partial

import jax
import numpy as np
import pytest

from mixvae.config import ModelConfig
from mixvae.model import build_encoder
from mixvae.modules.encoders import LOG_VAR_RANGE

B, K, D, H, W, C = 3, 5, 2, 20, 30, 3
rng = np.random.default_rng(0)
X = rng.normal(size=(B, 2, H, W, C)).astype(np.float32)
BOTH = pytest.mark.parametrize("kind", ["conv", "dense"])


def encoder(kind, layout="decentralized"):
    sizes = dict(num_components=K, latent_dim=D, width=3, hidden=6, hidden_dims=(6, 8))
    return build_encoder(ModelConfig(encoder=kind, latent_layout=layout, **sizes))


def made(kind):
    """An encoder and parameters for it, none of them special."""
    shapes = jax.eval_shape(encoder(kind).init, jax.random.key(0), X)
    return encoder(kind), jax.tree.map(lambda leaf: 0.5 * rng.normal(size=leaf.shape).astype(np.float32), shapes)


@partial(jax.jit, static_argnums=0)
def encode(encoder, params, x):
    return encoder.apply(params, x)


@BOTH
@pytest.mark.parametrize("layout, latents", [("decentralized", K), ("shared", 1)])
@pytest.mark.parametrize("shape", [(B, H, W, C), (B, 2, 9, 13, 1), (8, 8, 2)])
def test_the_shapes_of_a_posterior(kind, layout, latents, shape):
    init = partial(encoder(kind, layout).init_with_output, jax.random.key(0))
    posterior, _ = jax.eval_shape(init, np.zeros(shape, np.float32))
    assert posterior.logits.shape == (*shape[:-3], K)
    assert posterior.mean.shape == posterior.log_var.shape == (*shape[:-3], latents, D)


@BOTH
def test_an_image_is_encoded_by_itself(kind):
    module, params = made(kind)
    for whole, alone in zip(encode(module, params, X), encode(module, params, X[::-1, 1]), strict=True):
        assert np.std(whole, axis=(0, 1)).min() > 0
        np.testing.assert_allclose(whole[::-1, 1], alone, atol=1e-5)


def test_log_variances_stay_in_range_however_far_the_image():
    module, params = made("dense")
    params["params"]["posterior"]["latent"]["bias"] = 100 * np.tile([0, 0, 1, -1], K).astype(np.float32)
    log_var = encode(module, params, X).log_var
    np.testing.assert_array_equal(log_var[..., 0], LOG_VAR_RANGE[1])
    np.testing.assert_array_equal(log_var[..., 1], LOG_VAR_RANGE[0])


@BOTH
def test_a_remade_encoder_is_the_same_encoder(kind):
    assert encoder(kind) == encoder(kind) and hash(encoder(kind)) == hash(encoder(kind))
    assert encoder(kind) != encoder(kind, "shared")


def test_the_dense_encoder_mirrors_the_dense_decoder():
    layers = jax.eval_shape(encoder("dense").init, jax.random.PRNGKey(0), X)["params"]
    assert [layers[f"Dense_{i}"]["kernel"].shape[-1] for i in range(2)] == [8, 6]
