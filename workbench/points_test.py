"""What a frame says of a State: places, titles, the sentence, the matrix."""

import dataclasses
import re

import numpy as np
import pytest
from scipy.special import softmax

from mixvae import predict
from mixvae.example_runs import CLASSES, UNLABELLED, tiny_config, tiny_dataset, tiny_images
from mixvae.runs import build_trainer, fit
from workbench.frame import check
from workbench.points import SLICES, Points, thumbnails

TINY = tiny_dataset()
DATASET = dataclasses.replace(TINY, x_train=tiny_images(124, 0), y_train=np.arange(124, dtype=np.int32) % 3)
STEPS = 17  # an epoch


@pytest.fixture(scope="module")
def trained():
    """One epoch with six labels: the trainer, its state."""
    return next(fit(tiny_config(), DATASET))[:2]


@pytest.fixture
def points(trained):
    made = Points(DATASET, 100)
    made.encode(*trained, whole=True)
    return made


def test_points_are_training_images_the_same_ones_each_time():
    points, x = Points(DATASET, 100), DATASET.x_train
    assert points.x.shape == (100, 12, 9, 1) and points.x.dtype == np.float32 and points.x.max() <= 1
    assert len(set(points.index.tolist())) == 100
    np.testing.assert_array_equal(points.images, x[points.index])
    np.testing.assert_array_equal(points.x, x[points.index] / np.float32(255))
    np.testing.assert_array_equal(points.labels, DATASET.y_train[points.index])
    np.testing.assert_array_equal(points.index, Points(DATASET, 100).index)


def test_a_large_image_is_shown_by_the_means_of_its_blocks():
    images = np.random.default_rng(0).integers(0, 256, (3, 200, 130, 3), dtype=np.uint8)
    shown = thumbnails(images)
    assert shown.shape == (3, 50, 32, 3) and shown.dtype == np.uint8
    np.testing.assert_allclose(shown[1, 7, 31], images[1, 28:32, 124:128].mean((0, 1)), atol=0.5)
    assert thumbnails(images[:, :64, :28]).shape == (3, 64, 28, 3)
    assert thumbnails(np.zeros((2, 8, 600, 1), np.uint8)).shape == (2, 1, 75, 1)


def test_errors_are_told_once_all_of_them_are_of_now(trained, points):
    told = []
    for errors in [False, *[True] * SLICES, False]:
        points.encode(*trained, whole=False, errors=errors)
        told.append(points.frame(*trained, status="", speed=0.0).error is not None)
    assert told == [*[False] * SLICES, True, False]
    points.encode(*trained, whole=True)
    assert points.frame(*trained, status="", speed=0.0).error is not None


@pytest.mark.parametrize(("asked", "placed"), [(1000, 120), (25, 20), (3, 10)])
def test_the_number_of_points_is_a_multiple_of_the_slices(asked, placed):
    assert len(Points(DATASET, asked).x) == placed and placed % SLICES == 0


def test_points_stand_where_the_model_puts_them(trained, points):
    prediction = predict(trained[0].model, trained[1], points.x)
    frame = points.frame(*trained, status="ready", speed=12.5)
    check(frame, 100)
    np.testing.assert_allclose(frame.z, prediction.z_mean_per_component.swapaxes(0, 1), atol=1e-5)
    np.testing.assert_array_equal(frame.channel, prediction.channel)
    np.testing.assert_allclose(frame.usage, np.bincount(prediction.channel, minlength=5) / 100)
    np.testing.assert_allclose(softmax(points.logits, 1), prediction.responsibilities, atol=1e-5)
    assert (frame.step, frame.epoch, frame.epochs, frame.k_active) == (STEPS, 1.0, 3, 5)
    assert (frame.status, frame.images_per_second, frame.sigma) == ("ready", 12.5, None)
    assert frame.mean.shape == (5, 12, 9, 1)
    rows = np.arange(100), prediction.channel
    nll = trained[0].model.apply(
        {"params": trained[1].average},
        prediction.z_mean_per_component[rows],
        np.eye(5)[rows[1]],
        points.x,
        method="nll",
    )
    np.testing.assert_allclose(frame.error, nll, rtol=1e-4)


def test_while_training_a_tenth_of_the_points_moves_in_each_frame(trained, points):
    trainer, state = trained
    later, _ = trainer.advance(state)
    before, moved = points.z.copy(), []
    for _ in range(SLICES):
        points.encode(trainer, later, whole=False)
        moved.append(int((points.z != before).any((0, 2)).sum()))
    assert moved == list(range(10, 101, 10))
    whole = Points(DATASET, 100)
    whole.encode(trainer, later, whole=True)
    np.testing.assert_array_equal(points.z, whole.z)


def test_opacity_is_a_softmax_at_the_temperature_with_locked_channels_out_of_it(trained, points):
    trainer, state = trained
    frames = {
        tau: points.frame(trainer, trainer.hold(state, tau=tau, k_active=3), "ready", 0.0).opacity for tau in (0.1, 5)
    }
    for tau, opacity in frames.items():
        expected = softmax((points.logits + points.noise)[:, :3] / tau, axis=1).T
        np.testing.assert_allclose(opacity[:3], expected, atol=1e-5)
        assert not opacity[3:].any()
    assert frames[0.1].max(0).mean() > frames[5].max(0).mean() + 0.1


def test_with_a_tau_classifier_the_titles_are_the_labels_of_its_table(trained, points):
    trainer, state = trained
    counts = np.ones((5, 3), np.float32)
    counts[0] += (0.2, 2.0, 0.1)
    counts[3] += (3.0, 0.5, 0.5)
    titles = points.titles(trainer, state._replace(tau_counts=counts), np.arange(100) % 4)
    assert titles == (f'"{CLASSES[1]}"', "no label", "no label", f'"{CLASSES[0]}"', "no label")


def test_without_labels_the_titles_are_what_most_points_are(points):
    trainer = build_trainer(tiny_config(**UNLABELLED), DATASET)
    channel = np.arange(100) % 4
    points.labels = np.where(channel == 2, 2, 0)
    points.labels[channel == 1] = -1
    points.labels[np.flatnonzero(channel == 3)[:9]] = 1
    titles = points.titles(trainer, trainer.init(), channel)
    assert titles == (f"mostly {CLASSES[0]}", "", f"mostly {CLASSES[2]}", f"mostly {CLASSES[0]}", "")


def test_the_sentence_says_in_words_what_is_on_screen(trained, points):
    trainer, state = trained
    state, channel = trainer.hold(state, tau=2.0, k_active=4), points.labels.astype(int)
    q = np.full((100, 5), 0.01)
    q[np.arange(100), channel] = np.array([0.9, 0.5, 0.8])[channel]
    usage = np.bincount(channel, minlength=5) / 100
    unlabelled = build_trainer(tiny_config(**UNLABELLED), DATASET)
    assert points.sentence(unlabelled, state, q, channel, usage) == (
        "3 of 5 channels active; channel 1 is the least sure; 1 locked; "
        "clustering accuracy 1.000 on 100 training images (labels only score); off schedule: tau = 2, k_active = 4"
    )
    table = np.ones((5, 3), np.float32)
    table[[0, 1, 2], [0, 1, 1]] = 9.0  # channel 2 goes by a wrong name
    named = build_trainer(tiny_config(), DATASET)
    others = np.setdiff1d(np.arange(124), points.index)[:7]
    named.set_labels(np.where(np.isin(np.arange(124), others), DATASET.y_train, -1))
    said = points.sentence(named, state._replace(tau_counts=table), q, channel, usage)
    assert f"label accuracy {np.mean(points.labels != 2):.3f} by 7 labels" in said
    named.set_labels(np.where(np.arange(124) == points.index[0], DATASET.y_train, -1))
    assert "accuracy" not in points.sentence(named, state, q, channel, usage)  # 99 images that carry no label


def test_certainty_counts_how_surely_a_channel_is_named(trained, points):
    trainer, state = trained
    q = np.array([[0.75, 0.25, 0, 0, 0], [0.5, 0.125, 0.375, 0, 0]])
    counts = np.ones((5, 3))
    counts[0] = (2.0, 1.0, 1.0)
    counts[2] = (0.0, 4.0, 0.0)
    np.testing.assert_allclose(points.certainty(trainer, state._replace(tau_counts=counts), q), [0.375, 0.375])
    unlabelled = build_trainer(tiny_config(**UNLABELLED), DATASET)
    np.testing.assert_allclose(points.certainty(unlabelled, state, q), [0.75, 0.5])


def test_with_one_channel_unlocked_none_is_the_least_sure(trained, points):
    frame = points.frame(trained[0], trained[0].hold(trained[1], k_active=1), "ready", 0.0)
    assert re.match("1 of 5 channels active; 4 locked;", frame.sentence)


def test_the_matrix_is_the_tau_counts_without_their_smoothing(trained, points):
    weights, name = points.matrix(*trained)
    assert "tau counts" in name.lower() and weights.shape == (5, 3)
    np.testing.assert_allclose(weights.sum(0), np.bincount(trained[0].labels[trained[0].labels >= 0]), rtol=1e-4)


def test_without_labels_the_matrix_counts_the_points(trained, points):
    trainer = build_trainer(tiny_config(**UNLABELLED), DATASET)
    weights, name = points.matrix(trainer, trained[1])
    assert name == "Training images by label (scoring)"
    q = predict(trainer.model, trained[1], points.x).responsibilities
    np.testing.assert_allclose(weights, q.T @ np.eye(3)[points.labels], rtol=1e-3, atol=1e-3)
    points.labels = np.full(100, -1)
    weights, name = points.matrix(trainer, trained[1])
    assert name == "Training images by label (scoring)" and weights.sum() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_a_plane_shows_two_latent_dimensions_or_the_only_one_on_its_axis(dimensions):
    trainer = build_trainer(tiny_config(**{"model.latent_dim": dimensions}), DATASET)
    state, points = trainer.init(), Points(DATASET, 100)
    points.encode(trainer, state, whole=True)
    frame = points.frame(trainer, state, "ready", 0.0)
    check(frame, 100)
    place = predict(trainer.model, state, points.x).z_mean_per_component.swapaxes(0, 1)
    assert frame.z.shape == (5, 100, 2) and place.shape == (5, 100, dimensions)
    np.testing.assert_allclose(frame.z[..., : min(dimensions, 2)], place[..., :2], atol=1e-5)
    assert frame.z[..., 1].any() == (dimensions > 1) and frame.z[..., 0].any()
    assert ("planes show 2 of 3 latent dimensions" in frame.sentence) == (dimensions == 3)
    assert ("planes show" in frame.sentence) == (dimensions == 3)


def test_a_data_set_without_labels_can_be_shown(trained):
    none = {f"y_{split}": np.full(n, -1, np.int32) for split, n in {"train": 124, "val": 120, "test": 130}.items()}
    nameless = dataclasses.replace(DATASET, **none, class_names=())
    trainer, state = trained
    trainer = build_trainer(tiny_config(**UNLABELLED), nameless)
    state = trainer.recount(state)
    points = Points(nameless, 100)
    points.encode(trainer, state, whole=True)
    frame = points.frame(trainer, state, "ready", 0.0)
    assert frame.titles == ("",) * 5 and "accuracy" not in frame.sentence
