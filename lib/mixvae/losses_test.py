"""The objective's terms: the contract's numbers, then SciPy's: B=3, K=5, D=2."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from mixvae.config import Config, Knobs, ModelConfig
from mixvae.losses import all_channel_tax, kl_categorical, kl_latents, kl_normal, usage
from mixvae.model import build_model
from mixvae.modules.encoders import Posterior
from mixvae.objective import build_objective
from mixvae.routing import lock

B, K, D = 3, 5, 2
rng = np.random.default_rng(0)
LOGITS = rng.normal(scale=2.0, size=(B, K)).astype(np.float32)
Q = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)


def test_the_latents_kl_of_the_contract():
    assert kl_normal(jnp.ones((10, 2)), jnp.zeros((10, 2))).sum() == 10.0
    assert kl_normal(jnp.zeros(2), jnp.full(2, math.log(4))) == pytest.approx(1.6137, abs=5e-5)


@pytest.mark.parametrize("mean, log_var", [(0.0, 0.0), (1.3, -2.0), (-0.4, 1.5), (3.0, -6.0)])
def test_the_latents_kl_is_its_integral(mean, log_var):
    q = stats.norm(mean, math.exp(log_var / 2))
    integral, _ = quad(lambda z: q.pdf(z) * (q.logpdf(z) - stats.norm.logpdf(z)), *q.ppf([1e-14, 1 - 1e-14]))
    assert kl_normal(jnp.array([mean]), jnp.array([log_var])) == pytest.approx(integral, rel=1e-5, abs=1e-6)


def test_the_latents_kl_sums_the_last_axis_alone():
    mean, log_var = rng.normal(size=(2, B, K, D)).astype(np.float32)
    found = kl_normal(mean, log_var)
    assert found.shape == (B, K)
    parts = kl_normal(mean[..., :1], log_var[..., :1]) + kl_normal(mean[..., 1:], log_var[..., 1:])
    np.testing.assert_allclose(found, parts, rtol=1e-5)


@pytest.mark.parametrize("k_active, kl", [(None, 2.3026), (10, 2.3026), (2, 0.6931)])
def test_the_channels_kl_of_the_contract(k_active, kl):
    assert kl_categorical(jnp.array([80.0] + 9 * [0.0]), k_active) == pytest.approx(kl, abs=5e-5)


def test_the_channels_kl_and_its_gradient_where_channels_are_locked():
    kl, gradient = jax.value_and_grad(lambda x: kl_categorical(lock(x, 2), k_active=2))(jnp.array([1.0, 3.0, 9.0, 2.0]))
    assert kl == pytest.approx(0.3278, abs=5e-5)
    np.testing.assert_allclose(gradient, [-0.2100, 0.2100, 0, 0], atol=5e-5)
    assert not gradient[2:].any()


@pytest.mark.parametrize("k_active", range(1, K + 1))
def test_the_channels_kl_is_scipys_relative_entropy(k_active):
    q = Q[:, :k_active] / Q[:, :k_active].sum(-1, keepdims=True)
    expected = stats.entropy(q, np.full_like(q, 1 / k_active), axis=-1)
    np.testing.assert_allclose(kl_categorical(LOGITS, k_active), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(jax.jit(kl_categorical)(LOGITS, k_active), expected, rtol=1e-5, atol=1e-6)


def test_every_channel_pays_or_each_by_its_responsibility():
    kl = rng.gamma(2.0, size=(B, K)).astype(np.float32)
    tax = ((1 - Q) * kl).sum(-1)
    np.testing.assert_allclose(kl_latents(kl, Q, "routed"), (Q * kl).sum(-1), rtol=1e-6)
    np.testing.assert_allclose(all_channel_tax(kl, Q), tax, rtol=1e-5)


@pytest.mark.parametrize("scope", ["all", "routed"])
def test_a_latent_that_all_channels_share_counts_once(scope):
    kl = rng.gamma(2.0, size=(B, 1)).astype(np.float32)
    np.testing.assert_allclose(kl_latents(kl, Q, scope), kl[:, 0], rtol=1e-6)
    np.testing.assert_allclose(all_channel_tax(kl, Q), 0, atol=1e-6)


@pytest.mark.parametrize("alpha", [1.5, 4.0])
@pytest.mark.parametrize("k_active", [2, 4, K])
def test_usage_is_the_dirichlet_prior_less_its_constant(alpha, k_active):
    q = jax.nn.softmax(lock(LOGITS, k_active))
    mean = np.float64(q.mean(0))[:k_active]
    constant = stats.dirichlet([alpha] * k_active).logpdf(np.full(k_active, 1 / k_active))
    constant += (alpha - 1) * k_active * math.log(k_active)
    expected = constant - stats.dirichlet([alpha] * k_active).logpdf(mean / mean.sum())
    assert usage(q, alpha, k_active) == pytest.approx(expected, rel=1e-5)


def test_usage_is_off_at_one_and_finite_for_a_channel_that_nobody_uses():
    assert usage(Q, 1.0, K) == 0
    loss, gradient = jax.value_and_grad(lambda q: usage(q, 3.0, K))(jnp.array(Q).at[:, 1].set(0.0))
    assert 2 * math.log(1e8) < loss < math.inf and np.isfinite(gradient).all()


def test_usage_pulls_towards_a_channel_that_is_used_too_little():
    gradient = jax.grad(lambda x: usage(jax.nn.softmax(x), 2.0, K))(LOGITS).sum(0)
    assert np.argmin(gradient) == np.argmin(Q.mean(0)) and np.argmax(gradient) == np.argmax(Q.mean(0))


def test_an_unchosen_channels_mean_moves_the_latents_kl_and_not_the_reconstruction():
    sizes = dict(num_components=K, latent_dim=D, hidden_dims=(6,), width=2, hidden=4)
    config = Config(model=ModelConfig(encoder="dense", decoder="dense", **sizes))
    model = build_model(config, (8, 8, 1))
    objective, x = build_objective(config, model), rng.uniform(size=(B, 8, 8, 1)).astype(np.float32)
    knobs = Knobs(*[0.0] * len(Knobs._fields))._replace(tau=1.0, k_active=K, router_recon=1.0, w_evidence=1.0)
    chosen = np.array([0, 3, 4])

    @jax.jit
    def score(params, mean):
        posterior = Posterior(80.0 * jax.nn.one_hot(chosen, K), mean, jnp.zeros((B, K, D)))
        recon = objective.reconstruction(params["params"], posterior, jax.random.key(1), x, knobs)
        return recon, kl_latents(kl_normal(mean, posterior.log_var), jax.nn.softmax(posterior.logits), "all")

    params, mean = jax.jit(model.init)(jax.random.key(0), x), np.ones((B, K, D), np.float32)
    recon, kl = score(params, mean)
    unchosen, own = mean.copy(), mean.copy()
    unchosen[:, 1], own[np.arange(B), chosen] = 0.0, 0.0
    np.testing.assert_array_equal(score(params, unchosen)[0], recon)
    np.testing.assert_allclose(score(params, unchosen)[1], kl - 1.0)
    assert (score(params, own)[0] != recon).all()
