"""One moment of training, checked, and as the bytes that a view is sent.

    u32 header length | JSON header, spaces up to a multiple of 4 | int16 z [K, N, 2] | uint8 opacity [K, N]
    | uint8 channel [N] | uint8 claim [N] | uint8 certainty [N] | uint8 error [N] | uint8 mean [K, H, W, C]
    | uint8 sigma [K, h, w], where there is one

Little-endian throughout. 1.0 is 255; `errors` and `sigma_range` span 0 to 255, sigma averaged over a pixel's colours. A
latent at `scale` from the origin is EDGE; one beyond it is BEYOND, which the canvas draws hollow on the plane's edge.
Where opacity is below FAINTEST it is 0, and nothing drawn; z is 0 there, but in the point's own channel: a server packs
what it sends, and zeros are soon packed.
"""

import json
import struct
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8

EDGE, BEYOND = 32766, 32767
MOST_CHANNELS = 256  # as a byte names them
FAINTEST = 4
LEAST_SCALE, COVERED = 3.0, 99.5
HEADER = ("step", "epoch", "epochs", "tau", "k_active", "sigma_range", "usage", "images_per_second", "titles")


class Frame(NamedTuple):
    """One moment of training; locked channels are those from `k_active` on."""

    step: int
    epoch: float
    epochs: int
    tau: float
    k_active: int
    z: Float[np.ndarray, "k n 2"]  # posterior means of N fixed images in every channel's plane
    opacity: Float[np.ndarray, "k n"]  # softmax((l + g) / tau), g fixed
    channel: Int[np.ndarray, " n"]  # argmax q(c|x)
    claim: Float[np.ndarray, " n"]  # max q(c|x)
    certainty: Float[np.ndarray, " n"]  # the claim, times what labels say of its channel where there are some
    error: Float[np.ndarray, " n"] | None  # -log p(x|z, e) of the chosen channel, nats
    mean: Float[np.ndarray, "k h w c"]  # what each channel decodes, in [0, 1]
    sigma: Float[np.ndarray, "k h w c"] | None  # [K, 1, 1, 1] where an image has one
    sigma_range: tuple[float, float]
    usage: Float[np.ndarray, " k"]  # share of the images
    images_per_second: float
    titles: tuple[str, ...]  # what stands behind each channel's share, such as '"7"'
    status: str
    sentence: str


def check(frame: Frame, points: int) -> None:
    """Raise ValueError where `frame` does not hold together, or does not hold `points` points (0: any number)."""
    if np.ndim(frame.z) != 3 or np.shape(frame.z)[2] != 2 or 0 in np.shape(frame.z):
        raise ValueError(f"z: expected shape [K, N, 2], found {np.shape(frame.z)}")
    k, n, _ = frame.z.shape
    if k > MOST_CHANNELS:
        raise ValueError(f"z: a view shows {MOST_CHANNELS} channels at most, found {k}")
    if points and n != points:
        raise ValueError(f"z: expected the {points} points of set_points, found {n}")
    if np.ndim(frame.mean) != 4 or frame.mean.shape[0] != k or frame.mean.shape[3] not in (1, 3):
        raise ValueError(f"mean: expected shape [K, H, W, C] = ({k}, H, W, 1 or 3), found {np.shape(frame.mean)}")
    shapes = {"opacity": [(k, n)], "usage": [(k,)], "titles": [(k,)]}
    shapes |= {name: [(n,)] for name in ("channel", "claim", "certainty")}
    if frame.error is not None:
        shapes["error"] = [(n,)]
    if frame.sigma is not None:
        shapes["sigma"] = [frame.mean.shape, (k, 1, 1, 1)]
    for name, expected in shapes.items():
        if (found := np.shape(getattr(frame, name))) not in expected:
            raise ValueError(f"{name}: expected shape {' or '.join(map(str, expected))}, found {found}")
    check_values(frame)


def check_values(frame: Frame) -> None:
    """Raise ValueError for a channel that does not exist, an empty range, or a number that is not finite."""
    low, high = int(np.min(frame.channel)), int(np.max(frame.channel))
    if not 0 <= low <= high < len(frame.z):
        raise ValueError(f"channel: expected 0 to {len(frame.z) - 1}, found {low} to {high}")
    if not frame.sigma_range[0] < frame.sigma_range[1]:
        raise ValueError(f"sigma_range: expected low < high, found {frame.sigma_range}")
    optional = [name for name in ("sigma", "error") if getattr(frame, name) is not None]
    for name in ("z", "opacity", "claim", "certainty", "mean", "usage", *optional):
        if bad := int(np.sum(~np.isfinite(getattr(frame, name)))):
            raise ValueError(f"{name}: expected finite numbers, found {bad} that are not; did training diverge?")


def frame_scale(frame: Frame) -> float:
    """Half the width of every plane, in units of the latent: nearly all points are inside their own channel's plane."""
    owned = frame.z[frame.channel, np.arange(len(frame.channel))]
    return max(LEAST_SCALE, float(np.percentile(np.abs(owned), COVERED)))


def encode(frame: Frame, scale: float) -> bytes:
    """The message, as the head of this file lays it out."""
    header = {name: getattr(frame, name) for name in HEADER}
    header |= {"shape": frame.z.shape[:2], "image": frame.mean.shape[1:], "sentence": frame.sentence, "scale": scale}
    header["ms"] = time.time_ns() // 1_000_000
    error, header["errors"] = spread(frame.error, len(frame.channel))
    opacity, z = fractions(frame.opacity), coordinates(frame.z, scale)
    opacity[opacity < FAINTEST] = 0
    own = frame.channel == np.arange(len(z))[:, None]
    z[(opacity == 0) & ~own] = 0
    shares = map(fractions, (frame.claim, frame.certainty, error))
    points = z, opacity, frame.channel.astype(np.uint8), *shares
    return message(header, frame.mean, frame.sigma, frame.sigma_range, points)


def message(
    header: dict[str, Any],
    mean: Float[np.ndarray, "*k h w c"],
    sigma: Float[np.ndarray, "*k h w c"] | None,
    sigma_range: tuple[float, float],
    arrays: Sequence[np.ndarray] = (),
) -> bytes:
    """Header, arrays and images in one; the header says how large a map of sigma is, if there is one."""
    header = header | {"sigma": None if sigma is None else sigma.shape[-3:-1]}
    text = json.dumps(header, default=lambda value: np.asarray(value).tolist(), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    low, high = sigma_range
    images = [fractions(mean)] if sigma is None else [fractions(mean), fractions((sigma.mean(-1) - low) / (high - low))]
    return struct.pack("<I", len(text)) + text + b"".join(array.tobytes() for array in (*arrays, *images))


def spread(values: Float[np.ndarray, " n"] | None, count: int) -> tuple[np.ndarray, tuple[float, float] | None]:
    """Values as shares of the way from their 1st to their 99th percentile, and these two; None for no values."""
    if values is None:
        return np.zeros(count), None
    low, high = np.percentile(values, (1, 99))
    return (values - low) / max(high - low, 1e-9), (float(low), float(high))


def coordinates(z: Float[np.ndarray, "*n"], scale: float) -> Int[np.ndarray, "*n"]:
    """z / scale in int16, where 1 is EDGE and all beyond it BEYOND."""
    return np.clip(np.rint(z * (EDGE / scale)), -BEYOND, BEYOND).astype("<i2")


def fractions(values: Float[np.ndarray, "*n"]) -> UInt8[np.ndarray, "*n"]:
    """[0, 1] in a byte, clipped."""
    return np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8)
