"""What each routing estimator tells the router, beside the exact gradient.

For fixed images and one fixed draw of their latents, reconstruction's gradient with respect to the router's logits is

    exact            d/dl sum_k softmax(l)_k L_k,   L_k = -log p(x | z_k, e_k)
    of an estimator  d/dl L(w),   w and L(w) as `route` and `Objective.routed_nll` have them

and the choice's noise alone is averaged over: what is left is the bias of the routing, and of nothing else.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, UInt8, UInt32

from mixvae.inference import checked
from mixvae.metrics import EstimatorBias, estimator_bias
from mixvae.model import pixels
from mixvae.objective import Objective
from mixvae.routing import ESTIMATORS, route

AT_ONCE = 25  # images that are decoded together, each by all channels


def measure(
    objective: Objective,
    params: Any,
    x: Float[Array, "b h w c"] | UInt8[Array, "b h w c"],
    *,
    tau: float,
    k_active: int,
    draws: int = 1000,
    seed: int = 0,
) -> dict[str, EstimatorBias]:
    """The bias and the noise of every estimator at a temperature, on at least 100 images, uint8 or floats in [0, 1].

    It is of the gradient as it arrives with `router_recon` at 1. Every estimator sees the same latents and the same
    noise. Raises ValueError for other images, and where the exact gradient is 0, as it is with one channel unlocked.
    """
    x = pixels(checked(objective.model, x))
    key_z, key_c = jax.random.split(jax.random.PRNGKey(seed))
    keys = jax.random.split(key_c, draws)
    gradients = {
        name: np.asarray(logit_gradients(replace(objective, estimator=name), params, x, key_z, keys, tau, k_active))
        for name in ESTIMATORS
    }
    return {name: estimator_bias(each, gradients["exact"][0]) for name, each in gradients.items()}


@partial(jax.jit, static_argnums=0)
def logit_gradients(
    objective: Objective,
    params: Any,
    x: Float[Array, "b h w c"],
    key_z: PRNGKeyArray,
    keys: UInt32[Array, "s 2"],
    tau: float | Float[Array, ""],
    k_active: int | Float[Array, ""],
) -> Float[Array, "s b k"]:
    """The gradient of each image's reconstruction, nats, with respect to its logits: one draw of the choice a key.

    L is linear in w, or w is one-hot: either way all that L can do to the logits is in its slopes dL/dw where w is
    one-hot. So there is nothing to decode in a draw, and draws cost next to nothing.
    """
    posterior = objective.encode(params, x)
    one_hot = jnp.eye(posterior.logits.shape[-1])

    def slopes(image: tuple[Array, Array]) -> Float[Array, "k k"]:
        z, pixels = (a[None] for a in image)
        return jax.vmap(jax.grad(lambda w: objective.routed_nll(params, z, w[None], pixels)[0]))(one_hot)

    at = jax.lax.map(slopes, (objective.latents(key_z, posterior), x), batch_size=AT_ONCE)

    def gradient(key: PRNGKeyArray) -> Float[Array, "b k"]:
        choose = partial(route, key, tau=tau, k_active=k_active, estimator=objective.estimator)
        w, to_logits = jax.vjp(choose, posterior.logits)
        return to_logits(at[jnp.arange(len(w)), jnp.argmax(w, -1)])[0]

    return jax.lax.map(gradient, keys, batch_size=AT_ONCE)
