"""What a trained model says of images, in batches of one compiled size."""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from mixvae.losses import kl_normal
from mixvae.model import MixVAE
from mixvae.on_disk import OnDisk
from mixvae.routing import lock
from mixvae.state import State

BATCH = 500  # images at once
BATCH_BYTES = 2**26  # of large ones as many as weigh this, as floats


class Prediction(NamedTuple):
    """For N images, K channels, D latent dimensions; `sigma` is None with the standard head.

    Where it is one an image it is [N, 1, 1, 1].
    """

    responsibilities: Float[np.ndarray, "n k"]
    channel: Int[np.ndarray, "n"]
    z_mean_per_component: Float[np.ndarray, "n k d"]
    z_log_var_per_component: Float[np.ndarray, "n k d"]
    mean: Float[np.ndarray, "n h w c"]
    sigma: Float[np.ndarray, "n h w c"] | None


def predict(model: MixVAE, state: State, x: Array) -> Prediction:
    """Responsibilities, every channel's latents, and the image as its most probable channel decodes its mean latent.

    `x` [N, H, W, C] is uint8, or floats in [0, 1]; `state` is a trainer's State, whose averaged weights are used.
    Raises ValueError for other images.
    """
    return Prediction(*in_batches(_predict, model, state.average, x, state.knobs.k_active))


@partial(jax.jit, static_argnums=0)
def _predict(model, params, x, k_active):
    posterior = model.apply({"params": params}, x, method="encode")
    q = jax.nn.softmax(lock(posterior.logits, k_active))
    shape = (*q.shape, posterior.mean.shape[-1])
    mean, log_var = (jnp.broadcast_to(a, shape) for a in (posterior.mean, posterior.log_var))
    channel = jnp.argmax(q, -1)
    image = decode_channel(model, params, mean, channel)
    return q, channel, mean, log_var, *(image if isinstance(image, tuple) else (image, None))


def decode_channel(model: MixVAE, params: Any, z: Float[Array, "n k d"], channel: Int[Array, "n"]) -> Any:
    """Every image by the latent and the embedding of one channel."""
    chosen = jax.nn.one_hot(channel, model.num_components)
    return model.apply({"params": params}, jnp.einsum("nk,nkd->nd", chosen, z), chosen, method="decode")


def chosen_latents(prediction: Prediction) -> Float[np.ndarray, "n d"]:
    """The mean latent of every image in the channel that it is routed to."""
    return prediction.z_mean_per_component[np.arange(len(prediction.channel)), prediction.channel]


def plane(z: Float[np.ndarray, "*n d"]) -> Float[np.ndarray, "*n 2"]:
    """The first two latent dimensions; a single one lies on the horizontal axis."""
    return z[..., :2] if z.shape[-1] > 1 else np.concatenate([z, np.zeros_like(z)], -1)


def responsibilities(model: MixVAE, params: Any, x: Array, k_active: Any) -> Float[np.ndarray, "n k"]:
    """q(c|x) over the unlocked channels."""
    return in_batches(_responsibilities, model, params, x, k_active)


@partial(jax.jit, static_argnums=0)
def _responsibilities(model, params, x, k_active):
    return jax.nn.softmax(lock(model.apply({"params": params}, x, method="encode").logits, k_active))


def router_logits(model: MixVAE, params: Any, x: Array) -> Float[np.ndarray, "n k"]:
    """The logits of q(c|x) of all channels, locked or not."""
    return in_batches(_router_logits, model, params, x, None)


@partial(jax.jit, static_argnums=0)
def _router_logits(model, params, x, _):
    return model.apply({"params": params}, x, method="encode").logits


def router_features(model: MixVAE, params: Any, x: Array) -> Float[np.ndarray, "n f"]:
    """What the router's last layer reads."""
    return in_batches(_router_features, model, params, x, None)


@partial(jax.jit, static_argnums=0)
def _router_features(model, params, x, _):
    _, kept = model.apply({"params": params}, x, method="encode", mutable="intermediates")
    return kept["intermediates"]["encoder"]["posterior"]["features"][0]


def chosen_losses(
    model: MixVAE, params: Any, x: Array, k_active: Any
) -> tuple[Int[np.ndarray, "n"], Float[np.ndarray, "n"]]:
    """The channel that every image is routed to, and -log p(x|z, e) + KL of that channel's latent, in nats."""
    return in_batches(_chosen_loss, model, params, x, k_active)


@partial(jax.jit, static_argnums=0)
def _chosen_loss(model, params, x, k_active):
    posterior = model.apply({"params": params}, x, method="encode")
    channel = jnp.argmax(lock(posterior.logits, k_active), -1)
    chosen = jax.nn.one_hot(channel, model.num_components)
    z = jnp.einsum("nk,nkd->nd", chosen, jnp.broadcast_to(posterior.mean, (*chosen.shape, posterior.mean.shape[-1])))
    kl = jnp.sum(chosen * kl_normal(posterior.mean, posterior.log_var), -1)
    return channel, model.apply({"params": params}, z, chosen, x, method="nll") + kl


def cross_decoding(model: MixVAE, params: Any, x: Array, k_active: int) -> Float[np.ndarray, "n"]:
    """What it costs an image to be decoded with another channel's embedding, nats: the specialisation of the decoder.

    The added -log p(x|z_c, e_j) of the chosen channel's mean latent, a mean over the other unlocked channels j != c.
    """
    channel, nll = in_batches(_cross_decoded, model, params, x, k_active)
    nll, rows = nll[:, : int(k_active)], np.arange(len(nll))
    own = nll[rows, channel]
    return (nll.sum(1) - own) / max(1, nll.shape[1] - 1) - own * (nll.shape[1] > 1)


@partial(jax.jit, static_argnums=0)
def _cross_decoded(model, params, x, k_active):
    posterior = model.apply({"params": params}, x, method="encode")
    channel = jnp.argmax(lock(posterior.logits, k_active), -1)
    latents = jnp.broadcast_to(posterior.mean, (*posterior.logits.shape, posterior.mean.shape[-1]))
    z = jnp.take_along_axis(latents, channel[:, None, None], 1)[:, 0]

    def nll(weights: Array) -> Array:
        everyone = jnp.broadcast_to(weights, posterior.logits.shape)
        return model.apply({"params": params}, z, everyone, x, method="nll")

    return channel, jax.lax.map(nll, jnp.eye(model.num_components)).T  # at once, K images for each would be held


def in_batches(function: Any, model: MixVAE, params: Any, x: UInt8[np.ndarray, "n h w c"], k_active: Any) -> Any:
    """`function(model, params, pixels, k_active)` over batches of one size, the last one padded, results joined."""
    x, parts = checked(model, x), []
    size = max(1, min(BATCH, BATCH_BYTES // (4 * math.prod(x.shape[1:]))))
    for start in range(0, max(len(x), 1), size):
        part = np.asarray(x[start : start + size])
        padded = np.zeros((size, *x.shape[1:]), np.float32)
        padded[: len(part)] = part / 255.0 if x.dtype == np.uint8 else part
        arrays = function(model, params, padded, k_active)
        parts.append(jax.tree.map(lambda a, part=part: np.asarray(a)[: len(part)], arrays))
    return jax.tree.map(lambda *a: np.concatenate(a), *parts)


def checked(model: MixVAE, x: Array | OnDisk) -> np.ndarray | OnDisk:
    """`x` as an array, or as it lies on disk.

    Raises ValueError, with what was found and expected, where the model cannot have made it.
    """
    x, shape = x if isinstance(x, OnDisk) else np.asarray(x), (*model.decoder.output_hw, model.decoder.channels)
    expected = f"expected [N, {', '.join(map(str, shape))}], uint8 or floats in [0, 1]"
    if len(x.shape) != 4 or x.shape[1:] != shape or not (x.dtype == np.uint8 or x.dtype.kind == "f"):
        raise ValueError(f"images have shape {x.shape} and type {x.dtype}; {expected}")
    if x.dtype != np.uint8 and x.size and not (x.min() >= 0 and x.max() <= 1):  # so written, NaN is refused too
        raise ValueError(f"images have pixels from {x.min():g} to {x.max():g}; {expected}")
    return x
