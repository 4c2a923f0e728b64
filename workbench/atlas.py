"""What every channel decodes all over its plane: a grid to look pictures up in, where no kernel answers the pointer.

    u32 header length | JSON header, spaces up to a multiple of 4 | uint8 mean [K, G, G, H, W, C]
    | uint8 sigma [K, G, G, h, w], where there is one

Row 0 of a grid is the top of the plane, column 0 its left; it spans `scale` to both sides of the origin.
"""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from mixvae import MixVAE

FINE, COARSE = 2560, 640  # images of an atlas, about: 2 MB of MNIST's, and half a megabyte; of larger ones fewer
LARGE = 28 * 28  # numbers of an image
FEWEST, MOST = 5, 24  # cells along an axis


class Atlas(NamedTuple):
    """Decoded means and sigmas of a grid of latents in every channel's plane; further latent dimensions are 0."""

    scale: float
    mean: Float[np.ndarray, "k g g h w c"]  # in [0, 1]
    sigma: Float[np.ndarray, "k g g h w c"] | None  # [K, G, G, 1, 1, 1] where an image has one
    sigma_range: tuple[float, float]
    dimensions: int  # of a latent


def build_atlas(
    model: MixVAE, params: Any, scale: float, sigma_range: tuple[float, float], images: int = FINE
) -> Atlas:
    """The atlas of all channels, of about so many images, or of large ones about as many bytes."""
    size = math.prod(model.decoder.output_hw) * model.decoder.channels
    cells = int(np.clip(np.sqrt(images * min(1, LARGE / size) / model.num_components), FEWEST, MOST))
    image = decode_grid(model, params, np.float32(scale), cells)
    mean, sigma = image if isinstance(image, tuple) else (image, None)
    sigma = None if sigma is None else np.asarray(sigma)
    return Atlas(scale, np.asarray(mean), sigma, sigma_range, model.decoder.latent_dim)


@partial(jax.jit, static_argnums=(0, 3))
def decode_grid(model: MixVAE, params: Any, scale: Any, cells: int) -> Any:
    """What `decode` gives at every cell, with leading axes [K, G, G]."""
    k, d = model.num_components, model.decoder.latent_dim
    axis = jnp.linspace(-scale, scale, cells)
    z = jnp.zeros((k, cells, cells, d)).at[..., 0].set(axis)
    if d > 1:
        z = z.at[..., 1].set(-axis[:, None])
    weights = jnp.broadcast_to(jnp.eye(k)[:, None, None], (k, cells, cells, k))
    return model.apply({"params": params}, z, weights, method="decode")
