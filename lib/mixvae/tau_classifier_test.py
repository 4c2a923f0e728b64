"""The tau-classifier's table, and what holds for any responsibilities: N=7, K=5, Y=3."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixvae.tau_classifier import certainty, channel_labels, count, label_nll, predict, surest, unlabelled_channels

N, K, Y = 7, 5, 3
Q, LABELS = jnp.array([[0.9, 0.1], [0.2, 0.8]]), jnp.array([0, 1])


def responsibilities(seed=0, scale=3.0, n=N):
    return jax.nn.softmax(scale * jax.random.normal(jax.random.key(seed), (n, K)))


def test_the_worked_example():
    counts = count(Q, LABELS, 2)
    table = channel_labels(counts)
    np.testing.assert_allclose(counts, [[1.9, 1.2], [1.1, 1.8]], rtol=1e-6)
    np.testing.assert_allclose(table, [[0.6129, 0.3871], [0.3793, 0.6207]], atol=5e-5)
    np.testing.assert_allclose(predict(Q[:1], table), [[0.5895, 0.4105]], atol=5e-5)
    np.testing.assert_allclose(certainty(Q[:1], table), [0.5516], atol=5e-5)
    np.testing.assert_allclose(label_nll(Q, LABELS, table), -np.log([0.5895, 0.5740]), atol=1e-4)


def test_without_labels_nothing_is_known_and_nothing_is_nan():
    q, labels = responsibilities(), jnp.full(N, -1)
    table = channel_labels(count(q, labels, Y))
    np.testing.assert_allclose(table, np.full((K, Y), 1 / Y), rtol=1e-6)
    np.testing.assert_allclose(predict(q, table), np.full((N, Y), 1 / Y), rtol=1e-6)
    assert unlabelled_channels(count(q, labels, Y)).all()
    loss, gradient = jax.value_and_grad(lambda q: label_nll(q, labels, table).sum())(q)
    assert loss == 0 and not gradient.any()


def test_unlabelled_images_change_nothing():
    q, labels = responsibilities(), jnp.array([0, -1, 2, 2, -1, 1, -1])
    known = np.flatnonzero(labels >= 0)
    counts = count(q, labels, Y, alpha0=0.5)
    np.testing.assert_allclose(counts, count(q[known], labels[known], Y, alpha0=0.5), rtol=1e-6)
    nll = label_nll(q, labels, channel_labels(counts))
    assert nll.shape == (N,) and not nll[labels < 0].any() and (nll[known] > 0).all()


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 1000),
    st.floats(0, 50),
    st.floats(0.01, 10),
    st.lists(st.integers(-1, Y - 1), min_size=N, max_size=N),
)
def test_probabilities_are_probabilities(seed, scale, alpha0, labels):
    q, labels = responsibilities(seed, scale), jnp.array(labels)
    counts = count(q, labels, Y, alpha0)
    table = channel_labels(counts)
    np.testing.assert_allclose(counts.sum() - K * Y * alpha0, (labels >= 0).sum(), atol=1e-3)
    np.testing.assert_allclose(table.sum(-1), np.ones(K), rtol=1e-5)
    np.testing.assert_allclose(predict(q, table).sum(-1), np.ones(N), rtol=1e-5)
    sure = certainty(q, table)
    assert (sure > 0).all() and (sure <= predict(q, table).max(-1) + 1e-5).all()


def test_the_gradient_reaches_the_responsibilities_and_not_the_table():
    q, labels = responsibilities(), jnp.array([0, -1, 2, 2, -1, 1, 0])
    table = channel_labels(count(q, labels, Y))
    to_q, to_table = jax.grad(lambda q, t: label_nll(q, labels, t).sum(), (0, 1))(q, table)
    assert not to_table.any() and not to_q[labels < 0].any()
    expected = -table.T[labels[0]] / predict(q, table)[0, labels[0]]
    np.testing.assert_allclose(to_q[0], expected, rtol=1e-5)


def test_an_impossible_label_stays_finite():
    q = jax.nn.softmax(jnp.array([[0.0, -1e9], [0.0, -80.0]]))
    loss, gradient = jax.value_and_grad(lambda q: label_nll(q, jnp.array([1, 1]), jnp.eye(2)).sum())(q)
    assert loss == pytest.approx(87.34 + 80, abs=0.01) and jnp.isfinite(gradient).all()


def test_traces_and_ignores_labels_it_cannot_read():
    q, labels = responsibilities(), jnp.array([0, 1, 2, 0, 1, 2, Y + 4])
    np.testing.assert_allclose(jax.jit(count, static_argnums=2)(q, labels, Y), count(q[:-1], labels[:-1], Y), rtol=1e-6)
    assert jax.jit(label_nll)(q, labels, jnp.full((K, Y), 1 / Y))[-1] == 0


def test_channels_without_a_label_are_named():
    q = jax.nn.one_hot(jnp.array([0, 0, 3, 4, 4, 4, 1]), K) * 0.999 + 0.0002
    labels = jnp.array([0, 1, 2, 0, 1, 2, -1])
    assert unlabelled_channels(count(q, labels, Y, alpha0=2.0), alpha0=2.0).tolist() == [
        False,
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: count(responsibilities(), jnp.zeros(N - 1, int), Y), r"\[N, K\].*\(7, 5\) and \(6,\)"),
        (lambda: count(responsibilities()[0], jnp.zeros(K, int), Y), r"\[N, K\].*\(5,\)"),
        (lambda: count(responsibilities(), jnp.full(N, Y), Y), r"labels \[3\] are outside 0 \.\.\. 2"),
        (lambda: count(responsibilities(), jnp.full(N, -2), Y), r"labels \[-2\]"),
        (lambda: count(responsibilities(), jnp.zeros(N, int), Y, alpha0=0.0), "alpha0"),
        (lambda: predict(responsibilities(), jnp.ones((K + 1, Y))), r"\(7, 5\) and \(6, 3\)"),
        (lambda: certainty(responsibilities(), jnp.ones(K)), r"\[K, Y\].*\(5,\)"),
        (lambda: label_nll(responsibilities(), jnp.full(N, Y), jnp.ones((K, Y))), "outside"),
    ],
)
def test_refusals_say_what_was_found(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_surest_image_of_a_channel_leads_by_most():
    logits = np.array([[5, 4, 0], [9, 1, 8.5], [0, 3, 1], [90, 95, 88], [1, 1, 1.5], [200, 100, 90]], np.float32)
    np.testing.assert_array_equal(surest(logits), [5, 3, 4])  # leads: channel 0 by 100, 1 by 5, 2 by 0.5
    np.testing.assert_array_equal(surest(logits[:, :1]), [5])


def test_the_surest_image_is_found_where_the_probabilities_are_all_1():
    logits = np.zeros((4, 2), np.float32)
    logits[:, 0] = [40, 50, 45, -60]
    assert (np.asarray(jax.nn.softmax(logits))[:3, 0] == 1).all()
    np.testing.assert_array_equal(surest(logits), [1, 3])
