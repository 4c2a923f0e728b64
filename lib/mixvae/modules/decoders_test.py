"""Decoders, all 2 x 3 x 2 combinations: B=3, K=5, D=2, E=7, H=20, W=30, C=3."""

from functools import cache, partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from mixvae.config import ModelConfig
from mixvae.model import build_decoder
from mixvae.modules.conditioning import CONDITIONERS, FiLMLayer
from mixvae.modules.decoders import ModularConvDecoder, ModularDenseDecoder

B, K, D, E, H, W, C = 3, 5, 2, 7, 20, 30, 3
KINDS = {"conv": ModularConvDecoder, "dense": ModularDenseDecoder}
SMALL = {"conv": dict(width=6, hidden=8), "dense": dict(hidden_dims=(6, 8))}
CONDITIONINGS, OUTPUTS = ("film", "concat", "none"), ("standard", "heteroscedastic")
ALL = pytest.mark.parametrize("kind, conditioning, output", list(product(KINDS, CONDITIONINGS, OUTPUTS)))
rng = np.random.default_rng(0)
Z = rng.normal(size=(B, K, D)).astype(np.float32)
EMBEDDINGS = rng.normal(size=(B, K, E)).astype(np.float32)
X = rng.uniform(size=(B, 1, H, W, C)).astype(np.float32)


def decoder(kind, conditioning="film", output="standard", **changed):
    sizes = dict(latent_dim=D, output_hw=(H, W), component_embedding_dim=E, channels=C, **SMALL[kind])
    return KINDS[kind](conditioning_method=conditioning, output_type=output, **(sizes | changed))


def made(module):
    """Parameters of any kind, so that nothing still stands where it started."""
    shapes = jax.eval_shape(module.init, jax.random.key(0), Z, EMBEDDINGS)
    draw = np.random.default_rng(1).normal
    return jax.tree.map(lambda leaf: draw(scale=leaf.shape[0] ** -0.5, size=leaf.shape).astype(np.float32), shapes)


@partial(jax.jit, static_argnums=0)
def render(module, params, z, e, x):
    """(mean, sigma or None, nll)."""
    image, nll = module.apply(params, z, e), module.apply(params, z, e, x, method="nll")
    return (*image, nll) if isinstance(image, tuple) else (image, None, nll)


@cache
def rendered(module):
    return render(module, made(module), Z, EMBEDDINGS, X)


@ALL
def test_every_combination_gives_images_and_scores(kind, conditioning, output):
    mean, sigma, nll = rendered(decoder(kind, conditioning, output))
    assert mean.shape == (B, K, H, W, C) and nll.shape == (B, K)
    assert (mean > 0).all() and (mean < 1).all() and np.std(mean, axis=(0, 1)).min() > 0
    if output == "standard":
        assert sigma is None
    else:
        assert sigma.shape == mean.shape and (sigma > 0.05).all() and (sigma < 0.5).all()


@ALL
def test_the_score_is_the_score_of_the_image_that_is_shown(kind, conditioning, output):
    mean, sigma, nll = (None if a is None else np.float64(a) for a in rendered(decoder(kind, conditioning, output)))
    if output == "standard":
        expected = -(X * np.log(mean) + (1 - X) * np.log1p(-mean))
    else:
        expected = -stats.norm(mean, sigma).logpdf(X) - 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(nll, expected.sum((2, 3, 4)), rtol=1e-5)


@ALL
def test_a_latent_is_decoded_by_itself_whatever_stands_beside_it(kind, conditioning, output):
    module = decoder(kind, conditioning, output)
    alone = render(module, made(module), Z[::-1, 1], EMBEDDINGS[::-1, 1], X[::-1, 0])
    for whole, part in zip(rendered(module), alone, strict=True):
        if whole is not None:
            np.testing.assert_allclose(whole[::-1, 1], part, rtol=2e-5, atol=1e-6)


@ALL
@pytest.mark.parametrize("shape", [(9, 13, 1), (8, 31, 2)])
def test_odd_sizes(kind, conditioning, output, shape):
    module = decoder(kind, conditioning, output, output_hw=shape[:2], channels=shape[2])
    image, _ = jax.eval_shape(partial(module.init_with_output, jax.random.key(0)), Z, EMBEDDINGS)
    assert {leaf.shape for leaf in jax.tree.leaves(image)} == {(B, K, *shape)}


@pytest.mark.parametrize("kind", KINDS)
def test_one_sigma_an_image(kind):
    module = decoder(kind, output="heteroscedastic", sigma_per="image", sigma_min=0.1, sigma_max=2.0)
    mean, sigma, nll = rendered(module)
    assert sigma.shape == (B, K, 1, 1, 1) and (sigma > 0.1).all() and (sigma < 2.0).all()
    expected = -stats.norm(mean, sigma).logpdf(X) - 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(nll, expected.sum((2, 3, 4)), rtol=1e-5)


def test_the_gaussian_likelihood_is_half_the_squared_error():
    mean, _, nll = rendered(decoder("dense", likelihood="gaussian"))
    np.testing.assert_allclose(nll, 0.5 * ((X - mean) ** 2).sum((2, 3, 4)), rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("conditioning, differs", [("film", True), ("concat", True), ("none", False)])
def test_only_an_embedding_tells_channels_apart(kind, conditioning, differs):
    module = decoder(kind, conditioning)
    here, there = (render(module, made(module), Z, e, X)[0] for e in (EMBEDDINGS, EMBEDDINGS[:, ::-1]))
    changed = np.abs(here - there).max((2, 3, 4))
    assert (changed[:, [0, 1, 3, 4]] > 1e-3).all() if differs else not changed.any()
    assert not changed[:, 2].any()


@cache
def at_start(kind, conditioning):
    """Parameters as initialised, and the gradient of a batch's summed score."""

    @jax.jit
    def start(z, e, x):
        module = decoder(kind, conditioning, "heteroscedastic")
        params = module.init(jax.random.key(0), z, e)["params"]
        return params, jax.grad(lambda p: module.apply({"params": p}, z, e, x, method="nll").sum())(params)

    return start(Z, EMBEDDINGS, X)


def last(params):
    """The bias of the last layer, [pixels, 2 C]: means first, then s."""
    return params["decoder"]["head"]["pixels"]["Dense_0"]["bias"].reshape(-1, 2 * C)


STARTS = pytest.mark.parametrize("kind, conditioning", list(product(KINDS, CONDITIONINGS)))


@STARTS
def test_sigma_learns_from_the_first_step(kind, conditioning):
    _, gradient = at_start(kind, conditioning)
    assert (np.abs(last(gradient)[:, C:]) > 1e-4).all()


@STARTS
def test_the_last_layer_does_not_start_at_zero_and_every_layer_learns(kind, conditioning):
    params, gradient = at_start(kind, conditioning)
    assert np.std(params["decoder"]["head"]["pixels"]["Dense_0"]["kernel"]) > 0.01
    assert all(np.any(leaf) for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("kind, output", list(product(KINDS, OUTPUTS)))
def test_conditionings_are_compared_at_equal_size(kind, output):
    def size(conditioning):
        module = build_decoder(ModelConfig(decoder=kind, output=output, conditioning=conditioning), (28, 28, 1))
        shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 2)), jnp.zeros((1, 16)))
        return sum(leaf.size for leaf in jax.tree.leaves(shapes))

    sizes = [size(conditioning) for conditioning in CONDITIONINGS]
    assert max(sizes) < 1.05 * min(sizes)


@pytest.mark.parametrize("kind, conditioning", list(product(KINDS, ("film", "concat"))))
def test_a_missing_embedding_is_refused(kind, conditioning):
    module = decoder(kind, conditioning)
    with pytest.raises(ValueError, match=r"component_embedding.*\(3, 5\).*conditioning_method='none'"):
        module.apply(made(module), Z)


@pytest.mark.parametrize("kind", KINDS)
def test_without_conditioning_no_embedding_is_needed(kind):
    module = decoder(kind, "none")
    np.testing.assert_allclose(render(module, made(module), Z, None, X)[0], rendered(module)[0], atol=1e-6)


@pytest.mark.parametrize(
    "z, e, message",
    [
        (Z[..., :1], EMBEDDINGS, r"z has shape \(3, 5, 1\).*latent_dim=2"),
        (Z, EMBEDDINGS[..., :6], r"\(3, 5, 6\).*\(3, 5, 7\)"),
        (Z, EMBEDDINGS[0], r"\(5, 7\).*\(3, 5, 7\)"),
    ],
)
@pytest.mark.parametrize("method", ["__call__", "nll"])
def test_sizes_that_were_not_announced_are_refused(z, e, message, method):
    module = decoder("dense")
    with pytest.raises(ValueError, match=message):
        module.apply(made(module), z, e, *[X] * (method == "nll"), method=method)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "wrong, message",
    [
        (dict(conditioning_method="fillm"), "conditioning_method='fillm'.*did you mean 'film'"),
        (dict(output_type="hetero"), "output_type='hetero'.*heteroscedastic"),
        (dict(likelihood="bernouli"), "likelihood='bernouli'.*did you mean 'bernoulli'"),
        (dict(sigma_per="pixels"), "sigma_per='pixels'.*did you mean 'pixel'"),
        (dict(output_hw=(28, 7)), r"output_hw=\(28, 7\).*at least 8"),
        (dict(sigma_min=0.5), "sigma_min=0.5.*below sigma_max=0.5"),
        (dict(sigma_min=0.0), "sigma_min=0.0 must be above 0"),
    ],
)
def test_a_constructor_refuses_by_name(kind, wrong, message):
    with pytest.raises(ValueError, match=message):
        KINDS[kind](**wrong)


@ALL
def test_build_decoder_follows_the_config(kind, conditioning, output):
    sizes = dict(num_components=K, latent_dim=D, component_embedding_dim=E, **SMALL[kind])
    config = ModelConfig(decoder=kind, conditioning=conditioning, output=output, **sizes)
    assert build_decoder(config, (H, W, C)) == decoder(kind, conditioning, output)


@pytest.mark.parametrize("kind", KINDS)
def test_a_remade_decoder_hits_the_compile_cache(kind):
    module = decoder(kind)
    rendered(module)
    compiled = render._cache_size()
    again = decoder(kind, output_hw=[H, W], **({"hidden_dims": [6, 8]} if kind == "dense" else {}))
    assert again == module and hash(again) == hash(module)
    render(again, made(again), Z, EMBEDDINGS, X)
    assert render._cache_size() == compiled


def test_a_part_that_is_made_anew_under_its_name_is_not_the_old_one(monkeypatch):
    before = decoder("dense")
    assert decoder("dense") == before
    monkeypatch.setitem(CONDITIONERS, "film", type("FiLMLayer", (FiLMLayer,), {}))
    assert decoder("dense") != before and decoder("dense", "concat") == decoder("dense", "concat")


@pytest.mark.parametrize("kind", KINDS)
def test_film_knows_how_long_a_latent_is_from_the_start(kind):
    module = decoder(kind, "film", "standard")
    params = module.init(jax.random.key(0), Z, EMBEDDINGS)
    near, far = (jax.jit(module.apply)(params, scale * Z, EMBEDDINGS) for scale in (1.0, 3.0))
    assert np.abs(near - far).max() > 0.01
