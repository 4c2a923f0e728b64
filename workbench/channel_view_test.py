"""What a view is shown and sent, and what of it it refuses."""

import gzip
import json
import re
from inspect import signature

import numpy as np
import pytest
from ipywidgets.widgets.widget import _instances

from workbench.atlas import Atlas
from workbench.channel_view import PALETTE, ChannelView, class_colours
from workbench.example_frames import HIGH, LOW, C, H, K, N, W, make_frame
from workbench.example_screen import Screen


def test_the_scale_moves_slowly_while_training_and_at_once_where_a_frame_is_settled():
    view, scales = ChannelView(), []
    for factor, settled in ((1, False), (4, False), (4, False), (4, False), (4, True), (5, True)):
        view.show(make_frame(z=np.full((K, N, 2), 2.0 * factor)), settled)
        scales.append(view.scale)
    assert scales[0] == 3.0
    assert np.all(np.diff(scales) > 0) and scales[1] < 4.0 and scales[3] < 8.0 and scales[4:] == [8.0, 10.0]


def test_a_frame_is_one_message_and_the_status_needs_no_frame():
    view, messages = ChannelView(), []
    view.send_state = lambda key=None: messages.append(set(key) if isinstance(key, set) else {key})
    view.show(make_frame())
    view.say("compiling: a new decoder")
    assert messages == [{"frame", "number", "status"}, {"status"}]
    assert view.status == "compiling: a new decoder"


def test_a_view_keeps_up_while_its_browser_paints_frames_in_time_and_is_not_waited_for_longer(monkeypatch):
    view, now = ChannelView(), 100.0
    monkeypatch.setattr("workbench.channel_view.time.monotonic", lambda: now)

    def show(later):
        nonlocal now
        now += later
        view.show(make_frame())
        return view.keeps_up()

    def told(number):
        view._handle_msg({"content": {"data": {"method": "custom", "content": {"painted": number}}}, "buffers": []})

    heard = []
    view.once_watched(lambda: heard.append(view.number))
    assert show(0.0) and show(9.0) and show(9.0)  # no browser has ever answered
    assert not heard
    told(3)
    assert show(0.1) and show(0.1) and show(0.1)  # the oldest waits for 0.2 seconds
    told(4)
    assert show(0.1) and not show(0.1)
    told(6)
    assert view.keeps_up() and show(0.0) and not show(0.3)
    now += 1.1
    assert view.keeps_up()  # as where the page is in the background
    assert not show(0.0)
    told(11)
    assert view.keeps_up() and heard == [3]


def test_a_view_that_is_closed_takes_its_layout_along():
    before = {*_instances}
    view = ChannelView()
    made = {*_instances} - before
    assert len(made) == 2
    view.close()
    assert not made & {*_instances}


@pytest.mark.parametrize("message", [{"painted": 1}, {"painted": 0}, {"painted": "1"}, {"paint": 1}, "painted", None])
def test_word_of_a_frame_that_was_never_sent_is_refused(message):
    view = ChannelView()
    with pytest.raises(ValueError, match="which means nothing"):
        view._hear(view, message, [])


def test_a_frame_that_is_refused_leaves_the_view_as_it_was():
    view = ChannelView()
    with pytest.raises(ValueError, match="certainty: expected shape"):
        view.show(make_frame(certainty=np.zeros(K)))
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
    view.show_atlas(Atlas(2.5, mean, sigma, (LOW, HIGH), 2))
    sent = gzip.decompress(view.atlas)
    at = 4 + int.from_bytes(sent[:4], "little")
    header, body = json.loads(sent[4:at]), np.frombuffer(sent[at:], np.uint8)
    assert header == {"scale": 2.5, "dimensions": 2, "shape": [K, 4], "image": [H, W, C], "sigma": [1, 1]}
    np.testing.assert_allclose(body[: mean.size] / 255, mean.ravel(), atol=0.51 / 255)
    found = LOW + body[mean.size :] / 255 * (HIGH - LOW)
    np.testing.assert_allclose(found, sigma.ravel(), atol=0.51 / 255 * (HIGH - LOW))


@pytest.mark.parametrize("name", [name for name in vars(Screen) if name[0] != "_" and name in vars(ChannelView)])
def test_the_screen_of_other_tests_takes_what_the_view_takes(name):
    screen, view = (signature(getattr(kind, name)).parameters.values() for kind in (Screen, ChannelView))
    assert [(p.name, p.kind, p.default) for p in screen] == [(p.name, p.kind, p.default) for p in view]


def test_colours_are_distinct_also_beyond_the_palette():
    assert class_colours(3) == list(PALETTE[:3])
    many = class_colours(100)
    assert len(set(many)) == 100 and all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in many)


def test_what_the_browser_asks_for_is_heard():
    view, heard = ChannelView(), []
    view.listen(heard.append)
    view.show_moments([{"epoch": 0.5, "event": ""}, {"epoch": 1.5, "event": "K_active 2 to 5"}])
    view._hear(view, {"do": "undo"}, [])
    view.moment = 1
    assert heard == [{"do": "undo"}, {"do": "go", "moment": 1}]
    view.show_moments([{"epoch": 0.1, "event": ""}])
    assert view.moment == -1  # another run: nothing of the old one's past is left on screen


def test_who_looks_at_a_moment_stays_there_while_the_film_is_thinned():
    view = ChannelView()
    moments = [{"epoch": epoch / 2, "event": ""} for epoch in range(9)]
    view.show_moments(moments)
    view.moment = 4
    view.show_moments(moments[::2])
    assert view.moment == 2 and view.moments[2]["epoch"] == 2.0
    view.show_moments(moments[::3])
    assert view.moment == -1


def test_a_moment_that_no_longer_is_leads_back_to_the_present():
    view = ChannelView()
    view.show_moments([{"epoch": 0.5, "event": ""}, {"epoch": 1.5, "event": ""}])
    view.moment = 57  # of a browser that has not heard of another run
    view.show_moments([{"epoch": 0.1, "event": ""}, {"epoch": 0.2, "event": ""}])
    assert view.moment == -1


def test_the_frames_of_a_past_are_sent_with_it_where_they_are_known():
    view, moments = ChannelView(), [{"epoch": 0.5, "event": ""}, {"epoch": 1.5, "event": ""}]
    view.show_moments(moments, [b"half", b"one and a half"])
    assert gzip.decompress(view.film) == b"\x04\0\0\0half" + b"\x0e\0\0\0one and a half"
    view.show_moments([*moments, {"epoch": 2.0, "event": ""}])
    assert view.film == b"" and len(view.moments) == 3
