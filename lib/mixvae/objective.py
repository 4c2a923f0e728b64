"""The objective of one batch: every term by name, added once.

    loss = w_evidence (recon + beta_z kl_z + beta_c kl_c) + usage + w_inv inv - w_mi (2 H - h) + w_label label

The terms themselves are in `losses.py`, `invariance.py` and `tau_classifier.py`.
"""

from dataclasses import asdict, dataclass
from typing import NamedTuple

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


class Batch(NamedTuple):
    """What one step sees: images, a draw from the labelled ones (all -1 where there are none), the tau table."""

    x: Float[Array, "b h w c"]
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
        posterior = self.encode(params, batch.x)
        q = jax.nn.softmax(lock(posterior.logits, knobs.k_active))
        kl = kl_normal(posterior.mean, posterior.log_var)
        router = self.invariance(params, key_inv, batch.x, posterior.logits, knobs)
        terms = {
            "recon": self.reconstruction(params, key_recon, batch.x, posterior, knobs),
            "kl_z": kl_latents(kl, q, self.kl_scope).mean(),
            "kl_c": kl_categorical(posterior.logits, knobs.k_active).mean(),
            "usage_prior": usage(q, self.usage_alpha, knobs.k_active),
            "inv": router.inv,
            "H": router.H,
            "h": router.h,
            "label": self.label(params, key_label, batch, knobs),
        }
        loss = (
            knobs.w_evidence * (terms["recon"] + knobs.beta_z * terms["kl_z"] + knobs.beta_c * terms["kl_c"])
            + terms["usage_prior"]
            + knobs.w_inv * terms["inv"]
            - knobs.w_mi * (2.0 * terms["H"] - terms["h"])
            + knobs.w_label * terms["label"]
        )
        return loss, terms | {"loss": loss, "usage": q.mean(0)}

    def encode(self, params: dict, x: Float[Array, "b h w c"]) -> Posterior:
        """The model's posterior."""
        return self.model.apply({"params": params}, x, method="encode")

    def reconstruction(
        self, params: dict, key: PRNGKeyArray, x: Float[Array, "b h w c"], posterior: Posterior, knobs: Knobs
    ) -> Float[Array, ""]:
        """Mean of -log p(x | z, e), as the estimator says; 0, and nothing is decoded, while its weight is 0.

        Of the gradient that reconstruction sends to the choice, the share `router_recon` arrives.
        """
        key_z, key_c = jax.random.split(key)

        def decode():
            z = self.latents(key_z, posterior)
            w = route(key_c, posterior.logits, tau=knobs.tau, k_active=knobs.k_active, estimator=self.estimator)
            w = knobs.router_recon * w + (1.0 - knobs.router_recon) * jax.lax.stop_gradient(w)
            return self.routed_nll(params, z, w, x).mean()

        return jax.lax.cond(knobs.w_evidence > 0, decode, lambda: jnp.zeros(()))

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

    def invariance(
        self, params: dict, key: PRNGKeyArray, x: Float[Array, "b h w c"], logits: Float[Array, "b k"], knobs: Knobs
    ) -> RouterTerms:
        """The router's label-free terms; nothing is augmented or encoded while both their weights are 0."""

        def compare():
            return router_objective(logits, self.encode(params, self.view(key, x)).logits, knobs.k_active)

        return jax.lax.cond((knobs.w_inv > 0) | (knobs.w_mi > 0), compare, lambda: RouterTerms(*jnp.zeros(3)))

    def label(self, params: dict, key: PRNGKeyArray, batch: Batch, knobs: Knobs) -> Float[Array, ""]:
        """Mean of -log p(y|x) over views of the labelled images; 0 without labels; not computed at weight 0."""
        table = jnp.eye(*batch.table.shape) if self.label_target == "channel" else batch.table

        def score():
            logits = self.encode(params, self.view(key, batch.x_labelled)).logits
            q = jax.nn.softmax(lock(logits, knobs.k_active))
            return tau_classifier.label_nll(q, batch.labels, table).mean()

        return jax.lax.cond(knobs.w_label > 0, score, lambda: jnp.zeros(()))

    def view(self, key: PRNGKeyArray, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """A random affine view of every image."""
        return augment(key, x, **asdict(self.limits))


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
