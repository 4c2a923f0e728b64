"""Routing with the contract's numbers, then what holds for any logits: B=3, K=5."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mixvae.losses import kl_categorical
from mixvae.routing import lock, route

B, K = 3, 5
ESTIMATORS = ("straight_through", "gumbel", "exact")
EACH = pytest.mark.parametrize("estimator", ESTIMATORS)
LOGITS = np.random.default_rng(0).normal(scale=3.0, size=(B, K)).astype(np.float32)
COSTS = jnp.arange(1.0, K + 1)
KEY = jax.random.key(0)
routed = jax.jit(route, static_argnames="estimator")


@EACH
def test_locked_channels_get_no_weight_and_the_rest_share_it(estimator):
    weights = route(None, jnp.array([2.0, 1.0, 0.0]), tau=1.0, k_active=2, estimator=estimator)
    expected = [1, 0, 0] if estimator == "straight_through" else [0.7311, 0.2689, 0]
    np.testing.assert_allclose(weights, expected, atol=5e-5)


@pytest.mark.parametrize("tau, weights", [(1.0, [0.665, 0.245, 0.090]), (0.5, [0.867, 0.117, 0.016])])
def test_a_lower_temperature_sharpens(tau, weights):
    found = route(None, jnp.array([2.0, 1.0, 0.0]), tau=tau, k_active=3, estimator="gumbel")
    np.testing.assert_allclose(found, weights, atol=5e-4)


@pytest.mark.parametrize("tau", [1.0, 0.5])
def test_straight_through_decides_hard_and_learns_softly(tau):
    def cost(logits):
        return route(None, logits, tau=tau, k_active=3) @ jnp.array([1.0, 2.0, 3.0])

    loss, gradient = jax.value_and_grad(cost)(jnp.zeros(3))
    assert loss == 1.0
    np.testing.assert_allclose(gradient, np.array([-1, 0, 1]) / 3 / tau, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("tau", [1.0, 0.5, 2.0])
def test_straight_through_and_gumbel_share_their_gradient(tau):
    def cost(logits, estimator):
        return (routed(KEY, logits, tau=tau, k_active=4, estimator=estimator) @ COSTS).sum()

    hard, soft = (jax.grad(cost)(LOGITS, estimator) for estimator in ESTIMATORS[:2])
    np.testing.assert_allclose(hard, soft, rtol=1e-6)


def test_exact_is_the_posterior_itself_and_ignores_noise_and_temperature():
    expected = jax.nn.softmax(lock(LOGITS, 4))
    for key, tau in [(None, 1.0), (KEY, 0.1), (jax.random.key(1), 5.0)]:
        np.testing.assert_array_equal(route(key, LOGITS, tau=tau, k_active=4, estimator="exact"), expected)


def test_the_noise_depends_on_the_key_alone():
    perturbed = [np.log(routed(KEY, LOGITS, tau=tau, k_active=K, estimator="gumbel")) * tau for tau in (1.0, 2.0, 5.0)]
    centred = [p - p.mean(-1, keepdims=True) for p in perturbed]
    np.testing.assert_allclose(centred[1:], [centred[0]] * 2, atol=1e-4)
    for tau in (0.1, 1.0, 5.0):
        hard = routed(KEY, LOGITS, tau=tau, k_active=K)
        np.testing.assert_array_equal(hard, jax.nn.one_hot(centred[0].argmax(-1), K))
    assert (routed(jax.random.key(1), LOGITS, tau=1.0, k_active=K, estimator="gumbel") != np.exp(perturbed[0])).any()


@EACH
def test_without_a_key_the_choice_is_repeatable_and_the_most_probable(estimator):
    first, second = (routed(None, LOGITS, tau=0.7, k_active=4, estimator=estimator) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first.argmax(-1), LOGITS[:, :4].argmax(-1))


def test_channels_are_drawn_in_proportion_to_their_responsibility():
    logits = jnp.broadcast_to(jnp.array([math.log(8), math.log(2)]), (100_000, 2))
    share = routed(KEY, logits, tau=0.5, k_active=2).mean(0)
    np.testing.assert_allclose(share, [0.8, 0.2], atol=0.004)  # three standard errors


@EACH
@pytest.mark.parametrize("key", [None, KEY], ids=["without noise", "with noise"])
def test_locked_channels_weigh_and_learn_exactly_nothing_at_any_temperature(estimator, key):
    def cost(logits, costs, tau, k_active):
        weights = route(key, logits, tau=tau, k_active=k_active, estimator=estimator)
        loss = jnp.sum(weights * costs) + kl_categorical(logits, k_active).sum()
        return loss, weights

    learn = jax.jit(jax.value_and_grad(cost, (0, 1), has_aux=True))
    costs = jnp.broadcast_to(COSTS, (B, K))
    for tau in (0.1, 1.0, 5.0):
        for k_active in range(1, K + 1):
            (loss, weights), (to_logits, to_costs) = learn(20.0 * LOGITS, costs, tau, k_active)
            assert np.isfinite(loss) and np.isfinite(to_logits).all()
            np.testing.assert_allclose(weights.sum(-1), 1.0, rtol=1e-6)
            for locked in (weights, to_logits, to_costs):
                assert not locked[:, k_active:].any()
    assert learn._cache_size() == 1


@EACH
def test_one_unlocked_channel_takes_everything(estimator):
    for tau in (0.1, 5.0):
        weights = routed(KEY, LOGITS, tau=tau, k_active=1, estimator=estimator)
        np.testing.assert_array_equal(weights, np.eye(K)[[0] * B])


def test_lock_leaves_the_unlocked_logits_alone():
    np.testing.assert_array_equal(lock(LOGITS, 2)[:, :2], LOGITS[:, :2])
    np.testing.assert_array_equal(lock(LOGITS, 2)[:, 2:], -1e9)


def test_an_unknown_estimator_is_refused_by_name():
    with pytest.raises(ValueError, match=r"estimator='straight'.*straight_through, gumbel, exact"):
        route(KEY, LOGITS, tau=1.0, k_active=K, estimator="straight")
