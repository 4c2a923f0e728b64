"""FiLM against its formula in NumPy; concatenation; nothing at all: B=3, K=5, E=7, F=6."""

import jax
import numpy as np
import pytest

from mixvae.modules.conditioning import ConcatConditioner, FiLMLayer, NoopConditioner

B, K, E, F = 3, 5, 7, 6
LEADS = {"latents": ((B,), ()), "channels": ((B, K), ()), "maps": ((B,), (4, 9)), "channels' maps": ((B, K), (4, 9))}
rng = np.random.default_rng(0)
KERNEL, BIAS = rng.normal(size=(E, 2 * F)), rng.normal(size=2 * F)
film = jax.jit(lambda h, e: FiLMLayer().apply({"params": {"Dense_0": {"kernel": KERNEL, "bias": BIAS}}}, h, e))


def inputs(name):
    lead, inside = LEADS[name]
    return rng.normal(size=(*lead, *inside, F)).astype(np.float32), rng.normal(size=(*lead, E)).astype(np.float32)


def normed(h):
    return (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + 1e-6)


@pytest.mark.parametrize("name", LEADS)
def test_film_scales_and_shifts_the_normed_features(name):
    h, e = inputs(name)
    gamma, beta = np.split(e @ KERNEL + BIAS, 2, axis=-1)
    spread = (..., *[None] * (h.ndim - e.ndim), slice(None))
    np.testing.assert_allclose(film(h, e), (1 + gamma[spread]) * normed(h) + beta[spread], atol=2e-5)


@pytest.mark.parametrize("name", LEADS)
def test_film_is_the_norm_itself_at_initialisation(name):
    h, e = inputs(name)
    found, params = jax.jit(FiLMLayer().init_with_output)(jax.random.key(0), h, e)
    np.testing.assert_allclose(found, normed(h), atol=1e-5)
    assert {leaf.shape for leaf in jax.tree.leaves(params)} == {(E, 2 * F), (2 * F,)}


def test_film_reads_no_other_image():
    h, e = inputs("channels' maps")
    np.testing.assert_array_equal(film(h[::-1], e[::-1]), film(h, e)[::-1])
    h[1:] = 100.0
    np.testing.assert_array_equal(film(h, e)[0], film(h[:1], e[:1])[0])


def test_concat_puts_the_embedding_beside_the_latent():
    h, e = inputs("channels")
    np.testing.assert_array_equal(ConcatConditioner()(h, e), np.concatenate([h, e], -1))


def test_noop_gives_the_features_back_with_or_without_an_embedding():
    h, e = inputs("maps")
    assert NoopConditioner()(h, e) is h and NoopConditioner()(h) is h
    assert not NoopConditioner().init(jax.random.key(0), h)


def test_each_says_where_it_stands():
    assert [c.placement for c in (FiLMLayer, ConcatConditioner, NoopConditioner)] == ["block", "input", "anywhere"]
