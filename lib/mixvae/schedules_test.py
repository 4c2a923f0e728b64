"""Schedules at hand-computed epochs, the unlocking of channels, and knobs taken off their schedules."""

import math

import numpy as np
import pytest

from mixvae.config import Config, CurriculumConfig, Knobs, ObjectiveConfig, TrainConfig
from mixvae.config_file import override
from mixvae.schedules import (
    age,
    beta_share,
    boosted,
    curriculum_start,
    knobs_at,
    learning_rate,
    next_stage,
    scheduled,
    temperature,
)

UNHELD = Knobs(*[False] * len(Knobs._fields))
NOTHING = Knobs(*[np.nan] * len(Knobs._fields))
STAGES, UNLOCKS = (1, 2, 5, 10), (0, 10, 20, 30)


def knobs(config, epochs, curriculum=None, current=NOTHING, held=UNHELD):
    curriculum = curriculum or curriculum_start(config.curriculum)
    return knobs_at(config, curriculum, current, held, np.asarray(epochs))


def at_stage(config, stage, unlocked_at=0.0):
    return curriculum_start(config)._replace(stage=np.int32(stage), unlocked_at=np.float32(unlocked_at))


@pytest.mark.parametrize("epoch, tau", [(0, 2.0), (10, 2 / math.e), (13.8, 2 * math.exp(-1.38)), (14, 0.5), (99, 0.5)])
def test_temperature_decays_to_its_floor(epoch, tau):
    assert temperature(np.array([epoch]), 2.0, 0.5, 0.1) == pytest.approx(tau)


def test_temperature_without_a_rate_stays_whatever_the_floor():
    np.testing.assert_array_equal(temperature(np.arange(5), 0.7, 2.0, 0.0), np.full(5, 0.7))


@pytest.mark.parametrize("epoch, share", [(0, 0.2), (4.9, 0.2), (5, 0.2), (10, 0.6), (12.5, 0.8), (15, 1.0), (99, 1.0)])
def test_betas_wait_and_then_ramp(epoch, share):
    objective = ObjectiveConfig(beta_start=0.2, beta_warmup_epochs=5, beta_ramp_epochs=10)
    assert beta_share(np.array([epoch]), objective) == pytest.approx(share)


def test_a_ramp_of_no_epochs_is_a_step():
    objective = ObjectiveConfig(beta_start=0.2, beta_warmup_epochs=3)
    np.testing.assert_allclose(beta_share(np.array([0, 2.9, 3, 4]), objective), [0.2, 0.2, 1, 1])
    np.testing.assert_array_equal(beta_share(np.arange(3), ObjectiveConfig()), np.ones(3))


@pytest.mark.parametrize("epoch, rate", [(0, 0), (1, 0.005), (2, 0.01), (6, 0.0055), (10, 0.001), (12, 0.001)])
def test_the_learning_rate_warms_up_and_falls_as_a_cosine(epoch, rate):
    train = TrainConfig(epochs=10, learning_rate=0.01, warmup_epochs=2, final_rate=0.1)
    assert learning_rate(np.array([epoch]), train) == pytest.approx(rate)


def test_every_start_begins_at_0_and_so_do_the_epochs_of_the_best():
    train = TrainConfig(starts=1, regroups=1, start_epochs=3, epochs=8)
    np.testing.assert_allclose(age(np.array([0, 0.5, 2.9, 3, 4.5, 6, 7.5, 8]), train), [0, 0.5, 2.9, 0, 1.5, 0, 1.5, 2])
    np.testing.assert_array_equal(age(np.array([0, 0.5, 4]), TrainConfig()), [0, 0.5, 4])


def test_every_start_and_what_follows_has_a_learning_rate_as_if_it_were_alone():
    train = TrainConfig(starts=2, start_epochs=3, epochs=10)
    start, rest = TrainConfig(epochs=3), TrainConfig(epochs=4)
    at = np.linspace(0, 2.9, 13)
    for offset in (0, 3):
        np.testing.assert_allclose(learning_rate(at + offset, train), learning_rate(at, start))
    np.testing.assert_allclose(learning_rate(at + 6, train), learning_rate(at, rest))


def test_starts_train_the_router_alone_over_all_channels_and_a_curriculum_that_is_switched_on_begins_with_the_vaes():
    config = Config(
        train=TrainConfig(starts=1, start_epochs=2, epochs=9),
        objective=ObjectiveConfig(w_inv=1.0, w_evidence=0.5),
        curriculum=CurriculumConfig(unlock_epochs=(0, 1, 2, 3)),
    )
    stage = curriculum_start(config.curriculum)._replace(on=np.bool_(True))
    knobs = scheduled(config, stage, np.array([0.5, 1.5, 2.5]))
    np.testing.assert_array_equal(knobs.w_evidence, [0, 0, 0.5])
    np.testing.assert_array_equal(knobs.k_active, [10, 10, 1])


def test_without_a_warm_up_the_first_step_is_at_the_peak():
    assert learning_rate(np.zeros(1), TrainConfig(warmup_epochs=0.0, learning_rate=0.01)) == pytest.approx(0.01)


def test_channels_unlock_at_their_epochs():
    config = CurriculumConfig(enabled=True, k_active_schedule=STAGES, unlock_epochs=UNLOCKS)
    state, unlocked_at = curriculum_start(config), {}
    for epoch in range(1, 41):
        before, state = state, next_stage(config, state, epoch, loss=100.0)
        if state.stage != before.stage:
            unlocked_at[int(state.stage)] = epoch
            assert state.unlocked_at == epoch
    assert unlocked_at == {1: 10, 2: 20, 3: 30}
    assert next_stage(config, curriculum_start(config), 25, loss=100.0).stage == 2


def walk(config, losses):
    """The epochs at which a stage is unlocked when the epochs end with these losses."""
    state, epochs = curriculum_start(config), []
    for epoch, loss in enumerate(losses, start=1):
        before, state = state, next_stage(config, state, epoch, loss)
        epochs += [epoch] * int(state.stage - before.stage)
    return epochs


def plateau(**changed):
    defaults = dict(enabled=True, k_active_schedule=STAGES, unlock_epochs=None, min_delta=0.5, patience=2, cooldown=0)
    return CurriculumConfig(**(defaults | changed))


@pytest.mark.parametrize(
    "losses, epochs",
    [
        ([100, 99, 98.8, 98.6], [4]),
        ([100, 99, 98.8, 98.4, 98.3, 98.3], [6]),  # two small falls add up to one that counts
        ([100 - e for e in range(20)], []),
        ([100, 99, 99, 99, 150, 150, 150], [4, 7]),  # the best loss is forgotten: a newcomer starts worse
        ([100] * 30, [3, 6, 9]),  # there is no fourth stage to unlock
    ],
)
def test_channels_unlock_when_the_loss_no_longer_falls(losses, epochs):
    assert walk(plateau(), losses) == epochs


def test_patience_counts_from_the_end_of_the_cooldown():
    assert walk(plateau(patience=2, cooldown=3), [100] * 40) == [5, 10, 15]


def test_a_curriculum_that_is_off_never_unlocks():
    config = plateau(enabled=False)
    assert walk(config, [100] * 10) == [] and not curriculum_start(config).on


STEADY = {"model.num_components": 7, "routing.tau": 0.7, "objective.beta_z": 0.3, "train.warmup_epochs": 0.0}
STAGED = {
    "curriculum.enabled": True,
    "curriculum.kl_boost_on_unlock": 3.0,
    "curriculum.boost_epochs": 2,
    "objective.beta_z": 0.5,
    "objective.beta_c": 0.25,
}


def test_every_knob_is_its_setting_where_nothing_is_scheduled():
    found = knobs(override(Config(), STEADY), [0, 1, 2])
    expected = Knobs(0.7, 7, 1.0, 0.3, 1.0, 1.0, 0.0, 0.0, 0.0, 3e-3, 1.0)._asdict()
    for name, values in found._asdict().items():
        assert values.shape == (3,) and values.dtype == np.float32
        assert values[0] == np.float32(expected[name]), name


def test_the_schedules_meet_in_the_knobs():
    ramp = {"objective.beta_start": 0.1, "objective.beta_warmup_epochs": 1.0, "objective.beta_ramp_epochs": 2.0}
    config = override(Config(), STEADY | ramp | {"routing.tau_rate": 1.0, "routing.tau_end": 0.1})
    found = knobs(config, [0, 1, 2, 3])
    np.testing.assert_allclose(found.beta_z, 0.3 * np.array([0.1, 0.1, 0.55, 1.0]), rtol=1e-6)
    np.testing.assert_allclose(found.beta_c, [0.1, 0.1, 0.55, 1.0], rtol=1e-6)
    np.testing.assert_allclose(found.tau, np.maximum(0.1, 0.7 * np.exp([0.0, -1.0, -2.0, -3.0])), rtol=1e-6)


@pytest.mark.parametrize("stage, k_active", [(0, 1), (1, 2), (2, 5), (3, 10)])
def test_the_unlocked_channels_follow_the_stage(stage, k_active):
    config = override(Config(), STAGED)
    np.testing.assert_array_equal(knobs(config, [0, 50], at_stage(config.curriculum, stage)).k_active, k_active)


def test_an_unlock_boosts_both_betas_for_a_while_and_nothing_else():
    config = override(Config(), STAGED)
    epochs = [10, 11.9, 12, 19]
    stage = at_stage(config.curriculum, 1, unlocked_at=10)
    plain = knobs(config, epochs, stage)
    found = boosted(plain, config, stage, np.array(epochs))
    np.testing.assert_allclose(found.beta_z, [1.5, 1.5, 0.5, 0.5])
    np.testing.assert_allclose(found.beta_c, [0.75, 0.75, 0.25, 0.25])
    for name in set(Knobs._fields) - {"beta_z", "beta_c"}:
        np.testing.assert_array_equal(getattr(found, name), getattr(plain, name))


def test_neither_the_first_stage_nor_a_curriculum_that_is_off_boosts():
    config = override(Config(), STAGED)
    off = at_stage(config.curriculum, 1, unlocked_at=10)._replace(on=np.bool_(False))
    for stage, epochs in ((curriculum_start(config.curriculum), [0, 1]), (off, [10, 11])):
        np.testing.assert_allclose(boosted(knobs(config, epochs, stage), config, stage, np.array(epochs)).beta_z, 0.5)


@pytest.mark.parametrize("name", Knobs._fields)
def test_a_held_knob_stays_where_it_was_put_and_holds_no_other(name):
    config = override(Config(), STAGED)
    where = at_stage(config.curriculum, 1, unlocked_at=10)
    epochs = [12, 13, 14]
    free = knobs(config, epochs, where)
    held = knobs(config, epochs, where, NOTHING._replace(**{name: 4.0}), UNHELD._replace(**{name: True}))
    np.testing.assert_array_equal(getattr(held, name), np.full(3, 4.0))
    for other in set(Knobs._fields) - {name}:
        np.testing.assert_array_equal(getattr(held, other), getattr(free, other))
