"""The terms of the objective, in nats. They do not reduce over images; `objective.py` adds them once, by name."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from mixvae.routing import lock

USAGE_FLOOR = 1e-8


def kl_normal(mean: Float[Array, "*b d"], log_var: Float[Array, "*b d"]) -> Float[Array, "*b"]:
    """KL(N(mean, exp(log_var)) || N(0, I)), summed over the last axis (Kingma & Welling, 2014, appendix B)."""
    return 0.5 * jnp.sum(jnp.square(mean) + jnp.exp(log_var) - 1.0 - log_var, axis=-1)


def kl_categorical(logits: Float[Array, "*b k"], k_active: int | Int[Array, ""] | None = None) -> Float[Array, "*b"]:
    """KL(softmax(logits) || uniform) over the first `k_active` channels; None is all of them."""
    k_active = logits.shape[-1] if k_active is None else k_active
    log_q = jax.nn.log_softmax(lock(logits, k_active), axis=-1)
    return jnp.sum(jnp.exp(log_q) * log_q, axis=-1) + jnp.log(k_active)


def kl_latents(kl: Float[Array, "*b l"], q: Float[Array, "*b k"], scope: str) -> Float[Array, "*b"]:
    """The latents' KL of one image from `kl_normal` of every latent.

    `all` sums over the channels, locked ones too, which holds them at the prior; `routed` weighs by q(k|x). A latent
    that all channels share (L = 1) counts once either way.
    """
    return kl.sum(-1) if scope == "all" else jnp.sum(q * kl, -1)


def all_channel_tax(kl: Float[Array, "*b l"], q: Float[Array, "*b k"]) -> Float[Array, "*b"]:
    """sum_k (1 - q_k) KL_k: by how much the bound of `kl_scope: all` is looser than that of `routed`."""
    return kl_latents(kl, q, "all") - kl_latents(kl, q, "routed")


def usage(q: Float[Array, "b k"], alpha: float, k_active: int | Int[Array, ""]) -> Float[Array, ""]:
    """-(alpha - 1) sum_k log(batch mean of q_k) over the unlocked: the Dirichlet prior on usage, once per batch."""
    log_mean = jnp.log(jnp.maximum(q.mean(0), USAGE_FLOOR))
    return -(alpha - 1.0) * jnp.sum(jnp.where(jnp.arange(q.shape[-1]) < k_active, log_mean, 0.0))
