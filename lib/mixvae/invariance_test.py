"""The affine view against SciPy's bilinear resampling; the router's objective in closed form: B=3, K=5, H=20, W=30."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates
from scipy.stats import entropy

from mixvae.invariance import affine_matrix, augment, router_objective, warp

B, K, H, W, C = 3, 5, 20, 30, 2
NOTHING = dict(degrees=0.0, shift=0.0, scale=0.0, shear=0.0)
RECIPE = dict(degrees=20.0, shift=3.0, scale=0.15, shear=0.2)


def images(seed=0):
    return jax.random.uniform(jax.random.key(seed), (B, H, W, C))


def logits(seed=0, scale=2.0):
    return scale * jax.random.normal(jax.random.key(seed), (2, B, K))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000))
def test_warp_is_bilinear_resampling(seed):
    x, rng = images(seed), np.random.default_rng(seed)
    angle, slant, *move = rng.uniform(-2, 2, (4, B))
    zoom_y, zoom_x = rng.uniform(0.5, 2, (2, B))
    matrices = affine_matrix(*(jnp.asarray(v, jnp.float32) for v in (angle, zoom_y, zoom_x, slant)))
    found = warp(x, matrices, jnp.stack(move, -1))
    for b in range(B):
        turn = np.array([[np.cos(angle[b]), -np.sin(angle[b])], [np.sin(angle[b]), np.cos(angle[b])]])
        matrix = turn @ np.array([[zoom_y[b], slant[b]], [0, zoom_x[b]]])
        grid = np.stack(np.meshgrid(np.arange(H) - 9.5, np.arange(W) - 14.5, indexing="ij"))
        at = np.einsum("ij,jhw->ihw", matrix, grid) + np.array([9.5 + move[0][b], 14.5 + move[1][b]])[:, None, None]
        for c in range(C):
            padded = np.pad(np.asarray(x[b, ..., c], np.float64), 1)  # SciPy does not blend into the outside by itself
            np.testing.assert_allclose(found[b, ..., c], map_coordinates(padded, at + 1, order=1), atol=2e-5)


def test_all_zero_gives_the_images_back():
    np.testing.assert_allclose(augment(jax.random.key(1), images(), **NOTHING), images(), atol=1e-6)


def test_a_whole_pixel_shift_moves_rows_and_columns():
    move = jnp.tile(jnp.array([2.0, -3.0]), (B, 1))
    found = warp(images(), jnp.tile(jnp.eye(2), (B, 1, 1)), move)
    np.testing.assert_allclose(found[:, :-2, 3:], images()[:, 2:, :-3], atol=1e-6)
    assert not found[:, -2:].any() and not found[:, :, :3].any()


def displacements(name):
    """How far, in rows and columns, each pixel of 200 views comes from: [200, H, W, 2]; a ramp survives resampling."""
    ramp = jnp.stack(jnp.broadcast_arrays(jnp.arange(H)[:, None] - 9.5, jnp.arange(W) - 14.5), -1)
    return augment(jax.random.key(0), jnp.tile(ramp, (200, 1, 1, 1)), **NOTHING | {name: RECIPE[name]}) - ramp


@pytest.mark.parametrize("name", RECIPE)
def test_every_bound_matters_and_is_kept(name):
    moved = jnp.abs(displacements(name))[:, 8:12, 13:17].max((1, 2, 3))  # 1.5 from the centre
    turned = 1.5 * (np.sin(np.pi / 9) + 1 - np.cos(np.pi / 9))
    most = {"degrees": turned, "shift": 3.0, "scale": 1.5 * 0.15, "shear": 1.5 * 0.2}[name]
    assert 0.9 * most < moved.max() <= most + 1e-5 and moved.min() < 0.2 * most


@pytest.mark.parametrize("name", ["shift", "scale"])
def test_rows_and_columns_move_apart(name):
    assert abs(np.corrcoef(displacements(name)[:, 11, 16].T)[0, 1]) < 0.2


def test_views_differ_by_image_and_by_key_and_stay_in_range():
    x = jnp.tile(images()[:1], (B, 1, 1, 1))
    views, others = (augment(jax.random.key(k), x, **RECIPE) for k in (0, 1))
    assert jnp.abs(views[0] - views[1]).max() > 0.1 and jnp.abs(views - others).max() > 0.1
    assert views.min() >= 0 and views.max() <= 1 + 1e-6
    np.testing.assert_allclose(jax.jit(augment)(jax.random.key(0), x, **RECIPE), views, atol=1e-5)


def test_identical_certain_views_spread_over_all_channels():
    one_hot = 80.0 * jnp.eye(K)
    np.testing.assert_allclose(router_objective(one_hot, one_hot, K), [0, np.log(K), 0], atol=1e-6)


@pytest.mark.parametrize("k_active", [1, 2, K])
def test_undecided_router(k_active):
    terms = router_objective(jnp.zeros((B, K)), jnp.zeros((B, K)), k_active)
    np.testing.assert_allclose(terms, [0, np.log(k_active), np.log(k_active)], atol=1e-6)


@jax.jit
def terms_and_gradient(both, k_active):
    def terms(both):
        return jnp.stack(router_objective(*both, k_active))

    return terms(both), jax.jacrev(terms)(both)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0.0, 1.0, 30.0, 1e4]), st.integers(1, K))
def test_bounds_and_finite_gradients_at_any_confidence(seed, scale, k_active):
    both = logits(seed, scale)
    (inv, spread, doubt), gradient = terms_and_gradient(both, k_active)
    assert 0 <= inv + 1e-5 < jnp.inf and -1e-6 <= doubt <= spread + 1e-5 and spread <= np.log(k_active) + 1e-5
    assert jnp.isfinite(gradient).all()


def test_a_self_label_of_an_unlocked_channel_takes_the_place_of_the_target():
    own, taught = logits()
    labels, k_active = np.array([-1, 2, 4]), 4  # none, one, and one that is locked
    log_q = jax.nn.log_softmax(taught[:, :k_active])
    expected = [router_objective(own[i : i + 1], taught[i : i + 1], k_active).inv for i in (0, 2)]
    found = router_objective(own, taught, k_active, labels)
    np.testing.assert_allclose(found.inv, (expected[0] - log_q[1, 2] + expected[1]) / 3, rtol=1e-5)
    np.testing.assert_allclose(found[1:], router_objective(own, taught, k_active)[1:], rtol=1e-6)
    gradient = jax.grad(lambda own: router_objective(own, taught, k_active, labels).inv)(own)
    assert not gradient.any()


def test_the_invariance_gradient_reaches_only_the_augmented_view():
    gradient = jax.grad(lambda both: router_objective(*both, K).inv)(logits())
    q_x, q_a = jax.nn.softmax(logits())
    assert not gradient[0].any()
    np.testing.assert_allclose(gradient[1], (q_a - q_x) / B, atol=1e-6)
    of_H, of_h = (jax.jacrev(lambda both: jnp.stack(router_objective(*both, K)))(logits()))[1:]
    assert all(jnp.abs(view).max() > 1e-3 for view in (*of_H, *of_h))


def test_terms_are_those_of_their_definition():
    q = np.asarray(jax.nn.softmax(logits()), np.float64)
    inv = (q[0] * np.log(q[0] / q[1])).sum(-1).mean()
    expected = inv, entropy(q.mean(1), axis=-1).mean(), entropy(q, axis=-1).mean()
    np.testing.assert_allclose(router_objective(*logits(), K), expected, rtol=1e-5)


def test_locked_channels_are_not_there():
    both = logits()
    terms = jax.jit(router_objective)(*both, 2)
    np.testing.assert_allclose(terms, router_objective(*both[..., :2], 2), rtol=1e-5)
    gradient = jax.grad(lambda both: sum(router_objective(*both, 2)))(both)
    assert not gradient[..., 2:].any() and gradient[..., :2].any()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: augment(jax.random.key(0), jnp.zeros((B, H, W)), **NOTHING), r"\[B, H, W, C\].*\(3, 20, 30\)"),
        (lambda: augment(jax.random.key(0), jnp.zeros((B, H, W, 1), jnp.uint8), **NOTHING), "uint8.*255"),
        (lambda: router_objective(jnp.zeros((B, K)), jnp.zeros((B + 1, K)), K), r"\(3, 5\) and \(4, 5\)"),
    ],
)
def test_refusals_say_what_was_found(call, message):
    with pytest.raises(ValueError, match=message):
        call()
