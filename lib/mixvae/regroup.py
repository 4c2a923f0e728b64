"""Regrouping: a part of a channel whose images look like another channel's moves there.

No view brings together what views keep apart: a kind of images that went to a wrong channel early, such as sevens with
a crossbar to the twos, is as sure of its channel and as invariant there as it would be in the right one. Pixels tell.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Array, Float, Int
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from mixvae.inference import responsibilities, router_features
from mixvae.model import MixVAE

PARTS = 6  # of a channel
NEIGHBOURS = 5  # of an image
TIMES = 3.0  # as many neighbours in another channel as in its own move a part


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
        moved = regroup(features, channel, np.asarray(x).reshape(len(x), -1))
        if (moved == channel).all() or len(np.unique(moved)) < 2:  # between one channel there is no choice to fit
            return params
        both = np.concatenate([features, router_features(model, params, views)])
        router = fitted_router(both, np.concatenate([moved, moved]), model.num_components)
    encoder = params["encoder"]
    return params | {"encoder": encoder | {"posterior": encoder["posterior"] | {"router": router}}}


def regroup(
    features: Float[np.ndarray, "n f"], channel: Int[np.ndarray, "n"], pixels: Float[np.ndarray, "n p"]
) -> Int[np.ndarray, "n"]:
    """The channels [N] after every part with TIMES as many nearest neighbours in another channel has moved there.

    Neighbours are those of a part's images among all other images, by distance in pixels: its own crossed sevens are
    nearest to a crossed seven, and would say nothing of where they belong.
    """
    moved = channel.copy()
    for part in parts(features, channel):
        others = np.setdiff1d(np.arange(len(pixels)), part)
        if len(others) < NEIGHBOURS:
            continue
        nearest = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(pixels[others])
        theirs = channel[others[nearest.kneighbors(pixels[part], return_distance=False)]]
        found = np.bincount(theirs.ravel(), minlength=channel.max() + 1)
        if found.max() >= TIMES * found[channel[part[0]]]:
            moved[part] = found.argmax()
    return moved


def parts(features: Float[np.ndarray, "n f"], channel: Int[np.ndarray, "n"]) -> Iterator[Int[np.ndarray, "m"]]:
    """The images of each of PARTS clusters of every channel, by k-means of what the router reads; none of a channel
    with fewer than two images a part.
    """
    for k in np.unique(channel):
        mine = np.flatnonzero(channel == k)
        if len(mine) >= 2 * PARTS:
            cluster = KMeans(PARTS, n_init=3, random_state=0).fit_predict(features[mine])
            yield from (mine[cluster == part] for part in np.unique(cluster))


def fitted_router(
    features: Float[np.ndarray, "n f"], channel: Int[np.ndarray, "n"], num_components: int
) -> dict[str, Float[np.ndarray, "..."]]:
    """The router's last layer by logistic regression; a channel without images is as likely as the rarest."""
    fit = LogisticRegression(tol=1e-2).fit(features, channel)
    coefficients, intercepts = fit.coef_, fit.intercept_
    if len(fit.classes_) == 2:  # one row for the second class, against 0 for the first
        coefficients, intercepts = np.stack([0 * coefficients[0], coefficients[0]]), np.array([0.0, intercepts[0]])
    kernel = np.zeros((features.shape[1], num_components), np.float32)
    bias = np.full(num_components, intercepts.min(), np.float32)
    kernel[:, fit.classes_], bias[fit.classes_] = coefficients.T, intercepts
    return {"kernel": kernel, "bias": bias}
