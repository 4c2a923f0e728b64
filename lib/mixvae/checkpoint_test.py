"""Checkpoints: written whole or not at all, damage noticed and named."""

import dataclasses
import os
import re
import shutil

import jax
import numpy as np
import pytest
from flax import serialization

from mixvae import checkpoint
from mixvae.checkpoint import CHECKPOINT, CONFIG, PREVIOUS, VERSION, load, save
from mixvae.example_runs import files, same
from mixvae.runs import fit, open_run

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

    patch.setattr(checkpoint.os, "fsync", crashing("fsync"))
    patch.setattr(checkpoint.os, "replace", crashing("replace"))


@pytest.mark.parametrize("call", range(1, 6))
def test_a_save_that_fails_leaves_the_old_run_or_the_new_one(call, snapshots, folder):
    seen = []
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Crash):
        crash_at(patch, call, seen)
        save(folder, *snapshots[2])
    state, history, fault = load(folder, snapshots[0].trainer)
    assert same(state, snapshots[1].state) and history == snapshots[1].history and fault == ""
    assert files(folder) <= {CONFIG, CHECKPOINT, PREVIOUS}
    save(folder, *snapshots[2])
    assert same(load(folder, snapshots[0].trainer)[0], snapshots[2].state)


def test_at_every_moment_of_a_save_the_folder_holds_the_old_run_or_the_new_one(snapshots, folder, tmp_path):
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
        patch.setattr(checkpoint.os, "fsync", watched(os.fsync))
        patch.setattr(checkpoint.os, "replace", watched(os.replace))
        save(folder, *snapshots[2])
    assert len(moments) == 10
    for moment in moments:
        _, history, fault = load(moment, snapshots[0].trainer)
        assert history in (snapshots[1].history, snapshots[2].history) and fault == ""
    assert load(moments[-1], snapshots[0].trainer)[1] == snapshots[2].history


@pytest.mark.parametrize("file", [0, 1], ids=["config", "checkpoint"])
def test_a_full_disk_leaves_the_old_run(file, snapshots, folder, monkeypatch):
    real, synced = os.fsync, []

    def full(descriptor):
        if len(synced) == file:
            os.truncate(descriptor, os.fstat(descriptor).st_size // 2)
            raise OSError("No space left on device")
        synced.append(descriptor)
        return real(descriptor)

    monkeypatch.setattr(checkpoint.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(folder, *snapshots[2])
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
            checkpoint.read_checkpoint(path)


@pytest.mark.parametrize("call", range(1, 5))
def test_a_save_after_damage_that_fails_does_not_cost_the_good_checkpoint(call, snapshots, folder):
    path = folder / CHECKPOINT
    path.write_bytes(flip(path.read_bytes()))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Crash):
        crash_at(patch, call, [])
        save(folder, *snapshots[1])
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
    other = VERSION + 1
    for name in (CHECKPOINT, PREVIOUS):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(
            content.replace(f"mixvae-run {VERSION} ".encode(), f"mixvae-run {other} ".encode(), 1)
        )
    with pytest.raises(ValueError, match=f"checkpoint format {other}; this version reads format {VERSION}"):
        load(folder, snapshots[0].trainer)


# --- light runs, and others


def test_a_light_run_keeps_the_averaged_weights_to_half_precision_and_the_history(config, dataset, snapshots, folder):
    whole, size = snapshots[-1], (folder / CHECKPOINT).stat().st_size
    save(folder, *whole, light=True)
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


def test_a_folder_without_a_run_says_what_is_missing(config, dataset, snapshots, tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{CONFIG}: no such config file"):
        open_run(tmp_path, dataset)
    with pytest.raises(FileNotFoundError, match=f"holds no {CHECKPOINT}"):
        load(tmp_path, snapshots[0].trainer)


def test_a_state_of_another_structure_is_named(snapshots):
    tree = serialization.to_state_dict(jax.tree.map(np.asarray, snapshots[1].state))
    for part, other in (("optimiser", np.zeros(3)), ("knobs", []), ("key", None), ("curriculum", {"stage": {}})):
        with pytest.raises(ValueError, match="the arrays of the checkpoint are not those of this config's run"):
            checkpoint.restore(snapshots[1].trainer, tree | {part: other})


@pytest.mark.parametrize("light", [False, True], ids=["whole", "light"])
def test_other_images_of_the_same_shape_and_number_are_named(light, snapshots, dataset, tmp_path):
    save(tmp_path, *snapshots[1], light=light)
    other = dataclasses.replace(dataset, x_train=dataset.x_train[::-1])
    with pytest.raises(ValueError, match="is of other training images; bring the run's own images back, or choose"):
        open_run(tmp_path, other)
    assert same(open_run(tmp_path, dataset).state.average, load(tmp_path, snapshots[1].trainer)[0].average)


def test_another_number_of_images_is_named(snapshots):
    tree = serialization.to_state_dict(jax.tree.map(np.asarray, snapshots[1].state))
    fewer = tree | {"self_labels": tree["self_labels"][:-5]}
    with pytest.raises(ValueError, match="is of 43 training images, and there are 48; bring the run's own images back"):
        checkpoint.restore(snapshots[1].trainer, fewer)
