"""Runs: trained, saved and continued exactly."""

import dataclasses
import json
import tempfile

import numpy as np
import pytest
from scipy.stats import entropy

from mixvae.checkpoint import CHECKPOINT, CONFIG, PREVIOUS, load, save
from mixvae.config_file import dump_config
from mixvae.example_runs import STAGES, UNLABELLED, files, same, tiny_config
from mixvae.folder import locked
from mixvae.runs import build_trainer, epoch_row, fit, open_run

PLATEAU = {
    "curriculum.enabled": True,
    "curriculum.k_active_schedule": [1, 3, 5],
    "curriculum.unlock_epochs": None,
    "curriculum.patience": 1,
    "curriculum.cooldown": 1,
    "curriculum.min_delta": 1e6,  # no fall is large enough: a channel unlocks once the patience is over
}


STARTS = {"train.starts": 1, "train.start_epochs": 1}
REGROUPS = STARTS | {"train.regroups": 1, "train.epochs": 4}
SELF_LABELS = {"train.self_label_epochs": 1}


@pytest.mark.parametrize("stop", [1, 2])
@pytest.mark.parametrize(
    "settings",
    [STAGES, PLATEAU, STARTS, REGROUPS, SELF_LABELS],
    ids=["stages", "plateau", "starts", "regroups", "self-labels"],
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
    assert (whole.state.curriculum.stage > 0) == config.curriculum.enabled
    assert (whole.state.self_labels >= 0).all() == (config.train.self_label_epochs > 0)
    assert whole.state.tau_counts.sum() == pytest.approx(6 + 5 * 3, rel=1e-5)
    assert stopped.state.tau_counts.tolist() != whole.state.tau_counts.tolist()


def test_a_row_of_the_history_is_the_means_over_its_epoch_and_the_knobs_at_its_end(config, dataset):
    trainer = build_trainer(config, dataset)
    state, columns = trainer.advance(trainer.init())
    row, usage = epoch_row(trainer, state, columns), columns["usage"].mean(0)
    assert row["epoch"] == 1 and row["recon"] == pytest.approx(columns["recon"].mean()) != columns["recon"][-1]
    assert row["usage"] == pytest.approx(usage) and row["effective_channels"] == pytest.approx(np.exp(entropy(usage)))
    assert row["learning_rate"] == columns["learning_rate"][-1] != columns["learning_rate"].mean()


def test_resuming_a_finished_run_trains_nothing(config, dataset, snapshots, tmp_path):
    save(tmp_path, *snapshots[-1])
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
    assert "validation_loss" not in epoch_row(trainer, state, columns)


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


# --- folders


def test_a_folder_with_another_config_is_refused_and_left_as_it_was(dataset, folder):
    before = {name: (folder / name).read_bytes() for name in files(folder)}
    other = tiny_config(**STAGES, **{"data.name": "digits", "train.seed": 1})
    differ = "data.name='mnist' where 'digits' was asked for, train.seed=0 where 1 was asked for"
    with pytest.raises(ValueError, match=f"holds a run of another config, {differ}; choose another folder"):
        next(fit(other, dataset, folder))
    assert {name: (folder / name).read_bytes() for name in files(folder)} == before


def test_a_config_that_somebody_wrote_is_not_replaced(config, dataset, tmp_path):
    mine = tmp_path / CONFIG
    mine.write_text("# mine\nmodel: {num_components: 3}\n")
    with pytest.raises(ValueError, match=r"config\.yaml is not of this run, .* choose another folder"):
        next(fit(config, dataset, tmp_path))
    assert mine.read_text().startswith("# mine") and files(tmp_path) == {CONFIG}
    mine.write_text(dump_config(config))  # as a run leaves it that was killed before its first checkpoint
    next(fit(config, dataset, tmp_path))


def test_open_run_gives_back_the_run(config, dataset, snapshots, folder):
    trainer, state, history = open_run(folder, dataset)
    assert trainer.config == config and same(state, snapshots[1].state) and history == snapshots[1].history
    again, _ = trainer.advance(state)
    assert same(again, snapshots[2].state)


def test_a_run_that_is_trained_already_is_refused_and_goes_on(config, dataset, folder):
    before, first = (folder / CHECKPOINT).read_bytes(), fit(config, dataset, folder)
    (folder / ".run.msgpack.1.partial").write_bytes(b"of a process that was killed")
    with locked(folder), pytest.raises(ValueError, match=r"run is being written into already; wait until that ends"):
        next(first)
    assert (folder / CHECKPOINT).read_bytes() == before and len(files(folder)) == 4
    assert len(next(fit(config, dataset, folder)).history) == 3
    assert files(folder) == {CONFIG, CHECKPOINT, PREVIOUS}
