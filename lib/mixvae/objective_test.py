"""The objective's one conditional a term, beside the formula written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mixvae.config import Config, Knobs, ModelConfig, ObjectiveConfig
from mixvae.invariance import router_objective
from mixvae.losses import kl_normal
from mixvae.model import build_model
from mixvae.modules.encoders import Posterior
from mixvae.objective import Batch, build_objective, weighted

B, M, K, D, Y = 6, 4, 5, 2, 3
LABELS = (0, -1, 2, 1)
WEIGHTS = dict(w_evidence=0.7, w_inv=3.0, w_mi=2.0, w_label=1.5)


@pytest.fixture(
    scope="module",
    params=[("all", "tau", K), ("all", "tau", 3), ("routed", "channel", 3)],
    ids=lambda p: f"{p[0]}, {p[1]}, {p[2]} of {K}",
)
def scene(request):
    """An objective with every term on, its weights, a batch of which some are labelled, and what form it has."""
    scope, target, _ = request.param
    rng = np.random.default_rng(0)
    sizes = dict(num_components=K, latent_dim=D, hidden_dims=(6,), width=2, hidden=4)
    terms = ObjectiveConfig(usage_alpha=2, kl_scope=scope, label_target=target)
    config = Config(model=ModelConfig(encoder="dense", decoder="dense", **sizes), objective=terms)
    x, x_labelled = (rng.uniform(size=(n, 8, 9, 1)).astype(np.float32) for n in (B, M))
    table = rng.dirichlet(np.ones(Y), K).astype(np.float32)
    model = build_model(config, x.shape[1:])
    params = jax.jit(model.init)(jax.random.key(1), x)["params"]
    self_labels = np.arange(B) % (K + 1) - 1
    batch = Batch(x, self_labels, x_labelled, np.array(LABELS), table)
    return build_objective(config, model), params, batch, request.param


def written_out(objective, params, key, batch, knobs, scope, target, k):
    key_recon, key_inv, key_label = jax.random.split(key, 3)
    posterior = objective.encode(params, batch.x)
    q = jax.nn.softmax(posterior.logits[:, :k])
    kl = kl_normal(posterior.mean, posterior.log_var)  # of locked channels too, which holds them at the prior
    kl_z = {"all": kl.sum(1), "routed": (q * kl[:, :k]).sum(1)}[scope].mean()
    kl_c = (q * jnp.log(k * q)).sum(1).mean()
    viewed = objective.encode(params, objective.view(key_inv, batch.x)).logits
    router = router_objective(posterior.logits, viewed, k, batch.self_labels)
    recon = objective.reconstruction(params, posterior, key_recon, batch.x, knobs)
    table = {"tau": batch.table, "channel": jnp.eye(K, Y)}[target][:k]
    labelled = objective.encode(params, objective.view(key_label, batch.x_labelled)).logits
    p = jax.nn.softmax(labelled[:, :k]) @ table
    return (
        knobs.w_evidence * (recon + knobs.beta_z * kl_z + knobs.beta_c * kl_c)
        - jnp.log(q.mean(0)).sum()
        + knobs.w_inv * router.inv
        - knobs.w_mi * (2 * router.H - router.h)
        - knobs.w_label * sum(jnp.log(p[i, y]) for i, y in enumerate(LABELS) if y >= 0) / M
    )


@pytest.mark.parametrize(
    "off", [(), ("w_evidence",), ("w_inv",), ("w_mi",), ("w_inv", "w_mi"), ("w_label",), (*WEIGHTS,)]
)
def test_loss_and_gradient_are_those_of_the_formula_whatever_is_off(scene, off):
    objective, params, batch, form = scene
    knobs = Knobs(*[1.0] * len(Knobs._fields))._replace(k_active=form[-1], router_recon=0.4, beta_c=0.3)
    knobs = knobs._replace(**WEIGHTS | dict.fromkeys(off, 0.0))

    @jax.jit
    def both(knobs):
        key = jax.random.key(2)
        ours = jax.value_and_grad(lambda p: objective(p, key, batch, knobs)[0])(params)
        return ours, jax.value_and_grad(lambda p: written_out(objective, p, key, batch, knobs, *form))(params)

    ours, plain = both(jax.tree.map(jnp.float32, knobs))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), ours, plain)


def test_the_gradient_may_be_taken_of_a_jitted_objective(scene):
    objective, params, batch, form = scene
    knobs = Knobs(*[1.0] * len(Knobs._fields))._replace(k_active=form[-1])
    inside, outside = (
        each(params, jax.random.key(2), batch, knobs)[0]
        for each in (jax.jit(jax.grad(objective, has_aux=True)), jax.grad(jax.jit(objective), has_aux=True))
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), inside, outside)


def test_latents_have_the_posteriors_mean_and_deviation(scene):
    objective, *_ = scene
    mean, deviation = np.float32([[1, -2]] * K), np.float32([[3, 0.5]] * K)
    posterior = Posterior(
        *(jnp.broadcast_to(a, (20_000, *a.shape)) for a in (np.zeros(K), mean, 2 * np.log(deviation)))
    )
    z = objective.latents(jax.random.key(3), posterior)
    np.testing.assert_allclose(z.mean(0), mean, atol=0.1)
    np.testing.assert_allclose(z.std(0), deviation, rtol=0.03)
    assert abs(np.corrcoef(z[:, 0, 0], z[:, 1, 0])[0, 1]) < 0.03  # each channel's is a draw of its own


@pytest.mark.parametrize("together", [False, True])
def test_a_term_without_a_weight_is_not_computed(together):
    @jax.jit
    def slope(weight, x):
        def loss(x):
            total, terms = weighted(lambda x: {"log": jnp.log(x)}, {"log": weight}, (x,))
            return total, terms["log"]

        return jax.grad(loss, has_aux=True)(x)

    at = (jnp.array([0.0, 2.0]), jnp.array([0.0, 4.0]))
    if together:  # under vmap both sides run, and one is taken
        slopes, logs = jax.vmap(slope)(at[0], at[1] + 1)
        np.testing.assert_allclose((slopes, logs), [[0, 0.4], [0, np.log(5)]], rtol=1e-6)
    else:
        assert slope(at[0][0], at[1][0]) == (0.0, 0.0)
        np.testing.assert_allclose(slope(at[0][1], at[1][1]), [0.5, np.log(4)], rtol=1e-6)
