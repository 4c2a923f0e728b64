"""The objective's one conditional a term, beside the formula written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mixvae.config import Config, Knobs, ModelConfig, ObjectiveConfig
from mixvae.invariance import router_objective
from mixvae.losses import kl_categorical, kl_latents, kl_normal, usage
from mixvae.model import build_model
from mixvae.objective import Batch, build_objective, weighed

B, M, K, D, Y = 6, 4, 5, 2, 3
WEIGHTS = dict(w_evidence=0.7, w_inv=3.0, w_mi=2.0, w_label=1.5)


@pytest.fixture(scope="module")
def scene():
    """An objective with every term on, its weights, and a batch of which some are labelled."""
    rng = np.random.default_rng(0)
    sizes = dict(num_components=K, latent_dim=D, hidden_dims=(6,), width=2, hidden=4)
    config = Config(
        model=ModelConfig(encoder="dense", decoder="dense", **sizes), objective=ObjectiveConfig(usage_alpha=2)
    )
    x, x_labelled = (rng.uniform(size=(n, 8, 9, 1)).astype(np.float32) for n in (B, M))
    table = rng.dirichlet(np.ones(Y), K).astype(np.float32)
    model = build_model(config, x.shape[1:])
    params = jax.jit(model.init)(jax.random.key(1), x)["params"]
    self_labels = np.arange(B) % (K + 1) - 1
    batch = Batch(x, self_labels, x_labelled, np.array([0, -1, 2, 1]), table)
    return build_objective(config, model), params, batch


def written_out(objective, params, key, batch, knobs):
    key_recon, key_inv, key_label = jax.random.split(key, 3)
    posterior = objective.encode(params, batch.x)
    q = jax.nn.softmax(posterior.logits)
    kl = kl_latents(kl_normal(posterior.mean, posterior.log_var), q, objective.kl_scope).mean()
    viewed = objective.encode(params, objective.view(key_inv, batch.x)).logits
    router = router_objective(posterior.logits, viewed, K, batch.self_labels)
    recon = objective.reconstruction(params, key_recon, batch.x, posterior, knobs)
    evidence = recon + knobs.beta_z * kl + knobs.beta_c * kl_categorical(posterior.logits).mean()
    return (
        knobs.w_evidence * evidence
        + usage(q, objective.usage_alpha, K)
        + knobs.w_inv * router.inv
        - knobs.w_mi * (2 * router.H - router.h)
        + knobs.w_label * objective.label(params, key_label, batch, knobs)
    )


@pytest.mark.parametrize(
    "off", [(), ("w_evidence",), ("w_inv",), ("w_mi",), ("w_inv", "w_mi"), ("w_label",), (*WEIGHTS,)]
)
def test_loss_and_gradient_are_those_of_the_formula_whatever_is_off(scene, off):
    objective, params, batch = scene
    knobs = Knobs(*[1.0] * len(Knobs._fields))._replace(k_active=K, router_recon=0.4, beta_c=0.3)
    knobs = knobs._replace(**WEIGHTS | dict.fromkeys(off, 0.0))

    @jax.jit
    def both(knobs):
        key = jax.random.key(2)
        ours = jax.value_and_grad(lambda p: objective(p, key, batch, knobs)[0])(params)
        return ours, jax.value_and_grad(lambda p: written_out(objective, p, key, batch, knobs))(params)

    ours, plain = both(jax.tree.map(jnp.float32, knobs))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), ours, plain)


def test_the_gradient_may_be_taken_of_a_jitted_objective(scene):
    objective, params, batch = scene
    knobs = Knobs(*[1.0] * len(Knobs._fields))._replace(k_active=K)
    inside, outside = (
        each(params, jax.random.key(2), batch, knobs)[0]
        for each in (jax.jit(jax.grad(objective, has_aux=True)), jax.grad(jax.jit(objective), has_aux=True))
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), inside, outside)


@pytest.mark.parametrize("together", [False, True])
def test_a_term_without_a_weight_is_not_computed(together):
    @jax.jit
    def slope(weight, x):
        def loss(x):
            total, terms = weighed(lambda x: {"log": jnp.log(x)}, {"log": weight}, (x,))
            return total, terms["log"]

        return jax.grad(loss, has_aux=True)(x)

    at = (jnp.array([0.0, 2.0]), jnp.array([0.0, 4.0]))
    if together:  # under vmap both sides run, and one is taken
        slopes, logs = jax.vmap(slope)(at[0], at[1] + 1)
        np.testing.assert_allclose((slopes, logs), [[0, 0.4], [0, np.log(5)]], rtol=1e-6)
    else:
        assert slope(at[0][0], at[1][0]) == (0.0, 0.0)
        np.testing.assert_allclose(slope(at[0][1], at[1][1]), [0.5, np.log(4)], rtol=1e-6)
