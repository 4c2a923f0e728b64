"""The objective of one batch: every term by name, added once.

    loss = w_evidence (recon + beta_z kl_z + beta_c kl_c) + usage + w_inv inv - w_mi (2 H - h) + w_label label

The terms themselves are in `losses.py`, `invariance.py` and `tau_classifier.py`.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from mixvae import tau_classifier
from mixvae.config import AugmentConfig, Config, Knobs
from mixvae.invariance import RouterTerms, augment, router_objective
from mixvae.losses import kl_categorical, kl_latents, kl_normal, usage
from mixvae.model import MixVAE
from mixvae.modules.encoders import Posterior
from mixvae.routing import lock, route

T = TypeVar("T")


class Batch(NamedTuple):
    """What one step sees: images, their self-labels, a draw from the labelled ones, the tau table; -1 is no label."""

    x: Float[Array, "b h w c"]
    self_labels: Int[Array, "b"]
    x_labelled: Float[Array, "m h w c"]
    labels: Int[Array, "m"]
    table: Float[Array, "k y"]


@dataclass(frozen=True)
class Objective:
    """loss(params, key, batch, knobs) in nats. Equal by value: what differs here is compiled anew, knobs never are."""

    model: MixVAE
    estimator: str
    kl_scope: str
    usage_alpha: float
    label_target: str
    limits: AugmentConfig

    def __call__(self, params: dict, key: PRNGKeyArray, batch: Batch, knobs: Knobs) -> tuple[Array, dict[str, Array]]:
        """The loss, and a dict of its terms, of `loss` itself and of the batch's mean responsibilities `usage` [K]."""
        key_recon, key_inv, key_label = jax.random.split(key, 3)
        encoding, decoding = without(params, "decoder"), without(params, "encoder")
        posterior = self.encode(params, batch.x)
        q = jax.nn.softmax(lock(posterior.logits, knobs.k_active))
        kl = kl_normal(posterior.mean, posterior.log_var)

        w_router = RouterTerms(inv=knobs.w_inv, H=-2.0 * knobs.w_mi, h=knobs.w_mi)
        decoded, recon = weighted(
            self.reconstruction, knobs.w_evidence, of=(decoding, posterior), given=(key_recon, batch.x, knobs)
        )
        routed, router = weighted(self.router, w_router, of=(encoding, posterior.logits), given=(key_inv, batch, knobs))
        labelled, label = weighted(self.label, knobs.w_label, of=(encoding,), given=(key_label, batch, knobs))
        kl_z = kl_latents(kl, q, self.kl_scope).mean()
        kl_c = kl_categorical(posterior.logits, knobs.k_active).mean()
        usage_prior = usage(q, self.usage_alpha, knobs.k_active)
        divergence = knobs.w_evidence * (knobs.beta_z * kl_z + knobs.beta_c * kl_c)
        loss = decoded + divergence + usage_prior + routed + labelled
        terms = {"recon": recon, **router._asdict(), "label": label, "kl_z": kl_z, "kl_c": kl_c}
        return loss, terms | {"usage_prior": usage_prior, "loss": loss, "usage": q.mean(0)}

    def encode(self, params: dict, x: Float[Array, "b h w c"]) -> Posterior:
        """The model's posterior."""
        return self.model.apply({"params": params}, x, method="encode")

    def reconstruction(
        self, params: dict, posterior: Posterior, key: PRNGKeyArray, x: Float[Array, "b h w c"], knobs: Knobs
    ) -> Float[Array, ""]:
        """Mean of -log p(x | z, e), as the estimator says.

        Of the gradient that reconstruction sends to the choice, the share `router_recon` arrives.
        """
        key_z, key_c = jax.random.split(key)
        z = self.latents(key_z, posterior)
        w = route(key_c, posterior.logits, tau=knobs.tau, k_active=knobs.k_active, estimator=self.estimator)
        w = knobs.router_recon * w + (1.0 - knobs.router_recon) * jax.lax.stop_gradient(w)
        return self.routed_nll(params, z, w, x).mean()

    def latents(self, key: PRNGKeyArray, posterior: Posterior) -> Float[Array, "b k d"]:
        """A draw of every channel's latent."""
        z = posterior.mean + jnp.exp(0.5 * posterior.log_var) * jax.random.normal(key, posterior.mean.shape)
        return jnp.broadcast_to(z, (*posterior.logits.shape, z.shape[-1]))

    def routed_nll(
        self, params: dict, z: Float[Array, "b k d"], w: Float[Array, "b k"], x: Float[Array, "b h w c"]
    ) -> Float[Array, "b"]:
        """-log p(x | z, e) under the weights `w` over the channels.

        Straight-through decodes once, z = sum_k w_k z_k by e = sum_k w_k e_k; the others decode every channel and weigh
        the losses.
        """
        if self.estimator == "straight_through":
            return self.nll(params, jnp.einsum("bk,bkd->bd", w, z), w, x)
        channels = jnp.broadcast_to(jnp.eye(w.shape[-1]), (*w.shape, w.shape[-1]))
        return jnp.sum(w * self.nll(params, z, channels, x[:, None]), -1)

    def nll(self, params: dict, z: Array, w: Array, x: Array) -> Array:
        """The decoder's negative log-likelihood."""
        return self.model.apply({"params": params}, z, w, x, method="nll")

    def router(
        self, params: dict, logits: Float[Array, "b k"], key: PRNGKeyArray, batch: Batch, knobs: Knobs
    ) -> RouterTerms:
        """What the router's objective says of the batch's logits, and of those of a view of every image."""
        viewed = self.encode(params, self.view(key, batch.x)).logits
        return router_objective(logits, viewed, knobs.k_active, batch.self_labels)

    def label(self, params: dict, key: PRNGKeyArray, batch: Batch, knobs: Knobs) -> Float[Array, ""]:
        """Mean of -log p(y|x) over views of the labelled images; 0 without labels."""
        table = jnp.eye(*batch.table.shape) if self.label_target == "channel" else batch.table
        logits = self.encode(params, self.view(key, batch.x_labelled)).logits
        q = jax.nn.softmax(lock(logits, knobs.k_active))
        return tau_classifier.label_nll(q, batch.labels, table).mean()

    def view(self, key: PRNGKeyArray, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """A random affine view of every image."""
        return augment(key, x, **asdict(self.limits))


def without(params: dict, part: str) -> dict:
    """The weights of all other parts: a term's gradient is written out for whatever it is given, zeros too."""
    return {name: weights for name, weights in params.items() if name != part}


def weighted(terms: Callable[..., T], weights: T, of: tuple, given: tuple = ()) -> tuple[Float[Array, ""], T]:
    """The sum of `terms(*of, *given)` under `weights`, and the terms, for reading alone; its gradient reaches `of`.

    Terms and weights are scalars, or trees of them. While all weights are 0 nothing is computed, and everything is 0.
    `terms` closes over nothing that is traced.
    """

    def total(of: tuple, given: tuple) -> tuple[Float[Array, ""], T]:
        weights, given = given
        values = terms(*of, *given)
        return sum(jax.tree.leaves(jax.tree.map(jnp.multiply, weights, values))), values

    return computed_if(total, jnp.any(jnp.stack(jax.tree.leaves(weights))), of, (weights, given))


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def computed_if(f: Callable, on: Array, of: tuple, given: tuple) -> tuple[Float[Array, ""], Any]:
    """`f(of, given)`, a scalar and what comes beside it, or zeros.

    The gradient is taken where the value is. As two conditionals, every activation that passes from the one to the
    other is an output of its own, neither fused away nor shared.
    """
    return _or_zeros(f, on, of, given)


def _value_and_gradient(f: Callable, on: Array, of: tuple, given: tuple) -> tuple[Any, tuple]:
    return _or_zeros(jax.value_and_grad(f, has_aux=True), on, of, given)


def _gradient(f: Callable, gradient: tuple, cotangent: tuple[Float[Array, ""], Any]) -> tuple[None, tuple, None]:
    return None, jax.tree.map(lambda g: cotangent[0] * g, gradient), None


computed_if.defvjp(_value_and_gradient, _gradient)


def _or_zeros(f: Callable, on: Array, *arguments: Any) -> Any:
    f = jax.jit(f)  # else it would be traced twice
    shapes = jax.eval_shape(f, *arguments)
    return jax.lax.cond(on, f, lambda *_: jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes), *arguments)


def build_objective(config: Config, model: MixVAE) -> Objective:
    """The objective that a config asks for; live knobs are not part of it."""
    return Objective(
        model=model,
        estimator=config.routing.estimator,
        kl_scope=config.objective.kl_scope,
        usage_alpha=config.objective.usage_alpha,
        label_target=config.objective.label_target,
        limits=config.augment,
    )
