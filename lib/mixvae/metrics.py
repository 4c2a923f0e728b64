"""What a run is judged by, on held-out images: clustering, usage, separation, calibration, estimator bias.

Functions of concrete arrays. From fewer than MINIMUM images they raise TooFew, a ValueError; usage needs none.
scikit-learn and the parts of SciPy come in where they are used: at once they take a second, and a view begins without.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Float, Int

from mixvae.tau_classifier import UNLABELLED

MINIMUM = 100
SPEARMAN_PIXELS = 1_000_000


class TooFew(ValueError):
    """A figure was asked for from so few images that it would be mostly chance."""


def clustering_accuracy(channels: Int[np.ndarray, "n"], labels: Int[np.ndarray, "n"]) -> float:
    """Share of images right under the best one-to-one channel-label map (Kuhn, 1955: the Hungarian method).

    There may be more channels than labels, or fewer: what is left over is wrong. Images labelled -1 are left out.
    """
    table = _contingency(*_labelled(channels, labels))
    return float(table[scipy.optimize.linear_sum_assignment(table, maximize=True)].sum() / table.sum())


def majority_purity(channels: Int[np.ndarray, "n"], labels: Int[np.ndarray, "n"]) -> float:
    """Share of images that carry the commonest label of their channel. Images labelled -1 are left out."""
    table = _contingency(*_labelled(channels, labels))
    return float(table.max(axis=1).sum() / table.sum())


def nmi(channels: Int[np.ndarray, "n"], labels: Int[np.ndarray, "n"]) -> float:
    """I(channel; label) over the arithmetic mean of their entropies, in [0, 1]. Images labelled -1 are left out."""
    from sklearn.metrics import normalized_mutual_info_score

    return float(normalized_mutual_info_score(*_labelled(channels, labels), average_method="arithmetic"))


def ari(channels: Int[np.ndarray, "n"], labels: Int[np.ndarray, "n"]) -> float:
    """Rand index adjusted for chance (Hubert and Arabie, 1985), 0 at chance. Images labelled -1 are left out."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(*_labelled(channels, labels)))


def effective_channels(usage: Float[np.ndarray, "k"]) -> float:
    """exp(H(usage)), H in nats with 0 log 0 = 0: 1 when one channel does it all, K when all share alike.

    Raises ValueError unless the entries are non-negative and sum to 1.
    """
    return float(np.exp(scipy.special.entr(_checked_usage(usage)).sum()))


def active_channels(usage: Float[np.ndarray, "k"]) -> int:
    """The number of channels with more than 1 % of the images, or of more than ten a tenth of an even share.

    Raises as `effective_channels` does.
    """
    return int((_checked_usage(usage) > min(0.01, 0.1 / len(usage))).sum())


def plane_separation(
    z: Float[np.ndarray, "n d"], channels: Int[np.ndarray, "n"], labels: Int[np.ndarray, "n"], neighbours: int = 5
) -> float:
    """Share of images whose label is that of their nearest neighbours in the plane of the channel they are routed to.

    Leave-one-out, weighted by usage; `z` is the latent mean in the chosen channel. Images labelled -1 are left out, and
    so are channels with fewer than `neighbours + 1` images; raises TooFew where fewer than MINIMUM images remain.
    """
    from sklearn.neighbors import KNeighborsClassifier

    channels, labels, z = _labelled(channels, labels, z)
    planes = [here for c in np.unique(channels) if (here := channels == c).sum() > neighbours]
    if not planes:
        raise TooFew(f"no channel holds {neighbours + 1} of the {len(z)} images; pass more images or fewer neighbours")
    _enough(sum(map(np.count_nonzero, planes)))
    right = [
        KNeighborsClassifier(neighbours).fit(z[here], labels[here]).predict(None) == labels[here] for here in planes
    ]
    return float(np.concatenate(right).mean())


class Calibration(NamedTuple):
    """How honest sigma is. Shares are of all pixels, RMS residuals in units of x; nan where nothing can be measured."""

    mean_z2: float  # of ((x - mean) / sigma)^2 where sigma is free of its bounds: 1 is calibrated, above 1 too sure
    share_low: float  # pixels with sigma at its lower bound ...
    rms_low: float  # ... and their RMS residual, to be compared with sigma_min
    share_high: float
    rms_high: float
    ence: float  # of the pixels with a free sigma; 0 is calibrated
    spearman: float  # of sigma and |x - mean|


def calibration(
    x: Float[np.ndarray, "n *pixels"],
    mean: Float[np.ndarray, "n *pixels"],
    sigma: Float[np.ndarray, "n *#pixels"],
    sigma_min: float,
    sigma_max: float,
) -> Calibration:
    """Mean z^2 and ENCE inside (1.02 sigma_min, .98 sigma_max), the pixels at either bound, Spearman over all pixels.

    sigma may have one value an image, [N, 1, 1, 1]. ENCE = mean_b |RMSE_b - RMV_b| / RMV_b over 15 equal-count bins of
    sigma (Levi et al., 2019); at a bound sigma is not the model's word, so those pixels are in no bin. Spearman is
    taken on an evenly strided 10^6 of the pixels when there are more.
    """
    x, mean, sigma = (np.asarray(a) for a in (x, mean, sigma))
    fits = sigma.ndim == x.ndim and all(s in (1, n) for s, n in zip(sigma.shape, x.shape, strict=True))
    if x.shape != mean.shape or not fits:
        raise ValueError(f"x, mean and sigma describe different images: {x.shape}, {mean.shape} and {sigma.shape}")
    if not (0 < sigma_min < sigma_max and (sigma > 0).all()):
        raise ValueError(
            f"needs sigma > 0 and 0 < sigma_min < sigma_max, found {sigma.min():.3g}, {sigma_min} and {sigma_max}"
        )
    _enough(len(x))
    error, sigma = np.abs(x - mean).ravel(), np.broadcast_to(sigma, x.shape).ravel()
    low, high = sigma <= 1.02 * sigma_min, sigma >= 0.98 * sigma_max
    inside = ~(low | high)
    return Calibration(
        mean_z2=_rms(error[inside] / sigma[inside]) ** 2,
        share_low=float(low.mean()),
        rms_low=_rms(error[low]),
        share_high=float(high.mean()),
        rms_high=_rms(error[high]),
        ence=_ence(error[inside], sigma[inside]),
        spearman=_spearman(error, sigma, pixels=error.size // len(x)),
    )


class EstimatorBias(NamedTuple):
    """How a gradient estimator g stands to the exact gradient; lengths are L2, in units of the exact gradient's."""

    relative: float  # |E g - exact|; 0 where the draws show none
    error: float  # of `relative`: its standard error is about this at most, and a bias below it does not show
    cosine: float  # of E g and the exact gradient; nan where the draws do not tell E g from 0
    noise: float  # sqrt(E |g - E g|^2): the standard deviation of a single draw


def estimator_bias(estimate_grads: Float[np.ndarray, "s b k"], exact_grad: Float[np.ndarray, "b k"]) -> EstimatorBias:
    """Bias of a gradient estimator with respect to the logits of B images, from S independent draws of its noise.

    The mean of S draws is itself noisy: its squared distance from any point is too large by noise^2 / S on average.
    Both squares that are needed are estimated without that part,

        relative^2 = |mean - exact|^2 - noise^2 / S,   |E g|^2 = |mean|^2 - noise^2 / S,   error^2 = noise^2 / S

    with noise^2 = sum_s |g_s - mean|^2 / (S - 1). They are unbiased, and may fall below 0: the root is then 0.
    Raises ValueError for other shapes, a single draw, and an exact gradient of zero.
    """
    draws, exact = np.asarray(estimate_grads, np.float64), np.asarray(exact_grad, np.float64)
    if draws.ndim != 3 or draws.shape[1:] != exact.shape:
        raise ValueError(
            f"expected estimates [S, B, K] and an exact gradient [B, K], found {draws.shape} and {exact.shape}"
        )
    if len(draws) < 2:
        raise ValueError(f"{len(draws)} draws do not tell bias from noise; pass at least 2, better 1000")
    _enough(len(exact))
    norm = np.linalg.norm(exact)
    if norm == 0:
        raise ValueError(
            "the exact gradient is 0 everywhere, so no bias relative to it exists; "
            "unlock a second channel, or use a trained decoder"
        )
    mean, exact = draws.mean(axis=0) / norm, exact / norm
    variance = draws.var(axis=0, ddof=1).sum() / norm**2
    square, length = (np.sum(a**2) - variance / len(draws) for a in (mean - exact, mean))
    return EstimatorBias(
        relative=math.sqrt(max(0.0, square)),
        error=math.sqrt(variance / len(draws)),
        cosine=float(np.clip(np.sum(mean * exact) / math.sqrt(length), -1, 1)) if length > 0 else math.nan,
        noise=math.sqrt(variance),
    )


def _enough(n: int) -> None:
    if n < MINIMUM:
        raise TooFew(f"a figure from {n} images would be mostly chance; pass at least {MINIMUM} (labelled) images")


def _labelled(channels, labels, *others):
    """All arrays without their unlabelled images."""
    arrays = [np.asarray(a) for a in (channels, labels, *others)]
    shapes = [a.shape for a in arrays]
    if shapes[0] != shapes[1] or len({s[:1] for s in shapes}) > 1 or arrays[0].ndim != 1:
        raise ValueError(f"channels and labels are [N], one an image, found shapes {', '.join(map(str, shapes))}")
    arrays = [a[arrays[1] != UNLABELLED] for a in arrays]
    _enough(len(arrays[0]))
    return arrays


def _contingency(channels, labels):
    """Images by channel and label, those that occur."""
    (used, row), (given, column) = (np.unique(a, return_inverse=True) for a in (channels, labels))
    table = np.zeros((len(used), len(given)), int)
    np.add.at(table, (row, column), 1)
    return table


def _checked_usage(usage):
    usage = np.asarray(usage, np.float64)
    if usage.ndim != 1 or not (usage >= 0).all() or not np.isclose(usage.sum(), 1, atol=1e-4):
        raise ValueError(f"usage must be [K], non-negative, and sum to 1; found {usage}: divide by its sum")
    return usage


def _rms(values):
    return float(np.sqrt(np.mean(np.square(values), dtype=np.float64))) if values.size else math.nan


def _ence(error, sigma, bins=15):
    if len(sigma) < bins:
        return math.nan
    parts = np.array_split(np.argsort(sigma, kind="stable"), bins)
    return float(np.mean([abs(_rms(error[p]) / _rms(sigma[p]) - 1) for p in parts]))


def _spearman(error, sigma, pixels):
    """A stride prime to the pixels of an image visits every position of it."""
    stride = next(s for s in itertools.count(-(-error.size // SPEARMAN_PIXELS)) if math.gcd(s, pixels) == 1)
    error, sigma = error[::stride], sigma[::stride]
    return (
        math.nan if np.ptp(error) == 0 or np.ptp(sigma) == 0 else float(scipy.stats.spearmanr(error, sigma).statistic)
    )
