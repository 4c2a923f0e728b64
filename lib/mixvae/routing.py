"""Which channel takes an image: lock what is not yet unlocked, then choose."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

ESTIMATORS = ("straight_through", "gumbel", "exact")
LOCKED_LOGIT = -1e9  # finite: -inf, or the float's lowest value over a small tau, turns KL and gradients into NaN


def lock(logits: Float[Array, "*b k"], k_active: int | Int[Array, ""]) -> Float[Array, "*b k"]:
    """Logits with channels >= k_active at LOCKED_LOGIT: responsibility and gradient exactly 0."""
    return jnp.where(jnp.arange(logits.shape[-1]) < k_active, logits, LOCKED_LOGIT)


def straight_through(perturbed: Float[Array, "*b k"], soft: Float[Array, "*b k"]) -> Float[Array, "*b k"]:
    """One-hot of the largest perturbed logit forward, the soft weights backward (Bengio et al., 2013)."""
    hard = jax.nn.one_hot(jnp.argmax(perturbed, -1), soft.shape[-1], dtype=soft.dtype)
    return hard + (soft - jax.lax.stop_gradient(soft))


def route(
    key: PRNGKeyArray | None,
    logits: Float[Array, "*b k"],
    *,
    tau: float | Float[Array, ""],
    k_active: int | Int[Array, ""],
    estimator: str = "straight_through",
) -> Float[Array, "*b k"]:
    """Weights over the channels, rows sum to 1 (Gumbel-Softmax: Jang et al., 2017; Maddison et al., 2017).

    `straight_through` and `gumbel` weigh by softmax((l + g) / tau), g ~ Gumbel(0, 1) from `key`, or g = 0 where `key`
    is None; `exact` is q(c|x) itself and ignores both. One key gives the same noise for every estimator and tau.
    Raises ValueError for an unknown estimator.
    """
    locked = lock(logits, k_active)
    if estimator == "exact":
        return jax.nn.softmax(locked, axis=-1)
    perturbed = locked if key is None else locked + jax.random.gumbel(key, logits.shape, logits.dtype)
    soft = jax.nn.softmax(perturbed / tau, axis=-1)
    if estimator == "gumbel":
        return soft
    if estimator == "straight_through":
        return straight_through(perturbed, soft)
    raise ValueError(f"estimator={estimator!r} does not exist; choose one of {', '.join(ESTIMATORS)}")
