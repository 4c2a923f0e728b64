"""The meter against what each estimator's mean gradient is by quadrature, and against the objective's own gradient."""

from dataclasses import replace
from functools import cache, partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from mixvae.config import Knobs
from mixvae.estimators import logit_gradients, measure
from mixvae.example_runs import UNLABELLED, tiny_config, tiny_images
from mixvae.model import build_model
from mixvae.objective import build_objective
from mixvae.routing import ESTIMATORS

B, H, W = 110, 12, 9
X = tiny_images(B, seed=5).astype(np.float32) / 255
KEYS = jax.random.split(jax.random.PRNGKey(0))  # as `measure` splits its seed
EACH = pytest.mark.parametrize("estimator", ESTIMATORS)
NOISY = ESTIMATORS[:2]


@cache
def made(channels=5):
    """An untrained objective whose channels differ, and its weights."""
    config = tiny_config(**UNLABELLED, **{"model.num_components": channels})
    model = build_model(config, (H, W, 1))
    params = jax.jit(model.init)(jax.random.PRNGKey(1), X[:1])["params"]
    key = jax.random.PRNGKey(2)
    leaves, structure = jax.tree.flatten(params)
    moved = [p + 0.3 * jax.random.normal(jax.random.fold_in(key, i), p.shape) for i, p in enumerate(leaves)]
    return build_objective(config, model), jax.tree.unflatten(structure, moved)


def losses(objective, params):
    """L [B, K] of every channel, decoded one after the other, and the logits."""
    return [np.asarray(a, np.float64) for a in decoded(objective, params)]


@partial(jax.jit, static_argnums=0)
def decoded(objective, params):
    posterior = objective.encode(params, X)
    z = objective.latents(KEYS[0], posterior)
    one_hot = jnp.eye(z.shape[1])
    each = [objective.nll(params, z[:, k], jnp.tile(one_hot[k], (B, 1)), X) for k in range(z.shape[1])]
    return jnp.stack(each, 1), posterior.logits


def softmax(logits):
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


@pytest.mark.parametrize("k_active", [3, 5])
def test_the_exact_gradient_is_the_covariance_of_choice_and_loss(k_active):
    objective, params = made()
    found = logit_gradients(replace(objective, estimator="exact"), params, X, KEYS[0], KEYS[1:], 0.7, k_active)
    loss, logits = (a[:, :k_active] for a in losses(*made()))
    q = softmax(logits)
    expected = q * (loss - (q * loss).sum(1, keepdims=True))
    assert found.shape == (1, B, 5) and not found[..., k_active:].any()
    np.testing.assert_allclose(found[0, :, :k_active], expected, rtol=2e-3, atol=1e-3)


@EACH
@pytest.mark.parametrize("tau", [0.4, 1.7])
def test_a_draw_is_the_gradient_that_training_would_take(estimator, tau):
    objective, params = made()
    objective = replace(objective, estimator=estimator)
    posterior, key = objective.encode(params, X), jax.random.PRNGKey(8)
    knobs = Knobs(*[0.0] * len(Knobs._fields))._replace(tau=tau, k_active=4, router_recon=1.0, w_evidence=1.0)

    @jax.jit
    def reconstruction(logits):
        return B * objective.reconstruction(params, posterior._replace(logits=logits), key, X, knobs)

    key_z, key_c = jax.random.split(key)
    (found,) = logit_gradients(objective, params, X, key_z, key_c[None], tau, 4)
    expected = jax.grad(reconstruction)(posterior.logits)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def mean_by_quadrature(estimator, tau):
    """E g [B, 2] for two channels: the difference of two Gumbels is logistic, and d = l_0 - l_1 + it decides.

    The weight of channel 0 is s(d / tau), so E g_0 = E[s (1 - s) / tau * (slope_0 - slope_1)], the slopes being L
    itself where every channel is decoded, and dL/dw at the choice, d > 0, where one is.
    """
    objective, params = made(2)
    objective = replace(objective, estimator=estimator)
    loss, logits = losses(objective, params)
    noise = stats.logistic.ppf((np.arange(20_000) + 0.5) / 20_000)
    d = (logits[:, :1] - logits[:, 1:]) + noise
    s = 1 / (1 + np.exp(-d / tau))
    gap = np.broadcast_to((loss[:, 0] - loss[:, 1])[:, None], d.shape)
    if estimator == "straight_through":
        z = objective.latents(KEYS[0], objective.encode(params, X))
        slopes = jax.jit(jax.grad(lambda w: objective.routed_nll(params, z, w, X).sum()))
        at = [np.asarray(slopes(jnp.tile(jnp.eye(2)[k], (B, 1))), np.float64) for k in range(2)]
        gap = np.where(d > 0, *((a[:, 0] - a[:, 1])[:, None] for a in at))
    g = (s * (1 - s) / tau * gap).mean(1)
    return np.stack([g, -g], 1)


@pytest.mark.parametrize("estimator", NOISY)
@pytest.mark.parametrize("tau", [0.5, 2.0])
def test_bias_and_cosine_are_those_of_the_mean_gradient(estimator, tau):
    found = measure(*made(2), X, tau=tau, k_active=2, draws=3000)[estimator]
    loss, logits = losses(*made(2))
    q = softmax(logits)
    exact = q * (loss - (q * loss).sum(1, keepdims=True))
    mean = mean_by_quadrature(estimator, tau)
    relative = np.linalg.norm(mean - exact) / np.linalg.norm(exact)
    cosine = (mean * exact).sum() / np.linalg.norm(mean) / np.linalg.norm(exact)
    assert found.error < 0.1 and abs(found.relative - relative) < 2 * found.error
    assert found.cosine == pytest.approx(cosine, abs=0.02)


@pytest.mark.parametrize("tau", [0.1, 5.0])
def test_the_exact_estimator_has_neither_bias_nor_noise_at_any_temperature(tau):
    found = measure(*made(), X, tau=tau, k_active=4, draws=7)["exact"]
    assert (found.relative, found.error, found.noise) == (0, 0, 0) and found.cosine == pytest.approx(1)


def test_a_hot_gumbel_is_all_bias_and_a_cold_one_mostly_noise():
    found = [measure(*made(), X, tau=tau, k_active=5)["gumbel"] for tau in (200.0, 5.0, 2.0, 1.0, 0.3)]
    assert found[0].relative == pytest.approx(1, abs=0.02) and found[0].noise < 0.02
    assert all(hot.relative > cold.relative + 2 * cold.error for hot, cold in pairwise(found))
    assert all(hot.noise < cold.noise for hot, cold in pairwise(found))


def test_bytes_are_measured_as_the_pixels_that_they_are():
    objective, params = made()
    bytes_, wrong = np.rint(255 * X).astype(np.uint8), "images have pixels from 0 to 2"
    found = [measure(objective, params, x, tau=1.0, k_active=5, draws=5)["gumbel"] for x in (X, bytes_)]
    assert found[1].cosine == pytest.approx(found[0].cosine, rel=1e-4)
    with pytest.raises(ValueError, match=wrong):
        measure(objective, params, bytes_.astype(np.float32), tau=1.0, k_active=5, draws=5)


def test_where_one_channel_is_unlocked_there_is_nothing_to_measure():
    with pytest.raises(ValueError, match="exact gradient is 0 everywhere"):
        measure(*made(), X, tau=1.0, k_active=1, draws=7)
