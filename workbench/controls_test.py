"""The panels are made from the config's own declarations, and give a reason where a knob is idle."""

import itertools

import pytest

from mixvae import Config, Knobs
from mixvae.config import LIVE
from mixvae.config_file import FIELDS, override
from mixvae.example_runs import STAGES, UNLABELLED, tiny_config
from mixvae.schedules import constant
from workbench.controls import STRUCTURAL, idle, live_panel, log_steps, panel, slider, structural_panel


def at(config, **moved) -> dict:
    return {"curriculum": config.curriculum.enabled} | {name: constant(config, name) for name in LIVE} | moved


def test_every_live_knob_has_an_element_that_stands_at_its_setting():
    config = override(Config(), {"objective.beta_z": 0.35, "train.learning_rate": 0.0017, "routing.k_active": 4})
    knobs = live_panel(config)
    assert set(knobs.elements) == {"curriculum", *Knobs._fields}
    assert knobs.value == pytest.approx(at(config))
    assert (
        knobs.value["k_active"] == 4 and knobs.value["learning_rate"] == 0.0017 and knobs.value["curriculum"] is False
    )
    assert live_panel(tiny_config(**STAGES)).value["curriculum"] is True


@pytest.mark.parametrize("name", [name for name in LIVE if name != "k_active"])
def test_a_slider_spans_the_range_of_its_setting(name):
    field, element = LIVE[name][1], slider(Config(), name)
    assert (element.start, element.stop) == (field.metadata["low"], field.metadata["high"])
    assert element.value == constant(Config(), name) and element.step == field.metadata["step"]


@pytest.mark.parametrize("channels", [2, 5, 10, 37])
def test_the_range_of_k_active_follows_the_number_of_channels(channels):
    element = slider(override(Config(), {"model.num_components": channels}), "k_active")
    assert (element.start, element.stop, element.step, element.value) == (1, channels, 1, channels)
    assert not element._component_args["disabled"]


def test_with_one_channel_k_active_stands_still():
    element = slider(override(Config(), {"model.num_components": 1, "model.conditioning": "none"}), "k_active")
    assert element.value == 1 and element._component_args["disabled"]


@pytest.mark.parametrize("value", [1e-5, 3e-3, 0.00123456, 1e-1])
def test_log_steps_hold_the_value_and_the_ends_and_rise_by_equal_factors(value):
    steps = log_steps(1e-5, 1e-1, value)
    assert steps[0] == 1e-5 and steps[-1] == 1e-1 and value in steps and steps == sorted(set(steps))
    regular = [step for step in steps if step != value or value in (1e-5, 1e-1)]
    factors = [b / a for a, b in itertools.pairwise(regular)]
    assert len(steps) in (41, 42) and max(factors) < 1.6
    assert min(factors) > 1.2


def test_structural_settings_have_a_choice_each_and_round_trip():
    config = override(Config(), {"model.output": "heteroscedastic", "model.num_components": 7})
    structure = structural_panel(config)
    assert set(structure.elements) == set(STRUCTURAL) and override(config, structure.value) == config
    assert structure.value["model.output"] == "heteroscedastic" and structure.value["model.num_components"] == 7
    asked = {"model.conditioning", "model.output", "model.latent_layout", "routing.estimator", "model.num_components"}
    assert asked <= set(STRUCTURAL) <= set(FIELDS) and not {path.split(".")[1] for path in STRUCTURAL} & set(LIVE)
    assert list(structure.elements["model.conditioning"].options) == ["film", "concat", "none"]


ONE = {"model.num_components": 1, "model.conditioning": "none"}
ALONE = dict.fromkeys(("tau", "router_recon", "beta_c", "w_inv", "w_mi", "w_label"))
CASES = {
    "nothing": (STAGES, {}, {}),
    "off": (STAGES, {"curriculum": False}, {"kl_boost_on_unlock": "the curriculum is off"}),
    "unlabelled": (STAGES | {"data.labels": 0}, {}, {"w_label": "no training image has a label"}),
    "exact": (STAGES | {"routing.estimator": "exact"}, {}, {"tau": "the exact estimator has no temperature"}),
    "no_recon": (STAGES, {"router_recon": 0}, {"tau": "no gradient passes through the choice"}),
    "gumbel": (STAGES | {"routing.estimator": "gumbel"}, {"router_recon": 0}, {}),
    "locked": (
        STAGES,
        {"k_active": 1, "curriculum": False},
        ALONE | {"tau": "one channel is unlocked", "kl_boost_on_unlock": "is off"},
    ),
    "one": (
        ONE,
        {},
        ALONE
        | {"k_active": "there is one channel", "kl_boost_on_unlock": "is off"}
        | {"curriculum": "its schedule [1, 2, 5, 10] needs more channels than 1"},
    ),
    "few": (
        {},
        {},
        {"curriculum": "its schedule [1, 2, 5, 10] needs more channels than 5", "kl_boost_on_unlock": "is off"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_knob_that_cannot_change_training_says_why_and_no_other_does(case):
    settings, moved, reasons = CASES[case]
    config = tiny_config(**settings)
    why = idle(config, at(config, **moved), config.data.labels)
    assert set(why) == set(reasons) and all(why.values())
    for name, words in reasons.items():
        assert words is None or words in why[name]


def test_the_panel_shows_every_knob_and_the_reason_beside_it():
    config = tiny_config(**UNLABELLED, **STAGES)
    text = panel(live_panel(config), config, labels=0).text
    for name in ("tau", "K_active", "router_recon", "beta_z", "beta_c", "rate", "curriculum", "unlock boost"):
        assert name in text
    assert text.count("no training image has a label") == 1
    assert "the curriculum is off" not in text and "no training image" not in panel(live_panel(config), config, 3).text
