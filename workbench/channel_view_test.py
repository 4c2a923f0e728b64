"""The message of ChannelView, read back byte by byte, and what `show` and `set_points` refuse."""

import gzip
import json
import re

import numpy as np
import pytest

from workbench.atlas import Atlas
from workbench.channel_view import BEYOND, EDGE, PALETTE, ChannelView, Frame, class_colours

K, N, H, W, C = 5, 7, 20, 30, 3
LOW, HIGH = 0.05, 0.5


def make_frame(**changes) -> Frame:
    rng = np.random.default_rng(0)
    frame = Frame(
        step=np.int64(12),
        epoch=0.4,
        epochs=30,
        tau=np.float32(0.5),
        k_active=3,
        z=rng.uniform(-2.9, 2.9, (K, N, 2)).astype(np.float32),
        opacity=rng.random((K, N), np.float32),
        channel=np.arange(N) % 3,
        certainty=rng.random(N, np.float32),
        error=rng.uniform(80, 300, N).astype(np.float32),
        mean=rng.random((K, H, W, C), np.float32),
        sigma=rng.uniform(LOW, HIGH, (K, H, W, C)).astype(np.float32),
        sigma_range=(LOW, HIGH),
        usage=np.full(K, 1 / K, np.float32),
        images_per_second=2000.0,
        titles=('"7"', "mostly 4", "", "", "Zürich, 東"),
        status="training",
        sentence="3 of 5 channels active",
    )
    return frame._replace(**changes)


def sent(frame: Frame) -> dict:
    """What a browser finds in the message: the header's entries and the arrays."""
    view = ChannelView()
    view.show(frame)
    message = view.frame
    at = 4 + int.from_bytes(message[:4], "little")
    header = json.loads(message[4:at])
    assert at % 4 == 0
    k, n = header["shape"]
    parts = {"z": ("<i2", (k, n, 2)), "opacity": ("u1", (k, n)), "channel": ("u1", (n,))}
    parts |= {"certainty": ("u1", (n,)), "error": ("u1", (n,))}
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
    np.testing.assert_allclose(got["certainty"] / 255, frame.certainty, atol=0.51 / 255)
    low, high = got["errors"]
    error = low + got["error"] / 255 * (high - low)
    np.testing.assert_allclose(error, np.clip(frame.error, low, high), atol=0.51 / 255 * (high - low))
    np.testing.assert_allclose(got["mean"] / 255, frame.mean, atol=0.51 / 255)
    sigma = LOW + got["sigma_map"] / 255 * (HIGH - LOW)
    np.testing.assert_allclose(sigma, frame.sigma.mean(-1), atol=0.51 / 255 * (HIGH - LOW))
    assert (got["channel"] == frame.channel).all()


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


def test_scale_follows_the_points_in_their_own_channel_and_moves_slowly():
    frame = make_frame()
    foreign = np.arange(K)[:, None] != frame.channel
    assert sent(make_frame(z=np.where(foreign[..., None], 100.0, frame.z)))["scale"] == 3.0
    view, scales = ChannelView(), []
    for factor in (1, 4, 4, 4):
        view.show(make_frame(z=np.full((K, N, 2), 2.0 * factor)))
        scales.append(view._scale)
    assert scales[0] == 3.0
    assert np.all(np.diff(scales) > 0) and scales[1] < 4.0 and scales[-1] < 8.0


def test_a_frame_is_one_message_and_the_status_needs_no_frame():
    view, messages = ChannelView(), []
    view.send_state = lambda key=None: messages.append(set(key) if isinstance(key, set) else {key})
    view.show(make_frame())
    view.say("compiling: a new decoder")
    assert messages == [{"frame", "status"}, {"status"}]
    assert view.status == "compiling: a new decoder"


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
def test_show_says_what_it_expected_and_what_it_found(changes, message):
    view = ChannelView()
    with pytest.raises(ValueError, match=re.escape(message)):
        view.show(make_frame(**changes))
    assert view.frame == b""


def test_points_have_a_colour_for_every_name_and_fix_the_number_of_points():
    view = ChannelView()
    images = np.arange(N * H * W * C, dtype=np.uint8).reshape(N, H, W, C)
    view.set_points(np.array([0, 1, 2, -1, 0, 1, 2]), ("cat", "<b>dog</b>", "eel"), images)
    assert view.points["image"] == [H, W, C] and gzip.decompress(view.images) == images.tobytes()
    assert view.points["labels"] == [0, 1, 2, -1, 0, 1, 2] and view.points["names"] == ["cat", "<b>dog</b>", "eel"]
    assert len(view.points["colours"]) == 3
    view.show(make_frame())
    view.set_points(np.zeros(N + 1, int), ("cat",), images)
    with pytest.raises(ValueError, match="expected the 8 points of set_points, found 7"):
        view.show(make_frame())
    with pytest.raises(ValueError, match=re.escape("expected -1 to 1, one name a class, found [2, 3]")):
        view.set_points(np.array([0, 3, 2]), ("cat", "dog"), images)


def test_an_atlas_comes_back_within_half_a_quantum():
    rng = np.random.default_rng(1)
    mean, sigma = rng.random((K, 4, 4, H, W, C)), rng.uniform(LOW, HIGH, (K, 4, 4, 1, 1, 1))
    view = ChannelView()
    view.show_atlas(Atlas(2.5, mean, sigma, (LOW, HIGH)))
    sent = gzip.decompress(view.atlas)
    at = 4 + int.from_bytes(sent[:4], "little")
    header, body = json.loads(sent[4:at]), np.frombuffer(sent[at:], np.uint8)
    assert header == {"scale": 2.5, "shape": [K, 4], "image": [H, W, C], "sigma": [1, 1]}
    np.testing.assert_allclose(body[: mean.size] / 255, mean.ravel(), atol=0.51 / 255)
    found = LOW + body[mean.size :] / 255 * (HIGH - LOW)
    np.testing.assert_allclose(found, sigma.ravel(), atol=0.51 / 255 * (HIGH - LOW))


def test_colours_are_distinct_also_beyond_the_palette():
    assert class_colours(3) == list(PALETTE[:3])
    many = class_colours(100)
    assert len(set(many)) == 100 and all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in many)


def test_what_the_browser_asks_for_is_heard():
    view, heard = ChannelView(), []
    view.listen(heard.append)
    view.show_moments([{"epoch": 0.5, "event": ""}, {"epoch": 1.5, "event": "K_active 2 to 5"}])
    view.request = {"do": "undo", "id": "1"}
    view.moment = 1
    assert heard == [{"do": "undo", "id": "1"}, {"do": "go", "moment": 1}]
    view.show_moments([{"epoch": 0.1, "event": ""}])
    assert view.moment == -1  # another run: nothing of the old one's past is left on screen


def test_the_frames_of_a_past_are_sent_with_it_where_they_are_known():
    view, moments = ChannelView(), [{"epoch": 0.5, "event": ""}, {"epoch": 1.5, "event": ""}]
    view.show_moments(moments, [b"half", b"one and a half"])
    assert view.film == b"\x04\0\0\0half" + b"\x0e\0\0\0one and a half"
    view.show_moments([*moments, {"epoch": 2.0, "event": ""}])
    assert view.film == b"" and len(view.moments) == 3
