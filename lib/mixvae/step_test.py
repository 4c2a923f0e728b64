"""What a step reads and what it does, beside numbers written out."""

import jax
import numpy as np
import optax
import pytest

from mixvae.example_runs import tiny_config, tiny_dataset
from mixvae.step import Data, Moving, build_optimiser, descend, draw, drawn_labelled, run_step, shuffled
from mixvae.trainer import Trainer

KEY = jax.random.key(0)


def test_an_epoch_is_every_image_at_most_once_in_an_order_of_its_own():
    first, second = (np.asarray(shuffled(KEY, epoch, 48, 7)) for epoch in (0, 1))
    assert first.shape == second.shape == (6, 7)
    for order in (first.ravel(), second.ravel()):
        assert len({*order}) == 42 and order.min() >= 0 and order.max() < 48
        assert (np.diff(order) != 1).mean() > 0.8
    assert (first != second).mean() > 0.8 and {*first.ravel()} != {*second.ravel()}


def test_every_labelled_image_is_drawn_by_the_number_of_the_step():
    drawn = np.asarray(drawn_labelled(KEY, 10, 30, 5))
    assert {*drawn.ravel()} == {*range(5)} and len({row.tobytes() for row in drawn}) == 30
    np.testing.assert_array_equal(drawn[4:], drawn_labelled(KEY, 14, 26, 5))


def test_a_batch_is_the_images_of_its_step_in_units_of_white():
    x = np.random.default_rng(0).integers(0, 256, (9, 4, 3, 1), dtype=np.uint8)
    order, drawn = np.array([[8, 1, 5], [0, 2, 7]]), np.array([[3, 3], [6, 4]])
    labels, table = np.array([[0, 0], [1, 2]]), np.ones((2, 3), np.float32)
    batch = draw(Data(np.int32(10), x, np.arange(9) - 1, order, drawn, labels, table), 11)
    np.testing.assert_allclose(batch.x, x[[0, 2, 7]] / 255, rtol=1e-6)
    np.testing.assert_allclose(batch.x_labelled, x[[6, 4]] / 255, rtol=1e-6)
    np.testing.assert_array_equal(batch.self_labels, [-1, 1, 6])
    np.testing.assert_array_equal(batch.labels, [1, 2])


def test_every_step_has_noise_of_its_own():
    trainer = Trainer(tiny_config(), tiny_dataset().x_train, num_classes=3)
    state = trainer.init()
    moving, batch = trainer.coming(state).moving, draw(trainer.coming(state).data, 0)

    def terms(step: int) -> dict:
        at = moving._replace(step=np.int32(step))
        return run_step(trainer.objective, trainer.optimiser, 0.9, 0, at, state.key, batch, state.knobs)[1]

    first, again, second = terms(0), terms(0), terms(1)
    for name in ("recon", "inv"):  # of latents and choices, and of views
        assert first[name] == again[name] != second[name]


P, G = np.float32([3, -4]), np.float32([30, 40])  # a gradient of norm 50
RATE, B2, DECAY = 0.5, 0.9, 0.1


@pytest.mark.parametrize("clip, clipped", [(5.0, G / 10), (100.0, G)], ids=["too long", "short enough"])
def test_the_first_update_is_adams_of_the_clipped_gradient_with_decayed_weights(clip, clipped):
    moving = moved(clip=clip)
    adam = next(state for state in moving.optimiser if isinstance(state, optax.ScaleByAdamState))
    np.testing.assert_allclose(adam.mu, 0.1 * clipped, rtol=1e-5)
    np.testing.assert_allclose(adam.nu, (1 - B2) * clipped**2, rtol=1e-5)
    np.testing.assert_allclose(moving.params, P - RATE * (np.sign(G) + DECAY * P), rtol=1e-5)
    assert moving.step == 1


@pytest.mark.parametrize("step, begun, decay", [(0, 0, 0.1), (20, 20, 0.1), (20, 0, 21 / 30), (10**6, 0, 0.998)])
def test_the_averages_decay_rises_with_the_steps_since_the_weights_were_fresh(step, begun, decay):
    moving = moved(step=step, begun=begun)
    np.testing.assert_allclose(moving.average, decay * 7 + (1 - decay) * np.asarray(moving.params), rtol=1e-4)


def moved(step: int = 0, begun: int = 0, clip: float = 5.0) -> Moving:
    """One update of P by G, with an average that stood at 7."""
    optimiser = build_optimiser(clip, B2, DECAY)
    moving = Moving(P, np.full_like(P, 7), optimiser.init(P), np.int32(step))
    return descend(optimiser, np.float32(0.998), np.int32(begun), moving, G, np.float32(RATE))
