"""What the view shows of a State: fixed images in every channel's plane, and the picture each channel stands for."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8
from scipy.special import softmax

from mixvae import Dataset, MixVAE, State, Trainer
from mixvae import tau_classifier as tau
from mixvae.inference import plane
from mixvae.metrics import MINIMUM, active_channels, clustering_accuracy
from mixvae.routing import lock
from workbench.frame import Frame

POINTS = 1000
THUMBNAIL = 64  # pixels at most of an image that stands for a point; it is drawn at 15 to 30
SLICES = 10  # frames in which every image is encoded anew while training; all at once when it pauses


class Points:
    """Fixed training images, where every channel puts them, and how strongly each claims them.

    Training images, since these are what is divided and what a label can be given to; test images stay unseen until a
    run is scored. `index` are their places in the training set; their labels only colour and score.
    """

    def __init__(self, dataset: Dataset, count: int):
        self.slice = max(1, min(count, len(dataset.x_train)) // SLICES)
        self.index = np.random.default_rng(0).permutation(len(dataset.x_train))[: self.slice * SLICES]
        images = np.asarray(dataset.x_train[self.index])
        self.images, self.x = thumbnails(images), images.astype(np.float32) / 255.0
        self.labels = np.asarray(dataset.y_train)[self.index]
        self.class_names = dataset.class_names
        self.next = self.measured = 0  # slices in a row, to the last one, whose errors are as new as their places
        self.z = self.logits = self.noise = self.error = None

    def has(self, point: Any) -> bool:
        """Whether something is the number of a point."""
        return type(point) is int and 0 <= point < len(self.index)

    def encode(self, trainer: Trainer, state: State, whole: bool, errors: bool = False):
        """Place the next slice of the images by the averaged weights, or the whole of them.

        Reconstruction errors cost as much again, and are measured with the whole or where asked for. A frame has them
        once all slices in a row were measured.
        """
        k, d, n = trainer.config.model.num_components, trainer.config.model.latent_dim, len(self.x)
        z, logits, noise, error = self.z, self.logits, self.noise, self.error
        if z is None or z.shape != (k, n, d):
            z, logits, error = np.zeros((k, n, d), np.float32), np.zeros((n, k), np.float32), np.zeros(n, np.float32)
            noise, whole = np.random.default_rng(0).gumbel(size=(n, k)).astype(np.float32), True
        starts = range(0, len(self.x), self.slice) if whole else [self.next]
        for start in starts:
            part = slice(start, start + self.slice)
            logits[part], mean = encode(trainer.model, state.average, self.x[part])
            z[:, part] = np.swapaxes(mean, 0, 1)
            if whole or errors:
                chosen = np.asarray(lock(logits[part], state.knobs.k_active)).argmax(1)
                error[part] = misfit(trainer.model, state.average, self.x[part], mean, chosen)
        self.measured = min(SLICES, self.measured + len(starts)) if whole or errors else 0
        self.z, self.logits, self.noise, self.error = z, logits, noise, error  # at once, for who reads meanwhile
        self.next = (starts[-1] + self.slice) % n

    def frame(self, trainer: Trainer, state: State, status: str, speed: float) -> Frame:
        """One moment of training, as the view draws it."""
        knobs = state.knobs
        locked = np.asarray(lock(self.logits, knobs.k_active))
        q = softmax(locked, axis=1)
        channel = q.argmax(1)
        image = images(trainer.model, state.average, self.z, q)
        mean, sigma = image if isinstance(image, tuple) else (image, None)
        usage = np.bincount(channel, minlength=q.shape[1]) / len(channel)
        return Frame(
            step=int(state.step),
            epoch=trainer.epoch(state),
            epochs=trainer.config.train.epochs,
            tau=float(knobs.tau),
            k_active=int(knobs.k_active),
            z=plane(self.z),
            opacity=softmax((locked + self.noise) / knobs.tau, axis=1).T,
            channel=channel,
            claim=q.max(1),
            certainty=self.certainty(trainer, state, q),
            error=self.error if self.measured == SLICES else None,
            mean=np.asarray(mean),
            sigma=None if sigma is None else np.asarray(sigma),
            sigma_range=(trainer.config.model.sigma_min, trainer.config.model.sigma_max),
            usage=usage.astype(np.float32),
            images_per_second=speed,
            titles=self.titles(trainer, state, channel),
            status=status,
            sentence=self.sentence(trainer, state, q, channel, usage),
        )

    def certainty(self, trainer: Trainer, state: State, q: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
        """max_k q(k|x), times what the tau table gives the label of channel k where there is one."""
        if not labelled(trainer):
            return q.max(1)
        return np.asarray(tau.certainty(q, tau.channel_labels(np.asarray(state.tau_counts))))

    def matrix(self, trainer: Trainer, state: State) -> tuple[Float[np.ndarray, "k y"], str]:
        """Channel x label weights, and what they are: the tau counts, or without labels the points."""
        if labelled(trainer):
            return np.asarray(state.tau_counts) - trainer.config.objective.alpha0, "Tau counts, channel by label"
        known = self.labels >= 0
        q = softmax(np.asarray(lock(self.logits, state.knobs.k_active)), axis=1)
        scoring = tau.count(q[known], self.labels[known], trainer.num_classes, alpha0=1e-9)
        return np.asarray(scoring), "Training images by label (scoring)"

    def titles(self, trainer: Trainer, state: State, channel: np.ndarray) -> tuple[str, ...]:
        """The label that the tau table gives each channel; without a tau-classifier, what most of its points are."""
        if not labelled(trainer):
            return tuple(self.majority(channel == k) for k in range(len(state.tau_counts)))
        nameless = tau.unlabelled_channels(state.tau_counts, trainer.config.objective.alpha0)
        table = np.asarray(state.tau_counts).argmax(1)
        return tuple(
            "no label" if none else f'"{self.class_names[y]}"' for y, none in zip(table, nameless, strict=True)
        )

    def majority(self, chosen: np.ndarray) -> str:
        """What most of the chosen points are, by the labels that only score."""
        mine = self.labels[chosen & (self.labels >= 0)]
        return f"mostly {self.class_names[np.bincount(mine).argmax()]}" if len(mine) else ""

    def sentence(self, trainer: Trainer, state: State, q: np.ndarray, channel: np.ndarray, usage: np.ndarray) -> str:
        """What is on screen, in words."""
        k_active = int(state.knobs.k_active)
        sure = [q[channel == k, k].mean() if (channel == k).any() else 1.0 for k in range(k_active)]
        words = [f"{active_channels(usage)} of {len(usage)} channels active"]
        if k_active > 1:
            words.append(f"channel {int(np.argmin(sure))} is the least sure")
        if k_active < len(usage):
            words.append(f"{len(usage) - k_active} locked")
        known = (self.labels >= 0) & (trainer.labels[self.index] < 0)
        if known.sum() >= MINIMUM:
            accuracy = clustering_accuracy(channel[known], self.labels[known])
            words.append(f"clustering accuracy {accuracy:.3f} on {known.sum()} training images (labels only score)")
            if labelled(trainer):
                named = tau.predict(q[known], tau.channel_labels(np.asarray(state.tau_counts)))
                right = np.mean(np.argmax(named, 1) == self.labels[known])
                words.append(f"label accuracy {right:.3f} by {int((trainer.labels >= 0).sum())} labels")
        if self.z.shape[2] > 2:
            words.append(f"planes show 2 of {self.z.shape[2]} latent dimensions")
        held = [f"{name} = {getattr(state.knobs, name):.3g}" for name, hold in state.held._asdict().items() if hold]
        if held:
            words.append(f"off schedule: {', '.join(held)}")
        return "; ".join(words)


def labelled(trainer: Trainer) -> bool:
    """Whether a tau-classifier names the channels."""
    return trainer.counts_labels and bool((trainer.labels >= 0).any())


def thumbnails(images: UInt8[np.ndarray, "n h w c"]) -> UInt8[np.ndarray, "n h/f w/f c"]:
    """Means over square blocks of pixels, so that neither side is above THUMBNAIL; what is over is cut off.

    Blocks are at most as wide as the image is: one that is long and thin stays longer than THUMBNAIL.
    """
    count, height, width, channels = images.shape
    block = min(math.ceil(max(height, width) / THUMBNAIL), height, width)
    rows, columns = height // block, width // block
    blocks = images[:, : rows * block, : columns * block].reshape(count, rows, block, columns, block, channels)
    return np.rint(blocks.mean((2, 4))).astype(np.uint8) if block > 1 else images


@partial(jax.jit, static_argnums=0)
def encode(model: MixVAE, params: dict, x: Float[Array, "n h w c"]) -> tuple[Array, Array]:
    """Logits [N, K] and the latent means [N, K, D] of every channel."""
    posterior = model.apply({"params": params}, x, method="encode")
    return posterior.logits, jnp.broadcast_to(posterior.mean, (*posterior.logits.shape, posterior.mean.shape[-1]))


@partial(jax.jit, static_argnums=0)
def misfit(
    model: MixVAE, params: dict, x: Float[Array, "n h w c"], mean: Float[Array, "n k d"], channel: Int[Array, " n"]
) -> Float[Array, " n"]:
    """-log p(x|z, e) in nats, of the chosen channel at its mean latent."""
    z = jnp.take_along_axis(mean, channel[:, None, None], axis=1)[:, 0]
    return model.apply({"params": params}, z, jax.nn.one_hot(channel, model.num_components), x, method="nll")


@partial(jax.jit, static_argnums=0)
def images(model: MixVAE, params: dict, z: Float[Array, "k n d"], q: Float[Array, "n k"]) -> Any:
    """What each channel renders from the mean latent of the images it claims; from 0 where it claims none."""
    centre = jnp.einsum("nk,knd->kd", q, z) / jnp.maximum(q.sum(0)[:, None], 1e-6)
    return model.apply({"params": params}, centre, jnp.eye(model.num_components), method="decode")
