"""What stands behind the theory notebook's sliders: the contract's numbers, and SciPy's."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import softmax

from mixvae.example_runs import tiny_config, tiny_images
from mixvae.metrics import estimator_bias
from mixvae.model import build_model
from mixvae.objective import build_objective
from workbench import theory

K, H, W = 5, 12, 9
IMAGES = tiny_images(3, seed=1).astype(np.float32) / 255
LOGITS = np.array([0.7, -1.1, 0.0, 0.4], np.float32)


@pytest.fixture(scope="module")
def made():
    """An objective over an untrained model of two FiLM blocks, its weights moved off their initial zeros."""
    config = tiny_config(**{"model.hidden_dims": [6, 4]})
    model = build_model(config, (H, W, 1))
    params = jax.jit(model.init)(jax.random.PRNGKey(1), IMAGES)["params"]
    moved = jax.tree.map(lambda p: p + 0.2 * np.cos(np.arange(p.size, dtype=np.float32)).reshape(p.shape), params)
    return build_objective(config, model), moved


def test_the_bound_lies_above_the_evidence_and_touches_it_at_the_posterior():
    x, means, sigma = 0.4, np.array([0.3, 0.75]), 0.15
    densities = stats.norm(means, sigma).pdf(x)
    best = math.log(densities[0] / densities[1])
    logits = jnp.array([best - 2.0, best, best + 0.5])
    found = theory.bound(jnp.full(3, x), logits, jnp.asarray(means), sigma, 1.0)
    evidence = -math.log(densities.mean()) - math.log(2 * math.pi) / 2
    np.testing.assert_allclose(found["evidence"], evidence, rtol=1e-5)
    np.testing.assert_allclose(found["loss"], found["recon"] + found["kl_c"], rtol=1e-6)
    gaps = found["loss"] - found["evidence"]
    assert abs(gaps[1]) < 1e-5 and gaps[0] > 0.01 and gaps[2] > 0.001


def test_certainty_that_costs_nothing_is_no_bound():
    found = theory.bound(jnp.full(3, 0.3), jnp.array([-6.0, 0.0, 6.0]), jnp.array([0.3, 0.75]), 0.15, 0.0)
    np.testing.assert_array_equal(found["loss"], found["recon"])
    assert list(found["loss"] < found["evidence"] - 0.5) == [False, False, True]


def test_a_latent_is_rendered_and_scored_by_each_channel(made):
    objective, params = made
    seen = theory.in_every_channel(objective, params, IMAGES[1], 0)
    shapes = [a.shape for a in seen]
    assert shapes == [(K,), (K,), (K,), (K, H, W, 1)]
    x, m = IMAGES[1].astype(np.float64), np.asarray(seen.pictures, np.float64)
    np.testing.assert_allclose(seen.nll, -(x * np.log(m) + (1 - x) * np.log(1 - m)).sum((1, 2, 3)), rtol=1e-4)
    another = theory.in_every_channel(objective, params, IMAGES[1], 1)
    np.testing.assert_array_equal(another.kl, seen.kl)
    assert (another.nll != seen.nll).all() and seen.q.sum() == pytest.approx(1)


def test_temperature_moves_weights_and_slopes_and_no_choice():
    draws = theory.choices(jnp.asarray(LOGITS), 3000)
    hard, soft, q = np.asarray(draws.hard), np.asarray(draws.soft), softmax(LOGITS)
    np.testing.assert_array_equal(hard, np.broadcast_to(hard[:1], hard.shape))
    np.testing.assert_array_equal(hard.argmax(-1), soft.argmax(-1))
    np.testing.assert_allclose(hard[0].mean(0), q, atol=3 * math.sqrt(0.25 / 3000))
    np.testing.assert_allclose(draws.q, np.broadcast_to(q, draws.q.shape), rtol=1e-5)
    assert (np.diff(soft.max(-1).mean(1)) < 0).all()
    taus = np.array(theory.TAUS)[:, None]
    np.testing.assert_allclose(draws.slope, soft[..., 0] * (1 - soft[..., 0]) / taus, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(draws.exact_slope, q[0] * (1 - q[0]), rtol=1e-5)


def test_the_exact_gradient_of_pixels_is_the_covariance_of_choice_and_loss():
    sharpness, sigma = 1.5, 0.2
    found = theory.pixel_gradients(sharpness, sigma, draws=2)["exact"]
    assert found.shape == (len(theory.TAUS), 1, 100, 3)
    loss = (theory.PIXELS[:, None] - theory.RENDERED) ** 2 / (2 * sigma**2) + math.log(sigma)
    q = softmax(-sharpness * loss, axis=1)
    expected = q * (loss - (q * loss).sum(1, keepdims=True))
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=1e-4)


@pytest.mark.parametrize("estimator", ["straight_through", "gumbel"])
def test_a_hot_estimator_is_biased_and_a_cold_one_noisy(estimator):
    found = theory.pixel_gradients(1.0, 0.2, draws=200)
    exact = found["exact"][0, 0]
    cold, hot = (estimator_bias(found[estimator][theory.TAUS.index(tau)], exact) for tau in (0.1, 5.0))
    assert hot.relative > 0.5 > 10 * hot.error and cold.noise > 10 * hot.noise
    assert cold.relative < 3 * cold.error


def test_every_film_layer_does_what_its_equation_says(made):
    objective, params = made
    z, w = np.float32([[0.3, -1.2], [2.0, 0.1]]), np.eye(K, dtype=np.float32)[[1, 4]]
    pictures, blocks = theory.film(objective.model, params, z, w)
    decode = jax.jit(partial(objective.model.apply, method="decode"))
    np.testing.assert_allclose(pictures, decode({"params": params}, z, w), rtol=1e-5, atol=1e-6)
    assert [block.norm.shape for block in blocks] == [(2, 6), (2, 4)]
    for norm, gamma, beta, film in blocks:
        np.testing.assert_allclose(film, (1 + gamma) * norm + beta, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(np.mean(norm, -1), 0, atol=1e-5)
        assert np.abs(film - norm).max() > 0.01


def test_over_the_simplex_kl_c_asks_for_doubt_and_usage_for_balance():
    q = jnp.array([[1 / 3, 1 / 3, 1 / 3], [1.0, 0.0, 0.0], [0.8, 0.1, 0.1]])
    kl_c, usage = theory.over_simplex(q, 2.0)
    np.testing.assert_allclose(kl_c, [0, math.log(3), stats.entropy(q[2], np.ones(3) / 3)], atol=1e-5)
    np.testing.assert_allclose(usage, [3 * math.log(3), 2 * math.log(1e8), -math.log(0.8 * 0.1 * 0.1)], rtol=1e-5)


def test_log_sigma_counted_once_a_pixel_and_once():
    per_pixel, once = theory.image_nll(784, 0.1, jnp.array([0.5, 0.1, 0.05]))
    np.testing.assert_allclose(per_pixel, [-527.75, -1413.23, -780.65], atol=0.01)
    np.testing.assert_allclose(
        once, [784 * 0.02 + math.log(0.5), 392 + math.log(0.1), 1568 + math.log(0.05)], rtol=1e-5
    )
    sigmas = jnp.geomspace(0.05, 5, 400)
    least = [float(sigmas[jnp.argmin(nats)]) for nats in theory.image_nll(196, 0.1, sigmas)]
    assert least == pytest.approx([0.1, 0.1 * 14], rel=0.02)


def test_the_heads_sigma_stays_between_its_bounds_with_a_slope_everywhere():
    sigma, slope = theory.head_sigma(jnp.array([-8.0, 0.0, 8.0]), 0.05, 0.5)
    np.testing.assert_allclose(sigma, [0.05, 0.1581, 0.5], rtol=2e-3)
    assert (slope > 1e-4).all() and slope[1] == pytest.approx(math.log(10) / 4)


def test_views_within_no_bounds_cost_nothing_and_the_terms_are_of_all_images(made):
    objective, params = made
    compare = partial(theory.compared, objective, params, IMAGES)
    still = compare(dict(degrees=0.0, shift=0.0, scale=0.0, shear=0.0), 0)
    turned = compare(dict(degrees=90.0, shift=3.0, scale=0.5, shear=0.5), 0)
    np.testing.assert_allclose(still.views, IMAGES, atol=1e-6)
    np.testing.assert_allclose(still.inv, 0, atol=1e-6)
    assert (turned.inv > 1e-6).all() and turned.inv.mean() == pytest.approx(float(turned.terms.inv), rel=1e-5)
    assert turned.q.shape == (2, 3, K) and (turned.q[0] == still.q[0]).all()
