"""The compiled core: any number of training steps in one call, without a recompile for another number."""

import warnings
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int, UInt8

from mixvae.config import Knobs
from mixvae.model import pixels
from mixvae.objective import Batch, Objective

LABELLED_BATCH = 64


class Moving(NamedTuple):
    """What a step changes."""

    params: Any
    average: Any
    optimiser: Any
    step: Int[Array, ""]


class Data(NamedTuple):
    """What steps from number `first` on read: images, which are each batch, which labelled ones are drawn beside it."""

    first: Int[Array, ""]
    x: UInt8[Array, "n h w c"]
    self_labels: Int[Array, "n"]
    order: Int[Array, "steps b"]
    drawn: Int[Array, "steps m"]
    labels: Int[Array, "steps m"]  # of those drawn; -1 where none has a label
    table: Float[Array, "k y"]


class Coming(NamedTuple):
    """A number of steps to run: on which weights, by which numbers; the knobs [i] are of step i of them."""

    ema: Float[Array, ""]  # decay of the average
    begun: Int[Array, ""]  # the step that these weights were fresh at
    moving: Moving
    key: Array
    data: Data
    knobs: Knobs
    steps: Int[Array, ""]


@lru_cache
def build_optimiser(clip: float, b2: float, weight_decay: float) -> optax.GradientTransformation:
    """AdamW without its learning rate, which is a knob; one object for equal arguments, so compiled code is shared."""
    return optax.chain(
        optax.clip_by_global_norm(clip), optax.scale_by_adam(b2=b2), optax.add_decayed_weights(weight_decay)
    )


@partial(jax.jit, static_argnames=("images", "batch_size"))
def shuffled(key: Array, epoch: Int[Array, ""], images: int, batch_size: int) -> Int[Array, "steps b"]:
    """The order of an epoch, batch by batch; the remainder of a batch waits for another epoch's shuffle."""
    steps = images // batch_size
    order = jax.random.permutation(jax.random.fold_in(key, epoch), images)
    return order[: steps * batch_size].reshape(steps, batch_size)


@partial(jax.jit, static_argnames="steps")
def drawn_labelled(key: Array, first: Int[Array, ""], steps: int, count: Int[Array, ""]) -> Int[Array, "steps m"]:
    """For each of `steps` steps from number `first` on, which of `count` labelled images, drawn with replacement."""

    def draw(step: Array) -> Array:
        return jax.random.randint(step_keys(key, step)[1], (LABELLED_BATCH,), 0, count)

    return jax.vmap(draw)(first + jnp.arange(steps))


def step_keys(key: Array, step: Int[Array, ""]) -> tuple[Array, Array, Array]:
    """The keys of a step's loss, of the labelled images beside its batch, and of newcomers unlocked before it."""
    return tuple(jax.random.split(jax.random.fold_in(key, step), 3))


@partial(jax.jit, static_argnames=("objective", "optimiser", "sharding"))
def run_steps(
    objective: Objective,
    optimiser: optax.GradientTransformation,
    coming: Coming,
    sharding: NamedSharding | None = None,
) -> tuple[Moving, dict[str, Array]]:
    """The steps that are coming, each batch placed by `sharding`; the terms as columns, filled that many rows down."""
    step = partial(run_step, objective, optimiser, coming.ema, coming.begun)

    def batch(number: Array) -> Batch:
        drawn = draw(coming.data, number)
        return drawn._replace(x=jax.lax.with_sharding_constraint(drawn.x, sharding)) if sharding else drawn

    def take(i: Array, state: tuple[Moving, dict]) -> tuple[Moving, dict]:
        moving, columns = state
        moving, terms = step(moving, coming.key, batch(moving.step), Knobs(*(k[i] for k in coming.knobs)))
        return moving, {name: column.at[i].set(terms[name]) for name, column in columns.items()}

    first = coming.moving, coming.key, batch(coming.moving.step), Knobs(*(k[0] for k in coming.knobs))
    _, terms = jax.eval_shape(step, *first)
    columns = {name: jnp.zeros((len(coming.knobs.tau), *term.shape)) for name, term in terms.items()}
    done = jax.lax.fori_loop(0, coming.steps, take, (coming.moving, columns))
    return jax.lax.with_sharding_constraint(done, replicated(sharding)) if sharding else done


@partial(jax.jit, static_argnames=("objective", "optimiser"))  # so that it is traced once, for shapes and in the loop
def run_step(
    objective: Objective,
    optimiser: optax.GradientTransformation,
    ema: Float[Array, ""],
    begun: Int[Array, ""],
    moving: Moving,
    key: Array,
    batch: Batch,
    knobs: Knobs,
) -> tuple[Moving, dict[str, Array]]:
    """One step, and its terms, the gradient's norm among them."""
    key_loss, _, _ = step_keys(key, moving.step)
    grads, terms = jax.grad(objective, has_aux=True)(moving.params, key_loss, batch, knobs)
    moving = descend(optimiser, ema, begun, moving, grads, knobs.learning_rate)
    return moving, terms | {"gradient": optax.tree.norm(grads)}


def draw(data: Data, step: Int[Array, ""]) -> Batch:
    """The batch of a step, and the labelled images beside it."""
    i = step - data.first
    shuffled, labelled = data.order[i], data.drawn[i]
    x, x_labelled = pixels(data.x[shuffled]), pixels(data.x[labelled])
    return Batch(x, data.self_labels[shuffled], x_labelled, data.labels[i], data.table)


def descend(
    optimiser: optax.GradientTransformation,
    ema: Float[Array, ""],
    begun: Int[Array, ""],
    moving: Moving,
    grads: Any,
    learning_rate: Float[Array, ""],
) -> Moving:
    """One update; the average's decay starts low, so that the first weights are soon forgotten."""
    updates, optimiser_state = optimiser.update(grads, moving.optimiser, moving.params)
    params = jax.tree.map(lambda p, u: p - learning_rate * u, moving.params, updates)
    steps = moving.step - begun
    decay = jnp.minimum(ema, (1.0 + steps) / (10.0 + steps))
    average = optax.incremental_update(params, moving.average, 1.0 - decay)
    return Moving(params, average, optimiser_state, moving.step + 1)


def over_devices(batch_size: int) -> NamedSharding | None:
    """A batch in equal parts on all devices, those of other processes too; None where there is one device.

    A batch that has no equal parts trains on one device, and a warning says so; several processes raise ValueError.
    """
    devices = jax.devices()
    if len(devices) == 1:
        return None
    if batch_size % len(devices) == 0:
        return NamedSharding(Mesh(devices, ("batch",)), PartitionSpec("batch"))
    uneven = f"train.batch_size={batch_size} has no equal parts for {len(devices)} devices"
    if jax.process_count() > 1:
        raise ValueError(f"{uneven}; set a multiple of {len(devices)}")
    warnings.warn(f"{uneven}; one of them trains. Set a multiple of {len(devices)} to use all", stacklevel=3)
    return None


def replicate(tree: Any, sharding: NamedSharding | None) -> Any:
    """`tree` with a copy of every leaf on each device of `sharding`; as it is where there is none."""
    if sharding is None:
        return tree

    def copied(leaf):
        placed = isinstance(leaf, jax.Array) and leaf.sharding == replicated(sharding)
        return leaf if placed else jax.make_array_from_process_local_data(replicated(sharding), np.asarray(leaf))

    return jax.tree.map(copied, tree)


def replicated(sharding: NamedSharding) -> NamedSharding:
    """A copy on each device."""
    return NamedSharding(sharding.mesh, PartitionSpec())


def local(tree: Any) -> Any:
    """Of copies on every device, the one that is this process's first."""
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)


def broadcast(tree: Any) -> Any:
    """`tree` as the first process has it; every process must ask, each with a tree of the same shapes."""
    return tree if jax.process_count() == 1 else multihost_utils.broadcast_one_to_all(tree)


def require_finite(columns: dict[str, np.ndarray], knobs: Knobs, step: int):
    """Raise FloatingPointError naming the first term that is not finite, its step, and the knobs then.

    Row [i] is of step `step` + i + 1. Of several terms at one step a part is named before the loss that it is part of,
    and the loss before its gradient.
    """
    rows = {name: np.isfinite(c).reshape(len(c), -1).all(1) for name, c in columns.items()}
    first = min((int(np.argmin(good)) for good in rows.values() if not good.all()), default=None)
    if first is None:
        return
    wrong = [name for name, good in rows.items() if not good[first]]
    name = min(wrong, key=lambda name: (name == "gradient", name == "loss"))
    at = ", ".join(f"{k}={v[first]:g}" for k, v in knobs._asdict().items())
    when = f"at step {step + first + 1}, at {at}"
    raise FloatingPointError(f"{name} is no longer finite {when}; move a knob back and go on")
