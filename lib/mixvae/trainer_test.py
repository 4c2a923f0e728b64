"""Training on 48 images of 12 x 9 pixels: 5 channels, batches of 7."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import entropy

from mixvae import Knobs, Trainer
from mixvae.config import LIVE
from mixvae.curriculum import forget
from mixvae.example_runs import SHAPE, STAGES, UNLABELLED, same, tiny_config
from mixvae.inference import responsibilities
from mixvae.model import build_model
from mixvae.step import draw, run_steps


def make(**settings) -> Trainer:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, SHAPE, dtype=np.uint8), np.full(SHAPE[0], -1)
    y[:6] = np.arange(6) % 3
    return Trainer(tiny_config(**settings), x, y, num_classes=3)


CONVOLUTIONS = {"model.encoder": "conv", "model.decoder": "conv", "model.width": 2, "model.hidden": 6}


PLATEAU = {  # at which the loss always stands: channels are unlocked after the first and the second epoch
    "curriculum.enabled": True,
    "curriculum.k_active_schedule": [1, 3, 5],
    "curriculum.unlock_epochs": None,
    "curriculum.patience": 1,
    "curriculum.cooldown": 0,
    "curriculum.min_delta": 1e6,
}


@pytest.mark.parametrize(
    "settings",
    [
        STAGES | CONVOLUTIONS,
        {"objective.w_label": 5.0},
        {"train.starts": 1, "train.regroups": 1, "train.start_epochs": 1},
        PLATEAU,
        {"train.self_label_epochs": 1},
    ],
    ids=["conv", "labels", "starts", "plateau", "self-labels"],
)
def test_numbers_do_not_depend_on_how_steps_are_divided(settings):
    trainer = make(**settings)
    whole = trainer.init()
    for _ in range(3):
        whole, _ = trainer.advance(whole)
    parts, sizes = trainer.init(), iter([1, 4, 2, 3] * 20)
    while parts.step < whole.step:
        parts, _ = trainer.advance(parts, next(sizes))
    assert same(whole, parts)


@pytest.mark.parametrize(
    "x, found",
    [
        (np.zeros((9, 12, 9, 1), np.float32), "shape (9, 12, 9, 1) and type float32"),
        (np.zeros((9, 12, 9), np.uint8), "shape (9, 12, 9) and type uint8"),
    ],
    ids=["floats", "three axes"],
)
def test_other_images_than_bytes_are_refused(x, found):
    with pytest.raises(ValueError, match=re.escape(f"training images have {found}; expected uint8 [N, H, W, C]")):
        Trainer(tiny_config(), x)


def test_labels_are_whole_numbers():
    with pytest.raises(ValueError, match="labels are float64; expected whole numbers"):
        make().set_labels(np.full(SHAPE[0], 1.7))


def test_a_chunk_ends_where_the_epoch_ends():
    trainer = make()
    state, columns = trainer.advance(trainer.init(), 100)
    assert state.step == trainer.steps_per_epoch == 48 // 7
    assert columns["usage"].shape == (6, 5) and columns["loss"].shape == (6,)


def test_moving_every_live_knob_compiles_nothing_and_changes_the_next_state():
    trainer = make(**STAGES, **{"objective.w_label": 1.0, "objective.usage_alpha": 1.5, "routing.estimator": "gumbel"})
    state, _ = trainer.advance(trainer.init())
    state, _ = trainer.advance(state, 1)
    compiled, (still, _) = run_steps._cache_size(), trainer.advance(state, 1)
    for name, (_, field) in LIVE.items():
        high = 5 if name == "k_active" else field.metadata["high"]
        target = 1.0 if name == "k_active" else high if getattr(state.knobs, name) != high else field.metadata["low"]
        moved, _ = trainer.advance(trainer.hold(state, **{name: target}), 1)
        assert not same(moved.params, still.params), name
    assert run_steps._cache_size() == compiled


def test_terms_add_up_to_the_loss():
    trainer = make(**{"objective.w_label": 3.0, "objective.usage_alpha": 1.5, "routing.estimator": "gumbel"})
    _, c = trainer.advance(trainer.init())
    total = (
        c["recon"]
        + c["kl_z"]
        + 0.5 * c["kl_c"]
        + c["usage_prior"]
        + 10 * c["inv"]
        - 10 * (2 * c["H"] - c["h"])
        + 3 * c["label"]
    )
    np.testing.assert_allclose(c["loss"], total, rtol=1e-5)
    assert (c["label"] > 0).all() and (c["inv"] > 0).all()


@partial(jax.jit, static_argnums=0)
def gradient(objective, params, key, batch, knobs):
    return jax.grad(objective, has_aux=True)(params, key, batch, knobs)[0]


def router_gradient(estimator: str, router_recon: float, k_active: float = 5, **weights) -> np.ndarray:
    """The loss's gradient with respect to the router's bias [K], every weight but the reconstruction's off."""
    trainer = make(**{"routing.estimator": estimator})
    state = trainer.init()
    off = dict.fromkeys(("beta_z", "beta_c", "w_inv", "w_mi", "w_label"), 0.0) | weights
    knobs = Knobs(*map(np.float32, state.knobs._replace(router_recon=router_recon, k_active=k_active, **off)))
    grads = gradient(trainer.objective, state.params, state.key, draw(trainer.coming(state).data, 0), knobs)
    return np.asarray(grads["encoder"]["posterior"]["router"]["bias"])


@pytest.mark.parametrize("estimator", ["straight_through", "gumbel", "exact"])
def test_router_recon_scales_what_reconstruction_says_in_routing(estimator):
    full = router_gradient(estimator, 1.0)
    assert np.abs(full).max() > 0
    np.testing.assert_allclose(router_gradient(estimator, 0.25), 0.25 * full, rtol=1e-4, atol=1e-6)
    assert not router_gradient(estimator, 0.0).any()


@pytest.mark.parametrize("estimator", ["straight_through", "gumbel", "exact"])
def test_locked_channels_get_no_gradient(estimator):
    everything = dict(beta_z=1.0, beta_c=1.0, w_inv=1.0, w_mi=1.0)
    gradient = router_gradient(estimator, 1.0, k_active=2, **everything)
    assert np.abs(gradient[:2]).min() > 0 and not gradient[2:].any()


def test_a_schedule_writes_a_knob_until_it_is_held_and_again_once_it_is_released():
    trainer = make(**{"routing.tau": 2.0, "routing.tau_rate": 1.0})
    state, _ = trainer.advance(trainer.init(), 3)
    on_schedule = state.knobs.tau
    assert 0.1 < on_schedule < 2.0
    state, _ = trainer.advance(trainer.hold(state, tau=4.0), 1)
    assert state.knobs.tau == 4.0 and state.held.tau and not state.held.beta_z
    state = trainer.release(state, "tau")
    assert state.knobs.tau < on_schedule


def test_newcomers_unlock_at_their_epoch_as_copies_and_the_boost_ends():
    trainer = make(**STAGES, **{"curriculum.kl_boost_on_unlock": 3.0, "curriculum.boost_epochs": 1, "train.epochs": 4})
    state, columns = trainer.advance(trainer.init())
    assert not columns["usage"][:, 2:].any() and state.knobs.k_active == 5
    for weights in (state.params, state.average):
        table = np.asarray(weights["embeddings"])
        distances = np.linalg.norm(table[2:, None] - table[None, :2], axis=-1).min(1)
        assert (distances < 0.5 * np.linalg.norm(table[0] - table[1])).all()
    state, columns = trainer.advance(state)
    assert columns["usage"][:, 2:].all() and state.curriculum.unlocked_at == 1
    boosted, after = trainer.plan(trainer.advance(trainer.init())[0], 1).beta_z, trainer.plan(state, 1).beta_z
    assert (boosted, after) == (3.0, 1.0)


def one_step_before_the_unlock_and_after(**settings):
    trainer = make(**STAGES, **settings)
    state, _ = trainer.advance(trainer.init(), trainer.steps_per_epoch - 1)
    return state, trainer.advance(state, 1)[0]


@pytest.mark.parametrize("how, moved", [("fresh", False), ("split", True)])
def test_fresh_newcomers_begin_with_the_weights_and_moments_they_had_and_split_ones_with_none(how, moved):
    before, after = one_step_before_the_unlock_and_after(**{"curriculum.unlock_init": how})
    assert (before.knobs.k_active, after.knobs.k_active) == (2, 5)
    steps = np.abs(after.params["embeddings"] - before.params["embeddings"])[2:].max(1)
    assert (steps > 0.1).all() == moved and (steps < 0.1).all() != moved
    model = build_model(tiny_config(), SHAPE[1:])
    forgotten = [same(s.optimiser, forget(model, s.optimiser, np.arange(2, 5))) for s in (before, after)]
    assert forgotten == [False, moved]  # locked channels too learn, from the KL over all of them


@pytest.mark.parametrize("held_out", [True, False], ids=["held out", "training"])
def test_a_plateau_is_told_by_the_evidence_loss_of_held_out_images_or_of_some_training_images(monkeypatch, held_out):
    trainer = make(**PLATEAU | {"curriculum.min_delta": 0.5, "train.epochs": 7})
    if held_out:
        trainer.x_val = np.asarray(trainer.x_train[:5])
    losses, judged, opened = iter([9.0, 8.0, 7.9, 7.0, 6.0, 5.9]), [], []
    monkeypatch.setattr(trainer, "evidence_loss", lambda state, x: judged.append(x) or next(losses))
    state = trainer.init()
    for _ in range(6):
        state, _ = trainer.advance(state)
        opened.append(int(state.knobs.k_active))
    assert opened == [1, 1, 3, 3, 3, 5]
    assert all(x is (trainer.x_val if held_out else trainer.judged) for x in judged)


def test_a_curriculum_that_is_switched_on_late_boosts_only_what_it_would_have_by_then():
    trainer = make(**STAGES, **{"curriculum.kl_boost_on_unlock": 3.0, "curriculum.boost_epochs": 1, "train.epochs": 4})
    state = trainer.set_curriculum(trainer.init(), False)
    for beta_z in (1.0, 3.0, 1.0):
        assert trainer.plan(trainer.set_curriculum(state, True), 1).beta_z == beta_z
        state, _ = trainer.advance(state)


def test_a_beta_is_boosted_but_not_compounded_held_or_not():
    trainer = make(**STAGES, **{"curriculum.kl_boost_on_unlock": 3.0})
    state, _ = trainer.advance(trainer.init())
    for value in (1.0, 0.5):
        for _ in range(3):
            state, columns = trainer.advance(state, 1)
            assert columns["beta_z"] == 3 * value and state.knobs.beta_z == value
        state = trainer.hold(state, beta_z=0.5)


def test_no_channel_unlocks_where_training_ends():
    plateau = {"curriculum.unlock_epochs": None, "curriculum.patience": 1, "curriculum.min_delta": 1e6}
    for epochs, open_at_the_end in ((2, 2), (3, 5)):
        trainer = make(**(STAGES | plateau | {"train.epochs": epochs, "curriculum.cooldown": 0}))
        state, _ = trainer.advance(trainer.advance(trainer.init())[0])
        assert state.knobs.k_active == open_at_the_end


def test_labels_arrive_while_training_without_a_recompile():
    trainer = make(**{"objective.w_label": 5.0})
    state, _ = trainer.advance(trainer.init(), 2)
    compiled = run_steps._cache_size()
    trainer.set_labels(np.full(SHAPE[0], -1))
    state, none = trainer.advance(state, 1)
    trainer.set_labels(np.arange(SHAPE[0]) % 3)
    state = trainer.recount(state)
    state, some = trainer.advance(state, 1)
    assert none["label"] == 0 and some["label"] > 0 and run_steps._cache_size() == compiled
    assert state.tau_counts.sum() == pytest.approx(SHAPE[0] + 5 * 3, rel=1e-5)


def test_without_labels_the_table_is_uniform():
    trainer = make()
    trainer.set_labels(np.full(SHAPE[0], -1))
    state = trainer.recount(trainer.init())
    np.testing.assert_array_equal(state.tau_counts, np.ones((5, 3)))


def test_labels_given_by_hand_are_counted_where_the_config_has_none():
    trainer = make(**UNLABELLED)
    state = trainer.init()
    assert not trainer.counts_labels and state.tau_counts.sum() == 5 * 3
    trainer.set_labels(np.arange(SHAPE[0]) % 3)
    assert trainer.recount(state).tau_counts.sum() == pytest.approx(SHAPE[0] + 5 * 3, rel=1e-5)


def test_the_start_with_the_lowest_label_free_loss_goes_on():
    trainer = make(**{"train.starts": 3, "train.start_epochs": 2, "train.epochs": 7, "train.learning_rate": 0.03})
    state, ends, losses = trainer.init(), [], []
    for start in range(3):
        assert state.best.label_free == min(losses, default=np.inf)
        alone = single_start(trainer, state.params, start)
        for _ in range(2):
            state, columns = trainer.advance(state)
            assert not columns["recon"].any() and columns["inv"].all()
        ends.append(alone)
        losses.append(np.float32(trainer.label_free_loss(alone)))
    assert len(set(losses)) == 3
    best = ends[int(np.argmin(losses))]
    assert same(state.params, best.params) and same(state.average, best.average)
    assert same(state.optimiser, best.optimiser)
    state, columns = trainer.advance(state)
    assert columns["recon"].all()


def single_start(trainer, params, start):
    """What a start makes of its first weights, step by step, where no end of an epoch comes between."""
    steps = 2 * trainer.steps_per_epoch
    state = trainer.init()._replace(
        params=params,
        average=params,
        optimiser=trainer.optimiser.init(params),
        step=np.int32(start * steps),
    )
    for _ in range(steps):
        moving, _ = run_steps(trainer.objective, trainer.optimiser, trainer.coming(state, 1))
        state = state._replace(**moving._asdict())._replace(step=np.int32(moving.step))
    return state


def test_starts_are_compared_by_the_routers_objective_of_the_averaged_weights():
    trainer = make(**{"objective.w_inv": 10.0, "objective.w_mi": 3.0})
    state, _ = trainer.advance(trainer.init())
    q, viewed = (responsibilities(trainer.model, state.average, x, 5).astype(float) for x in trainer.judged_views())
    inv = entropy(q, viewed, axis=1).mean()
    of_mean = (entropy(q.mean(0)) + entropy(viewed.mean(0))) / 2
    of_each = np.mean([entropy(q, axis=1), entropy(viewed, axis=1)])
    assert trainer.label_free_loss(state) == pytest.approx(10 * inv - 3 * (2 * of_mean - of_each), rel=1e-4)


def test_the_averages_decay_begins_anew_with_every_start_and_not_with_the_best():
    trainer = make(**{"train.starts": 2, "train.start_epochs": 1, "train.epochs": 3})
    state, begun = trainer.init(), []
    for _ in range(3):
        begun.append(int(trainer.coming(state).begun))
        state, _ = trainer.advance(state)
    assert begun == [0, trainer.steps_per_epoch, 0]


def test_starts_begin_with_other_weights_and_an_average_of_their_own():
    trainer = make(**{"train.starts": 2, "train.start_epochs": 1})
    first = trainer.init()
    second, _ = trainer.advance(first)
    assert not same(first.params, second.params) and same(second.params, second.average)
    assert same(second.optimiser, trainer.optimiser.init(second.params))


def test_a_regrouping_begins_with_the_best_start_and_stays_only_if_it_is_better(monkeypatch):
    trainer = make(**{"train.starts": 2, "train.regroups": 1, "train.start_epochs": 1, "train.epochs": 4})
    losses, seen = iter([3.0, 1.0, 2.0]), []
    monkeypatch.setattr(trainer, "label_free_loss", lambda state: next(losses))
    monkeypatch.setattr(
        "mixvae.regroup.regrouped",
        lambda model, params, *_: seen.append(params) or params | {"embeddings": 2 * params["embeddings"]},
    )
    state, _ = trainer.advance(trainer.init())
    second, _ = trainer.advance(state)
    assert second.best.label_free == 1.0 and same(seen, [second.best.average])
    assert same(second.params["embeddings"], 2 * second.best.average["embeddings"])
    assert same(second.params, second.average)
    last, columns = trainer.advance(second)
    assert not columns["recon"].any() and same(last.params, second.best.params)
    assert trainer.advance(last)[1]["recon"].all()


def test_images_are_taught_their_own_labels_made_anew_after_every_so_many_epochs_but_the_last(monkeypatch):
    trainer = make(**{"train.starts": 1, "train.start_epochs": 1, "train.self_label_epochs": 2, "train.epochs": 7})
    given = np.arange(SHAPE[0], dtype=np.int32) % 5
    seen = []
    monkeypatch.setattr(
        "mixvae.regroup.self_labels",
        lambda model, params, x, k: seen.append((params, x, int(k))) or (given + len(seen) - 1) % 5,
    )
    state = trainer.init()
    for _ in range(2):
        state, _ = trainer.advance(state)
        assert (state.self_labels == -1).all() and not seen
    state, _ = trainer.advance(state)
    assert same(state.self_labels, given) and same(seen, [(state.average, trainer.x_train, 5)])
    batch = draw(trainer.coming(state).data, int(state.step))
    np.testing.assert_array_equal(batch.self_labels, given[trainer.coming(state).data.order[0]])
    taught, _ = trainer.advance(state, 1)
    alone, _ = trainer.advance(state._replace(self_labels=np.full_like(given, -1)), 1)
    assert not same(taught.params["encoder"], alone.params["encoder"])
    assert same(taught.params["decoder"], alone.params["decoder"])
    for made in (1, 2, 2, 2):
        state, _ = trainer.advance(state)
        assert len(seen) == made and same(state.self_labels, (given + made - 1) % 5)


def test_the_average_follows_the_weights():
    trainer = make(**{"train.ema": 0.0})
    state, _ = trainer.advance(trainer.init())
    assert same(state.average, state.params)
    state, _ = make().advance(make().init())
    assert not same(state.average, state.params)


def test_a_number_that_goes_wrong_is_named_and_the_state_before_it_still_good():
    trainer = make()
    state, _ = trainer.advance(trainer.init(), 2)
    broken = jax.tree.map(lambda p: jnp.full_like(p, jnp.nan), state.params)
    with pytest.raises(FloatingPointError, match=r"no longer finite at step 3, at tau=1,"):
        trainer.advance(state._replace(params=broken), 2)
    assert np.isfinite(trainer.advance(state, 2)[1]["loss"]).all()


def test_the_first_term_and_the_knob_that_broke_it_are_named_and_the_knob_can_be_moved_back():
    trainer = make()
    state, _ = trainer.advance(trainer.init(), 2)
    held = trainer.hold(state, beta_z=1.0)
    too_large = held._replace(knobs=held.knobs._replace(beta_z=np.float32(3e38), learning_rate=np.float32(0)))
    with pytest.raises(FloatingPointError, match=r"^loss is no longer finite at step 3, at .*beta_z=3e\+38"):
        trainer.advance(too_large, 2)
    ruined = state._replace(params=jax.tree.map(lambda p: 1e20 * p, state.params))
    with pytest.raises(FloatingPointError) as caught:
        trainer.advance(ruined, 2)
    assert not str(caught.value).startswith(("loss", "gradient"))  # some part of it
    assert np.isfinite(trainer.advance(trainer.hold(too_large, beta_z=1.0), 2)[1]["loss"]).all()


def test_a_validation_loss_that_goes_wrong_is_named(monkeypatch):
    trainer = make()
    monkeypatch.setattr(trainer, "evidence_loss", lambda state, x: np.inf)
    trainer.x_val = np.asarray(trainer.x_train[:5])
    with pytest.raises(FloatingPointError, match=r"^validation_loss is no longer finite at step 6, at tau=1,"):
        trainer.advance(trainer.init())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train.batch_size": 49}, "train.batch_size=49 is larger than the 48 training images"),
        ({"objective.label_target": "channel"}, "needs a channel for each of the 3 classes"),
    ],
)
def test_what_cannot_be_trained_says_so(settings, message):
    with pytest.raises(ValueError, match=message):
        make(**settings)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda trainer, state: trainer.hold(state, taus=1), "the knob 'taus' does not exist; did you mean 'tau'"),
        (lambda trainer, state: trainer.release(state, "taus"), "the knob 'taus' does not exist; did you mean 'tau'"),
        (lambda trainer, state: trainer.hold(state, k_active=2.5), "routing.k_active=2.5 must be a whole number"),
        (lambda trainer, state: trainer.advance(state, 0), "0 steps were asked for"),
        (lambda trainer, state: trainer.advance(state, -1), "-1 steps were asked for"),
        (lambda trainer, state: trainer.set_labels(np.full(48, 3)), "labels run from 3 to 3; expected 0 to 2"),
        (lambda trainer, state: trainer.set_labels(np.full(48, -2)), "labels run from -2 to -2; expected 0 to 2"),
    ],
)
def test_what_cannot_be_done_says_so(call, message):
    trainer = make()
    with pytest.raises(ValueError, match=message):
        call(trainer, trainer.init())


def test_labels_that_come_while_an_epoch_is_read_are_in_the_next_steps(monkeypatch):
    trainer, labels = make(), np.arange(48) % 3
    epoch_of = trainer.epoch_of

    def slow(*arguments):
        read = epoch_of(*arguments)
        trainer.set_labels(labels)
        return read

    state = trainer.init()
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "epoch_of", slow)
        trainer.reading(state)
    drawn = trainer.reading(state).at(0)
    assert np.array_equal(drawn.labels, labels[np.asarray(drawn.drawn)])


def test_the_first_step_of_a_warm_up_trains():
    trainer = make()
    before = trainer.init()
    after, columns = trainer.advance(before, 1)
    assert columns["learning_rate"][0] > 0 and not same(after.params, before.params)


def test_an_unlock_leaves_channels_alone_that_a_held_knob_had_opened():
    trainer = make(**STAGES)
    state = trainer.hold(trainer.init(), k_active=5)
    before = state
    for _ in range(trainer.steps_per_epoch):
        before, (state, _) = state, trainer.advance(state, 1)
    assert state.curriculum.stage == 1
    assert np.abs(state.params["embeddings"] - before.params["embeddings"]).max() < 0.1


@pytest.mark.parametrize("knobs", [{"k_active": 6}, {"k_active": 0}, {"tau": 0.0}, {"beta_z": float("nan")}])
def test_a_knob_cannot_be_held_out_of_its_range(knobs):
    with pytest.raises(ValueError, match=rf"{next(iter(knobs))}=.* is out of range"):
        make().hold(make().init(), **knobs)


def test_columns_hold_the_knobs_of_every_step():
    trainer = make(**STAGES)
    state, first = trainer.advance(trainer.init())
    _, second = trainer.advance(state)
    assert set(first["k_active"]) == {2.0} and set(second["k_active"]) == {5.0}
