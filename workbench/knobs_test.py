"""Every panel moves a knob as far as its setting goes, and says why one that is idle is idle."""

import itertools

import pytest

from mixvae import Config
from mixvae.config import FIELDS, LIVE
from mixvae.config_file import override
from mixvae.example_runs import STAGES, UNLABELLED, tiny_config
from mixvae.schedules import constant
from workbench.knobs import CHANNELS, idle, log_steps, short, slider_range, standing


def at(config, **moved) -> dict:
    return {"curriculum": config.curriculum.enabled} | {name: constant(config, name) for name in LIVE} | moved


@pytest.mark.parametrize("name", [name for name in LIVE if name != "k_active"])
def test_a_knob_reaches_as_far_as_its_setting(name):
    metadata = LIVE[name][1].metadata
    assert slider_range(Config(), name, 10) == (metadata["low"], metadata["high"], constant(Config(), name))


@pytest.mark.parametrize(("channels", "value"), [(3, 3), (4, 4), (12, 4)])
def test_k_active_reaches_to_k(channels, value):
    assert slider_range(override(Config(), {"routing.k_active": 4}), "k_active", channels) == (1, channels, value)
    assert slider_range(Config(), "k_active", channels) == (1, channels, channels)


def test_a_setting_is_found_by_its_path_and_has_a_short_name():
    config = override(Config(), {"model.output": "heteroscedastic"})
    assert standing(config, "model.output") == "heteroscedastic" and short(FIELDS[CHANNELS][0]) == "K"


@pytest.mark.parametrize("value", [1e-5, 3e-3, 0.00123456, 1e-1])
def test_log_steps_hold_the_value_and_the_ends_and_rise_by_equal_factors(value):
    steps = log_steps(1e-5, 1e-1, value)
    assert steps[0] == 1e-5 and steps[-1] == 1e-1 and value in steps and steps == sorted(set(steps))
    regular = [step for step in steps if step != value or value in (1e-5, 1e-1)]
    factors = [b / a for a, b in itertools.pairwise(regular)]
    assert len(steps) in (41, 42) and max(factors) < 1.6
    assert min(factors) > 1.2


ONE = {"model.num_components": 1, "model.conditioning": "none"}
ALONE = dict.fromkeys(("tau", "router_recon", "beta_c", "w_inv", "w_mi", "w_label"))
CASES = {
    "nothing": (STAGES, {}, {}),
    "off": (STAGES, {"curriculum": False}, {"kl_boost_on_unlock": "the curriculum is off"}),
    "no boost": (STAGES | {"curriculum.boost_epochs": 0}, {}, {"kl_boost_on_unlock": "boost_epochs is 0"}),
    "unlabelled": (STAGES | UNLABELLED, {}, {"w_label": "no training image has a label"}),
    "channel targets": (
        STAGES | {"objective.use_tau_classifier": False, "objective.label_target": "channel"},
        {},
        {},
    ),
    "exact": (STAGES | {"routing.estimator": "exact"}, {}, {"tau": "the exact estimator has no temperature"}),
    "no_recon": (STAGES, {"router_recon": 0}, {"tau": "no gradient passes through the choice"}),
    "no evidence": (
        STAGES,
        {"w_evidence": 0},
        dict.fromkeys(
            ("tau", "router_recon", "beta_z", "beta_c", "kl_boost_on_unlock"),
            "w_evidence is 0: nothing is reconstructed",
        ),
    ),
    "gumbel": (STAGES | {"routing.estimator": "gumbel"}, {"router_recon": 0}, {}),
    "locked": (
        STAGES,
        {"k_active": 1, "curriculum": False},
        ALONE | {"tau": "one channel is unlocked", "kl_boost_on_unlock": "is off"},
    ),
    "locked by hand": (STAGES, {"k_active": 1}, ALONE | {"tau": "one channel is unlocked"}),
    "one": (
        ONE,
        {},
        ALONE
        | {"k_active": "there is one channel", "kl_boost_on_unlock": "is off"}
        | {"curriculum": "its schedule [1, 2, 5, 10] needs more channels than 1"},
    ),
    "late": (
        STAGES | {"curriculum.enabled": False, "curriculum.unlock_epochs": [0, 3]},
        {"curriculum": True},
        {"curriculum": "its last channels unlock at epoch 3, and training ends at 3"},
    ),
    "in time": (STAGES | {"curriculum.unlock_epochs": [0, 2]}, {}, {}),
    "on a plateau": (STAGES | {"curriculum.unlock_epochs": None}, {}, {}),
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
    why = idle(config, at(config, **moved), config.data.labels > 0)
    assert set(why) == set(reasons) and all(why.values())
    for name, words in reasons.items():
        assert words is None or words in why[name]
