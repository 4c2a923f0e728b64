"""What a new structure keeps, and the words for it."""

import pytest

from mixvae.example_runs import STAGES, same, tiny_config, tiny_dataset
from mixvae.runs import build_trainer, fit
from workbench.transfer import transfer

DATASET = tiny_dataset()
STEPS = 6  # an epoch


@pytest.fixture(scope="module")
def trained():
    """One epoch with six labels: the trainer, its state."""
    return next(fit(tiny_config(), DATASET))[:2]


PARTS = {
    "model.output": ("heteroscedastic", ["embeddings", "encoder"]),
    "model.num_components": (4, ["decoder"]),
    "model.latent_layout": ("shared", ["decoder", "embeddings"]),
    "model.hidden_dims": ([7], ["embeddings"]),
}


@pytest.mark.parametrize("path", PARTS)
def test_a_new_structure_keeps_the_parts_that_fit(path, trained):
    value, expected = PARTS[path]
    new = build_trainer(tiny_config(**{path: value, "train.seed": 1}), DATASET)
    state, words = transfer(*trained, new)
    assert words == f"kept {', '.join(expected)}; the rest starts anew"
    fresh = new.init()
    for part in fresh.params:
        source = trained[1] if part in expected else fresh
        assert same(state.params[part], source.params[part])
        assert same(state.average[part], (source.average if part in expected else fresh.params)[part])
    assert state.step == 0 and same(state.optimiser, fresh.optimiser) and same(state.knobs, fresh.knobs)
    assert same(state.tau_counts, new.recount(state).tau_counts)
    assert same(state.tau_counts, fresh.tau_counts) == ("encoder" not in expected)


@pytest.mark.parametrize(
    "settings", [{"train.starts": 1, "train.start_epochs": 2}, {"train.batch_size": 15}], ids=["starts", "batch size"]
)
def test_weights_are_kept_but_no_place_in_another_plan_of_training(settings, trained):
    new = build_trainer(tiny_config(**settings), DATASET)
    state, words = transfer(*trained, new)
    assert words == "kept decoder, embeddings, encoder; the rest starts anew"
    assert same(state.params, trained[1].params) and state.step == 0
    assert trained[0].steps_per_epoch != new.steps_per_epoch or state.best.label_free == float("inf")
    new.advance(state)


def test_the_tau_table_is_of_the_new_labels(trained):
    new = build_trainer(tiny_config(**{"data.labels": 9}), DATASET)
    state, words = transfer(*trained, new)
    assert words == "all weights were kept" and state.step == STEPS
    assert same(state.tau_counts, new.recount(state).tau_counts) and not same(state.tau_counts, trained[1].tau_counts)


def test_where_nothing_fits_it_says_nothing(trained):
    new = build_trainer(tiny_config(**{"model.hidden_dims": [7], "model.num_components": 4}), DATASET)
    state, words = transfer(*trained, new)
    assert words == "kept nothing; the rest starts anew" and same(state, new.init())


def test_equal_shapes_keep_everything_but_the_held_knobs(trained):
    trainer, state = trained
    new = build_trainer(tiny_config(**STAGES, **{"routing.estimator": "gumbel"}), DATASET)
    kept, words = transfer(trainer, trainer.hold(state, tau=4.0), new)
    assert words == "all weights were kept" and kept.step == STEPS
    for name in ("params", "average", "optimiser", "tau_counts", "key"):
        assert same(getattr(kept, name), getattr(state, name))
    assert not any(kept.held) and kept.knobs.tau == 1.0 and kept.curriculum.on and kept.knobs.k_active == 5
