"""Symbols -> numbers, for the theory notebook: every formula is the library's own, called where the sliders stand.

Where the objective has a model, `OnePixel` can stand: an image is one pixel x, and channel k renders means[k].
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float

from mixvae import Config, HeteroscedasticHead, MixVAE, NoopConditioner
from mixvae.config import Knobs
from mixvae.estimators import ESTIMATORS, logit_gradients
from mixvae.invariance import RouterTerms, augment, router_objective
from mixvae.losses import kl_categorical, kl_normal, usage
from mixvae.modules.encoders import Posterior
from mixvae.modules.outputs import gaussian_nll
from mixvae.objective import Batch, Objective, build_objective
from mixvae.routing import route

KEY = jax.random.PRNGKey(0)
TAUS = [0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0]
PIXELS, RENDERED = np.linspace(0, 1, 100, dtype=np.float32), np.array([0.2, 0.5, 0.8], np.float32)
EVIDENCE = Knobs(*[0.0] * len(Knobs._fields))._replace(tau=1.0, k_active=2, w_evidence=1.0, beta_z=1.0)


def pixel(posterior: Posterior, means: Float[Array, "k"], log_sigma: Float[Array, ""]) -> dict[str, Any]:
    """The parameters of a OnePixel: the posterior of a batch, what its K channels render, log sigma."""
    return {"encoder": posterior, "decoder": (means, log_sigma)}


@dataclass(frozen=True)
class OnePixel:
    """A model of images of one pixel, whose posterior is given."""

    def apply(self, variables: dict[str, Any], *inputs: Array, method: str) -> Posterior | Array:
        """`encode` x, or the `nll` of x as the weights w render it: what the objective asks a model for."""
        given = variables["params"]
        if method == "encode":
            return given["encoder"]
        _, w, x = inputs
        means, log_sigma = given["decoder"]
        return gaussian_nll(x, (w @ means)[..., None, None, None], log_sigma)


def one_pixel(estimator: str) -> Objective:
    """The objective of a OnePixel."""
    return replace(build_objective(Config(), OnePixel()), estimator=estimator)


def at_prior(logits: Float[Array, "b k"]) -> Posterior:
    """A posterior with these logits, and latents at their prior."""
    z = jnp.zeros((*logits.shape, 1))
    return Posterior(logits, z, z)


@jax.jit
def bound(
    x: Float[Array, "n"], logit: Float[Array, "n"], means: Float[Array, "2"], sigma: Array, beta_c: Array
) -> dict[str, Float[Array, "n"]]:
    """recon, kl_c and loss of each pixel under two channels with logits [logit, 0], and its evidence; nats.

    The evidence is -log sum_c exp(-L_c) / 2 and leaves out log(2 pi) / 2, as the likelihood does.
    """
    objective = one_pixel("exact")

    def one(x: Array, logit: Array) -> dict[str, Array]:
        params = pixel(at_prior(jnp.stack([logit, 0.0])[None]), means, jnp.log(sigma))
        batch = Batch(x.reshape(1, 1, 1, 1), jnp.array([-1]), x.reshape(1, 1, 1, 1), jnp.array([-1]), jnp.ones((2, 1)))
        _, terms = objective(params, KEY, batch, EVIDENCE._replace(beta_c=beta_c))
        losses = objective.nll(params, None, jnp.eye(2), batch.x)
        return {name: terms[name] for name in ("recon", "kl_c", "loss")} | {"evidence": -logsumexp(-losses, b=0.5)}

    return jax.vmap(one)(x, logit)


class Views(NamedTuple):
    """One image in all K channels: q(c|x), and each channel's latent KL, its loss in nats and its picture."""

    q: Float[Array, "k"]
    kl: Float[Array, "k"]
    nll: Float[Array, "k"]
    pictures: Float[Array, "k h w c"]


@partial(jax.jit, static_argnums=0)
def in_every_channel(objective: Objective, params: Any, x: Float[Array, "h w c"], seed: Array) -> Views:
    """A draw of every channel's latent of `x`, rendered and scored by that channel."""
    posterior = objective.encode(params, x[None])
    z = objective.latents(jax.random.fold_in(KEY, seed), posterior)[0]
    one_hot = jnp.eye(len(z))
    pictures = objective.model.apply({"params": params}, z, one_hot, method="decode")
    q, kl = jax.nn.softmax(posterior.logits[0]), kl_normal(posterior.mean, posterior.log_var)[0]
    return Views(q, kl, objective.nll(params, z, one_hot, x[None]), pictures)


class Choices(NamedTuple):
    """N draws of a choice among K channels at each temperature; and how the weight of channel 0 answers its logit."""

    soft: Float[Array, "t n k"]
    hard: Float[Array, "t n k"]
    q: Float[Array, "t k"]
    slope: Float[Array, "t n"]
    exact_slope: Float[Array, "t"]


@partial(jax.jit, static_argnames="draws")
def choices(logits: Float[Array, "k"], draws: int) -> Choices:
    """Gumbel-Softmax, straight-through and q at TAUS, under one noise; all channels open."""
    k = len(logits)
    many = jnp.broadcast_to(logits, (draws, k))

    def at(tau: Array) -> Choices:
        def weights(estimator: str, at: Array) -> Array:
            return route(KEY, at, tau=tau, k_active=k, estimator=estimator)

        def slope(estimator: str, at: Array) -> Array:
            return jax.grad(lambda at: weights(estimator, at)[..., 0].sum())(at)[..., 0]

        soft, hard, q = weights("gumbel", many), weights("straight_through", many), weights("exact", logits)
        return Choices(soft, hard, q, slope("straight_through", many), slope("exact", logits))

    return jax.vmap(at)(jnp.array(TAUS))


@partial(jax.jit, static_argnames="draws")
def pixel_gradients(sharpness: Array, sigma: Array, draws: int) -> dict[str, Float[Array, "t s b k"]]:
    """Gradients at TAUS of PIXELS whose logits are `sharpness` times the true posterior's; of `exact` one draw."""
    images, means, log_sigma = PIXELS[:, None, None, None], RENDERED[:, None, None, None], jnp.log(sigma)
    posterior = at_prior(-sharpness * gaussian_nll(images[:, None], means, log_sigma))
    params, keys = pixel(posterior, RENDERED, log_sigma), jax.random.split(KEY, draws)

    def at(estimator: str, tau: Array) -> Array:
        drawn = keys[:1] if estimator == "exact" else keys
        return logit_gradients(one_pixel(estimator), params, images, KEY, drawn, tau, len(RENDERED))

    return {name: jax.vmap(partial(at, name))(jnp.array(TAUS)) for name in ESTIMATORS}


class Block(NamedTuple):
    """What a FiLM layer sees and does, [n, ..., F] each: (1 + gamma) norm + beta."""

    norm: Array
    gamma: Array
    beta: Array
    film: Array


@partial(jax.jit, static_argnums=0)
def film(
    model: MixVAE, params: Any, z: Float[Array, "n d"], w: Float[Array, "n k"]
) -> tuple[Float[Array, "n h w c"], list[Block]]:
    """The pictures of `z` rendered by the channels' embeddings mixed by `w`, and what each FiLM layer did."""
    pictures, kept = model.apply(
        {"params": params}, z, w, method="decode", capture_intermediates=True, mutable=["intermediates"]
    )
    layers = kept["intermediates"]["decoder"]["decoder"]["backbone"]

    def block(layer: dict) -> Block:
        gamma, beta = jnp.split(layer["Dense_0"]["__call__"][0], 2, axis=-1)
        return Block(layer["norm"][0], gamma, beta, layer["__call__"][0])

    return pictures, [block(layers[name]) for name in sorted(layers) if name.startswith("FiLMLayer")]


@jax.jit
def over_simplex(q: Float[Array, "n k"], alpha: Array) -> tuple[Float[Array, "n"], Float[Array, "n"]]:
    """At every point of the simplex: kl_c of an image with this q, and usage of a batch with this mean; nats."""
    kl_c = kl_categorical(jnp.log(jnp.maximum(q, jnp.finfo(q.dtype).tiny)))
    return kl_c, jax.vmap(lambda mean: usage(mean[None], alpha, q.shape[1]))(q)


@jax.jit
def image_nll(pixels: Array, residual: Array, sigma: Float[Array, "n"]) -> tuple[Float[Array, "n"], Float[Array, "n"]]:
    """Of an image whose pixels are all `residual` from their mean, at each sigma: the nll in nats.

    And what would be left of it if log sigma were counted once, instead of once a pixel.
    """
    log_sigma, zero = jnp.log(sigma)[:, None, None, None], jnp.zeros((1, 1, 1))
    one, one_right = (gaussian_nll(zero + off, zero, log_sigma) for off in (residual, 0.0))
    return pixels * one, pixels * one - (pixels - 1) * one_right


def head_sigma(s: Float[Array, "n"], low: float, high: float) -> tuple[Float[Array, "n"], Float[Array, "n"]]:
    """What the heteroscedastic head makes of its raw number s: sigma, and d log sigma / d s."""
    head = HeteroscedasticHead(sigma_min=low, sigma_max=high, project=lambda _: NoopConditioner())

    def log_sigma(s: Array) -> Array:
        return head.apply({}, jnp.stack([0.0, s])[None, None], method="mean_and_log_sigma")[1].sum()

    value, slope = jax.vmap(jax.value_and_grad(log_sigma))(s)
    return jnp.exp(value), slope


class Compared(NamedTuple):
    """A random view of every image, q(c|x) and q(c|a) of both, each image's own inv, and the terms of all; nats."""

    views: Float[Array, "b h w c"]
    q: Float[Array, "2 b k"]
    inv: Float[Array, "b"]
    terms: RouterTerms


@partial(jax.jit, static_argnums=0)
def compared(
    objective: Objective, params: Any, x: Float[Array, "b h w c"], bounds: dict[str, Array], seed: Array
) -> Compared:
    """The router's objective between images and views of them within these bounds."""
    views = augment(jax.random.fold_in(KEY, seed), x, **bounds)
    logits = jnp.stack([objective.encode(params, images).logits for images in (x, views)])
    channels = logits.shape[-1]
    inv = jax.vmap(lambda x, a: router_objective(x[None], a[None], channels).inv)(*logits)
    return Compared(views, jax.nn.softmax(logits), inv, router_objective(*logits, channels))
