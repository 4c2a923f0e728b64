"""Runs on disk: continued exactly, written whole or not at all, damage noticed and named."""

import dataclasses
import json
import os
import re
import shutil
import tempfile

import jax
import numpy as np
import pytest
from flax import serialization

from mixvae import runs
from mixvae.example_runs import STAGES, UNLABELLED, same, tiny_config, tiny_dataset
from mixvae.lock import locked
from mixvae.runs import CHECKPOINT, CONFIG, PREVIOUS, VERSION, build_trainer, fit, load, open_run, save

PLATEAU = {
    "curriculum.enabled": True,
    "curriculum.k_active_schedule": [1, 3, 5],
    "curriculum.unlock_epochs": None,
    "curriculum.patience": 1,
    "curriculum.cooldown": 1,
    "curriculum.min_delta": 1e6,  # no fall is large enough: a channel unlocks once the patience is over
}


@pytest.fixture(scope="module")
def dataset():
    return tiny_dataset()


@pytest.fixture(scope="module")
def config():
    return tiny_config(**STAGES)


@pytest.fixture(scope="module")
def snapshots(config, dataset):
    """All three epochs of a run that was never stopped."""
    return list(fit(config, dataset))


@pytest.fixture(scope="module")
def two_epochs(config, snapshots, tmp_path_factory):
    """A folder with the first epoch as the previous checkpoint, the second as the newest."""
    folder = tmp_path_factory.mktemp("run")
    for snapshot in snapshots[:2]:
        save(folder, config, snapshot.state, snapshot.history)
    return folder


@pytest.fixture
def folder(two_epochs, tmp_path):
    return shutil.copytree(two_epochs, tmp_path / "run")


STARTS = STAGES | {"train.starts": 1, "train.start_epochs": 1, "curriculum.unlock_epochs": [0, 1]}
REGROUPS = STARTS | {"train.regroups": 1, "train.epochs": 4}


def files(folder) -> set[str]:
    return set(os.listdir(folder))


@pytest.mark.parametrize("stop", [1, 2])
@pytest.mark.parametrize(
    "settings", [STAGES, PLATEAU, STARTS, REGROUPS], ids=["stages", "plateau", "starts", "regroups"]
)
def test_a_run_that_was_stopped_and_resumed_equals_one_that_was_not(settings, stop, dataset, tmp_path):
    config = tiny_config(**settings)
    *_, whole = fit(config, dataset)
    first = fit(config, dataset, tmp_path)
    for _ in range(stop):
        stopped = next(first)
    first.close()
    from_there = []
    rest = list(fit(config, dataset, tmp_path, resumed=from_there.append))
    assert len(rest) == config.train.epochs - stop and rest[0].trainer is not stopped.trainer
    assert [len(at.history) for at in from_there] == [stop] and same(from_there[0].state, stopped.state)
    assert same(rest[-1].state, whole.state) and rest[-1].history == whole.history
    assert whole.state.curriculum.stage > 0 and whole.state.tau_counts.sum() == pytest.approx(6 + 5 * 3, rel=1e-5)
    assert stopped.state.tau_counts.tolist() != whole.state.tau_counts.tolist()


def test_resuming_a_finished_run_trains_nothing(config, dataset, snapshots, tmp_path):
    save(tmp_path, config, snapshots[-1].state, snapshots[-1].history)
    before = (tmp_path / CHECKPOINT).read_bytes()
    assert list(fit(config, dataset, tmp_path)) == []
    assert (tmp_path / CHECKPOINT).read_bytes() == before


def test_every_epoch_is_saved_and_the_one_before_it_kept(config, dataset, snapshots, tmp_path):
    for i, snapshot in enumerate(fit(config, dataset, tmp_path / "deep" / "run")):
        state, history, fault = load(tmp_path / "deep" / "run", snapshot.trainer)
        assert same(state, snapshots[i].state) and history == snapshots[i].history and fault == ""
    assert files(tmp_path / "deep" / "run") == {CONFIG, CHECKPOINT, PREVIOUS}
    (tmp_path / "deep" / "run" / CHECKPOINT).unlink()
    state, *_ = load(tmp_path / "deep" / "run", snapshot.trainer)
    assert same(state, snapshots[1].state)


def test_without_a_folder_nothing_is_written(config, dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    next(fit(config, dataset))
    assert files(tmp_path) == set()


def test_history_is_plain_numbers_and_lists(snapshots):
    history = snapshots[-1].history
    assert json.loads(json.dumps(history, allow_nan=False)) == history
    assert [(row["epoch"], row["step"]) for row in history] == [(1, 6), (2, 12), (3, 18)]
    for row in history:
        assert {type(value) for value in row.values()} == {int, float, list}
        assert all(type(share) is float for share in row["usage"]) and sum(row["usage"]) == pytest.approx(1, rel=1e-5)
    assert [row["k_active"] for row in history] == [2.0, 5.0, 5.0]
    assert history[0]["usage"][2:] == [0.0] * 3 and min(history[1]["usage"]) > 0


def test_rows_have_a_validation_loss_where_there_are_validation_images(config, dataset, snapshots):
    trainer, state, history = snapshots[-1]
    assert history[-1]["validation_loss"] == trainer.evidence_loss(state, dataset.x_val)
    trainer = build_trainer(config, dataset)
    trainer.x_val = dataset.x_val[:0]
    _, columns = trainer.advance(trainer.init(), 1)
    assert "validation_loss" not in runs.epoch_row(trainer, state, columns)


class Sealed:
    """A data set without a test set: touching it raises."""

    def __init__(self, dataset):
        self._dataset = dataset

    def __getattr__(self, name):
        if "test" in name:
            raise AssertionError(f"{name} was touched")
        return getattr(self._dataset, name)


def test_training_saving_and_resuming_never_touch_the_test_set(config, dataset, snapshots, tmp_path):
    sealed = Sealed(dataset)
    with pytest.raises(AssertionError, match="y_test was touched"):
        _ = sealed.y_test
    next(fit(config, sealed, tmp_path))
    *_, last = fit(config, sealed, tmp_path)
    assert same(last.state, snapshots[-1].state)
    assert same(open_run(tmp_path, sealed).state, last.state)


def test_images_without_any_label_can_be_trained_on(dataset):
    none = {f"y_{split}": np.full_like(getattr(dataset, f"y_{split}"), -1) for split in ("train", "val", "test")}
    trainer = build_trainer(tiny_config(**UNLABELLED), dataclasses.replace(dataset, **none, class_names=()))
    assert (trainer.labels == -1).all() and trainer.init().tau_counts.tolist() == [[1.0]] * 5


# --- written whole or not at all


class Crash(BaseException):
    """The process is told to end, or the disk fails."""


def crash_at(patch, call: int, seen: list):
    """Let the `call`-th of all fsyncs and renames raise instead of being done; `seen` collects what was called."""

    def crashing(name):
        real = getattr(os, name)

        def wrapped(*arguments):
            seen.append(name)
            if len(seen) == call:
                raise Crash(name)
            return real(*arguments)

        return wrapped

    patch.setattr(runs.os, "fsync", crashing("fsync"))
    patch.setattr(runs.os, "replace", crashing("replace"))


@pytest.mark.parametrize("call", range(1, 6))
def test_a_save_that_fails_leaves_the_old_run_or_the_new_one(call, config, snapshots, folder):
    seen = []
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Crash):
        crash_at(patch, call, seen)
        save(folder, config, snapshots[2].state, snapshots[2].history)
    state, history, fault = load(folder, snapshots[0].trainer)
    assert same(state, snapshots[1].state) and history == snapshots[1].history and fault == ""
    assert files(folder) <= {CONFIG, CHECKPOINT, PREVIOUS}
    save(folder, config, snapshots[2].state, snapshots[2].history)
    assert same(load(folder, snapshots[0].trainer)[0], snapshots[2].state)


def test_at_every_moment_of_a_save_the_folder_holds_the_old_run_or_the_new_one(config, snapshots, folder, tmp_path):
    """As after a power cut: what the folder holds just before and after each write and rename, temporary files too."""
    moments = []

    def watched(real):
        def wrapped(*arguments):
            moments.append(shutil.copytree(folder, tmp_path / f"before {len(moments)}"))
            result = real(*arguments)
            moments.append(shutil.copytree(folder, tmp_path / f"after {len(moments)}"))
            return result

        return wrapped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs.os, "fsync", watched(os.fsync))
        patch.setattr(runs.os, "replace", watched(os.replace))
        save(folder, config, snapshots[2].state, snapshots[2].history)
    assert len(moments) == 10
    for moment in moments:
        _, history, fault = load(moment, snapshots[0].trainer)
        assert history in (snapshots[1].history, snapshots[2].history) and fault == ""
    assert load(moments[-1], snapshots[0].trainer)[1] == snapshots[2].history


@pytest.mark.parametrize("file", [0, 1], ids=["config", "checkpoint"])
def test_a_full_disk_leaves_the_old_run(file, config, snapshots, folder, monkeypatch):
    real, synced = os.fsync, []

    def full(descriptor):
        if len(synced) == file:
            os.truncate(descriptor, os.fstat(descriptor).st_size // 2)
            raise OSError("No space left on device")
        synced.append(descriptor)
        return real(descriptor)

    monkeypatch.setattr(runs.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(folder, config, snapshots[2].state, snapshots[2].history)
    assert same(load(folder, snapshots[0].trainer)[0], snapshots[1].state)
    assert files(folder) <= {CONFIG, CHECKPOINT, PREVIOUS}


@pytest.mark.parametrize("call", range(1, 5))
def test_a_first_save_that_fails_is_a_fresh_start(call, config, dataset, snapshots, tmp_path):
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Crash):
        crash_at(patch, call, [])
        next(fit(config, dataset, tmp_path))
    assert same(next(fit(config, dataset, tmp_path)).state, snapshots[0].state)


# --- damage


def flip(content: bytes) -> bytes:
    return content[:-40] + bytes([content[-40] ^ 1]) + content[-39:]


DAMAGES = {
    "bit": (flip, "damaged: its content does not match its checksum"),
    "truncated": (lambda content: content[: len(content) // 2], "damaged: its content does not match its checksum"),
    "header": (lambda content: content[:20], "damaged: its content does not match its checksum"),
    "empty": (lambda content: b"", "not a checkpoint of this project"),
    "zeros": (lambda content: bytes(len(content)), "not a checkpoint of this project"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(damage, config, dataset, snapshots, folder):
    spoil, words = DAMAGES[damage]
    path = folder / CHECKPOINT
    path.write_bytes(spoil(path.read_bytes()))
    state, history, fault = load(folder, snapshots[0].trainer)
    assert same(state, snapshots[0].state) and history == snapshots[0].history
    assert fault == f"{path}: {words}"
    with pytest.warns(UserWarning, match=re.escape(f"{path}: {words}")):
        *_, last = fit(config, dataset, folder)
    assert same(last.state, snapshots[-1].state)


def test_any_flipped_bit_is_noticed(snapshots, folder):
    path, good = folder / CHECKPOINT, (folder / CHECKPOINT).read_bytes()
    for place in [*range(90), *np.random.default_rng(0).integers(0, len(good), 60)]:
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(ValueError, match=r"damaged|not a checkpoint|checkpoint format"):
            runs.read_checkpoint(path)


@pytest.mark.parametrize("call", range(1, 5))
def test_a_save_after_damage_that_fails_does_not_cost_the_good_checkpoint(call, config, snapshots, folder):
    path = folder / CHECKPOINT
    path.write_bytes(flip(path.read_bytes()))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Crash):
        crash_at(patch, call, [])
        save(folder, config, snapshots[1].state, snapshots[1].history)
    assert same(load(folder, snapshots[0].trainer)[0], snapshots[0].state)


def test_when_both_are_damaged_the_error_names_both(config, dataset, snapshots, folder):
    for name in (CHECKPOINT, PREVIOUS):
        (folder / name).write_bytes(flip((folder / name).read_bytes()))
    before = {name: (folder / name).read_bytes() for name in files(folder)}
    for attempt in (
        lambda: load(folder, snapshots[0].trainer),
        lambda: open_run(folder, dataset),
        lambda: next(fit(config, dataset, folder)),
    ):
        with pytest.raises(ValueError) as caught:
            attempt()
        assert str(folder / CHECKPOINT) in str(caught.value) and str(folder / PREVIOUS) in str(caught.value)
        assert "damaged" in str(caught.value)
    assert {name: (folder / name).read_bytes() for name in files(folder)} == before


def test_another_version_is_named(snapshots, folder):
    for name in (CHECKPOINT, PREVIOUS):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content.replace(f"mixvae-run {VERSION} ".encode(), b"mixvae-run 7 ", 1))
    with pytest.raises(ValueError, match=f"checkpoint format 7; this version reads format {VERSION}"):
        load(folder, snapshots[0].trainer)


# --- light runs, and folders


def test_a_light_run_keeps_the_averaged_weights_to_half_precision_and_the_history(config, dataset, snapshots, folder):
    whole, size = snapshots[-1], (folder / CHECKPOINT).stat().st_size
    save(folder, config, whole.state, whole.history, light=True)
    assert files(folder) == {CONFIG, CHECKPOINT} and (folder / CHECKPOINT).stat().st_size < size / 4
    trainer, state, history = open_run(folder, dataset)
    assert history == whole.history and trainer.config == config
    half = jax.tree.map(lambda a: np.asarray(a).astype(np.float16).astype(np.float32), whole.state.average)
    assert same(state.average, half) and same(state.params, half)
    kept = ("key", "step", "knobs", "held", "tau_counts", "curriculum")
    assert all(same(getattr(state, name), getattr(whole.state, name)) for name in kept)
    loss = trainer.evidence_loss(whole.state, dataset.x_val)
    assert trainer.evidence_loss(state, dataset.x_val) == pytest.approx(loss, rel=1e-3)
    assert trainer.advance(state, 1)[0].step == whole.state.step + 1


def test_a_folder_with_another_config_is_refused_and_left_as_it_was(dataset, folder):
    before = {name: (folder / name).read_bytes() for name in files(folder)}
    other = tiny_config(**STAGES, **{"data.name": "digits", "train.seed": 1})
    differ = "data.name='mnist' where 'digits' was asked for, train.seed=0 where 1 was asked for"
    with pytest.raises(ValueError, match=f"holds a run of another config, {differ}; choose another folder"):
        next(fit(other, dataset, folder))
    assert {name: (folder / name).read_bytes() for name in files(folder)} == before


def test_open_run_gives_back_the_run(config, dataset, snapshots, folder):
    trainer, state, history = open_run(folder, dataset)
    assert trainer.config == config and same(state, snapshots[1].state) and history == snapshots[1].history
    again, _ = trainer.advance(state)
    assert same(again, snapshots[2].state)


def test_a_folder_without_a_run_says_what_is_missing(config, dataset, snapshots, tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{CONFIG}: no such config file"):
        open_run(tmp_path, dataset)
    with pytest.raises(FileNotFoundError, match=f"holds no {CHECKPOINT}"):
        load(tmp_path, snapshots[0].trainer)


def test_a_run_that_is_trained_already_is_refused_and_goes_on(config, dataset, folder):
    before, first = (folder / CHECKPOINT).read_bytes(), fit(config, dataset, folder)
    (folder / ".run.msgpack.1.partial").write_bytes(b"of a process that was killed")
    with locked(folder), pytest.raises(ValueError, match=r"run is being written into already; wait until that ends"):
        next(first)
    assert (folder / CHECKPOINT).read_bytes() == before and len(files(folder)) == 4
    assert len(next(fit(config, dataset, folder)).history) == 3
    assert files(folder) == {CONFIG, CHECKPOINT, PREVIOUS}


def test_a_state_of_another_structure_is_named(snapshots):
    tree = serialization.to_state_dict(jax.tree.map(np.asarray, snapshots[1].state))
    for part, other in (("optimiser", np.zeros(3)), ("knobs", []), ("key", None), ("curriculum", {"stage": {}})):
        with pytest.raises(ValueError, match="the arrays of the checkpoint are not those of this config's run"):
            runs.restore(snapshots[1].trainer, tree | {part: other})
