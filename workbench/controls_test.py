"""The marimo panels are made from the config's own declarations, and give a reason where a knob is idle."""

import pytest

from mixvae import Config, Knobs
from mixvae.config import FIELDS, LIVE
from mixvae.config_file import override
from mixvae.example_runs import STAGES, UNLABELLED, tiny_config
from mixvae.schedules import constant
from workbench.controls import LivePanel, channels_field, live_panel, panel, slider, structural_panel
from workbench.knobs import CHANNELS, STRUCTURAL, configured


def test_every_live_knob_has_an_element_that_stands_at_its_setting():
    config = override(Config(), {"objective.beta_z": 0.35, "train.learning_rate": 0.0017, "routing.k_active": 4})
    knobs = live_panel(config, 10)
    assert set(knobs.elements) == {"curriculum", *Knobs._fields}
    assert knobs.value == pytest.approx({"curriculum": False} | {name: constant(config, name) for name in LIVE})
    assert (
        knobs.value["k_active"] == 4 and knobs.value["learning_rate"] == 0.0017 and knobs.value["curriculum"] is False
    )
    assert live_panel(tiny_config(**STAGES), 5).value["curriculum"] is True


@pytest.mark.parametrize("name", [name for name in LIVE if name != "k_active"])
def test_a_slider_spans_the_range_of_its_setting(name):
    field, element = LIVE[name][1], slider(Config(), name, 10)
    assert (element.start, element.stop) == (field.metadata["low"], field.metadata["high"])
    assert element.value == constant(Config(), name) and element.step == field.metadata["step"]


@pytest.mark.parametrize("channels", [2, 5, 10, 37])
def test_the_range_of_k_active_follows_the_field_of_k(channels):
    element = live_panel(Config(), channels).elements["k_active"]
    assert (element.start, element.stop, element.step, element.value) == (1, channels, 1, channels)
    assert not element._component_args["disabled"]


@pytest.mark.parametrize(("channels", "value"), [(3, 3), (4, 4), (12, 4)])
def test_k_active_stands_at_its_setting_but_within_k(channels, value):
    element = live_panel(override(Config(), {"routing.k_active": 4}), channels).elements["k_active"]
    assert (element.stop, element.value) == (channels, value)


def test_with_one_channel_k_active_stands_still():
    element = live_panel(Config(), 1).elements["k_active"]
    assert element.value == 1 and element._component_args["disabled"]


def test_without_a_number_of_channels_the_live_knobs_are_those_of_the_start():
    config = tiny_config(**STAGES)
    knobs = live_panel(config, None)
    assert knobs.value == live_panel(config, 5).value and knobs.elements["k_active"].stop == 5


@pytest.mark.parametrize("enabled", [True, False])
def test_the_curriculum_can_be_switched_where_its_schedule_fits_k(enabled):
    config = tiny_config(**STAGES | {"curriculum.enabled": enabled})
    for channels, fits in {4: False, 5: True, 6: True}.items():
        switch = live_panel(config, channels).elements["curriculum"]
        assert switch.value is (enabled and fits) and switch._component_args["disabled"] is not fits


def test_structural_settings_have_a_choice_each_and_round_trip():
    config = override(Config(), {"model.output": "heteroscedastic"})
    structure = structural_panel(config)
    assert set(structure.elements) == set(STRUCTURAL) and override(config, structure.value) == config
    assert structure.value["model.output"] == "heteroscedastic"
    asked = {"model.conditioning", "model.output", "model.latent_layout", "routing.estimator"}
    assert asked <= set(STRUCTURAL) <= set(FIELDS) and not {path.split(".")[1] for path in STRUCTURAL} & set(LIVE)
    assert list(structure.elements["model.conditioning"].options) == ["film", "concat", "none"]


def test_k_has_a_field_of_its_own():
    field = channels_field(override(Config(), {"model.num_components": 7}))
    assert CHANNELS in FIELDS and CHANNELS not in STRUCTURAL
    assert (field.start, field.stop, field.step, field.value) == (None, None, 1, 7)  # what cannot be is told, not cut
    assert "K, channels" in field.text


def test_the_panels_make_a_config():
    start = tiny_config(**STAGES)
    structure = structural_panel(start).value
    assert configured(start, structure, 5) == (start, "")
    config, words = configured(start, structure | {"routing.estimator": "exact"}, 9)
    assert words == "" and config == override(start, {"routing.estimator": "exact", "model.num_components": 9})
    alone = structural_panel(Config()).value | {"model.conditioning": "none"}
    assert configured(Config(), alone, 1) == (override(Config(), alone | {CHANNELS: 1}), "")


FAULTS = {
    "one channel with film": (Config(), 1, "model.conditioning='film' needs model.num_components > 1"),
    "an emptied field": (Config(), None, "model.num_components=None must be a whole number"),
    "k_active above K": (override(Config(), {"routing.k_active": 4}), 3, "routing.k_active=4 is above"),
    "a schedule above K": (tiny_config(**STAGES), 4, "curriculum.k_active_schedule=[2, 5] ends above"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_choices_that_contradict_each_other_make_none_and_say_why(fault):
    start, channels, words = FAULTS[fault]
    config, why = configured(start, structural_panel(start).value, channels)
    assert config is None and words in why
    assert "beta_z" in drawn(start, channels)  # the panels stay whole meanwhile


def drawn(config, channels, labelled=False):
    return LivePanel(config, channels, follow=list, renew=list).drawn(config, labelled).text


def test_the_panel_shows_every_knob_and_the_reason_beside_it():
    config = tiny_config(**UNLABELLED, **STAGES)
    text = drawn(config, 5)
    for name in ("tau", "K_active", "router_recon", "beta_z", "beta_c", "rate", "curriculum", "unlock boost"):
        assert name in text
    assert text.count("no training image has a label") == 1
    assert "the curriculum is off" not in text
    assert "no training image" not in drawn(config, 5, labelled=True)


def test_reasons_come_and_go_in_places_of_their_own():
    none, all_ = (panel(live_panel(Config(), 10), why).text for why in ({}, dict.fromkeys(LIVE, "a reason")))
    assert none.count("<div") == all_.count("<div") and all_.count("a reason") == len(LIVE)


def test_a_move_is_followed_and_the_panel_drawn_anew_only_where_a_note_beside_a_knob_changes():
    followed, renewed = [], []
    panel = LivePanel(Config(), 10, followed.append, lambda: renewed.append(len(followed)))
    panel.drawn(Config(), labelled=False)
    for name, value in [("tau", 2.0), ("w_evidence", 0.5), ("w_evidence", 0.0), ("tau", 1.0), ("w_evidence", 1.0)]:
        panel.knobs._update({name: value})
        assert panel.value[name] == followed[-1][name] == value
        if len(followed) in renewed:
            panel.drawn(Config(), labelled=False)
    assert renewed == [3, 5]


def test_nothing_follows_while_the_structure_is_refused():
    followed = []
    panel = LivePanel(Config(), 1, followed.append, renew=list)
    panel.drawn(None, labelled=False)
    panel.knobs._update({"tau": 2.0})
    assert panel.value["tau"] == 2.0 and followed == []
    panel.drawn(override(Config(), {"model.num_components": 1, "model.conditioning": "none"}), labelled=False)
    panel.knobs._update({"tau": 1.5})
    assert [knobs["tau"] for knobs in followed] == [1.5]
