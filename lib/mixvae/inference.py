"""What a trained model says of images, in batches of one compiled size."""

import math
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mixvae.losses import kl_latents, kl_normal
from mixvae.model import MixVAE, pixels
from mixvae.modules.encoders import Posterior
from mixvae.on_disk import OnDisk
from mixvae.routing import lock
from mixvae.state import State

Images = Float[Array, "n h w c"]

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


def batched(function: Callable) -> Callable:
    """`function(model, params, x, ...)` of images in [0, 1], compiled, for N images in batches of one size.

    The last batch is padded, results are joined and are NumPy's. `x` is uint8 or floats, see `checked`.
    """
    compiled = jax.jit(lambda model, params, x, *rest: function(model, params, pixels(x), *rest), static_argnums=0)

    @wraps(function)
    def over_batches(model: MixVAE, params: Any, x: Array | OnDisk, *rest: Any) -> Any:
        x, parts = checked(model, x), []
        size = max(1, min(BATCH, BATCH_BYTES // (4 * math.prod(x.shape[1:]))))
        for start in range(0, max(len(x), 1), size):
            part = np.asarray(x[start : start + size])
            padded = np.zeros((size, *x.shape[1:]), np.uint8 if x.dtype == np.uint8 else np.float32)
            padded[: len(part)] = part
            arrays = compiled(model, params, padded, *rest)
            parts.append(jax.tree.map(lambda a, part=part: np.asarray(a)[: len(part)], arrays))
        return jax.tree.map(lambda *a: np.concatenate(a), *parts)

    return over_batches


def predict(model: MixVAE, state: State, x: Array) -> Prediction:
    """Responsibilities, every channel's latents, and the image as its most probable channel decodes its mean latent.

    `x` [N, H, W, C] is uint8, or floats in [0, 1]; `state` is a trainer's State, whose averaged weights are used.
    Raises ValueError for other images.
    """
    return Prediction(*_predict(model, state.average, x, state.knobs.k_active))


@batched
def _predict(model: MixVAE, params: Any, x: Images, k_active: Any) -> tuple:
    posterior = encode(model, params, x)
    q = jax.nn.softmax(lock(posterior.logits, k_active))
    channel = jnp.argmax(q, -1)
    image = decode_channel(model, params, posterior.mean, channel)
    return q, channel, posterior.mean, posterior.log_var, *(image if isinstance(image, tuple) else (image, None))


def encode(model: MixVAE, params: Any, x: Images) -> Posterior:
    """The posterior, with a latent for every channel also where they share one."""
    posterior = model.apply({"params": params}, x, method="encode")
    shape = (*posterior.logits.shape, posterior.mean.shape[-1])
    mean, log_var = (jnp.broadcast_to(a, shape) for a in (posterior.mean, posterior.log_var))
    return Posterior(posterior.logits, mean, log_var)


def of_channel(z: Float[Array, "n k d"], channel: Int[Array, "n"]) -> Float[Array, "n d"]:
    """Every image's latent in one channel."""
    return jnp.take_along_axis(z, channel[:, None, None], 1)[:, 0]


def decode_channel(model: MixVAE, params: Any, z: Float[Array, "n k d"], channel: Int[Array, "n"]) -> Any:
    """Every image by the latent and the embedding of one channel."""
    chosen = jax.nn.one_hot(channel, model.num_components)
    return model.apply({"params": params}, of_channel(z, channel), chosen, method="decode")


def chosen_latents(prediction: Prediction) -> Float[np.ndarray, "n d"]:
    """The mean latent of every image in the channel that it is routed to."""
    return prediction.z_mean_per_component[np.arange(len(prediction.channel)), prediction.channel]


def plane(z: Float[np.ndarray, "*n d"]) -> Float[np.ndarray, "*n 2"]:
    """The first two latent dimensions; a single one lies on the horizontal axis."""
    return z[..., :2] if z.shape[-1] > 1 else np.concatenate([z, np.zeros_like(z)], -1)


@batched
def responsibilities(model: MixVAE, params: Any, x: Images, k_active: Any) -> Float[Array, "n k"]:
    """q(c|x) over the unlocked channels."""
    return jax.nn.softmax(lock(encode(model, params, x).logits, k_active))


@batched
def router_logits(model: MixVAE, params: Any, x: Images) -> Float[Array, "n k"]:
    """The logits of q(c|x) of all channels, locked or not."""
    return encode(model, params, x).logits


@batched
def router_features(model: MixVAE, params: Any, x: Images) -> Float[Array, "n f"]:
    """What the router's last layer reads."""
    _, kept = model.apply({"params": params}, x, method="encode", mutable="intermediates")
    return kept["intermediates"]["encoder"]["posterior"]["features"][0]


@batched
def chosen_losses(model: MixVAE, params: Any, x: Images, k_active: Any) -> tuple[Int[Array, "n"], Float[Array, "n"]]:
    """The channel that every image is routed to, and -log p(x|z, e) + KL of that channel's latent, in nats."""
    posterior = encode(model, params, x)
    channel = jnp.argmax(lock(posterior.logits, k_active), -1)
    chosen = jax.nn.one_hot(channel, model.num_components)
    nll = model.apply({"params": params}, of_channel(posterior.mean, channel), chosen, x, method="nll")
    return channel, nll + kl_latents(kl_normal(posterior.mean, posterior.log_var), chosen, "routed")


def cross_decoding(model: MixVAE, params: Any, x: Array, k_active: int) -> Float[np.ndarray, "n"]:
    """What it costs an image to be decoded with another channel's embedding, nats: the specialisation of the decoder.

    The added -log p(x|z_c, e_j) of the chosen channel's mean latent, a mean over the other unlocked channels j != c.
    """
    channel, nll = _cross_decoded(model, params, x, k_active)
    nll = nll[:, : int(k_active)]
    added = nll - np.take_along_axis(nll, channel[:, None], 1)  # 0 in the image's own channel
    return added.sum(1) / max(1, nll.shape[1] - 1)


@batched
def _cross_decoded(model: MixVAE, params: Any, x: Images, k_active: Any) -> tuple:
    posterior = encode(model, params, x)
    channel = jnp.argmax(lock(posterior.logits, k_active), -1)
    z = of_channel(posterior.mean, channel)

    def nll(weights: Array) -> Array:
        everyone = jnp.broadcast_to(weights, posterior.logits.shape)
        return model.apply({"params": params}, z, everyone, x, method="nll")

    return channel, jax.lax.map(nll, jnp.eye(model.num_components)).T  # at once, K images for each would be held


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
