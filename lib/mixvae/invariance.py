"""What must not matter teaches the router: a random affine view of every image, and the objective comparing the two."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates
from jaxtyping import Array, Float, Int, PRNGKeyArray

from mixvae.routing import lock
from mixvae.tau_classifier import UNLABELLED


def augment(
    key: PRNGKeyArray,
    x: Float[Array, "b h w c"],
    *,
    degrees: float | Float[Array, ""],
    shift: float | Float[Array, ""],
    scale: float | Float[Array, ""],
    shear: float | Float[Array, ""],
) -> Float[Array, "b h w c"]:
    """a(x): every image under a rotation, shift, scaling and shear of its own, bilinear, 0 outside the image.

    Each is uniform in +- its bound: `degrees`, `shift` in pixels, `scale` a fraction of the size, `shear` a slope; all
    0 gives x back. Raises ValueError unless x is [B, H, W, C] and floating.
    """
    if x.ndim != 4 or not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"augment needs floats [B, H, W, C], found {x.dtype} {x.shape}; divide bytes by 255")
    angle, zoom_y, zoom_x, slant, *move = jax.random.uniform(key, (6, len(x)), x.dtype, minval=-1, maxval=1)
    matrix = affine_matrix(jnp.deg2rad(degrees) * angle, 1 + scale * zoom_y, 1 + scale * zoom_x, shear * slant)
    return warp(x, matrix, shift * jnp.stack(move, axis=-1))


def affine_matrix(
    angle: Float[Array, "*b"], zoom_y: Float[Array, "*b"], zoom_x: Float[Array, "*b"], slant: Float[Array, "*b"]
) -> Float[Array, "*b 2 2"]:
    """[[cos, -sin], [sin, cos]] @ [[zoom_y, slant], [0, zoom_x]], on (y, x); angle in radians."""
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    rows = [cos * zoom_y, cos * slant - sin * zoom_x], [sin * zoom_y, sin * slant + cos * zoom_x]
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)


def warp(
    x: Float[Array, "b h w c"], matrix: Float[Array, "b 2 2"], move: Float[Array, "b 2"]
) -> Float[Array, "b h w c"]:
    """x at matrix p + move, bilinear and 0 outside, for every p = (row, column) in pixels from the centre."""
    middle_row, middle_column = (x.shape[1] - 1) / 2, (x.shape[2] - 1) / 2
    row, column = jnp.arange(x.shape[1])[:, None] - middle_row, jnp.arange(x.shape[2]) - middle_column

    def one(image, a, t):
        rows = a[0, 0] * row + a[0, 1] * column + t[0] + middle_row
        columns = a[1, 0] * row + a[1, 1] * column + t[1] + middle_column
        return jax.vmap(lambda plane: map_coordinates(plane, [rows, columns], order=1), -1, -1)(image)

    return jax.vmap(one)(x, matrix, move)


class RouterTerms(NamedTuple):
    """In nats; the router minimises w_inv inv - w_mi (2 H - h)."""

    inv: Float[Array, ""]
    H: Float[Array, ""]
    h: Float[Array, ""]


def router_objective(
    logits_x: Float[Array, "b k"],
    logits_a: Float[Array, "b k"],
    k_active: int | Int[Array, ""],
    self_labels: Int[Array, "b"] | int = UNLABELLED,
) -> RouterTerms:
    """inv = mean KL(target || q(c|a)); H = entropy of the batch mean of q, h = mean entropy of q.

    The target is stop_gradient(q(c|x)), or where an image has a self-label of an unlocked channel, that channel for
    sure (compare Asano et al., 2020). H and h are each averaged over x and a; q = softmax over the unlocked channels
    (compare Ji et al., 2019). Raises ValueError when the two logits differ in shape.
    """
    if logits_x.shape != logits_a.shape or logits_x.ndim != 2:
        raise ValueError(f"both logits are [B, K], one row an image; found {logits_x.shape} and {logits_a.shape}")
    log_q = jax.nn.log_softmax(lock(jnp.stack([logits_x, logits_a]), k_active))
    q, target = jnp.exp(log_q), jax.lax.stop_gradient(log_q[0])
    taught = (self_labels >= 0) & (self_labels < k_active)
    label = jax.nn.one_hot(self_labels, q.shape[-1])
    inv = jnp.where(taught, -jnp.sum(label * log_q[1], -1), jnp.sum(jnp.exp(target) * (target - log_q[1]), -1))
    return RouterTerms(
        inv=inv.mean(),
        H=_entropy(q.mean(axis=1)).mean(),
        h=_entropy(q).mean(),
    )


def _entropy(p: Float[Array, "*b k"]) -> Float[Array, "*b"]:
    """-sum_k p log p in nats, with 0 log 0 = 0 and a finite gradient there."""
    return -jnp.sum(p * jnp.log(jnp.maximum(p, jnp.finfo(p.dtype).tiny)), axis=-1)
