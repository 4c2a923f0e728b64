"""The knobs of a live run: which are held, when they reach training, and what the eye sees of them."""

import threading

import numpy as np
import pytest

from mixvae.config import LIVE
from mixvae.example_runs import STAGES, UNLABELLED, same, tiny_config
from workbench.example_screen import LONG, OFF, make, panel
from workbench.knobs import idle

pytestmark = pytest.mark.usefixtures("quiet")


def test_a_moved_knob_is_held_and_named_until_it_is_moved_back(live, screen):
    config = live.trainer.config
    live.follow(panel(config))
    assert live.settled() and not any(live.state.held) and "off schedule" not in screen.frames[-1].sentence
    live.follow(panel(config, tau=2.5))
    assert live.settled() and live.state.held.tau and sum(live.state.held) == 1
    assert screen.frames[-1].tau == 2.5 and screen.frames[-1].sentence.endswith("off schedule: tau = 2.5")
    live.step(2)
    assert live.settled() and live.state.knobs.tau == 2.5
    live.follow(panel(config, tau=2.5, beta_z=0.5))
    assert live.settled() and sum(live.state.held) == 2
    assert screen.frames[-1].sentence.endswith("off schedule: tau = 2.5, beta_z = 0.5")
    live.follow(panel(config, beta_z=0.5))
    assert live.settled() and live.state.held.beta_z and sum(live.state.held) == 1
    assert screen.frames[-1].tau == 1.0 and screen.frames[-1].sentence.endswith("off schedule: beta_z = 0.5")
    live.follow(panel(config))
    assert live.settled() and not any(live.state.held) and live.state.knobs.beta_z == 1.0
    assert "off schedule" not in screen.frames[-1].sentence


def test_a_knob_moved_back_is_where_its_schedule_is_by_then(screen):
    settings = LONG | {"routing.tau_rate": 1.0, "objective.beta_warmup_epochs": 1.0, "objective.beta_start": 0.25}
    live = make(screen, **settings)
    live.follow(panel(tiny_config(**settings), tau=3.0, beta_z=2.0))
    live.step(8)
    assert live.settled() and (live.state.knobs.tau, live.state.knobs.beta_z) == (3.0, 2.0)
    live.follow(panel(tiny_config(**settings)))
    assert live.settled() and not any(live.state.held)
    assert live.state.knobs.tau == pytest.approx(np.exp(-8.5 / 6)) and live.state.knobs.beta_z == 1.0
    assert screen.frames[-1].tau == pytest.approx(np.exp(-8.5 / 6))
    live.close()


@pytest.mark.parametrize("command", ["start", "step"])
def test_a_knob_that_moves_while_steps_run_is_shown_at_once_and_followed_next(command, live, screen, monkeypatch):
    live.step()
    assert live.settled()
    run, asked, running, free = live.trainer.advance, [], threading.Event(), threading.Event()

    def advance(state, steps):
        asked.append(float(state.knobs.tau))
        running.set()
        assert free.wait(60)
        return run(state, steps)

    monkeypatch.setattr(live.trainer, "advance", advance)
    getattr(live, command)()
    assert running.wait(60)
    for tau in (2.5, 3.0):
        live.follow(panel(live.trainer.config, tau=tau))
        screen.wait(lambda tau=tau: screen.frames[-1].tau == tau)
        assert screen.frames[-1].step == 1 and asked == [1.0]
    free.set()
    live.step()
    screen.wait(lambda: len(asked) > 1)
    live.pause()
    assert live.settled() and live.state.knobs.tau == 3.0 and set(asked[1:]) == {3.0}
    assert screen.frames[-1].tau == 3.0 and screen.frames[-1].step == live.state.step > 1
    shown = [frame.tau for frame in screen.frames if frame.step]
    assert shown == sorted(shown)


def test_frames_of_moved_knobs_do_not_hold_up_those_of_training(live, screen):
    live.step()
    live.pace.max_fps = 1
    for tau in [2.0, 3.0] * 30:
        live.follow(panel(live.trainer.config, tau=tau))
    assert live.settled()
    live.start()
    screen.wait(lambda: screen.frames[-1].step > 1, timeout=30)


def test_a_drag_while_nothing_trains_is_shown_where_it_ended_and_by_no_new_atlas(live, screen):
    assert live.settled()
    free, shown, atlas = threading.Event(), len(screen.frames), screen.atlas
    live._command(free.wait)
    for tau in np.linspace(1.1, 3.0, 20):
        live.follow(panel(live.trainer.config, tau=float(tau)))
    free.set()
    assert live.settled() and [frame.tau for frame in screen.frames[shown:]] == [3.0] and screen.atlas is atlas


def test_what_a_panel_shows_counts_and_not_how_it_came_there(live):
    config = live.trainer.config
    for knobs in (panel(config, tau=2.0), panel(config, tau=4.0, beta_c=0.0), panel(config), panel(config, tau=2.0)):
        live.follow(knobs)
    assert live.settled()
    expected = live.trainer.hold(live.trainer.init(), tau=2.0)
    assert same(live.state.knobs, expected.knobs) and same(live.state.held, expected.held)


def test_nothing_is_published_where_no_knob_changed(live, screen):
    config = live.trainer.config
    for knobs, frames in [({}, 0), ({"tau": 2.0}, 1), ({"tau": 2.0}, 0), ({}, 1), ({}, 0)]:
        shown, state = len(screen.frames), live.state
        live.follow(panel(config, **knobs))
        assert live.settled() and len(screen.frames) == shown + frames and (live.state is state) == (not frames)
    live.follow({})
    live.configure(config)
    assert live.settled() and len(screen.frames) == shown


@pytest.mark.parametrize("knobs", [{}, {"tau": 2.0}, {"curriculum": False}], ids=str)
def test_a_rebuilt_model_is_published_once(knobs, screen):
    live = make(screen, **LONG, **STAGES)
    live.follow(panel(tiny_config(**LONG, **STAGES), **knobs))
    assert live.settled()
    for rebuild in (live.reset, lambda: live.configure(tiny_config(**LONG, **STAGES, **{"model.hidden_dims": [7]}))):
        shown = len(screen.frames)
        rebuild()
        assert live.settled() and [frame.step for frame in screen.frames[shown:]] == [0]
    live.close()


def test_a_knob_may_be_moved_alone(live):
    live.follow({"tau": 2.0})
    live.follow({"beta_z": 0.5})
    assert live.settled() and (live.state.knobs.tau, live.state.knobs.beta_z) == (2.0, 0.5)
    assert live.state.held.tau and live.state.held.beta_z and sum(live.state.held) == 2


def test_a_knob_moved_during_training_reaches_the_next_steps(live, screen):
    live.start()
    screen.wait_for_training(1)
    live.follow(panel(live.trainer.config, k_active=2.0))
    screen.wait(lambda: screen.frames[-1].k_active == 2 and screen.frames[-1].status == "training")
    screen.wait_for_training(2)
    live.pause()
    assert live.settled() and not screen.frames[-1].usage[2:].any() and screen.frames[-1].channel.max() < 2
    assert "3 locked" in screen.frames[-1].sentence


CASES = {
    "curriculum": (STAGES, {}, set()),
    "no labels, no curriculum": (OFF | UNLABELLED, {}, {"w_label", "kl_boost_on_unlock"}),
    "router without reconstruction": (OFF, {"router_recon": 0.0}, {"tau", "kl_boost_on_unlock"}),
    "one unlocked": (
        OFF,
        {"k_active": 1},
        {"tau", "router_recon", "beta_c", "w_inv", "w_mi", "w_label", "kl_boost_on_unlock"},
    ),
    "exact": (OFF | {"routing.estimator": "exact"}, {}, {"tau", "kl_boost_on_unlock"}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_live_knob_changes_training_or_the_panel_says_why_not(case, screen):
    settings, at, silent = CASES[case]
    config = tiny_config(**settings)
    live, start = make(screen, **settings), panel(config, **at)

    def outcome(**moved):
        """The weights one step after the knobs moved, with newcomers just unlocked."""
        live.follow(start)
        live.reset()
        live.step(7)
        live.follow(start | moved)
        live.step()
        assert live.settled() and live.state.step == 8, live.status
        return live.state.params

    assert set(idle(config, start, config.data.labels > 0)) == silent
    still = outcome()
    assert same(still, outcome())
    for name, (_, field) in LIVE.items():
        ends = (1, 5) if name == "k_active" else (field.metadata["high"], field.metadata["low"])
        moved = next(end for end in ends if end != start[name])
        assert same(outcome(**{name: moved}), still) == (name in silent), name
    live.close()


@pytest.mark.parametrize("knob", [{"tau": 5.0}, {"k_active": 2}])
def test_what_the_eye_sees_of_a_knob_needs_no_step(knob, live, screen):
    before = screen.frames[-1]
    live.follow(panel(live.trainer.config, **knob))
    assert live.settled() and live.state.step == 0
    assert np.abs(screen.frames[-1].opacity - before.opacity).max() > 0.01
