"""Regrouping: a part of a channel whose images look like another channel's moves there.

No view brings together what views keep apart: a kind of images that went to a wrong channel early, such as sevens with
a crossbar to the twos, is as sure of its channel and as invariant there as it would be in the right one. Pixels tell.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped, UInt8
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from mixvae.data import sample
from mixvae.inference import responsibilities, router_features
from mixvae.model import MixVAE
from mixvae.on_disk import OnDisk
from mixvae.tau_classifier import UNLABELLED


class Grain(NamedTuple):
    """How finely channels are parted, and how sure it must be that a part is astray."""

    parts: int  # of a channel
    times: float  # as many neighbours in another channel as in its own move a part


COARSE = Grain(6, 3.0)  # all that a router of an epoch bears
FINE = Grain(24, 2.0)  # for one that is trained, by all images

NEIGHBOURS = 5  # of an image
ASKED = 100  # images of a part, at most
AMONG = 6_000  # images that neighbours are looked for among: of more, a kind's own stragglers are the nearest
MOST = 60_000  # images that have self-labels


def regrouped(
    model: MixVAE, params: Any, x: Float[Array, "n h w c"], views: Float[Array, "n h w c"], k_active: int
) -> Any:
    """Weights whose router sends every astray part of a channel to the channel that it looks like.

    The router's last layer alone is new, fitted to the images and their views; where no part is astray, or all images
    would be in one channel, nothing is.
    """
    channel = responsibilities(model, params, x, k_active).argmax(1)
    features = router_features(model, params, x)
    with threadpool_limits(1):  # sums of several threads differ in their last bit
        moved = regroup(features, channel, np.asarray(x), COARSE)
        if (moved == channel).all() or len(np.unique(moved)) < 2:  # between one channel there is no choice to fit
            return params
        both = np.concatenate([features, router_features(model, params, views)])
        router = fitted_router(both, np.concatenate([moved, moved]), model.num_components)
    encoder = params["encoder"]
    return params | {"encoder": encoder | {"posterior": encoder["posterior"] | {"router": router}}}


def self_labels(model: MixVAE, params: Any, x: UInt8[Array | OnDisk, "n h w c"], k_active: int) -> Int[np.ndarray, "n"]:
    """The channel of every image, after those of astray parts have changed; of more than MOST images, of some alone.

    The others have -1.
    """
    x, labels = x if isinstance(x, OnDisk) else np.asarray(x), np.full(len(x), UNLABELLED, np.int32)
    some = sample(len(x), MOST)
    images = x[some]
    channel = responsibilities(model, params, images, k_active).argmax(1)
    features = router_features(model, params, images)
    with threadpool_limits(1):
        for grain in (COARSE, FINE):  # a kind that fills several fine parts has its own beside each
            channel = regroup(features, channel, images, grain)
    labels[some] = channel
    return labels


def regroup(
    features: Float[np.ndarray, "n f"], channel: Int[np.ndarray, "n"], images: np.ndarray | OnDisk, grain: Grain
) -> Int[np.ndarray, "n"]:
    """The channels [N] after every part with `grain.times` as many nearest neighbours in another channel moved there.

    Neighbours are those of a part's images among all other images [N, ...], by distance in pixels: its own crossed
    sevens are nearest to a crossed seven, and would say nothing of where they belong.
    """
    moved, among = channel.copy(), sample(len(images), AMONG)
    others = jnp.asarray(flat(images[among]))
    for part in parts(features, channel, grain.parts):
        outside = np.isin(among, part, invert=True)
        if outside.sum() < NEIGHBOURS:
            continue
        asked = part[np.linspace(0, len(part) - 1, ASKED).astype(int)]  # of a small part, images more than once
        theirs = channel[among[nearest(flat(images[asked]), others, outside)]]
        found = np.bincount(theirs.ravel(), minlength=channel.max() + 1)
        if found.max() >= grain.times * found[channel[part[0]]]:
            moved[part] = found.argmax()
    return moved


def flat(images: np.ndarray | OnDisk) -> Shaped[np.ndarray, "n p"]:
    """The pixels of every image in a row; only here are those on disk read."""
    return np.asarray(images).reshape(len(images), -1)


@jax.jit
def nearest(x: Array, others: Array, allowed: Bool[Array, "n"]) -> Int[Array, "m NEIGHBOURS"]:
    """The nearest of those `others` [N, P] that are allowed, for each of `x` [M, P]."""
    x, others = x.astype(jnp.float32), others.astype(jnp.float32)
    distance = jnp.sum(others**2, axis=1) - 2 * jnp.matmul(x, others.T, precision="highest")  # and |x|^2, squared
    return jax.lax.top_k(jnp.where(allowed, -distance, -jnp.inf), NEIGHBOURS)[1]


def parts(
    features: Float[np.ndarray, "n f"], channel: Int[np.ndarray, "n"], count: int
) -> Iterator[Int[np.ndarray, "m"]]:
    """The images of each of `count` clusters of every channel, by k-means of what the router reads; none of a channel
    with fewer than two images a part.
    """
    for k in np.unique(channel):
        mine = np.flatnonzero(channel == k)
        if len(mine) >= 2 * count:
            cluster = KMeans(count, n_init=3, random_state=0).fit_predict(features[mine])
            yield from (mine[cluster == part] for part in np.unique(cluster))


def fitted_router(
    features: Float[np.ndarray, "n f"], channel: Int[np.ndarray, "n"], num_components: int
) -> dict[str, Float[np.ndarray, "..."]]:
    """The router's last layer by logistic regression; that of a channel without images is the least bias alone."""
    fit = LogisticRegression(tol=1e-2).fit(features, channel)
    coefficients, intercepts = fit.coef_, fit.intercept_
    if len(fit.classes_) == 2:  # one row alone, of the second class less the first
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    kernel = np.zeros((features.shape[1], num_components), np.float32)
    bias = np.full(num_components, intercepts.min(), np.float32)
    kernel[:, fit.classes_], bias[fit.classes_] = coefficients.T, intercepts
    return {"kernel": kernel, "bias": bias}
