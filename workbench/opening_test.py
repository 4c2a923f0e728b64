"""What the workbench opens with: images and a config of one's own, a saved run, and words that ask for neither."""

import numpy as np
import pytest

from mixvae.checkpoint import CONFIG, save
from mixvae.config_file import dump_config, override
from mixvae.example_runs import same, tiny_config, tiny_images
from mixvae.runs import fit, open_run
from workbench.film import load_film
from workbench.opening import asked, opened
from workbench.saved import keep


@pytest.fixture
def own(tmp_path):
    """A data set of the user's, and a small config that names another."""
    images = tmp_path / "own.npz"
    np.savez(images, x_train=tiny_images(60, seed=1), y_train=np.arange(60) % 3)
    small = override(tiny_config(), {"data.validation": 0, "data.labels": 0, "objective.use_tau_classifier": False})
    config = tmp_path / "small.yaml"
    config.write_text(dump_config(small))
    return {"config": str(config), "settings": {"data.name": str(images), "model.num_components": 4}}


def test_a_config_and_images_of_ones_own_are_on_screen_before_the_first_step_and_train(own):
    live, start = opened(**own)
    try:
        assert live.settled() and live.error is None
        assert start.data.name == own["settings"]["data.name"] and start.model.num_components == 4
        assert live.dataset.class_names == ("0", "1", "2") and live.state.step == 0
        live.step(2)
        assert live.settled() and live.error is None and live.state.step == 2
    finally:
        live.close()


def test_a_saved_run_is_on_screen_and_its_config_is_what_trains(own, tmp_path):
    first, start = opened(**own)
    first.close()
    *_, last = fit(start, first.dataset)
    save(tmp_path / "run", *last)
    live, config = opened(run=tmp_path / "run")
    try:
        assert live.settled() and live.error is None
        assert config == start and live.view.status == "saved run" and live.state.step == last.state.step
    finally:
        live.close()


def test_a_live_run_is_kept_as_its_last_complete_epoch_left_it_and_goes_on_from_there(own, tmp_path):
    live, start = opened(**own)
    try:
        assert (
            live.settled()
            and "no epoch of this run is complete" in keep(live, tmp_path)
            and not list(tmp_path.glob("live-*"))
        )
        live.label([3, 5], [0, 2])
        live.undo()
        live.step(live.trainer.steps_per_epoch + 1)
        assert live.settled()
        live.label([7], [1])
        assert live.settled() and live.error is None
        said = keep(live, tmp_path)
    finally:
        live.close()
    (folder,) = tmp_path.glob("live-*")
    assert str(folder) in said and "after epoch 1" in said
    assert (folder / "labels.csv").read_text() == "image,label\n7,1\n"
    assert load_film(folder).moments and max(moment.epoch for moment in load_film(folder).moments) <= 1
    alone = list(fit(start, live.dataset))
    kept = open_run(folder, live.dataset)
    assert same(kept.state, alone[0].state) and kept.history == alone[0].history
    *_, last = fit(start, live.dataset, folder)
    assert same(last.state, alone[-1].state) and last.history == alone[-1].history


@pytest.mark.parametrize(
    "words, arguments",
    [
        ({}, {"settings": {}}),
        ({"run": "data/runs/7"}, {"run": "data/runs/7", "settings": {}}),
        ({"run": 7}, {"run": "7", "settings": {}}),  # marimo reads numbers
        (
            {"config": "fast", "set train.seed": 3, "set curriculum.k_active_schedule": "[2, 5]"},
            {"config": "fast", "settings": {"train.seed": 3, "curriculum.k_active_schedule": [2, 5]}},
        ),
    ],
)
def test_words_behind_the_command_are_as_those_of_train(words, arguments):
    assert asked(words) == arguments


@pytest.mark.parametrize(
    "words, message",
    [
        ({"confg": "fast"}, "--confg is not known; expected --run FOLDER"),
        ({"config": ["fast", "plain"]}, "--config needs one value, once"),
        ({"set": ""}, "--set is not known"),
        ({"set train.seed": ""}, "--set train.seed needs one value, once"),
    ],
)
def test_other_words_are_refused(words, message):
    with pytest.raises(ValueError, match=message):
        asked(words)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"run": "nowhere"}, f"nowhere/{CONFIG}: no such config file"),
        ({"run": "nowhere", "config": "fast"}, "ask for it alone"),
        ({"config": "fats"}, "did you mean 'fast'"),
        ({"settings": {"train.epoch": 3}}, "did you mean"),
        ({"settings": {"model.num_components": 300}}, "a view shows 256 channels at most"),
        ({"settings": {"data.name": "nowhere.npz"}}, "nowhere.npz: no such file"),
    ],
)
def test_what_does_not_exist_is_told(arguments, message):
    with pytest.raises((ValueError, OSError), match=message):
        opened(**arguments)
