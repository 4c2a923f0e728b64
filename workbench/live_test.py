"""LiveRun before a view that records: what every command does to the run, and what is said of it."""

import threading
import weakref

import numpy as np
import pytest

from mixvae.config import LIVE
from mixvae.example_runs import STAGES, same, tiny_config, tiny_dataset
from mixvae.runs import Snapshot, fit
from mixvae.schedules import constant
from workbench.channel_view import ChannelView, Frame, check
from workbench.controls import idle
from workbench.live import LiveRun

LONG = {"train.epochs": 100_000}
OFF = STAGES | {"curriculum.enabled": False}


class Screen:
    """A view that keeps what it is shown, as ChannelView would draw it."""

    def __init__(self):
        self.frames: list[Frame] = []
        self.said: list[str] = []
        self.status = ""
        self.changed = threading.Condition()

    def set_points(self, labels, class_names):
        self.labels, self.class_names = labels, class_names

    def show(self, frame: Frame):
        check(frame, len(self.labels))
        self._add(self.frames, frame._replace(z=frame.z.copy()), frame.status)

    def say(self, status: str):
        self._add(self.said, status, status)

    def _add(self, kind, entry, status):
        with self.changed:
            kind.append(entry)
            self.status = status
            self.changed.notify_all()

    def wait(self, condition, timeout=60):
        with self.changed:
            assert self.changed.wait_for(condition, timeout), f"still {self.status!r} after {timeout} s"

    def wait_for_training(self, frames=3):
        start = len(self.frames)
        self.wait(lambda: [f.status for f in self.frames[start:]].count("training") >= frames)


def make(view, **settings) -> LiveRun:
    live = LiveRun(view, DATASET, points=100, max_fps=200)
    live.configure(tiny_config(**settings))
    return live


DATASET = tiny_dataset()


@pytest.fixture
def screen():
    return Screen()


@pytest.fixture
def live(screen):
    """A long run, ready before its first step."""
    run = make(screen, **LONG)
    assert run.settled()
    yield run
    run.close()


@pytest.fixture(scope="module")
def saved() -> Snapshot:
    return next(fit(tiny_config(**LONG), DATASET))


def worker(start):
    """What `start()` returns, and the thread it began."""
    before = set(threading.enumerate())
    run = start()
    (thread,) = set(threading.enumerate()) - before
    return run, thread


def panel(config, **moved) -> dict:
    """The knobs as they stand on the panel, some of them moved."""
    return {"curriculum": config.curriculum.enabled} | {name: constant(config, name) for name in LIVE} | moved


# --- train, pause, step, reset


def test_a_model_is_shown_before_it_is_trained(live, screen):
    assert screen.said == ["compiling"]
    (frame,) = screen.frames
    assert frame.step == 0 and frame.epoch == 0 and frame.k_active == 5 and frame.status == "ready: starts anew"
    assert len(set(map(tuple, frame.z[0]))) == 100 and np.isfinite(frame.z).all()
    assert screen.class_names == DATASET.class_names and len(screen.labels) == 100


def test_training_ends_where_the_config_says_and_equals_training_without_a_view(screen):
    live = make(screen)
    live.start()
    screen.wait(lambda: screen.status == "finished")
    steps = [frame.step for frame in screen.frames]
    assert steps == sorted(set(steps)) and steps[0] == 0 and steps[-1] == 18 and len(steps) > 2
    assert [f.status for f in screen.frames[1:-1]] == ["training"] * (len(steps) - 2)
    assert same(live.state, list(fit(tiny_config(), DATASET))[-1].state)
    assert live.curves[-1]["epoch"] == 3.0 and [r["epoch"] for r in live.curves] == sorted(
        r["epoch"] for r in live.curves
    )
    live.start()
    screen.wait(lambda: screen.status == "finished" and len(screen.frames) > len(steps) + 1)
    assert screen.frames[len(steps)].step == 0 and screen.frames[-1].step == 18
    live.close()


def test_every_frame_while_training_has_new_steps_and_pause_stops_them(live, screen):
    live.start()
    screen.wait_for_training(5)
    live.pause()
    assert live.settled()
    paused, shown = live.state, len(screen.frames)
    steps = [frame.step for frame in screen.frames if frame.status == "training"]
    assert all(np.diff(steps) > 0) and screen.frames[-1].images_per_second > 0
    assert screen.frames[-1].status == "paused" and screen.frames[-1].step == paused.step > 0
    assert live.settled() and live.state is paused and len(screen.frames) == shown
    live.start()
    screen.wait_for_training(1)
    assert live.state.step > paused.step


def test_step_trains_as_many_as_asked_also_across_the_end_of_an_epoch(live, screen):
    live.step()
    assert live.settled() and live.state.step == 1
    live.step(8)
    assert live.settled() and live.state.step == 9 and live.status == screen.frames[-1].status == "paused"
    trainer = live.trainer
    expected, _ = trainer.advance(trainer.advance(trainer.init())[0], 3)
    assert same(live.state, expected)


def test_pause_takes_back_the_steps_asked_for(live, screen):
    live.step(10**6)
    screen.wait(lambda: screen.frames[-1].step > 0)
    live.pause()
    assert live.settled()
    step = live.state.step
    assert 0 < step < 10**6 and live.settled() and live.state.step == step


def test_reset_begins_again_with_the_knobs_of_the_panel(live, screen):
    live.follow(panel(live.trainer.config, tau=2.0))
    live.step(7)
    assert live.settled() and live.curves and live.state.step == 7
    live.reset()
    assert live.settled()
    assert live.state.step == 0 and not live.curves and screen.frames[-1].step == 0
    assert same(live.state.params, live.trainer.init().params)
    assert live.state.knobs.tau == 2.0 and live.state.held.tau and screen.frames[-1].tau == 2.0


def test_reset_keeps_the_curriculum_as_the_panel_has_it(screen):
    live = make(screen, **STAGES)
    live.follow(panel(tiny_config(**STAGES), curriculum=False))
    assert live.settled() and not live.state.curriculum.on and screen.frames[-1].k_active == 5
    live.reset()
    assert live.settled() and not live.state.curriculum.on and screen.frames[-1].k_active == 5
    live.follow(panel(tiny_config(**STAGES), curriculum=True))
    live.reset()
    assert live.settled() and live.state.curriculum.on and screen.frames[-1].k_active == 2
    live.close()


def test_two_hundred_starts_and_pauses_end_parked(screen):
    live, thread = worker(lambda: make(screen, **LONG))
    for _ in range(200):
        live.start()
        live.pause()
    assert live.settled() and live.status == screen.status == "paused" and thread.is_alive()
    step = live.state.step
    live.step()
    assert live.settled() and live.state.step == step + 1
    live.close()


# --- knobs


def test_a_moved_knob_is_held_and_named_until_it_is_released(live, screen):
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
    live.release()
    assert live.settled() and not any(live.state.held)
    assert screen.frames[-1].tau == 1.0 and "off schedule" not in screen.frames[-1].sentence
    live.follow(panel(config, tau=2.5, beta_z=0.5, beta_c=0.0))
    assert live.settled() and live.state.held.beta_c and sum(live.state.held) == 1


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
    "no labels, no curriculum": (OFF | {"data.labels": 0}, {}, {"w_label", "kl_boost_on_unlock"}),
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
        live.follow(panel(config))
        live.reset()
        live.release()
        live.follow(start)
        live.step(7)
        live.follow(start | moved)
        live.step()
        assert live.settled() and live.state.step == 8, live.status
        return live.state.params

    assert set(idle(config, start, config.data.labels)) == silent
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


# --- structure


def test_a_new_output_head_keeps_the_encoder_and_says_so(live, screen):
    live.step(7)
    assert live.settled()
    old = live.state
    live.configure(tiny_config(**LONG, **{"model.output": "heteroscedastic"}))
    assert live.settled() and live.status == screen.frames[-1].status
    assert live.status == "ready: kept embeddings, encoder; the rest starts anew"
    for part in ("embeddings", "encoder"):
        assert same(live.state.params[part], old.params[part]) and same(live.state.average[part], old.average[part])
    assert live.state.step == 0 and not live.curves
    assert screen.frames[-1].sigma is not None and screen.frames[-1].sigma_range == (0.05, 0.5)


def test_another_number_of_channels_fits_the_view(live, screen):
    live.configure(tiny_config(**LONG, **{"model.num_components": 3}))
    assert live.settled() and screen.frames[-1].z.shape == (3, 100, 2) and screen.frames[-1].k_active == 3
    assert live.status == "ready: kept decoder; the rest starts anew"


def test_another_estimator_keeps_every_weight_and_the_place_in_the_schedules(screen):
    schedule = STAGES | LONG | {"routing.tau_rate": 1.0}
    live = make(screen, **schedule)
    live.step(8)
    assert live.settled()
    old, shown, rows = live.state, screen.frames[-1], len(live.curves)
    live.configure(tiny_config(**schedule, **{"routing.estimator": "exact"}))
    assert live.settled() and live.status == "ready: all weights were kept" and len(live.curves) == rows
    assert same(live.state.params, old.params) and same(live.state.optimiser, old.optimiser) and live.state.step == 8
    assert screen.frames[-1].k_active == shown.k_active == 5 and 0.1 < screen.frames[-1].tau < shown.tau
    live.close()


def test_the_same_config_builds_nothing(live, screen):
    trainer, shown = live.trainer, len(screen.frames)
    live.configure(tiny_config(**LONG))
    assert live.settled() and live.trainer is trainer and len(screen.frames) == shown


# --- saved runs


def test_a_saved_run_is_shown_as_it_is(live, screen, saved):
    live.show(saved)
    assert live.settled() and live.status == screen.frames[-1].status == "saved run"
    assert screen.frames[-1].step == 6 and live.state is saved.state and live.curves == saved.history


@pytest.mark.parametrize("command", ["start", "step"])
def test_training_after_a_saved_run_begins_anew_with_the_knobs_of_the_panel(command, live, screen, saved):
    live.show(saved)
    live.follow(panel(saved.trainer.config, tau=2.0))
    assert live.settled() and live.state.step == 6 and screen.frames[-1].tau == 2.0
    shown = len(screen.frames)
    getattr(live, command)()
    screen.wait(lambda: len(screen.frames) > shown + 2)
    begun = screen.frames[shown : shown + 3]  # built, with the knobs of the panel, after a step
    assert [frame.step for frame in begun] == [0, 0, 1] and begun[1].tau == begun[2].tau == 2.0
    live.pause()
    assert live.settled() and live.state.held.tau and live.state.knobs.tau == 2.0 and sum(live.state.held) == 1
    assert saved.state.step == 6 and not saved.state.held.tau and len(saved.history) == 1


# --- faults, and the worker's life


def test_what_goes_wrong_while_training_is_said_and_the_worker_lives_on(live, screen, monkeypatch):
    def broken(state, steps):
        raise FloatingPointError("recon is no longer finite 1 steps on, at tau=1; move a knob back and go on")

    with monkeypatch.context() as patch:
        patch.setattr(live.trainer, "advance", broken)
        live.start()
        screen.wait(lambda: "stopped" in screen.status)
        assert live.settled() and live.status.startswith("stopped: recon is no longer finite 1 steps on")
        assert live.state.step == 0
    live.step()
    assert live.settled() and live.state.step == 1 and live.status == "paused"


def test_a_command_that_cannot_be_done_is_said_and_the_next_one_is_done(screen):
    live = make(screen, **LONG, **{"curriculum.k_active_schedule": [1, 2, 5, 10]})
    live.follow(panel(live.trainer.config if live.settled() else None, curriculum=True))
    live.step()
    assert live.settled() and live.state.step == 1 and not live.state.curriculum.on
    assert any("stopped: curriculum.k_active_schedule=[1, 2, 5, 10] ends above" in words for words in screen.said)
    live.close()


def test_close_ends_the_worker_while_it_trains(screen):
    live, thread = worker(lambda: make(screen, **LONG))
    live.start()
    screen.wait_for_training(1)
    live.close()
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.parametrize("training", [False, True])
def test_letting_go_of_the_run_ends_the_worker(training, screen):
    live, thread = worker(lambda: make(screen, **LONG))
    assert live.settled()
    if training:
        live.start()
        screen.wait_for_training(1)
    gone = weakref.ref(live)
    del live
    thread.join(30)
    assert not thread.is_alive() and gone() is None


def test_settled_waits_for_the_worker_and_gives_up_in_time(live, screen, monkeypatch):
    free, busy, show = threading.Event(), threading.Event(), screen.show

    def slow(frame):
        busy.set()
        free.wait(60)
        show(frame)

    monkeypatch.setattr(screen, "show", slow)
    live.step(2)
    assert busy.wait(60) and not live.settled(timeout=0.02)
    free.set()
    assert live.settled() and screen.frames[-1].step == 2


def test_the_channel_view_takes_the_frames():
    view, messages = ChannelView(), []
    view.observe(lambda change: messages.append(change.new), "frame")
    live = make(view)
    live.step(3)
    assert live.settled() and view.status == "paused" and len(view.points["labels"]) == 100
    live.close()
    assert len(messages) == 2 and b'"step": 3' in messages[-1]
