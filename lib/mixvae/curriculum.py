"""How a newcomer starts: as a perturbed copy of a channel that has more to explain than it can.

A raised KL weight of the latents cannot make a new channel used, since its cost does not depend on which channel is
chosen; a copy competes for its parent's images from the first step.
"""

import itertools
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from mixvae.model import MixVAE

NOISE = 0.1  # of a copied row, relative to its own root mean square


def map_components(model: MixVAE, params: dict, change: Callable[[Array], Array]) -> dict:
    """`params` with `change` applied to each channel's own parameters, the channel's axis first.

    Those are the rows of the embedding table, of the router and, in the decentralized layout, of the latent head.
    """
    k = model.num_components

    def rows(leaf: Array) -> Array:
        split = leaf.reshape(*leaf.shape[:-1], k, -1)
        return jnp.moveaxis(change(jnp.moveaxis(split, -2, 0)), 0, -2).reshape(leaf.shape)

    posterior = params["encoder"]["posterior"]
    own = ("router", "latent") if model.encoder.posterior.num_latents == k else ("router",)
    posterior = {**posterior, **{name: jax.tree.map(rows, posterior[name]) for name in own}}
    encoder = {**params["encoder"], "posterior": posterior}
    return {**params, "embeddings": change(params["embeddings"]), "encoder": encoder}


def parents_of(
    newcomers: Int[np.ndarray, "n"], channel: Int[np.ndarray, "m"], loss: Float[np.ndarray, "m"]
) -> Int[np.ndarray, "n"]:
    """Each newcomer's parent: the unlocked channels by falling summed loss, one newcomer each, then around again.

    `channel` and `loss` (nats) are of images. A density's loss falls below 0, and a sum would then put the channel
    without images first: where one does, all count from the lowest.
    """
    left = np.bincount(channel, loss - min(0.0, loss.min()), minlength=newcomers[0])
    order = np.argsort(-left, kind="stable")
    return order[np.arange(len(newcomers)) % len(order)]


def split(key: PRNGKeyArray, model: MixVAE, params: dict, parents: Array, newcomers: Array) -> dict:
    """`params` with every newcomer's rows copied from its parent's, plus noise at NOISE of each row's size."""
    keys = map(partial(jax.random.fold_in, key), itertools.count())

    def change(rows: Array) -> Array:
        copied = rows[parents]
        size = jnp.sqrt(jnp.mean(jnp.square(copied), axis=tuple(range(1, rows.ndim)), keepdims=True))
        return rows.at[newcomers].set(copied + NOISE * size * jax.random.normal(next(keys), copied.shape))

    return map_components(model, params, change)


def forget(model: MixVAE, optimiser_state: optax.OptState, newcomers: Array) -> optax.OptState:
    """The optimiser's state with the newcomers' moments at zero."""

    def zero(moments: dict) -> dict:
        return map_components(model, moments, lambda rows: rows.at[newcomers].set(0.0))

    return optax.tree.set(optimiser_state, **{m: zero(optax.tree.get(optimiser_state, m)) for m in ("mu", "nu")})
