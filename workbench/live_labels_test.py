"""Labels given to a live run: what they name and move, and how they are taken back."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from mixvae import fit
from mixvae.example_runs import UNLABELLED, tiny_config
from workbench.example_screen import DATASET, LONG, OFF, make, panel
from workbench.knobs import idle
from workbench.live import LiveRun

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.mark.parametrize("labelled", [False, True])
def test_the_weight_of_labels_acts_where_there_are_some_alone(labelled, screen):
    settings = OFF if labelled else OFF | UNLABELLED
    config, kernels = tiny_config(**settings), []
    live = make(screen, **settings)
    for weight in (0.0, 5000.0):
        live.follow(panel(config, w_label=weight))
        live.reset()
        live.step(8)
        assert live.settled() and live.state.step == 8
        kernels.append(np.concatenate([np.ravel(a) for a in jax.tree.leaves(live.state.params)]))
    moved = np.abs(kernels[1] - kernels[0]).max()
    assert moved > 1e-2 if labelled else moved < 1e-4  # round-off, times a weight of 5000
    assert ("w_label" in idle(config, panel(config), config.data.labels > 0)) is not labelled
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


def test_asking_spares_labels_of_images_that_have_none_to_give(screen):
    live = make(screen, **UNLABELLED, **LONG)
    live.ask()
    assert live.settled()
    first, *others = np.flatnonzero(live.trainer.labels >= 0).tolist()
    live.close()
    known = DATASET.y_train.copy()
    known[first] = -1
    live = LiveRun(screen, replace(DATASET, y_train=known), points=40)
    live.configure(tiny_config(**UNLABELLED, **LONG))
    live.label([first], [2])
    live.ask()
    assert live.settled() and live.trainer.labels[first] == 2
    np.testing.assert_array_equal(live.trainer.labels[others], DATASET.y_train[others])
    live.close()


def test_labels_given_by_hand_are_those_of_a_saved_run_too(screen):
    live = make(screen, **UNLABELLED, **LONG)
    live.label([3, 7], [2, 0])
    saved = next(fit(tiny_config(**UNLABELLED), DATASET))
    live.show(saved)
    assert live.settled() and live.trainer is saved.trainer
    assert live.trainer.labels[[3, 7]].tolist() == [2, 0] and live.state.tau_counts.sum() > 5 * 3
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
        assert ("w_label" in idle(config, panel(config), ask)) is not ask
        live.close()
    assert np.abs(params[1] - params[0]).max() > 1e-2
