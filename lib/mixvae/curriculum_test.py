"""Newcomers start as perturbed copies and touch nobody else, in both layouts: K=5, D=2, E=7."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mixvae import curriculum
from mixvae.config import Config, ModelConfig
from mixvae.curriculum import NOISE, forget, parents_of, split
from mixvae.model import build_model
from mixvae.step import build_optimiser

K, D, E = 5, 2, 7
PARENTS, NEWCOMERS, OTHERS = np.array([1, 0, 1]), np.array([2, 3, 4]), [0, 1]
X = np.random.default_rng(0).uniform(size=(3, 8, 8, 1)).astype(np.float32)
BOTH = pytest.mark.parametrize("layout", ["decentralized", "shared"])
KEY = jax.random.key(0)


@cache
def model(layout):
    sizes = dict(num_components=K, latent_dim=D, component_embedding_dim=E, hidden_dims=(6,), width=2, hidden=4)
    return build_model(
        Config(model=ModelConfig(encoder="dense", decoder="dense", latent_layout=layout, **sizes)), X.shape[1:]
    )


@cache
def params(layout):
    draw = np.random.default_rng(1).normal
    shapes = jax.eval_shape(model(layout).init, KEY, X)["params"]
    return jax.tree.map(lambda leaf: jnp.asarray(draw(size=leaf.shape), np.float32), shapes)


def copied(layout, seed=0):
    """The parameters once the newcomers are there."""
    return split(jax.random.key(seed), model(layout), params(layout), PARENTS, NEWCOMERS)


def own(params, layout):
    """Each channel's own parameters, the channel's axis first, and all the others."""
    posterior = params["encoder"]["posterior"]
    rows = [params["embeddings"], posterior["router"]["kernel"].T, posterior["router"]["bias"][:, None]]
    if layout == "decentralized":
        rows += [np.reshape(posterior["latent"][name].T, (K, -1)) for name in ("kernel", "bias")]
    rest = [params["decoder"], {name: part for name, part in params["encoder"].items() if name != "posterior"}]
    rest += [posterior["latent"]] * (layout == "shared")
    return [np.asarray(r) for r in rows], jax.tree.leaves(rest)


@BOTH
def test_split_moves_the_newcomers_and_leaves_all_else_bit_for_bit(layout):
    (before, rest), (after, rest_after) = own(params(layout), layout), own(copied(layout), layout)
    assert len(rest) == len(rest_after)
    for found, expected in zip(rest_after, rest, strict=True):
        np.testing.assert_array_equal(found, expected)
    for found, expected in zip(after, before, strict=True):
        np.testing.assert_array_equal(found[OTHERS], expected[OTHERS])
        size = np.sqrt(np.mean(expected[PARENTS] ** 2, axis=-1, keepdims=True))
        noise = (found[NEWCOMERS] - expected[PARENTS]) / size
        assert (noise != 0).all() and np.abs(noise).max() < 5 * NOISE
        assert (found[2] != found[4]).all()  # two of one parent


@BOTH
def test_split_without_noise_copies_what_a_channel_sees_and_draws(layout, monkeypatch):
    monkeypatch.setattr(curriculum, "NOISE", 0.0)
    see = jax.jit(lambda p: model(layout).apply({"params": p}, X))
    (posterior, images), (original, drawn) = see(copied(layout)), see(params(layout))
    origin = np.array([0, 1, *PARENTS])
    np.testing.assert_allclose(posterior.logits, original.logits[:, origin], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(images, drawn[:, origin], atol=1e-5)
    if layout == "decentralized":
        np.testing.assert_allclose(posterior.mean, original.mean[:, origin], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(posterior.log_var, original.log_var[:, origin], rtol=1e-5, atol=1e-5)


def test_split_follows_its_key():
    first, again, other = (copied("shared", seed)["embeddings"] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first[NEWCOMERS] != other[NEWCOMERS]).all()


@BOTH
def test_forget_zeroes_the_newcomers_moments_and_no_others(layout):
    state = jax.tree.map(lambda a: a + 1, build_optimiser(1.0, 0.99, 1e-4).init(params(layout)))
    found = forget(model(layout), state, NEWCOMERS)
    assert jax.tree.structure(found) == jax.tree.structure(state)
    moments = [part for part in jax.tree.leaves(found, is_leaf=lambda part: hasattr(part, "mu")) if hasattr(part, "mu")]
    (adam,) = moments
    assert adam.count == 1
    for moment in (adam.mu, adam.nu):
        rows, rest = own(moment, layout)
        for row in rows:
            assert not row[NEWCOMERS].any() and (row[OTHERS] == 1).all()
        assert all((leaf == 1).all() for leaf in rest)


@pytest.mark.parametrize(
    "newcomers, losses, parents",
    [
        ([2], [5.0, 9.0, 0.0, 0.0, 0.0], [1]),
        ([2, 3, 4], [5.0, 9.0, 0.0, 0.0, 0.0], [1, 0, 1]),
        ([3, 4], [1.0, 7.0, 4.0, 99.0, 99.0], [1, 2]),
        ([1, 2, 3, 4], [3.0, 0.0, 0.0, 0.0, 0.0], [0, 0, 0, 0]),
        ([2, 3, 4], [4.0, 4.0, 0.0, 0.0, 0.0], [0, 1, 0]),
    ],
)
def test_newcomers_are_dealt_one_each_to_those_that_lose_most_and_then_around(newcomers, losses, parents):
    channel = np.arange(newcomers[0]).repeat(2)  # of two images each, one of which loses nothing
    loss = np.stack([losses[: newcomers[0]], np.zeros(newcomers[0])], 1).ravel()
    assert parents_of(np.array(newcomers), channel, loss).tolist() == parents


def test_a_channel_without_images_has_nothing_to_share_where_a_density_makes_losses_negative():
    channel, loss = np.array([0, 0, 0, 2, 2]), np.array([-900.0, -950.0, -800.0, -700.0, -990.0])
    assert parents_of(np.array([3, 4, 5]), channel, loss).tolist() == [0, 2, 1]  # above -990: 320, 290, none
