"""Channel -> label from soft counts: s[k, y], T[k, y] = p(y | channel k), p(y|x) = sum_k q(k|x) T[k, y]."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

UNLABELLED = -1
_product = partial(jnp.einsum, precision="highest")  # counts and probabilities that sum exactly, on every device


def count(
    responsibilities: Float[Array, "n k"], labels: Int[Array, "n"], num_classes: int, alpha0: float = 1.0
) -> Float[Array, "k y"]:
    """s[k, y] = alpha0 + sum over n of q(k|x_n) 1[y_n = y]; images labelled -1 add nothing.

    Raises ValueError for other shapes, for alpha0 <= 0 (an unused channel would become 0 / 0), and for labels
    outside -1 ... num_classes - 1; traced labels cannot be read, and those outside the range add nothing.
    """
    _check_labels(responsibilities, labels, num_classes)
    if not isinstance(alpha0, jax.core.Tracer) and not alpha0 > 0:
        raise ValueError(f"alpha0={alpha0} leaves a channel without labels undefined (0 / 0); set alpha0 > 0")
    return alpha0 + _product("nk,ny->ky", responsibilities, jax.nn.one_hot(labels, num_classes))


def channel_labels(counts: Float[Array, "k y"]) -> Float[Array, "k y"]:
    """T[k, y] = s[k, y] / sum_y s[k, y]: rows sum to 1; without any label every row is uniform."""
    return counts / jnp.sum(counts, axis=-1, keepdims=True)


def predict(responsibilities: Float[Array, "n k"], table: Float[Array, "k y"]) -> Float[Array, "n y"]:
    """p(y|x) = sum_k q(k|x) T[k, y]; rows sum to 1. Raises ValueError when the channel axes differ."""
    _check_table(responsibilities, table)
    return _product("nk,ky->ny", responsibilities, table)


def certainty(responsibilities: Float[Array, "n k"], table: Float[Array, "k y"]) -> Float[Array, "n"]:
    """max_k [ q(k|x) max_y T[k, y] ], in (0, 1]; 1 - certainty marks what no channel can name."""
    _check_table(responsibilities, table)
    return jnp.max(responsibilities * jnp.max(table, axis=-1), axis=-1)


def surest(logits: Float[Array, "n k"]) -> Int[np.ndarray, "k"]:
    """For every channel the image that it is surest of: the largest lead of its logit over the best other one.

    The labels of these images name all channels, one label each. Logits, since q(c|x) is 1.0 in float32 for many.
    """
    logits = np.asarray(logits, np.float64)
    if logits.shape[1] == 1:
        return logits.argmax(0)
    ordered = np.sort(logits, axis=1)
    rival = np.where(logits == ordered[:, -1:], ordered[:, -2:-1], ordered[:, -1:])
    return (logits - rival).argmax(0)


def label_nll(
    responsibilities: Float[Array, "n k"], labels: Int[Array, "n"], table: Float[Array, "k y"]
) -> Float[Array, "n"]:
    """-log p(y|x) in nats, 0 for label -1; the gradient reaches q(k|x), the table is held constant.

    A label that no channel in use can have (p = 0, as where a table is one-hot) costs 87 nats and pulls at nothing.
    Raises ValueError as `count` and `predict` do.
    """
    probabilities = predict(responsibilities, jax.lax.stop_gradient(table))
    _check_labels(responsibilities, labels, table.shape[1])
    target = jax.nn.one_hot(labels, table.shape[1])
    evidence = jnp.where(target.any(-1), jnp.sum(target * probabilities, axis=-1), 1.0)
    return -jnp.log(jnp.maximum(evidence, jnp.finfo(evidence.dtype).tiny))


def unlabelled_channels(counts: Float[Array, "k y"], alpha0: float = 1.0, tolerance: float = 0.01) -> Bool[Array, "k"]:
    """The channels that no label reached: every s[k, y] within `tolerance` (in labels) of alpha0."""
    return jnp.all(jnp.abs(counts - alpha0) <= tolerance, axis=-1)


def _check_labels(responsibilities, labels, num_classes):
    """Shapes always; values only where they can be read."""
    found = jnp.shape(responsibilities), jnp.shape(labels)
    if len(found[0]) != 2 or found[1] != found[0][:1]:
        raise ValueError(f"expected responsibilities [N, K] and labels [N], found {found[0]} and {found[1]}")
    if isinstance(labels, jax.core.Tracer):
        return
    outside = np.setdiff1d(np.asarray(labels), np.arange(UNLABELLED, num_classes))
    if outside.size:
        legal = f"0 ... {num_classes - 1} (-1 = unlabelled)"
        raise ValueError(f"labels {outside[:5].tolist()} are outside {legal}; raise num_classes or relabel")


def _check_table(responsibilities, table):
    found = jnp.shape(responsibilities), jnp.shape(table)
    if len(found[0]) != 2 or len(found[1]) != 2 or found[0][1] != found[1][0]:
        raise ValueError(f"expected responsibilities [N, K] and a table [K, Y], found {found[0]} and {found[1]}")
