"""The message of a frame, read back byte by byte, and which frames are refused."""

import json
import re

import numpy as np
import pytest

from workbench.example_frames import HIGH, LOW, C, H, K, N, W, make_frame
from workbench.frame import BEYOND, EDGE, Frame, check, encode, frame_scale


def sent(frame: Frame) -> dict:
    """What a browser finds in the message: the header's entries and the arrays."""
    message = encode(frame, frame_scale(frame))
    at = 4 + int.from_bytes(message[:4], "little")
    header = json.loads(message[4:at])
    assert at % 4 == 0
    k, n = header["shape"]
    parts = {"z": ("<i2", (k, n, 2)), "opacity": ("u1", (k, n)), "channel": ("u1", (n,))}
    parts |= dict.fromkeys(("claim", "certainty", "error"), ("u1", (n,)))
    parts["mean"] = ("u1", (k, *header["image"]))
    if header["sigma"]:
        parts["sigma_map"] = ("u1", (k, *header["sigma"]))
    for name, (dtype, shape) in parts.items():
        header[name] = np.frombuffer(message, dtype, int(np.prod(shape)), at).reshape(shape)
        at += header[name].nbytes
    assert at == len(message)
    return header


def test_every_array_comes_back_within_half_a_quantum():
    frame, got = make_frame(), sent(make_frame())
    np.testing.assert_allclose(got["z"] * got["scale"] / EDGE, frame.z, atol=0.51 * got["scale"] / EDGE)
    np.testing.assert_allclose(got["opacity"] / 255, frame.opacity, atol=0.51 / 255)
    np.testing.assert_allclose(got["claim"] / 255, frame.claim, atol=0.51 / 255)
    np.testing.assert_allclose(got["certainty"] / 255, frame.certainty, atol=0.51 / 255)
    low, high = got["errors"]
    error = low + got["error"] / 255 * (high - low)
    np.testing.assert_allclose(error, np.clip(frame.error, low, high), atol=0.51 / 255 * (high - low))
    np.testing.assert_allclose(got["mean"] / 255, frame.mean, atol=0.51 / 255)
    sigma = LOW + got["sigma_map"] / 255 * (HIGH - LOW)
    np.testing.assert_allclose(sigma, frame.sigma.mean(-1), atol=0.51 / 255 * (HIGH - LOW))
    assert (got["channel"] == frame.channel).all()


def test_what_is_too_faint_to_be_drawn_is_sent_as_zeros_but_not_where_a_point_is_at_home():
    opacity = np.full((K, N), 0.5)
    opacity[1:4, 2] = 0.012, 3.49 / 255, 3.51 / 255
    frame = make_frame(z=np.ones((K, N, 2)), opacity=opacity, channel=np.full(N, 1))
    got = sent(frame)
    assert got["opacity"][:, 2].tolist() == [128, 0, 0, 4, 128]
    assert (got["z"] != 0).all(-1)[:, 2].tolist() == [True, True, False, True, True]
    assert (np.delete(got["z"], 2, axis=1) != 0).all()


def test_header_carries_the_numbers_and_the_words():
    frame, got = make_frame(), sent(make_frame())
    for name in ("step", "epoch", "epochs", "tau", "k_active", "images_per_second", "sentence"):
        assert got[name] == getattr(frame, name)
    assert tuple(got["titles"]) == frame.titles and got["sigma_range"] == [LOW, HIGH]
    np.testing.assert_allclose(got["usage"], frame.usage)
    assert got["image"] == [H, W, C] and got["sigma"] == [H, W]
    assert "status" not in got  # it has a trait of its own, so that it can change without a frame


@pytest.mark.parametrize("letters", range(4))
def test_arrays_begin_at_a_multiple_of_four_whatever_the_length_of_the_words(letters):
    assert sent(make_frame(sentence="é" * letters))["z"].shape == (K, N, 2)


def test_sigma_may_be_one_an_image_or_none():
    one = np.linspace(LOW, HIGH, K, dtype=np.float32)[:, None, None, None]
    assert sent(make_frame(sigma=one))["sigma_map"].ravel().tolist() == [0, 64, 128, 191, 255]
    assert sent(make_frame(sigma=None))["sigma"] is None


def test_errors_may_be_missing_and_few_far_ones_do_not_stretch_their_scale():
    assert sent(make_frame(error=None))["errors"] is None
    low, high = sent(make_frame(error=np.linspace(100, 200, N)))["errors"]
    assert 100 < low < 102 and 198 < high < 200


def test_points_outside_the_plane_are_marked_and_those_on_its_edge_are_not():
    z = make_frame().z.copy()
    z[4, 6] = 3.0, -3.0
    z[4, 5] = 3.001, -50.0
    got = sent(make_frame(z=z))
    assert got["scale"] == 3.0
    assert got["z"][4, 6].tolist() == [EDGE, -EDGE] and got["z"][4, 5].tolist() == [BEYOND, -BEYOND]
    assert np.sum(np.abs(got["z"]) == BEYOND) == 2


def test_scale_follows_the_points_in_their_own_channel():
    frame = make_frame()
    foreign = np.arange(K)[:, None] != frame.channel
    assert frame_scale(make_frame(z=np.where(foreign[..., None], 100.0, frame.z))) == 3.0
    assert 7.0 < frame_scale(make_frame(z=np.where(foreign[..., None], 0.0, 4 * frame.z))) < 12.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"z": np.zeros((K, N, 3))}, r"z: expected shape [K, N, 2], found (5, 7, 3)"),
        ({"z": np.zeros((K, 0, 2))}, r"z: expected shape [K, N, 2], found (5, 0, 2)"),
        ({"opacity": np.zeros((N, K))}, r"opacity: expected shape (5, 7), found (7, 5)"),
        ({"channel": np.zeros(K, int)}, r"channel: expected shape (7,), found (5,)"),
        ({"channel": np.full(N, K)}, r"channel: expected 0 to 4, found 5 to 5"),
        ({"mean": np.zeros((K, H, W))}, r"mean: expected shape [K, H, W, C] = (5, H, W, 1 or 3), found (5, 20, 30)"),
        ({"mean": np.zeros((K, H, W, 2))}, r"found (5, 20, 30, 2)"),
        (
            {"sigma": np.zeros((K, H, W, 1))},
            r"sigma: expected shape (5, 20, 30, 3) or (5, 1, 1, 1), found (5, 20, 30, 1)",
        ),
        ({"sigma_range": (0.5, 0.5)}, r"sigma_range: expected low < high, found (0.5, 0.5)"),
        ({"certainty": np.zeros(K)}, r"certainty: expected shape (7,), found (5,)"),
        ({"error": np.full(N, np.inf)}, r"error: expected finite numbers, found 7 that are not"),
        ({"usage": np.zeros(N)}, r"usage: expected shape (5,), found (7,)"),
        ({"titles": ("a", "b")}, r"titles: expected shape (5,), found (2,)"),
        ({"opacity": np.full((K, N), np.nan)}, r"opacity: expected finite numbers, found 35 that are not"),
    ],
)
def test_a_frame_that_does_not_hold_together_is_refused_with_what_was_expected_and_found(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        check(make_frame(**changes), 0)
