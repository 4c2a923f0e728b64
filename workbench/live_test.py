"""LiveRun before a view that records: what every command does to the run, and what is said of it."""

import itertools
import threading
import weakref
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import workbench.live
from mixvae.config import LIVE
from mixvae.config_file import override
from mixvae.example_runs import STAGES, UNLABELLED, same, tiny_config, tiny_dataset
from mixvae.runs import Snapshot, fit
from mixvae.schedules import constant
from workbench.channel_view import ChannelView, Frame, check
from workbench.film import Film, Moment
from workbench.knobs import idle
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

        self.colour_by = "label"

    def set_points(self, labels, class_names, images):
        self.labels, self.class_names, self.images = labels, class_names, images

    def listen(self, answer):
        self.answer = answer

    def show(self, frame: Frame) -> bytes:
        check(frame, len(self.labels))
        self._add(self.frames, frame._replace(z=frame.z.copy()), frame.status)
        return f"step {frame.step}".encode()

    def show_given(self, images, labels, points, undo, fault=""):
        self.given = {"images": images, "labels": labels, "points": points, "undo": undo, "fault": fault}

    def show_moments(self, moments, frames=()):
        self.moments, self.film = moments, list(frames)

    def show_past(self, frame: bytes):
        self.past = frame

    def show_atlas(self, atlas):
        self.atlas = atlas

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


@pytest.fixture(autouse=True)
def quiet(capsys):
    """A test that expects no fault ends without a traceback of the worker's; one that does has read it."""
    yield
    assert capsys.readouterr().err == ""


@pytest.fixture
def screen():
    return Screen()


@pytest.fixture
def live(screen):
    """A long run, ready before its first step."""
    run = make(screen, **LONG)
    assert run.settled() and run.error is None
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
    assert len(set(map(tuple, frame.z[0]))) == 40 and np.isfinite(frame.z).all()
    assert screen.class_names == DATASET.class_names and len(screen.labels) == 40


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

    assert set(idle(config, start, config.data.labels)) == silent
    still = outcome()
    assert same(still, outcome())
    for name, (_, field) in LIVE.items():
        ends = (1, 5) if name == "k_active" else (field.metadata["high"], field.metadata["low"])
        moved = next(end for end in ends if end != start[name])
        assert same(outcome(**{name: moved}), still) == (name in silent), name
    live.close()


@pytest.mark.parametrize("classifier", [False, True])
def test_labels_act_through_the_tau_table_only_with_a_tau_classifier(classifier, screen):
    settings = OFF | {"objective.use_tau_classifier": classifier}
    config, kernels = tiny_config(**settings), []
    live = make(screen, **settings)
    for weight in (0.0, 5000.0):
        live.follow(panel(config, w_label=weight))
        live.reset()
        live.step(8)
        assert live.settled() and live.state.step == 8
        kernels.append(np.concatenate([np.ravel(a) for a in jax.tree.leaves(live.state.params)]))
    moved = np.abs(kernels[1] - kernels[0]).max()
    assert moved > 1e-2 if classifier else moved < 1e-4  # round-off, times a weight of 5000
    assert ("w_label" in idle(config, panel(config), 6)) is not classifier
    live.close()


def test_labels_asked_for_name_the_channels_at_once_and_survive_a_rebuild(screen):
    live = make(screen, **UNLABELLED, **LONG)
    live.step(20)
    assert live.settled() and not live.trainer.counts_labels
    live.ask()
    assert live.settled() and live.error is None and screen.frames[-1].step == 20
    known = live.trainer.labels >= 0
    assert 1 <= known.sum() <= 5 and (live.trainer.labels[known] == DATASET.y_train[known]).all()
    assert live.state.tau_counts.sum() == pytest.approx(known.sum() + 5 * 3, rel=1e-4)
    assert any(title.startswith('"') for title in screen.frames[-1].titles)
    live.configure(tiny_config(**UNLABELLED, **LONG, **{"model.output": "heteroscedastic"}))
    assert live.settled() and ((live.trainer.labels >= 0) == known).all() and live.trainer.counts_labels
    live.forget()
    assert live.settled() and not live.trainer.counts_labels and (live.trainer.labels == -1).all()
    np.testing.assert_array_equal(live.state.tau_counts, np.ones((5, 3)))
    live.close()


def test_points_that_are_labelled_name_their_channel_at_once_and_undo_takes_it_back(screen):
    live = make(screen, **UNLABELLED, **LONG)
    live.step(20)
    assert live.settled()
    index = live.points.index
    screen.answer({"do": "label", "points": [3, 8], "label": 2})
    screen.answer({"do": "label", "points": [8, 9], "label": 0})
    assert live.settled() and live.error is None
    np.testing.assert_array_equal(live.trainer.labels[index[[3, 8, 9]]], [2, 0, 0])
    assert (live.trainer.labels >= 0).sum() == 3 and '"square"' not in screen.frames[-1].titles
    assert {(i, y) for i, y in zip(screen.given["images"], screen.given["labels"], strict=True)} == {
        (index[3], 2), (index[8], 0), (index[9], 0)
    }  # fmt: skip
    assert sorted(screen.given["points"]) == [3, 8, 9] and screen.given["undo"]
    screen.answer({"do": "undo"})
    assert live.settled() and live.trainer.labels[index[8]] == 2 and live.trainer.labels[index[9]] == -1
    screen.answer({"do": "label", "points": [3, 8], "label": -1})
    assert live.settled() and not live.trainer.counts_labels and (live.trainer.labels == -1).all()
    live.close()


def test_a_table_of_labels_is_read_and_a_wrong_one_is_told_while_training_goes_on(live, screen):
    live.start()
    screen.wait_for_training()
    screen.answer({"do": "import", "text": "image,label\n5,square\n47,round\n"})
    assert live.settled() and live.trainer.labels[[5, 47]].tolist() == [1, 0]
    screen.answer({"do": "import", "text": "image,label\n5,oblong\n"})
    assert live.settled() and "oblong is none of round, square, other" in screen.given["fault"]
    assert live.error is None and live.trainer.labels[[5, 47]].tolist() == [1, 0]
    screen.wait_for_training()
    with pytest.raises(ValueError, match="which nothing answers"):
        screen.answer({"do": "dance"})


def test_the_past_can_be_gone_to_and_begins_anew_with_a_run(screen):
    live = make(screen, **STAGES, **LONG)
    live.step(9)
    assert live.settled()
    kept = [moment["epoch"] for moment in screen.moments]
    assert kept[0] == 0 and kept == sorted(kept) and kept[-1] == 1.5
    unlocked = [i for i, moment in enumerate(screen.moments) if moment["event"] == "K_active 2 to 5"]
    assert len(unlocked) == 1
    screen.answer({"do": "go", "moment": unlocked[0]})
    assert live.settled() and screen.past == live.film.moments[unlocked[0]].frame
    screen.answer({"do": "go", "moment": -1})
    live.reset()
    assert live.settled() and [moment["epoch"] for moment in screen.moments] == [0]
    live.close()


def test_names_follow_the_weights_between_two_counts_of_training(screen):
    live = make(screen, **OFF)
    live.step(3)
    assert live.settled()
    shown, _ = live.matrix()
    counts = live.trainer.recount(live.state).tau_counts - live.trainer.config.objective.alpha0
    np.testing.assert_array_equal(shown, counts)
    assert np.abs(live.state.tau_counts - live.trainer.config.objective.alpha0 - counts).max() > 1e-4
    live.close()


def test_labels_asked_for_pull_at_the_router(screen):
    config, params = tiny_config(**OFF, **UNLABELLED), []
    for ask in (False, True):
        live = make(screen, **OFF, **UNLABELLED)
        live.follow(panel(config, w_label=5000.0))
        if ask:
            live.ask()
        live.step(8)
        assert live.settled() and live.state.step == 8
        params.append(np.concatenate([np.ravel(a) for a in jax.tree.leaves(live.state.params)]))
        assert ("w_label" in idle(config, panel(config), 0, asked=ask)) is not ask
        live.close()
    assert np.abs(params[1] - params[0]).max() > 1e-2


def test_several_starts_are_told_apart(screen):
    live = make(screen, **{"train.starts": 2, "train.start_epochs": 1, "train.epochs": 3})
    live.start()
    screen.wait(lambda: screen.frames and screen.frames[-1].status == "finished")
    said = [frame.status for frame in screen.frames]
    alone = "training the router alone: start"
    assert f"{alone} 1 of 2" in said and f"{alone} 2 of 2" in said and "training" in said
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
    assert live.settled() and screen.frames[-1].z.shape == (3, 40, 2) and screen.frames[-1].k_active == 3
    assert live.status == "ready: kept decoder; the rest starts anew"


CHANGES = {
    "structure": lambda live: live.configure(tiny_config(**LONG, **STAGES, **{"model.output": "heteroscedastic"})),
    "estimator": lambda live: live.configure(tiny_config(**LONG, **STAGES, **{"routing.estimator": "exact"})),
    "reset": lambda live: live.reset(),
}


@pytest.mark.parametrize("training", [False, True], ids=["paused", "training"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_rebuilt_model_keeps_what_the_panel_shows(change, training, screen):
    live = make(screen, **LONG, **STAGES)
    live.follow(panel(tiny_config(**LONG, **STAGES), tau=2.0, beta_z=0.5, curriculum=False))
    live.step(2)
    assert live.settled()
    trainer, shown = live.trainer, len(screen.frames)
    if training:
        live.start()
    CHANGES[change](live)
    live.step()
    live.pause()
    assert live.settled() and live.trainer is not trainer
    for frame in screen.frames[shown:]:
        assert frame.tau == 2.0 and frame.k_active == 5
        assert frame.sentence.endswith("off schedule: tau = 2, beta_z = 0.5")
    assert not live.state.curriculum.on and (live.state.knobs.tau, live.state.knobs.beta_z) == (2.0, 0.5)
    live.follow(panel(tiny_config(**LONG, **STAGES)))
    assert live.settled() and live.state.curriculum.on and not any(live.state.held)
    live.close()


def test_fewer_channels_take_a_moved_k_active_back_and_more_take_it_up_again(live, screen):
    live.follow(panel(live.trainer.config, k_active=4))
    assert live.settled() and live.state.held.k_active and screen.frames[-1].k_active == 4
    live.configure(tiny_config(**LONG, **{"model.num_components": 3}))
    assert live.settled() and not live.state.held.k_active and screen.frames[-1].k_active == 3
    live.configure(tiny_config(**LONG))
    assert live.settled() and live.state.held.k_active and screen.frames[-1].k_active == 4
    live.follow(panel(live.trainer.config))
    assert live.settled() and not any(live.state.held) and screen.frames[-1].k_active == 5 and live.error is None


def test_fewer_channels_than_a_curriculum_switched_on_needs_are_shown_with_all_open(screen):
    live = make(screen, **LONG, **OFF)
    live.follow(panel(tiny_config(**OFF), curriculum=True))
    assert live.settled() and live.state.curriculum.on and screen.frames[-1].k_active == 2
    few = tiny_config(**LONG, **OFF, **{"model.num_components": 3})
    live.configure(few)
    live.follow(panel(few, curriculum=False))
    live.step()
    assert live.settled() and live.error is None and not live.state.curriculum.on and live.state.step == 1
    assert screen.frames[-1].z.shape[0] == screen.frames[-1].k_active == 3
    live.close()


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
    live.show(saved, film=Film([Moment(0.5, "", b"half"), Moment(1.0, "", b"whole")]))
    assert live.settled() and live.status == screen.frames[-1].status == "saved run"
    assert screen.frames[-1].step == 6 and live.state is saved.state and live.curves == saved.history
    assert [moment["epoch"] for moment in screen.moments] == [0.5, 1.0] and screen.film == [b"half", b"whole"]
    live.step()
    assert live.settled() and screen.moments[0]["epoch"] == 0 and screen.film == []  # the run's own are asked for


@pytest.mark.parametrize("command", ["start", "step"])
def test_training_after_a_saved_run_begins_anew_with_the_knobs_of_the_panel(command, live, screen, saved):
    live.show(saved)
    live.follow(panel(saved.trainer.config, tau=2.0))
    assert live.settled() and live.state.step == 6 and screen.frames[-1].tau == 2.0
    shown = len(screen.frames)
    getattr(live, command)()
    screen.wait(lambda: len(screen.frames) > shown + 1)
    begun = screen.frames[shown : shown + 2]  # built with the knobs of the panel, after a step
    assert [frame.step for frame in begun] == [0, 1] and begun[0].tau == begun[1].tau == 2.0
    live.pause()
    assert live.settled() and live.state.held.tau and live.state.knobs.tau == 2.0 and sum(live.state.held) == 1
    assert saved.state.step == 6 and not saved.state.held.tau and len(saved.history) == 1


def test_training_after_a_saved_run_may_be_of_another_config(live, screen, saved):
    other = override(saved.trainer.config, {"train.epochs": 7})
    live.show(saved, then=other)
    live.configure(other)
    assert live.settled() and live.status == "saved run" and live.state is saved.state
    live.step()
    assert live.settled() and live.trainer.config == other and live.state.step == 1


# --- speed, and what is said of compiling


@pytest.fixture
def clock(monkeypatch):
    """A clock on which any two readings are a second apart."""
    monkeypatch.setattr("workbench.live.time", SimpleNamespace(perf_counter=itertools.count(0.0).__next__))


def test_speed_is_0_until_measured_and_measured_anew_after_a_rebuild(clock, live, screen):
    def speed(steps):
        live.step(steps)
        assert live.settled()
        return screen.frames[-1].images_per_second

    assert screen.frames[-1].images_per_second == 0
    assert [speed(1), speed(2), speed(1)] == pytest.approx([7, 7 / (0.8 * 1 + 0.2 * 0.5), 7 / (0.8 * 0.9 + 0.2 * 1)])
    live.configure(tiny_config(**LONG, **{"routing.estimator": "exact"}))
    assert live.settled() and live.state.step == 4 and screen.frames[-1].images_per_second == 0
    assert [speed(2), speed(1)] == pytest.approx([14, 7 / (0.8 * 0.5 + 0.2 * 1)])
    live.reset()
    assert live.settled() and screen.frames[-1].images_per_second == 0
    assert speed(4) == pytest.approx(28)


@pytest.mark.parametrize("command", ["start", "step"])
def test_compiling_is_said_before_the_first_steps_of_a_new_model_and_not_again(command, live, screen, monkeypatch):
    def noted(trainer, advance):
        def wrapped(state, steps):
            before.append(screen.status)
            return advance(state, steps)

        monkeypatch.setattr(trainer, "advance", wrapped)

    before = []
    noted(live.trainer, live.trainer.advance)
    for _ in range(2):
        taken = len(before)
        getattr(live, command)()
        screen.wait(lambda taken=taken: len(before) > taken and screen.status in ("training", "paused"))
        live.pause()
        assert live.settled()
    assert before[:2] == ["compiling"] * 2 and set(before[2:]) <= {"training", "paused"} and len(before) > 2


def test_commands_are_answered_while_the_steps_compile(live, screen, monkeypatch):
    free, compile_steps = threading.Event(), workbench.live.compile_steps
    monkeypatch.setattr("workbench.live.compile_steps", lambda *work: [free.wait(60), compile_steps(*work)])
    live.start()
    live.follow({"tau": 2.5})
    assert live.settled() and screen.status == "compiling" and screen.frames[-1].tau == 2.5
    live.pause()
    assert live.settled() and live.status == screen.status == "paused"
    live.start()
    assert live.settled() and screen.status == "compiling" and screen.frames[-1].step == live.state.step == 0
    free.set()
    screen.wait_for_training()
    assert screen.frames[-1].tau == 2.5


def test_compiling_is_said_also_of_a_model_that_is_rebuilt_while_it_trains(live, screen):
    live.start()
    screen.wait_for_training(1)
    told = []
    for words in ("say", "show"):
        tell = getattr(screen, words)
        setattr(screen, words, lambda what, tell=tell: [told.append(getattr(what, "status", what)), tell(what)])
    live.configure(tiny_config(**LONG, **{"routing.estimator": "exact"}))
    screen.wait(lambda: "ready: all weights were kept" in told and told[-1] == "training")
    live.pause()
    assert live.settled()
    at = told.index("ready: all weights were kept")
    assert told[at - 1 : at + 3] == ["compiling", "ready: all weights were kept", "compiling", "training"]


# --- faults, and the worker's life


def test_what_goes_wrong_while_training_is_said_and_the_worker_lives_on(live, screen, monkeypatch, capsys):
    fault = FloatingPointError("recon is no longer finite 1 steps on, at tau=1; move a knob back and go on")

    def broken(state, steps):
        raise fault

    with monkeypatch.context() as patch:
        patch.setattr(live.trainer, "advance", broken)
        live.start()
        screen.wait(lambda: "stopped" in screen.status)
        assert live.settled() and live.status == screen.status == f"stopped: FloatingPointError: {fault}"
        assert live.state.step == 0 and live.error is fault
        traceback = capsys.readouterr().err
        assert traceback.startswith("Traceback") and traceback.count("Traceback") == 1
        assert "in broken" in traceback and f"FloatingPointError: {fault}" in traceback
    live.step()
    assert live.settled() and live.state.step == 1 and live.status == "paused"


def test_a_command_that_cannot_be_done_is_said_and_the_next_one_is_done(live, screen, capsys):
    live.follow({"tau": 99.0})
    live.follow({"tau": 2.0})
    live.step()
    assert live.settled() and live.state.step == 1 and live.state.knobs.tau == 2.0
    (words,) = [words for words in screen.said if words.startswith("stopped")]
    assert words.startswith("stopped: ValueError: routing.tau=99.0 is out of range")
    assert isinstance(live.error, ValueError) and str(live.error) in words
    traceback = capsys.readouterr().err
    assert traceback.count("Traceback") == 1 and f"ValueError: {live.error}" in traceback


def test_a_config_that_cannot_be_built_leaves_the_model_as_it_is(live, screen, capsys):
    trainer = live.trainer
    live.configure(tiny_config(**LONG, **{"train.batch_size": 49}))
    assert live.settled() and live.trainer is trainer
    assert screen.status.startswith("stopped: ValueError: train.batch_size=49 is larger than the 48 training images")
    assert "train.batch_size=49" in capsys.readouterr().err
    live.step()
    assert live.settled() and live.state.step == 1 and live.status == screen.status == "paused"


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
    assert live.settled() and view.status == "paused" and len(view.points["labels"]) == 40
    live.close()
    assert len(messages) == 2 and b'"step": 3' in messages[-1]
