"""Inside routing: which images stand in the frame, what the meter says of a run, and what its charts draw."""

import json

import numpy as np
import polars as pl
import pytest
from scipy.special import softmax

from mixvae import predict
from mixvae.example_runs import UNLABELLED, same, tiny_config, tiny_dataset
from mixvae.losses import kl_normal
from mixvae.metrics import EstimatorBias
from mixvae.runs import build_trainer, fit
from workbench import inside

DATASET = tiny_dataset()
IMAGES = DATASET.x_val.astype(np.float32) / 255
N, K, ACTIVE, COUNT = 50, 5, 3, 7
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(scale=3.0, size=(N, K)).astype(np.float32)
NOISE = RNG.gumbel(size=(N, K)).astype(np.float32)
BIASES = {
    "straight_through": EstimatorBias(relative=0.7, error=0.1, cosine=-0.2, noise=3.0),
    "gumbel": EstimatorBias(relative=0.1, error=0.2, cosine=np.nan, noise=2.0),
    "exact": EstimatorBias(relative=0.0, error=0.0, cosine=1.0, noise=0.0),
}
METER = inside.Meter(BIASES, kl_all=9.5, tax=2.25, tau=0.5, epoch=3.25, images=120)


@pytest.fixture(scope="module")
def trained():
    """One epoch without labels: the trainer, its state."""
    return next(fit(tiny_config(**UNLABELLED), DATASET))[:2]


def grid(frame: pl.DataFrame, column: str) -> np.ndarray:
    """One column as [images, channels]."""
    return frame[column].to_numpy().reshape(frame["image"].n_unique(), -1)


def test_images_go_from_the_least_sure_to_the_surest_and_are_the_same_at_every_tau():
    cold, hot = (inside.weights_frame(LOGITS, NOISE, tau, ACTIVE, count=COUNT) for tau in (0.1, 5.0))
    q = softmax(LOGITS[:, :ACTIVE].astype(float), axis=1)
    shown = grid(cold, "q")
    sure = shown.max(1)
    assert shown.shape == (COUNT, ACTIVE) and (np.diff(sure) >= 0).all()
    np.testing.assert_allclose([sure[0], sure[-1]], [q.max(1).min(), q.max(1).max()], atol=1e-4)
    assert len({tuple(row) for row in shown}) == COUNT
    np.testing.assert_array_equal(shown, grid(hot, "q"))


def test_tau_softens_the_weights_and_never_moves_the_choice():
    frames = [inside.weights_frame(LOGITS, NOISE, tau, ACTIVE, count=COUNT) for tau in (0.1, 1.0, 5.0)]
    weights, chosen = ([grid(frame, column) for frame in frames] for column in ("weight", "chosen"))
    top = [w.max(1).mean() for w in weights]
    assert top[0] > top[1] + 0.05 and top[1] > top[2] + 0.05
    for w, choice in zip(weights, chosen, strict=True):
        np.testing.assert_allclose(w.sum(1), 1, atol=1e-3)
        np.testing.assert_array_equal(choice.sum(1), 1)
        np.testing.assert_array_equal(choice, chosen[0])
        np.testing.assert_allclose(w[choice], w.max(1))


def test_the_weights_are_those_of_the_images_they_stand_beside():
    frame = inside.weights_frame(LOGITS, NOISE, 0.7, ACTIVE, count=2 * N)
    order = np.argsort(softmax(LOGITS[:, :ACTIVE].astype(float), axis=1).max(1), kind="stable")
    expected = softmax((LOGITS + NOISE)[order, :ACTIVE] / 0.7, axis=1)
    np.testing.assert_allclose(grid(frame, "weight"), expected, atol=1e-4)


def test_while_a_wider_model_is_built_the_points_still_have_their_old_channels():
    frame = inside.weights_frame(LOGITS, NOISE, 1.0, K + 4, count=COUNT)
    assert frame["channel"].max() == K - 1 and frame.height == COUNT * K


def test_effective_channels_follow_the_usage_of_every_row():
    curves = [{"epoch": 0.5, "usage": np.full(4, 0.25, np.float32)}, {"epoch": 2, "usage": [0.5, 0.5, 0.0, 0.0]}]
    frame = inside.effective_frame(curves)
    np.testing.assert_allclose(frame.rows(), [(0.5, 4.0), (2.0, 2.0)], rtol=1e-6)
    assert inside.effective_frame([]).is_empty()


def test_the_meter_is_of_the_state_it_is_given_and_leaves_it_alone(trained):
    trainer, state = trained
    before = [np.copy(a) for a in state.params["embeddings"]]
    meters = [inside.measured(trainer, trainer.hold(state, tau=tau, k_active=4), IMAGES)[0] for tau in (0.5, 4.0)]
    assert [m.tau for m in meters] == [0.5, 4.0] and {(m.epoch, m.images) for m in meters} == {(1.0, 120)}
    assert meters[0].estimators["gumbel"].relative < meters[1].estimators["gumbel"].relative
    assert same(before, list(state.params["embeddings"]))
    seen = predict(trainer.model, trainer.hold(state, k_active=4), IMAGES)
    kl = np.asarray(kl_normal(seen.z_mean_per_component, seen.z_log_var_per_component))
    assert meters[0].kl_all == pytest.approx(kl.sum(1).mean(), rel=1e-3)
    assert meters[0].tax == pytest.approx(((1 - seen.responsibilities) * kl).sum(1).mean(), rel=1e-3)


def test_one_channel_cannot_be_measured_and_it_says_why(trained):
    meter, why = inside.measured(trained[0], trained[0].hold(trained[1], k_active=1), IMAGES)
    assert meter is None and "unlock a second channel" in why


def test_a_latent_that_all_channels_share_is_not_taxed():
    trainer = build_trainer(tiny_config(**UNLABELLED, **{"model.latent_layout": "shared"}), DATASET)
    kl_all, tax = inside.latent_kl(trainer.objective, trainer.init().average, IMAGES, 5)
    assert kl_all > 0 and tax == pytest.approx(0, abs=1e-5 * float(kl_all))


def test_the_words_give_the_tax_and_the_moment():
    words = inside.words(METER)
    assert "tau 0.5, epoch 3.25, on 120" in words and "tax: 2.25 nats" in words
    assert "9.50 over all channels" in words and "7.25 by responsibility" in words


def test_a_meter_is_a_row_an_estimator_and_figure_and_only_the_bias_has_ends():
    rows = {(estimator, figure): rest for estimator, figure, *rest in inside.meter_frame(METER).iter_rows()}
    assert list(rows)[::3] == [(name, "relative bias") for name in ("straight-through", "gumbel", "exact")]
    assert rows["straight-through", "relative bias"] == pytest.approx([0.7, 0.5, 0.9])
    assert rows["gumbel", "relative bias"] == pytest.approx([0.1, 0.0, 0.5])  # no length is below 0
    assert rows["gumbel", "cosine"] == [None] * 3 and rows["straight-through", "cosine"] == [-0.2, None, None]
    assert rows["gumbel", "noise of a draw"] == [2.0, None, None]


def spec(chart) -> dict:
    """The chart as JSON, checked against Vega-Lite's schema by Altair."""
    return json.loads(json.dumps(chart.to_dict(), allow_nan=False))


def fields(encoding: dict) -> dict:
    return {channel: entry["field"] for channel, entry in encoding.items() if "field" in entry}


def test_the_weights_chart_has_a_cell_an_image_and_channel_and_marks_the_choice():
    made = spec(inside.weights_chart(inside.weights_frame(LOGITS, NOISE, 2.5, ACTIVE, count=COUNT), 2.5))
    soft, hard = made["layer"]
    assert fields(soft["encoding"]) == {"x": "image", "y": "channel", "opacity": "weight"}
    assert soft["encoding"]["opacity"]["scale"]["domain"] == [0, 1] and "tau 2.5" in made["title"]["text"]
    assert fields(hard["encoding"]) == {"x": "image", "y": "channel"}
    assert hard["transform"] == [{"filter": "datum.chosen"}]


@pytest.mark.parametrize("estimator", ["gumbel", "exact"])
def test_only_straight_through_chooses_and_the_exact_estimator_weighs_by_q(estimator):
    frame = inside.weights_frame(LOGITS, NOISE, 2.5, ACTIVE, estimator, COUNT)
    made = spec(inside.weights_chart(frame, 2.5, estimator))
    assert not frame["chosen"].any() and (frame["weight"] == frame["q"]).all() == (estimator == "exact")
    assert ("tau" in made["title"]["text"]) == (estimator == "gumbel") and "dot" not in made["title"]["text"]


def test_effective_channels_are_drawn_up_to_all_there_are():
    made = spec(inside.effective_chart(inside.effective_frame([{"epoch": 1, "usage": [0.5, 0.5]}]), channels=K))
    assert fields(made["encoding"]) == {"x": "epoch", "y": "channels"}
    assert made["encoding"]["y"]["scale"]["domain"] == [1, K]


def test_the_meter_chart_has_a_panel_a_figure_and_a_bar_an_estimator():
    made = spec(inside.meter_chart(inside.meter_frame(METER)))
    bar, whisker, figure = (layer["encoding"] for layer in made["spec"]["layer"])
    assert made["spec"]["layer"][2]["transform"] == [{"filter": "isValid(datum.value)"}]
    assert made["facet"]["field"] == "figure" and made["facet"]["sort"] == list(inside.FIGURES)
    assert fields(bar) == {"x": "value", "y": "estimator"} and made["resolve"]["scale"]["x"] == "independent"
    assert fields(whisker) == {"x": "low", "x2": "high", "y": "estimator"} and fields(figure)["text"] == "value"
