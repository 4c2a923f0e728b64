"""LiveRun before a view that records: what every command does to the run, and what is said of it."""

import dataclasses
import gc
import re
import threading
import weakref

import numpy as np
import pytest

import workbench.live
from mixvae.config_file import override
from mixvae.example_runs import STAGES, UNLABELLED, same, tiny_config
from mixvae.runs import Snapshot, fit
from workbench.channel_view import FOLDER, ChannelView
from workbench.example_screen import DATASET, LONG, make, panel
from workbench.film import Film, Moment

pytestmark = pytest.mark.usefixtures("quiet")


WORDS = (FOLDER / "words.js").read_text(encoding="utf-8")
KNOWN = set(re.findall(r'"?([a-z][a-z ]+)"?: [A-Z_]+[,\n]', WORDS))  # what the dot beside the status has a colour for


@pytest.fixture(scope="module")
def saved() -> Snapshot:
    return next(fit(tiny_config(**LONG), DATASET))


def worker(start):
    """What `start()` returns, and the thread it began."""
    before = set(threading.enumerate())
    run = start()
    (thread,) = set(threading.enumerate()) - before
    return run, thread


def test_a_model_is_shown_before_it_is_trained(live, screen):
    assert screen.said == ["compiling"]
    (frame,) = screen.frames
    assert frame.step == 0 and frame.epoch == 0 and frame.k_active == 5 and frame.status == "ready: starts anew"
    assert len(set(map(tuple, frame.z[0]))) == 40 and np.isfinite(frame.z).all()
    assert screen.class_names == DATASET.class_names and len(screen.labels) == 40


def test_a_screen_that_is_behind_gets_the_last_frame_and_none_before_it(screen):
    live = make(screen)
    assert live.settled()
    screen.behind = True
    live.start()
    screen.wait(lambda: screen.status == "finished")
    assert [frame.step for frame in screen.frames] == [0, 18]


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
    assert all(np.diff(steps) > 0)
    speeds = [frame.images_per_second for frame in screen.frames]
    assert max(speeds) > 0 == speeds[-1]
    assert screen.frames[-1].status == "paused" and screen.frames[-1].step == paused.step > 0
    assert live.settled() and live.state is paused and len(screen.frames) == shown
    assert screen.settled == [frame.status != "training" for frame in screen.frames]
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


def test_several_starts_are_told_apart(screen):
    live = make(screen, **{"train.starts": 2, "train.regroups": 1, "train.start_epochs": 1, "train.epochs": 4})
    live.start()
    screen.wait(lambda: screen.frames and screen.frames[-1].status == "finished")
    said = [frame.status for frame in screen.frames]
    assert {words.split(":")[0] for words in [*said, *screen.said]} <= KNOWN
    alone = "training the router alone:"
    assert f"{alone} start 1 of 2" in said and f"{alone} start 2 of 2" in said and "training" in said
    assert f"{alone} the best start, regrouped, 1 of 1" in said
    live.close()


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


def test_the_speed_is_that_of_steps_and_not_of_what_an_epochs_end_does(screen, monkeypatch):
    live, ended = make(screen), []
    took = live.pace.took
    monkeypatch.setattr(live.pace, "took", lambda *told: ended.append(int(live.state.step)) or took(*told))
    live.start()
    screen.wait(lambda: screen.status == "finished")
    assert len(ended) > 1 and all(step % live.trainer.steps_per_epoch for step in ended[1:])


def test_the_speed_goes_on_being_measured_where_every_chunk_ends_an_epoch(screen, monkeypatch):
    live, told = make(screen), []
    monkeypatch.setattr(live.pace, "took", lambda steps, seconds: told.append(steps))
    monkeypatch.setattr(type(live.pace), "steps", property(lambda pace: live.trainer.steps_per_epoch))
    live.start()
    screen.wait(lambda: screen.status == "finished")
    assert told == [live.trainer.steps_per_epoch] * live.trainer.config.train.epochs


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


def test_a_saved_run_that_is_shown_while_another_trains_is_not_trained_on(screen, saved):
    live = make(screen, **LONG)
    live.start()
    screen.wait(lambda: screen.frames and screen.frames[-1].step > 0)
    live.show(saved)
    assert live.settled() and live.status == screen.status == "saved run" and live.state is saved.state
    live.step()
    assert live.settled() and int(live.state.step) == 1


def test_training_after_a_saved_run_may_be_of_another_config(live, screen, saved):
    other = override(saved.trainer.config, {"train.epochs": 7})
    live.show(saved, then=other)
    live.configure(other)
    assert live.settled() and live.status == "saved run" and live.state is saved.state
    live.step()
    assert live.settled() and live.trainer.config == other and live.state.step == 1


def test_pausing_what_does_not_train_leaves_it_as_it_is(live, screen, saved):
    live.show(saved)
    live.pause()
    assert live.settled() and live.status == screen.status == "saved run"


def test_asking_where_nothing_is_labelled_is_answered_and_training_goes_on(screen):
    none = {f"y_{split}": np.full_like(getattr(DATASET, f"y_{split}"), -1) for split in ("train", "val", "test")}
    unlabelled = dataclasses.replace(DATASET, **none, class_names=())
    live = workbench.live.LiveRun(screen, unlabelled, points=100, max_fps=200)
    live.configure(tiny_config(**LONG, **UNLABELLED))
    live.start()
    screen.wait_for_training(1)
    live.ask()
    screen.wait_for_training(2)
    assert screen.given["fault"] == "tiny has no labels to ask for" and live.error is None
    live.close()


# --- speed, and what is said of compiling


def test_a_speed_is_shown_while_training_alone_and_measured_anew_after_a_rebuild(live, screen):
    for rebuild in (lambda: live.configure(tiny_config(**LONG, **{"routing.estimator": "exact"})), live.reset):
        assert live.settled() and screen.frames[-1].images_per_second == 0
        live.start()
        screen.wait_for_training(3)
        assert max(frame.images_per_second for frame in screen.frames if frame.status == "training") > 0
        live.pause()
        assert live.settled() and screen.frames[-1].images_per_second == 0 < live.pace.steps_per_second
        rebuild()
        assert live.settled() and live.pace.steps_per_second == 0


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
    assert before[0] == "compiling: starts anew" and set(before[1:]) <= {"training", "paused"} and len(before) > 2


def test_commands_are_answered_while_the_steps_compile(live, screen, monkeypatch):
    free, compiling = threading.Event(), workbench.live.compiling
    monkeypatch.setattr("workbench.live.compiling", lambda run, wake: compiling(lambda: free.wait(60) and run(), wake))
    live.start()
    live.follow({"tau": 2.5})
    assert live.settled() and screen.status == "compiling: starts anew" and screen.frames[-1].tau == 2.5
    live.pause()
    assert live.settled() and live.status == screen.status == "paused"
    live.start()
    assert live.settled() and screen.status.startswith("compiling") and screen.frames[-1].step == live.state.step == 0
    free.set()
    screen.wait_for_training()
    assert screen.frames[-1].tau == 2.5


def test_the_next_run_compiles_while_a_saved_one_is_watched_and_once(saved, screen, monkeypatch):
    compiled, compiling = [], workbench.live.compiling
    monkeypatch.setattr(
        "workbench.live.compiling", lambda run, wake: compiled.append(compiling(run, wake)) or compiled[-1]
    )
    live = workbench.live.LiveRun(screen, DATASET, points=100, max_fps=200)
    then = tiny_config(**LONG, **{"model.output": "heteroscedastic"})
    live.show(saved, then=then)
    assert live.settled() and not compiled
    for _ in range(2):
        screen.watch()
        assert live.settled() and len(compiled) == 1 and live.status == "saved run"
    live.start()
    screen.wait_for_training()
    assert len(compiled) == 1 and live.trainer.config == then
    live.configure(override(then, {"routing.estimator": "exact"}))
    screen.wait_for_training()
    assert len(compiled) == 2
    live.close()


def test_compiling_is_said_also_of_a_model_that_is_rebuilt_while_it_trains(live, screen):
    live.start()
    screen.wait_for_training(1)
    told = []
    for words in ("say", "show"):
        tell = getattr(screen, words)
        setattr(
            screen,
            words,
            lambda what, tell=tell, **how: [told.append(getattr(what, "status", what)), tell(what, **how)],
        )
    live.configure(tiny_config(**LONG, **{"routing.estimator": "exact"}))
    screen.wait(lambda: "ready: all weights were kept" in told and told[-1] == "training")
    live.pause()
    assert live.settled()
    kept = "all weights were kept"
    at = told.index(f"ready: {kept}")
    assert told[at - 1 : at + 3] == ["compiling", f"ready: {kept}", f"compiling: {kept}", "training"]


# --- faults, and the worker's life


def test_what_goes_wrong_while_training_is_said_and_the_worker_lives_on(live, screen, monkeypatch, capsys):
    fault = FloatingPointError("recon is no longer finite at step 1, at tau=1; move a knob back and go on")

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
    assert live.settled()
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
    assert not thread.is_alive() and gone() is None and screen.status == "closed"


def test_a_view_goes_with_its_run():
    live, thread = worker(lambda: make(ChannelView()))
    live.step()
    assert live.settled()
    gone = weakref.ref(live.view)
    del live
    thread.join(30)
    gc.collect()
    assert gone() is None


def test_settled_waits_for_the_worker_and_gives_up_in_time(live, screen, monkeypatch):
    free, busy, show = threading.Event(), threading.Event(), screen.show

    def slow(frame, settled):
        busy.set()
        free.wait(60)
        show(frame, settled)

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
