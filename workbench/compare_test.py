"""A list of saved runs, one of them beside the live run, and what tells their settings apart."""

import gc
import weakref

import pytest

from mixvae.checkpoint import CHECKPOINT, CONFIG, save
from mixvae.config_file import override
from mixvae.example_runs import tiny_config, tiny_dataset
from mixvae.runs import fit
from workbench import compare
from workbench.channel_view import ChannelView
from workbench.film import Film
from workbench.live import LiveRun


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of two epochs with a film of two moments."""
    home = tmp_path_factory.mktemp("runs") / "first"
    *_, last = fit(tiny_config(**{"train.epochs": 2, "train.seed": 4}), tiny_dataset())
    save(home, *last, light=True)
    film = Film()
    for epoch in (1.0, 2.0):
        film.add(epoch, 5, f"epoch {epoch}".encode())
    film.save(home)
    return home


@pytest.fixture
def live():
    run = LiveRun(ChannelView(), tiny_dataset(), points=40)
    run.configure(tiny_config())
    assert run.settled()
    yield run
    run.close()


def test_saved_runs_are_listed_by_what_they_are(folder):
    found = compare.saved_runs((folder.parent, folder.parent / "none"))
    assert found[compare.PAST] == compare.PAST
    assert found[f"{folder.parent.name}/first: mnist, K = 5, 2 epochs, seed 4"] == folder and len(found) == 2


def test_a_run_of_another_version_is_listed_and_not_in_the_way(tmp_path, live):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / CHECKPOINT).write_bytes(b"mixvae-run 1 0\n")
    (tmp_path / "old" / CONFIG).write_text("model:\n  widht: 3\n")
    assert f"{tmp_path.name}/old: its config.yaml cannot be read" in compare.saved_runs((tmp_path,))
    with pytest.raises(ValueError, match="widht"):
        compare.beside(tmp_path / "old", live)


def test_a_saved_run_stands_beside_the_live_one_with_its_past(folder, live):
    beside = compare.beside(folder, live)
    assert beside.view.frame and len(beside.history) == 2 and beside.config.train.seed == 4
    assert [moment["epoch"] for moment in beside.view.moments] == [1, 2] and not beside.view.kernel
    beside.view.moment = 1
    assert beside.view.past == b"epoch 2.0"


def test_the_live_runs_own_past_stands_still_while_it_goes_on(live):
    live.step(3)
    assert live.settled()
    beside = compare.beside(compare.PAST, live)
    kept = [moment.frame for moment in live.film.moments]
    live.step(4)
    assert live.settled() and len(live.film.moments) > len(kept) == len(beside.view.moments)
    for i, frame in enumerate(kept):
        beside.view.moment = i
        assert beside.view.past == frame


@pytest.mark.parametrize("past", [True, False])
def test_what_stood_beside_goes_when_another_takes_its_place(past, folder, live):
    beside = compare.beside(compare.PAST if past else folder, live)
    gone = weakref.ref(beside.view)
    del beside
    gc.collect()
    assert gone() is None


def test_differences_are_the_settings_that_differ():
    config = tiny_config()
    other = override(config, {"routing.estimator": "gumbel", "model.hidden_dims": [7]})
    assert compare.differences(config, config).is_empty()
    assert compare.differences(config, other).rows() == [
        ("model.hidden_dims", "[6]", "[7]"),
        ("routing.estimator", "straight_through", "gumbel"),
    ]
