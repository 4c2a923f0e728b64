"""The panel for Jupyter has every knob as the config declares it, passes moves on, and owns no run."""

import gc
import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from ipywidgets import SelectionSlider
from ipywidgets.widgets.widget import _instances

from mixvae import Config
from mixvae.config import LIVE
from mixvae.config_file import override
from mixvae.example_runs import STAGES, UNLABELLED, tiny_config, tiny_dataset
from mixvae.schedules import constant
from workbench.channel_view import ChannelView
from workbench.jupyter import CHARTS_EVERY_MS, GONE, Panel
from workbench.knob_widgets import slider
from workbench.knobs import CHANNELS, FRAME_RATES, STRUCTURAL, log_steps
from workbench.live import LiveRun
from workbench.pace import Pace

OFF = STAGES | {"curriculum.enabled": False}


class Recorder:
    """A run that keeps the commands it is given."""

    def __init__(self):
        self.view, self.dataset, self.pace = ChannelView(), SimpleNamespace(class_names=("a", "b")), Pace(10.0)
        self.curves, self.told, self.complete = [], [], None

    def __getattr__(self, name):
        return lambda *arguments: self.told.append((name, *arguments))

    def matrix(self):
        return np.eye(5, 2), "images by label"


@pytest.fixture
def run():
    return Recorder()


@pytest.fixture
def panel(run):
    made = Panel(run, tiny_config(**OFF | UNLABELLED))
    run.told.clear()
    return made


def words(panel) -> dict[str, str]:
    """What the notes under the knobs say, where they are shown."""
    return {name: told.value for name, told in panel.notes.items() if told.layout.display != "none"}


def test_it_imports_without_marimo():
    program = "import sys, workbench.jupyter; print('marimo' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


# --- every knob, as declared


def test_every_live_knob_and_every_structural_setting_has_a_control(panel):
    config = tiny_config(**OFF | UNLABELLED)
    assert panel.knobs == {"curriculum": False} | {name: constant(config, name) for name in LIVE}
    assert set(panel.structure) == set(STRUCTURAL)
    assert override(config, {path: setting.value for path, setting in panel.structure.items()}) == config
    assert panel.structure["model.conditioning"].options == ("film", "concat", "none")
    assert panel.channels.value == config.model.num_components and "K" in panel.channels.description
    assert (panel.frame_rate.min, panel.frame_rate.max, panel.frame_rate.value) == (*FRAME_RATES, 10)


@pytest.mark.parametrize("name", LIVE)
def test_a_slider_spans_the_range_of_its_setting(name):
    metadata, element = LIVE[name][1].metadata, slider(Config(), name, 10)
    low, high = metadata["low"], 10 if name == "k_active" else metadata["high"]
    assert element.value == constant(Config(), name) and element.tooltip == metadata["label"]
    if metadata["log"]:
        assert isinstance(element, SelectionSlider)
        assert [value for _, value in element.options] == log_steps(low, high, element.value)
    else:
        assert (element.min, element.max, element.step) == (low, high, metadata["step"])


def test_with_one_channel_k_active_stands_still():
    element = slider(Config(), "k_active", 1)
    assert element.value == 1 and element.disabled and element.max > element.min


# --- moves


def test_a_new_panel_tells_the_run_what_it_shows(run):
    config = tiny_config(**STAGES)
    panel = Panel(run, config)
    assert run.told == [("configure", config), ("follow", panel.knobs)] and panel.knobs["curriculum"] is True


@pytest.mark.parametrize("name", ["curriculum", *LIVE])
def test_a_moved_knob_is_followed(run, panel, name):
    knob = panel.live[name]
    if name == "curriculum":
        knob.value = True
    elif LIVE[name][1].metadata["log"]:
        knob.index -= 1
    else:
        knob.value += knob.step if knob.value < knob.max else -knob.step
    assert run.told == [("follow", panel.knobs)]
    start = Panel(Recorder(), tiny_config(**OFF | UNLABELLED)).knobs
    assert {key for key in start if start[key] != panel.knobs[key]} == {name}


def test_a_knob_that_went_there_and_back_stands_where_it_was(panel):
    start = panel.knobs
    panel.live["tau"].value += 3e-16  # what steps of a tenth add up to in the browser
    assert panel.live["tau"].value != start["tau"] and panel.knobs == start


def test_the_buttons_command_the_run(run, panel):
    for name, command in {"Train": "start", "Pause": "pause", "Step": "step", "Reset": "reset"}.items():
        panel.buttons[name].click()
        assert run.told.pop() == (command,) and run.told == []
    assert panel.clock.playing and panel.clock.interval == CHARTS_EVERY_MS


def test_what_a_run_says_when_it_is_kept_is_on_the_panel(run, panel):
    panel.save.click()
    assert "no epoch of this run is complete" in panel.fault.value


def test_labels_given_on_the_planes_let_their_weight_act(run, panel):
    assert "no training image has a label" in words(panel)["w_label"]
    run.view.show_given([3], [1], [-1], "", undo=True)
    assert "w_label" not in words(panel)
    run.view.show_given([], [], [], "", undo=True)
    assert "w_label" in words(panel) and run.told == []


def test_the_frame_rate_is_the_runs(run, panel):
    panel.frame_rate.value = 24
    assert run.pace.max_fps == 24


def test_all_knobs_go_back_on_schedule(run, panel):
    start = panel.knobs
    panel.live["tau"].value, panel.live["beta_z"].value = 2.0, 0.25
    panel.release.click()
    assert panel.knobs == start and run.told[-1] == ("follow", start)
    panel.live["tau"].value = 2.0
    assert run.told[-1] == ("follow", start | {"tau": 2.0})


def test_knobs_that_are_replaced_leave_no_widget_behind(panel):
    panel.release.click()
    before = {*_instances}
    panel.release.click()
    assert len(_instances) == len(before) and before != {*_instances}


# --- structure


def test_a_structural_change_configures_the_run(run, panel):
    panel.structure["routing.estimator"].value = "exact"
    config = tiny_config(**OFF | UNLABELLED | {"routing.estimator": "exact"})
    assert run.told == [("configure", config), ("follow", panel.knobs)]
    assert "the exact estimator has no temperature" in words(panel)["tau"]


def test_the_live_knobs_follow_k(run, panel):
    panel.channels.value = 9
    assert (panel.live["k_active"].max, panel.live["k_active"].value) == (9, 9)
    assert run.told == [
        ("configure", tiny_config(**OFF | UNLABELLED | {CHANNELS: 9})),
        ("follow", panel.knobs),
    ]
    panel.channels.value = 4
    assert panel.live["curriculum"].disabled and "needs more channels than 4" in words(panel)["curriculum"]


def test_a_contradiction_is_told_in_words_and_can_be_undone(run, panel):
    panel.channels.value = 1
    assert "model.conditioning=&#x27;film&#x27; needs model.num_components &gt; 1" in panel.fault.value
    assert run.told == [] and set(panel.live) == {"curriculum", *LIVE}
    panel.live["beta_z"].value = 0.5
    assert run.told == []
    panel.structure["model.conditioning"].value = "none"
    assert panel.fault.value == "" and run.told[-1] == ("follow", panel.knobs)
    assert run.told[0][1].model.num_components == 1 and panel.knobs["beta_z"] == 0.5


# --- whose run it is


def test_two_panels_do_not_disturb_each_other(run, panel):
    other = Recorder()
    beside = Panel(other, tiny_config(**OFF | UNLABELLED))
    other.told.clear()
    panel.live["tau"].value = 3.0
    assert other.told == [] and beside.knobs["tau"] == 1.0
    beside.channels.value = 7
    assert panel.channels.value == 5 and run.told == [("follow", panel.knobs)]


def test_letting_go_of_the_run_ends_its_worker_and_the_panel_says_so():
    before = set(threading.enumerate())
    run = LiveRun(ChannelView(), tiny_dataset(), points=100)
    (worker,) = set(threading.enumerate()) - before
    panel = Panel(run, tiny_config(**STAGES | {"train.epochs": 100_000}))
    panel.buttons["Train"].click()
    assert run.settled() and run.error is None
    del run
    gc.collect()
    worker.join(60)
    assert not worker.is_alive()
    panel.buttons["Pause"].click()
    assert GONE in panel.fault.value


# --- charts


def test_charts_are_drawn_for_new_planes_alone(run, panel):
    def tick() -> str:
        panel.charts.value = ""
        panel.clock.value += 1
        return panel.charts.value

    assert tick() == ""  # nothing is on the planes yet
    run.view.frame = b"a frame"
    assert tick().count("<img") == 3
    assert tick() == ""
    run.view.frame = b"another"
    assert tick().count("<img") == 3


def test_charts_show_the_curves_of_the_run():
    run = LiveRun(ChannelView(), tiny_dataset(), points=100)
    run.configure(tiny_config(**STAGES))
    assert run.settled()
    panel = Panel(run, tiny_config(**STAGES))
    empty = panel.charts.value
    assert empty.count("<img") == 3 and 'alt="Terms of the objective, nats"' in empty  # before the first step
    run.step(3)
    assert run.settled() and run.error is None
    panel.clock.value += 1
    assert panel.charts.value.count("<img") == 3 and len(panel.charts.value) > len(empty)
    run.close()
