"""Training: one State in, one State out, any number of steps at a time."""

import hashlib
import math
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from mixvae import curriculum, tau_classifier
from mixvae.config import LIVE, Config, Knobs
from mixvae.data import sample
from mixvae.epochs import Epoch, EpochOnDisk
from mixvae.inference import BATCH, checked, chosen_losses, responsibilities, router_logits
from mixvae.invariance import router_objective
from mixvae.model import MixVAE, build_model, pixels
from mixvae.objective import build_objective
from mixvae.on_disk import OnDisk
from mixvae.schedules import boosted, curriculum_start, knobs_at, next_stage
from mixvae.settings import check, nearest
from mixvae.state import Start, State
from mixvae.step import (
    Coming,
    Data,
    Moving,
    broadcast,
    build_optimiser,
    drawn_labelled,
    local,
    over_devices,
    replicate,
    require_finite,
    run_steps,
    shuffled,
    step_keys,
)
from mixvae.tau_classifier import UNLABELLED

JUDGED = 5000  # training images by which starts are compared, and the parents of newcomers chosen
JUDGED_BYTES = 2**26  # at most: as floats, with a view of each, they take sixteen times as much


class Trainer:
    """Trains a MixVAE on uint8 images [N, H, W, C]; it never sees a test set.

    Images in memory are brought to the device whole, those that stay on disk a few steps at a time, to equal numbers.
    `labels` [N] are -1 where unknown; a plateau is judged on `x_val`, or without any on some of these.
    Raises ValueError where the config cannot be trained on these images.
    """

    def __init__(
        self,
        config: Config,
        x_train: UInt8[np.ndarray | OnDisk, "n h w c"],
        labels: Int[np.ndarray, "n"] | None = None,
        num_classes: int = 10,
        x_val: UInt8[np.ndarray, "m h w c"] | None = None,
    ):
        if len(x_train.shape) != 4 or x_train.dtype != np.uint8:
            found = f"training images have shape {x_train.shape} and type {x_train.dtype}"
            raise ValueError(f"{found}; expected uint8 [N, H, W, C], 0 to 255")
        channels, size = config.model.num_components, config.train.batch_size
        if size > len(x_train):
            raise ValueError(f"train.batch_size={size} is larger than the {len(x_train)} training images; lower it")
        if config.objective.label_target == "channel" and channels != num_classes:
            raise ValueError(
                f"objective.label_target='channel' needs a channel for each of the {num_classes} classes, and "
                f"model.num_components={channels}; set objective.label_target='tau'"
            )
        self.config, self.num_classes = config, num_classes
        self.model = build_model(config, x_train.shape[1:])
        self.objective = build_objective(config, self.model)
        self.optimiser = build_optimiser(config.train.clip, config.train.b2, config.train.weight_decay)
        self.sharding = over_devices(size)
        on_disk = isinstance(x_train, OnDisk)
        self.x_train = x_train if on_disk else replicate(jnp.asarray(x_train), self.sharding)
        most = max(1, min(JUDGED, JUDGED_BYTES // math.prod(x_train.shape[1:])))
        self.judged = np.asarray(x_train[sample(len(x_train), most)])
        self.x_val = x_train[:0] if x_val is None else checked(self.model, x_val)
        self.steps_per_epoch = len(x_train) // size
        self._epoch = (None, (), None)
        labels = np.full(len(x_train), UNLABELLED) if labels is None else labels
        self.set_labels(labels, config.objective.use_tau_classifier)

    def init(self, params: Any = None) -> State:
        """The State before the first step, with its own weights or with these."""
        key = jax.random.PRNGKey(self.config.train.seed)
        fresh = self.first(key) if params is None else self.begin(params)
        nothing = Knobs(*[np.float32(0)] * len(Knobs._fields))
        state = State(
            params=fresh.params,
            average=fresh.average,
            optimiser=fresh.optimiser,
            key=key,
            step=np.int32(0),
            knobs=nothing,
            held=Knobs(*[np.bool_(False)] * len(Knobs._fields)),
            tau_counts=np.zeros((self.config.model.num_components, self.num_classes), np.float32),
            self_labels=np.full(len(self.x_train), UNLABELLED, np.int32),
            curriculum=curriculum_start(self.config.curriculum),
            best=fresh if self.config.train.starts else (),
        )
        return self.recount(self.at_schedule(state))

    def first(self, key: Array) -> Start:
        """Weights before their first step; any trained ones are better."""
        return self.begin(first_params(self.model, key, self.x_train.shape[1:]))

    def begin(self, params: Any) -> Start:
        """These weights before their first step."""
        return Start(params, params, jax.jit(self.optimiser.init)(params), np.float32(np.inf))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the JUDGED training images, by which a saved run knows them again."""
        return hashlib.sha256(self.judged.tobytes()).hexdigest()

    def epoch(self, state: State) -> float:
        """Epochs done, with their fraction."""
        return int(state.step) / self.steps_per_epoch

    def hold(self, state: State, **knobs: float) -> State:
        """Take these knobs off their schedules and set them.

        Raises ValueError for what is no knob, for a value out of its range, and for a share of a channel.
        """
        for name, value in knobs.items():
            section, field = LIVE[a_knob(name)]
            high = self.config.model.num_components if name == "k_active" else field.metadata["high"]
            check(f"{section}.{name}", float(value), float, {**field.metadata, "high": high})
            if name == "k_active" and value != int(value):
                raise ValueError(f"routing.k_active={value} must be a whole number of channels")
        values = {name: np.float32(value) for name, value in knobs.items()}
        held = dict.fromkeys(knobs, np.bool_(True))
        return state._replace(knobs=state.knobs._replace(**values), held=state.held._replace(**held))

    def release(self, state: State, *names: str) -> State:
        """Put these knobs back on their schedules. Raises ValueError for what is no knob."""
        released = dict.fromkeys(map(a_knob, names), np.bool_(False))
        return self.at_schedule(state._replace(held=state.held._replace(**released)))

    def at_schedule(self, state: State, steps: int = 1) -> State:
        """`state` with the knobs that are not held where their schedules are at the last of the coming `steps`."""
        at = knobs_at(self.config, state.curriculum, state.knobs, state.held, self.middles(state, steps)[-1:])
        return state._replace(knobs=Knobs(*(values[0] for values in at)))

    def plan(self, state: State, steps: int) -> Knobs:
        """The knobs [steps] of the coming steps, an unlock's boost among them."""
        epochs = self.middles(state, steps)
        knobs = knobs_at(self.config, state.curriculum, state.knobs, state.held, epochs)
        return boosted(knobs, self.config, state.curriculum, epochs)

    def middles(self, state: State, steps: int) -> Float[np.ndarray, "steps"]:
        """The middles of the coming steps, in epochs: at 0 a warm-up would waste the first step."""
        return (int(state.step) + 0.5 + np.arange(steps)) / self.steps_per_epoch

    def set_curriculum(self, state: State, on: bool) -> State:
        """Channels unlock by the curriculum, or all that the config allows are open.

        Raises ValueError where K is too small.
        """
        stages = self.config.curriculum.k_active_schedule
        if on and stages[-1] > self.config.model.num_components:
            raise ValueError(
                f"curriculum.k_active_schedule={list(stages)} ends above model.num_components="
                f"{self.config.model.num_components}; shorten the schedule, or raise the number of channels"
            )
        moved = state.curriculum._replace(on=np.bool_(on))
        if on and self.config.curriculum.unlock_epochs is not None:
            trained = max(0, int(self.epoch(state)) - self.config.train.starts_end)
            moved = next_stage(self.config.curriculum, moved, trained, loss=0.0)
        return self.at_schedule(state._replace(curriculum=moved))

    def set_labels(self, labels: Int[np.ndarray, "n"], counted: bool = True):
        """Replace the labels of the training images, -1 where unknown; `recount` makes the tau counts follow.

        The tau-classifier counts them, whatever the config says of its own, unless `counted` is false.
        """
        if np.shape(labels) != (len(self.x_train),):
            raise ValueError(f"labels have shape {np.shape(labels)}; expected ({len(self.x_train)},), one an image")
        if np.asarray(labels).dtype.kind not in "iu":
            raise ValueError(f"labels are {np.asarray(labels).dtype}; expected whole numbers, -1 where unknown")
        if np.min(labels) < UNLABELLED or np.max(labels) >= self.num_classes:
            found = f"labels run from {np.min(labels)} to {np.max(labels)}"
            raise ValueError(f"{found}; expected 0 to {self.num_classes - 1}, or -1 where unknown")
        self.labels, self.counts_labels = np.array(labels, np.int32), counted

    def recount(self, state: State) -> State:
        """`state` with the tau counts taken afresh from the labelled images, if a tau-classifier is wanted."""
        known = np.flatnonzero((self.labels >= 0) & self.counts_labels)
        q, labels = np.zeros((0, self.config.model.num_components), np.float32), self.labels[:0]
        if len(known):
            filled = np.resize(known, -(-len(known) // BATCH) * BATCH)  # another number of labels compiles nothing
            labels = np.where(np.arange(len(filled)) < len(known), self.labels[filled], UNLABELLED)
            q = responsibilities(self.model, state.average, self.x_train[filled], state.knobs.k_active)
        counts = tau_classifier.count(q, labels, self.num_classes, self.config.objective.alpha0)
        return state._replace(tau_counts=np.asarray(counts, np.float32))

    def advance(self, state: State, steps: int | None = None) -> tuple[State, dict[str, np.ndarray]]:
        """Train `steps` steps, or fewer where the epoch ends (None: to its end).

        Every term and every knob comes as a column [steps], `usage` as [steps, K]; the end of an epoch adds
        `validation_loss` [1] where there are validation images.

        The numbers do not depend on how steps are divided among calls. Where an epoch ends the curriculum moves and the
        tau counts are taken afresh. Raises FloatingPointError where a term is no longer finite, naming it; the State
        that was passed in is still good. Raises ValueError for less than one step.
        """
        if steps is not None and steps < 1:
            raise ValueError(f"{steps} steps were asked for; ask for 1 or more, or for None to the epoch's end")
        left = self.steps_per_epoch - int(state.step) % self.steps_per_epoch
        goal, parts = int(state.step) + (left if steps is None else min(steps, left)), []
        while not parts or state.step < goal:
            coming = self.coming(state, goal - int(state.step))
            placed = replicate(coming, self.sharding)
            moving, columns = run_steps(self.objective, self.optimiser, placed, self.sharding)
            self.reading(state).read_ahead(int(state.step))  # while the device computes
            state, columns = self.done(state, coming, moving, columns)
            parts.append(columns)
        return state, joined(parts)

    def coming(self, state: State, steps: int | None = None) -> Coming:
        """What `run_steps` needs for the next `steps` steps, or fewer where the part ends that can be read at once.

        That is an epoch's end (None: up to it), or of images on disk a window's.
        """
        epoch, step = self.reading(state), int(state.step)
        left = epoch.end(step) - step
        table = tau_classifier.channel_labels(state.tau_counts)
        return Coming(
            ema=np.float32(self.config.train.ema),
            begun=np.int32(self.begun(state) * self.steps_per_epoch),
            moving=Moving(state.params, state.average, state.optimiser, state.step),
            key=state.key,
            data=epoch.at(step)._replace(table=table),
            knobs=self.plan(state, epoch.longest),
            steps=np.int32(left if steps is None else min(steps, left)),
        )

    def begun(self, state: State) -> int:
        """The epoch at which the present start began; 0 once the best of them goes on."""
        epoch, train = int(self.epoch(state)), self.config.train
        return epoch - epoch % train.start_epochs if epoch < train.starts_end else 0

    def done(
        self, state: State, coming: Coming, moving: Moving, columns: dict[str, Array]
    ) -> tuple[State, dict[str, np.ndarray]]:
        """The State after steps that changed `moving`, and their columns; see `advance`."""
        steps, knobs = int(coming.steps), coming.knobs
        if self.sharding:
            moving, columns = local((moving, columns))
        columns = {name: np.asarray(column)[:steps] for name, column in columns.items()}
        require_finite(columns, knobs, int(state.step))
        columns |= {name: values[:steps] for name, values in knobs._asdict().items()}
        state = self.at_schedule(state, steps)._replace(**moving._asdict())._replace(step=np.int32(moving.step))
        if int(state.step) % self.steps_per_epoch:
            return state, columns
        if len(self.x_val):
            columns["validation_loss"] = np.array([self.evidence_loss(state, self.x_val)])
            last = Knobs(*(values[steps - 1 : steps] for values in knobs))
            require_finite({"validation_loss": columns["validation_loss"]}, last, int(state.step) - 1)
        return broadcast(self.end_epoch(state, columns)), columns

    def reading(self, state: State) -> Epoch:
        """What the steps of this epoch read."""
        epoch, labels = int(state.step) // self.steps_per_epoch, self.labels  # another thread may replace them
        number, arrays = (np.asarray(state.key).tobytes(), epoch), (labels, state.self_labels)
        before, of, read = self._epoch
        if before != number or any(a is not b for a, b in zip(arrays, of, strict=True)):
            read = self.epoch_of(state, epoch, labels)
            self._epoch = number, arrays, read
        return read

    def epoch_of(self, state: State, epoch: int, labels: Int[np.ndarray, "n"]) -> Epoch:
        """An epoch of all images in random order, and a draw from those that have a label beside every batch."""
        first, key = epoch * self.steps_per_epoch, state.key
        labelled = np.flatnonzero(labels >= 0) if (labels >= 0).any() else np.zeros(1, int)
        drawn = labelled[drawn_labelled(key, first, self.steps_per_epoch, len(labelled))].astype(np.int32)
        order = shuffled(key, epoch, len(self.x_train), self.config.train.batch_size)
        self_labels = jnp.asarray(state.self_labels)
        drawn, known = jnp.asarray(drawn), jnp.asarray(labels[drawn])
        data = Data(np.int32(first), self.x_train, self_labels, order, drawn, known, table=None)
        return (EpochOnDisk if isinstance(self.x_train, OnDisk) else Epoch)(data)

    def end_epoch(self, state: State, columns: dict[str, np.ndarray]) -> State:
        """The State after an epoch's last step: next start, self-labels, newcomers unlocked, tau counts afresh."""
        epoch, train = int(state.step) // self.steps_per_epoch, self.config.train
        if epoch <= train.starts_end and epoch % train.start_epochs == 0:
            state = self.next_start(state, epoch)
        if epoch <= train.starts_end:
            return self.recount(self.at_schedule(state))
        if train.self_labels_after(epoch):
            state = self.self_labelled(state)
        moved = state.curriculum
        if epoch < train.epochs:  # a newcomer of the last would never be trained
            moved = next_stage(self.config.curriculum, moved, epoch - train.starts_end, self.judge(state, columns))
        before = int(state.knobs.k_active)
        state = self.at_schedule(state._replace(curriculum=moved))
        after = int(state.knobs.k_active)
        if after > before and self.config.curriculum.unlock_init == "split":
            state = self.split(state, before, after)
        return self.recount(state)

    def judge(self, state: State, columns: dict[str, np.ndarray]) -> float:
        """The loss by which a plateau is told, nats: of the validation images, else of the JUDGED training images."""
        if not state.curriculum.on or self.config.curriculum.unlock_epochs is not None:
            return math.nan
        return float(columns["validation_loss"][0]) if len(self.x_val) else self.evidence_loss(state, self.judged)

    def next_start(self, state: State, epoch: int) -> State:
        """The State with fresh weights, or the best so far regrouped; in the end with those of the lowest loss.

        What is compared is the label-free loss of every start, and of what came of every regrouping.
        """
        from mixvae.regroup import regrouped  # here: scikit-learn takes a second, and a view begins without

        loss = np.float32(self.label_free_loss(state))
        done = Start(state.params, state.average, state.optimiser, loss)
        best = done if loss < state.best.label_free else state.best
        train = self.config.train
        if epoch < train.starts * train.start_epochs:
            now = self.first(jax.random.fold_in(state.key, epoch))
        elif epoch < train.starts_end:
            now = self.begin(regrouped(self.model, best.average, *self.judged_views(), state.knobs.k_active))
        else:
            now = best
        return state._replace(params=now.params, average=now.average, optimiser=now.optimiser, best=best)

    def self_labelled(self, state: State) -> State:
        """`state` with the channel of every training image as its label, after those of astray parts have changed."""
        from mixvae.regroup import self_labels

        return state._replace(self_labels=self_labels(self.model, state.average, self.x_train, state.knobs.k_active))

    def label_free_loss(self, state: State) -> float:
        """w_inv inv - w_mi (2 H - h), nats, of the JUDGED training images by the averaged weights.

        Starts and seeds are compared by it: lower is better. The weights are the config's, the views always the same.
        """
        logits = [router_logits(self.model, state.average, images) for images in self.judged_views()]
        terms, weights = router_objective(*logits, state.knobs.k_active), self.config.objective
        return float(weights.w_inv * terms.inv - weights.w_mi * (2 * terms.H - terms.h))

    def judged_views(self) -> tuple[Float[np.ndarray, "n h w c"], Float[np.ndarray, "n h w c"]]:
        """The JUDGED training images, and a view of each."""
        x = pixels(self.judged)
        return x, np.clip(self.objective.view(jax.random.PRNGKey(0), x), 0, 1)

    def evidence_loss(self, state: State, x: UInt8[np.ndarray, "n h w c"]) -> float:
        """Mean of -log p(x|z, e) + KL of the chosen channel's latent, in nats, by the averaged weights."""
        _, loss = chosen_losses(self.model, state.average, x, state.knobs.k_active)
        return float(loss.mean(dtype=np.float64))

    def split(self, state: State, before: int, after: int) -> State:
        """Channels `before` ... `after - 1` become perturbed copies of those with the largest summed loss."""
        newcomers = np.arange(before, after)
        parents = curriculum.parents_of(newcomers, *chosen_losses(self.model, state.average, self.judged, before))
        _, _, key = step_keys(state.key, state.step)
        copied = [curriculum.split(key, self.model, p, parents, newcomers) for p in (state.params, state.average)]
        forgotten = curriculum.forget(self.model, state.optimiser, newcomers)
        return state._replace(params=copied[0], average=copied[1], optimiser=forgotten)


def a_knob(name: str) -> str:
    """The name of a knob. Raises ValueError, with the nearest, for any other."""
    if name not in LIVE:
        raise ValueError(nearest(f"the knob {name!r}", name, LIVE))
    return name


def joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The columns of consecutive calls as one; only the last may hold the end of an epoch."""
    return {name: np.concatenate([part[name] for part in parts if name in part]) for name in parts[-1]}


@partial(jax.jit, static_argnums=(0, 2))
def first_params(model: MixVAE, key: Array, image_shape: tuple[int, int, int]) -> Any:
    """The weights before the first step."""
    return model.init(key, jnp.zeros((1, *image_shape)))["params"]
