"""Likelihoods with the contract's numbers, then against SciPy: B=3, H=20, W=30, C=3."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats

from mixvae.modules.outputs import HeteroscedasticHead, StandardHead, bernoulli_nll, gaussian_nll

B, H, W, C = 3, 20, 30, 3
rng = np.random.default_rng(0)
X = rng.uniform(size=(B, H, W, C)).astype(np.float32)
LOGITS = rng.normal(size=(B, H, W, 2 * C)).astype(np.float32)
HALF_LOG_2PI = 0.5 * math.log(2 * math.pi) * H * W * C


def as_given(features):
    """A projection that leaves the features alone, so that a test sets logits and s itself."""
    return lambda h: h


def score(head, features, x):
    return jax.jit(lambda f, x: head.apply({}, f, x, method="nll"))(features, x)


@pytest.mark.parametrize("sigma, nll", [(0.5, -527.75), (0.1, -1413.23), (0.05, -780.65)])
def test_the_gaussian_scores_of_the_contract(sigma, nll):
    x, mean = np.zeros((28, 28, 1)), np.full((28, 28, 1), 0.1)
    for shape in ((28, 28, 1), (1, 1, 1)):
        assert gaussian_nll(x, mean, np.full(shape, math.log(sigma))) == pytest.approx(nll, rel=1e-5)


def test_the_score_is_lowest_where_sigma_is_the_error():
    x, mean = np.zeros((28, 28, 1)), np.full((28, 28, 1), 0.1)
    slope = jax.grad(lambda log_sigma: gaussian_nll(x, mean, log_sigma))
    np.testing.assert_allclose(slope(np.full((28, 28, 1), np.log(0.1), np.float32)), 0.0, atol=1e-5)


def test_zero_logits_cost_a_bit_a_pixel():
    head = StandardHead(project=as_given)
    assert score(head, np.zeros((28, 28, 1)), np.zeros((28, 28, 1))) == pytest.approx(784 * math.log(2), rel=1e-6)


def test_a_bernoulli_stays_finite_where_its_mean_rounds_to_one():
    logits, x = np.full((8, 8, 1), 200.0, np.float32), np.zeros((8, 8, 1), np.float32)
    assert score(StandardHead(project=as_given), logits, x) == pytest.approx(200.0 * 64)


@pytest.mark.parametrize("sigma", [1.0, 0.3])
def test_the_standard_gaussian_is_scipys_less_its_constants(sigma):
    head = StandardHead(C, "gaussian", sigma, project=as_given)
    mean = head.apply({}, LOGITS[..., :C])
    expected = -stats.norm(mean, sigma).logpdf(X).sum((1, 2, 3)) - HALF_LOG_2PI - H * W * C * math.log(sigma)
    np.testing.assert_allclose(score(head, LOGITS[..., :C], X), expected, rtol=1e-5)


@pytest.mark.parametrize("per, shape", [("pixel", (B, H, W, C)), ("image", (B, 1, 1, 1))])
def test_the_heteroscedastic_score_is_scipys_less_its_constant(per, shape):
    head = HeteroscedasticHead(C, 0.05, 0.5, per, project=as_given)
    mean, sigma = head.apply({}, LOGITS)
    assert mean.shape == (B, H, W, C) and sigma.shape == shape
    expected = -stats.norm(mean, sigma).logpdf(X).sum((1, 2, 3)) - HALF_LOG_2PI
    np.testing.assert_allclose(score(head, LOGITS, X), expected, rtol=1e-5)


def test_s_at_zero_is_the_geometric_middle_of_the_bounds():
    _, sigma = HeteroscedasticHead(project=as_given).apply({}, jnp.zeros((8, 8, 2)))
    np.testing.assert_allclose(sigma, math.sqrt(0.05 * 0.5), rtol=1e-5)
    assert sigma[0, 0, 0] == pytest.approx(0.158, abs=5e-4)


@pytest.mark.parametrize("s, bound", [(-30.0, 0.02), (30.0, 3.0)])
def test_sigma_runs_from_bound_to_bound(s, bound):
    head = HeteroscedasticHead(1, 0.02, 3.0, project=as_given)
    np.testing.assert_allclose(head.apply({}, jnp.full((8, 8, 2), s))[1], bound, rtol=1e-5)


@pytest.mark.parametrize("per", ["pixel", "image"])
def test_every_s_between_the_bounds_has_a_gradient(per):
    head = HeteroscedasticHead(C, sigma_per=per, project=as_given)
    features = np.concatenate([np.zeros((H, W, C)), np.linspace(-8, 8, H * W * C).reshape(H, W, C)], -1)
    gradient = jax.grad(lambda f: head.apply({}, f, 1.0, method="nll"))(features.astype(np.float32))
    assert (gradient[..., C:] != 0).all()


@pytest.mark.parametrize("logit", [0.0, 1e-3, -4.0, 9.0, -30.0, 200.0])
def test_the_bernoulli_is_optaxs_in_values_and_gradients(logit):
    x, logits = X, logit + LOGITS[..., :C]
    found = jax.value_and_grad(lambda a: bernoulli_nll(x, a).sum())(logits)
    expected = jax.value_and_grad(lambda a: optax.sigmoid_binary_cross_entropy(a, x).sum())(logits)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-6)
