"""Three channels of blobs; a part of one looks like another's images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mixvae import load_dataset
from mixvae.data import sample
from mixvae.example_files import save_npy_folder
from mixvae.example_runs import tiny_config, tiny_dataset
from mixvae.inference import responsibilities, router_features
from mixvae.model import build_model
from mixvae.regroup import AMONG, COARSE, FINE, Grain, fitted_router, nearest, parts, regroup, regrouped, self_labels
from mixvae.trainer import Trainer

SIZES = {"first": 40, "second": 55, "astray": 12}


def blobs(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features, channels and pixels: images astray are a tight cluster of channel 0, and look like channel 1's."""
    rng = np.random.default_rng(seed)
    place = np.repeat([0, 1, 2], list(SIZES.values()))
    features = np.array([[0, 0], [40, 0], [0, 12]])[place]
    features = features + np.array([[2.0], [2.0], [0.01]])[place] * rng.normal(size=(len(place), 2))
    pixels = np.array([[0, 0, 0], [9, 9, 0], [9, 9, 2]])[place] + rng.normal(size=(len(place), 3))
    return features, np.array([0, 1, 0])[place], pixels, place


def test_a_part_that_looks_like_another_channel_moves_there_and_nothing_else():
    features, channel, pixels, place = blobs()
    moved = regroup(features, channel, pixels, COARSE)
    assert (moved[place == 2] == 1).all() and (moved[place < 2] == channel[place < 2]).all()
    assert (regroup(features, moved, pixels, COARSE) == moved).all()


def test_a_part_that_is_near_both_stays():
    features, channel, pixels, place = blobs()
    pixels[place == 2] = pixels[place == 0][:12] + 0.1
    assert (regroup(features, channel, pixels, COARSE) == channel).all()


@pytest.mark.parametrize("times, moves", [(1.5, True), (1.51, False)])
def test_a_part_moves_where_it_has_so_many_times_as_many_neighbours_in_another_channel(monkeypatch, times, moves):
    features, channel, pixels, place = blobs()
    among = channel[sample(len(channel), AMONG)]
    two, three = np.flatnonzero(among == 0)[:2], np.flatnonzero(among == 1)[:3]
    monkeypatch.setattr("mixvae.regroup.nearest", lambda x, *_: np.tile([*two, *three], (len(x), 1)))
    moved = regroup(features, channel, pixels, Grain(6, times))
    assert (moved[place != 1] == (1 if moves else 0)).all() and (moved[place == 1] == 1).all()


def test_the_nearest_are_those_of_a_sorted_table_of_distances():
    rng = np.random.default_rng(0)
    x, others = rng.integers(0, 256, (7, 20), dtype=np.uint8), rng.integers(0, 256, (30, 20), dtype=np.uint8)
    allowed = np.arange(30) % 3 > 0
    distance = ((x[:, None].astype(float) - others) ** 2).sum(-1)
    expected = np.argsort(np.where(allowed, distance, np.inf), axis=1)[:, :5]
    np.testing.assert_array_equal(np.sort(nearest(x, others, allowed)), np.sort(expected))


def test_self_labels_are_the_channels_of_all_images_but_of_those_that_moved(monkeypatch, tmp_path):
    dataset = tiny_dataset()
    x = dataset.x_train
    trainer = Trainer(tiny_config(), x, num_classes=3)
    params = trainer.init().params
    channel = responsibilities(trainer.model, params, x, 5).argmax(1)
    np.testing.assert_array_equal(self_labels(trainer.model, params, trainer.x_train, 5), channel)
    moved = {COARSE: lambda channel: channel + 2, FINE: lambda channel: 3 * channel}  # in this order
    monkeypatch.setattr("mixvae.regroup.regroup", lambda features, channel, pixels, grain: moved[grain](channel))
    expected = 3 * (channel + 2)
    on_disk = load_dataset(save_npy_folder(tmp_path / "own", x_train=x, x_test=x[:5])).x_train
    np.testing.assert_array_equal(self_labels(trainer.model, params, on_disk, 5), expected)
    monkeypatch.setattr("mixvae.regroup.MOST", 20)
    found = self_labels(trainer.model, params, x, 5)
    some = sample(len(x), 20)
    assert found.dtype == np.int32 and (found[some] == expected[some]).all() and (np.delete(found, some) == -1).all()


def test_images_that_are_stored_class_by_class_in_turn_stay_where_they_are():
    rng, channel = np.random.default_rng(0), np.arange(2 * AMONG) % 2
    x = channel[:, None] + 0.1 * rng.normal(size=(len(channel), 4))
    np.testing.assert_array_equal(regroup(x, channel, x, COARSE), channel)


def test_the_names_of_channels_do_not_matter():
    features, channel, pixels, _ = blobs(1)
    names = np.array([7, 3])
    found = regroup(features, names[channel], pixels, COARSE)
    np.testing.assert_array_equal(found, names[regroup(features, channel, pixels, COARSE)])


def test_parts_divide_every_channel_that_is_large_enough():
    features, channel, _, _ = blobs()
    channel[:3] = 2  # three images are too few for parts
    found = list(parts(features, channel, 5))
    assert len(found) == 2 * 5 and all(len(set(channel[part])) == 1 for part in found)
    np.testing.assert_array_equal(np.sort(np.concatenate(found)), np.flatnonzero(channel < 2))


def test_one_channel_alone_has_nowhere_to_move():
    features, channel, pixels, _ = blobs()
    assert (regroup(features, 0 * channel, pixels, COARSE) == 0).all()


@pytest.mark.parametrize("channels", [2, 3], ids=["two", "three"])
def test_the_fitted_router_chooses_as_it_was_told(channels):
    features, _, _, place = blobs()
    told = np.minimum(place, channels - 1)
    router = fitted_router(features, told, 5)
    assert router["kernel"].shape == (2, 5) and router["bias"].shape == (5,)
    chosen = (features @ router["kernel"] + router["bias"]).argmax(1)
    assert (chosen == told).all()
    assert not router["kernel"][:, channels:].any() and (router["bias"][channels:] == router["bias"].min()).all()


@pytest.mark.parametrize("turned", [False, True])
def test_an_empty_channel_before_two_that_are_not_takes_no_image(turned):
    features, told = np.array([[0.0], [1.0], [2.0], [10.0], [11.0]]), np.array([3, 3, 3, 7, 7])
    told = 10 - told if turned else told  # the larger bias is on the second, then on the first
    router = fitted_router(features, told, 10)
    assert ((features @ router["kernel"] + router["bias"]).argmax(1) == told).all()


def test_regrouping_changes_the_routers_last_layer_alone_and_only_where_something_moves(monkeypatch):
    dataset = tiny_dataset()
    x = dataset.x_val / np.float32(255)
    trainer = Trainer(tiny_config(), dataset.x_train, num_classes=3)
    params = trainer.init().params
    monkeypatch.setattr("mixvae.regroup.regroup", lambda features, channel, pixels, grain: channel)
    assert regrouped(trainer.model, params, x, x, 5) is params
    monkeypatch.setattr("mixvae.regroup.regroup", lambda features, channel, pixels, grain: np.full_like(channel, 4))
    assert regrouped(trainer.model, params, x, x, 5) is params
    wanted = np.arange(len(x)) % 3
    monkeypatch.setattr("mixvae.regroup.regroup", lambda features, channel, pixels, grain: wanted)
    after = regrouped(trainer.model, params, x, x, 5)
    assert (responsibilities(trainer.model, after, x, 5).argmax(1) == wanted).mean() > 0.9
    changed = [
        jax.tree_util.keystr(path)
        for (path, old), new in zip(jax.tree.leaves_with_path(params), jax.tree.leaves(after), strict=True)
        if old is not new
    ]
    assert len(changed) == 2 and all("['posterior']['router']" in path for path in changed)


def test_features_are_what_the_router_reads():
    config = tiny_config()
    x = tiny_dataset().x_train / np.float32(255)
    trainer = Trainer(config, tiny_dataset().x_train, num_classes=3)
    params = trainer.init().params
    router = params["encoder"]["posterior"]["router"]
    logits = build_model(config, x.shape[1:]).apply({"params": params}, jnp.asarray(x), method="encode").logits
    features = router_features(trainer.model, params, x)
    np.testing.assert_allclose(features @ router["kernel"] + router["bias"], logits, atol=1e-5)
