"""What a model says of images, held against the model's own parts: unequal sizes, padding, locked channels."""

import re
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mixvae import predict
from mixvae.example_runs import SHAPE, tiny_config, tiny_images
from mixvae.inference import BATCH, chosen_losses, cross_decoding, responsibilities
from mixvae.losses import kl_normal
from mixvae.state import State
from mixvae.trainer import Trainer

N, K, D = 7, 5, 3
HETEROSCEDASTIC = {"model.output": "heteroscedastic"}
FORMS = {
    "standard": {},
    "pixel": HETEROSCEDASTIC,
    "image": HETEROSCEDASTIC | {"model.sigma_per": "image"},
    "shared": {"model.latent_layout": "shared"},
}


@pytest.fixture(scope="module")
def x():
    return tiny_images(N, seed=3)


@lru_cache
def untrained(form: str) -> tuple[Trainer, State]:
    """A model whose router tells images apart, which its first weights hardly do; the average differs from params."""
    config = tiny_config(**{"model.latent_dim": D}, **FORMS[form])
    trainer = Trainer(config, tiny_images(SHAPE[0], seed=0), num_classes=3)
    state = trainer.init()

    noise = np.random.default_rng(0)

    def sharper(path, leaf):
        return noise.normal(0, 2, leaf.shape).astype(np.float32) if "router" in jax.tree_util.keystr(path) else leaf

    return trainer, state._replace(average=jax.tree_util.tree_map_with_path(sharper, state.params))


def applied(trainer, state, method, *arguments):
    return trainer.model.apply({"params": state.average}, *arguments, method=method)


@pytest.mark.parametrize("form", FORMS)
def test_shapes(form, x):
    p = predict(untrained(form)[0].model, untrained(form)[1], x)
    assert p.responsibilities.shape == (N, K) and p.channel.shape == (N,) and p.channel.dtype.kind == "i"
    assert p.z_mean_per_component.shape == p.z_log_var_per_component.shape == (N, K, D)
    assert p.mean.shape == (N, 12, 9, 1)
    assert (
        p.sigma is None
        if form in ("standard", "shared")
        else p.sigma.shape == ((N, 12, 9, 1) if form == "pixel" else (N, 1, 1, 1))
    )
    assert all(isinstance(array, np.ndarray) for array in p if array is not None)


@pytest.mark.parametrize("form", FORMS)
def test_the_image_is_what_the_chosen_channel_decodes_from_its_mean_latent(form, x):
    trainer, state = untrained(form)
    p = predict(trainer.model, state, x)
    assert len(set(p.channel.tolist())) > 1
    np.testing.assert_array_equal(p.channel, p.responsibilities.argmax(1))
    z = p.z_mean_per_component[np.arange(N), p.channel]
    image = applied(trainer, state, "decode", z, jnp.eye(K)[p.channel])
    mean, sigma = image if isinstance(image, tuple) else (image, None)
    np.testing.assert_allclose(p.mean, mean, atol=1e-6)
    if sigma is not None:
        np.testing.assert_allclose(p.sigma, sigma, atol=1e-6)
        assert (p.sigma > 0.05).all() and (p.sigma < 0.5).all()


@pytest.mark.parametrize("form", ["standard", "shared"])
def test_latents_are_the_posteriors_and_the_shared_one_stands_in_every_channel(form, x):
    trainer, state = untrained(form)
    p, posterior = predict(trainer.model, state, x), applied(trainer, state, "encode", x / 255.0)
    for got, expected in ((p.z_mean_per_component, posterior.mean), (p.z_log_var_per_component, posterior.log_var)):
        assert expected.shape == (N, 1 if form == "shared" else K, D)
        np.testing.assert_allclose(got, np.broadcast_to(expected, got.shape), atol=1e-6)
    apart = np.ptp(p.z_mean_per_component, axis=1).max()
    assert apart == 0 if form == "shared" else apart > 0.01
    np.testing.assert_allclose(p.responsibilities, jax.nn.softmax(posterior.logits), atol=1e-6)


def test_locked_channels_get_exactly_nothing(x):
    trainer, state = untrained("standard")
    free, p = predict(trainer.model, state, x), predict(trainer.model, trainer.hold(state, k_active=3), x)
    assert (free.responsibilities[:, 3:] > 0).all() and (free.channel >= 3).any()
    assert not p.responsibilities[:, 3:].any() and (p.channel < 3).all()
    expected = free.responsibilities[:, :3] / free.responsibilities[:, :3].sum(1, keepdims=True)
    np.testing.assert_allclose(p.responsibilities[:, :3], expected, rtol=1e-4)
    q = responsibilities(trainer.model, state.average, x, 3)
    np.testing.assert_array_equal(q, p.responsibilities)


def test_a_last_partial_batch_is_as_good_as_any():
    trainer, state = untrained("pixel")
    x = tiny_images(BATCH + 3, seed=4)
    whole, tail = predict(trainer.model, state, x), predict(trainer.model, state, x[BATCH:])
    assert len(whole.mean) == BATCH + 3 and len(tail.mean) == 3
    for a, b in zip(whole, tail, strict=True):
        np.testing.assert_array_equal(a[BATCH:], b)


def test_no_images_give_empty_arrays():
    p = predict(untrained("pixel")[0].model, untrained("pixel")[1], np.zeros((0, 12, 9, 1), np.uint8))
    assert p.responsibilities.shape == (0, K) and p.z_mean_per_component.shape == (0, K, D)
    assert p.mean.shape == p.sigma.shape == (0, 12, 9, 1)


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_bytes_are_255ths(kind, x):
    trainer, state = untrained("standard")
    bytes_, floats = predict(trainer.model, state, x), predict(trainer.model, state, (x / 255.0).astype(kind))
    for a, b in zip(bytes_[:5], floats[:5], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)  # 1 / 255 is rounded differently


def test_the_averaged_weights_are_the_ones_that_speak(x):
    trainer, state = untrained("standard")
    q = predict(trainer.model, state._replace(params=None), x).responsibilities
    np.testing.assert_array_equal(q, predict(trainer.model, state, x).responsibilities)
    assert np.abs(q - predict(trainer.model, state._replace(average=state.params), x).responsibilities).max() > 0.1


@pytest.mark.parametrize(
    ("images", "found"),
    [
        (np.zeros((12, 9, 1), np.uint8), "shape (12, 9, 1) and type uint8"),
        (np.zeros((3, 12, 9), np.uint8), "shape (3, 12, 9) and type uint8"),
        (np.zeros((3, 9, 12, 1), np.uint8), "shape (3, 9, 12, 1) and type uint8"),
        (np.zeros((3, 12, 9, 3), np.float32), "shape (3, 12, 9, 3) and type float32"),
        (np.zeros((3, 12, 9, 1), np.int64), "shape (3, 12, 9, 1) and type int64"),
        (np.zeros((3, 12, 9, 1), np.uint16), "shape (3, 12, 9, 1) and type uint16"),
        (np.zeros((3, 12, 9, 1), bool), "shape (3, 12, 9, 1) and type bool"),
        (np.full((3, 12, 9, 1), 255.0), "pixels from 255 to 255"),
        (np.full((3, 12, 9, 1), -0.5), "pixels from -0.5 to -0.5"),
        (np.full((3, 12, 9, 1), np.nan), "pixels from nan to nan"),
    ],
)
def test_wrong_images_are_refused_with_what_was_found_and_expected(images, found):
    trainer, state = untrained("standard")
    with pytest.raises(ValueError, match=re.escape(found)) as caught:
        predict(trainer.model, state, images)
    assert "expected [N, 12, 9, 1], uint8 or floats in [0, 1]" in str(caught.value)
    with pytest.raises(ValueError, match=re.escape(found)):
        responsibilities(trainer.model, state.average, images, K)


@pytest.mark.parametrize("form", FORMS)
def test_chosen_losses_are_the_evidence_losses_of_every_image_in_its_channel(form, x):
    trainer, state = untrained(form)
    channel, losses = chosen_losses(trainer.model, state.average, x, 4)
    p = predict(trainer.model, trainer.hold(state, k_active=4), x)
    own = np.arange(N), p.channel
    z, log_var = p.z_mean_per_component[own], p.z_log_var_per_component[own]
    nll = applied(trainer, state, "nll", z, jnp.eye(K)[p.channel], x / np.float32(255))
    np.testing.assert_array_equal(channel, p.channel)
    np.testing.assert_allclose(losses, nll + kl_normal(z, log_var), rtol=1e-4)
    assert trainer.evidence_loss(trainer.hold(state, k_active=4), x) == pytest.approx(losses.mean(), rel=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_cross_decoding_is_the_mean_cost_of_another_unlocked_channels_embedding(form, x):
    trainer, state = untrained(form)
    p = predict(trainer.model, trainer.hold(state, k_active=4), x)
    z = p.z_mean_per_component[np.arange(N), p.channel]
    nll = np.stack(
        [applied(trainer, state, "nll", z, jnp.eye(K)[np.full(N, j)], x / np.float32(255)) for j in range(4)], 1
    )
    own = nll[np.arange(N), p.channel]
    expected = [np.delete(row, c).mean() - row[c] for row, c in zip(nll, p.channel, strict=True)]
    np.testing.assert_allclose(cross_decoding(trainer.model, state.average, x, 4), expected, atol=1e-5 * own.max())
    np.testing.assert_array_equal(cross_decoding(trainer.model, state.average, x, 1), np.zeros(N))
