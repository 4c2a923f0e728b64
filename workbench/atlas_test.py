"""The atlas is what decoding the same latents one by one gives, row 0 at the top, column 0 at the left."""

import jax
import numpy as np
import pytest

from mixvae.example_runs import tiny_config
from mixvae.model import build_model
from mixvae.trainer import first_params
from workbench.atlas import COARSE, FEWEST, FINE, MOST, build_atlas

SHAPE = (9, 8, 1)


def built(scale=2.0, images=FINE, **settings):
    model = build_model(tiny_config(**settings), SHAPE)
    params = first_params(model, jax.random.PRNGKey(0), SHAPE)
    return model, params, build_atlas(model, params, scale, (0.05, 0.5), images)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_a_cell_is_the_decoded_latent_of_its_place(dimensions):
    model, params, atlas = built(**{"model.latent_dim": dimensions})
    k, cells = atlas.mean.shape[:2]
    channel, row, column = 3, 4, cells - 2
    u, v = 2.0 * (2 * column / (cells - 1) - 1), 2.0 * (1 - 2 * row / (cells - 1))
    z = np.zeros((1, dimensions), np.float32)
    z[0, :2] = (u, v)[:dimensions]
    alone = model.apply({"params": params}, z, np.eye(k, dtype=np.float32)[[channel]], method="decode")
    np.testing.assert_allclose(atlas.mean[channel, row, column], alone[0], atol=1e-5)
    assert atlas.sigma is None and atlas.scale == 2.0


def test_large_images_get_coarser_grids():
    shape = (56, 42, 3)
    model = build_model(tiny_config(), shape)
    atlas = build_atlas(model, first_params(model, jax.random.PRNGKey(0), shape), 2.0, (0.05, 0.5))
    assert atlas.mean.shape == (5, 7, 7, *shape)  # 5 x 7 x 7 of 9 numbers a pixel for 5 x 22 x 22 of one


def test_sigma_comes_with_the_mean():
    model, params, atlas = built(**{"model.output": "heteroscedastic"})
    z = np.full((1, 2), [-2.0, 2.0], np.float32)  # the corner at the top left
    weights = np.eye(model.num_components, dtype=np.float32)[[1]]
    mean, sigma = model.apply({"params": params}, z, weights, method="decode")
    np.testing.assert_allclose(atlas.mean[1, 0, 0], mean[0], atol=1e-5)
    np.testing.assert_allclose(atlas.sigma[1, 0, 0], sigma[0], atol=1e-5)


@pytest.mark.parametrize(
    "images, channels, cells",
    [(FINE, 1, MOST), (FINE, 10, 16), (FINE, 40, 8), (FINE, 200, FEWEST), (COARSE, 10, 8), (COARSE, 40, FEWEST)],
)
def test_many_channels_get_coarser_grids(images, channels, cells):
    settings = {"model.num_components": channels}
    if channels == 1:
        settings["model.conditioning"] = "none"
    _, _, atlas = built(images=images, **settings)
    assert atlas.mean.shape == (channels, cells, cells, *SHAPE)
    assert channels * cells**2 <= max(images, channels * FEWEST**2)
