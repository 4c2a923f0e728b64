"""Which moments of a run are kept, how they are thinned, and that they come back from disk."""

import itertools

import pytest

from workbench.film import APART, FILE, MOST, Film, load_film


def filmed(steps: int, unlocked=lambda step: 10) -> Film:
    film = Film()
    for step in range(steps):
        film.add(step / 97, unlocked(step), f"frame {step}".encode())
    return film


@pytest.mark.parametrize("steps", [1, 50, 1000, 20_011])
def test_moments_are_few_and_about_equally_far_apart(steps):
    film = filmed(steps)
    epochs = [moment.epoch for moment in film.moments]
    gaps = [b - a for a, b in itertools.pairwise(epochs)]
    assert len(epochs) <= MOST and epochs[0] == 0 and (steps - 1) / 97 - epochs[-1] < film.apart
    assert all(APART / 2 < gap < 2.1 * film.apart for gap in gaps)
    if steps > 10_000:
        assert len(epochs) > MOST / 3


def test_many_events_leave_room_for_what_comes_after(steps=6000):
    film = filmed(steps, lambda step: 2 + (step // 2) % 2 if step < 600 else 10)
    epochs = [moment.epoch for moment in film.moments]
    assert len(epochs) <= MOST and epochs[0] == 0 and film.apart < 2.1 * (steps / 97) / MOST * 2
    assert sum(epoch > 600 / 97 for epoch in epochs) > MOST / 4


def test_the_frames_before_and_after_an_unlock_are_always_there():
    unlocks = (333, 4001, 4003)
    film = filmed(20_011, lambda step: 2 + sum(step >= at for at in unlocks))
    frames = [moment.frame for moment in film.moments]
    for k, at in enumerate(unlocks, 2):
        after = frames.index(f"frame {at}".encode())
        assert film.moments[after].event == f"K_active {k} to {k + 1}"
        assert frames[after - 1] == f"frame {at - 1}".encode()
    assert len([moment for moment in film.moments if moment.event]) == 3
    epochs = [moment.epoch for moment in film.moments]
    assert epochs == sorted(epochs) and len(set(epochs)) == len(epochs)


def test_a_film_comes_back_from_disk_and_goes_on_there(tmp_path):
    assert load_film(tmp_path).moments == []
    film = filmed(500, lambda step: 3 if step < 200 else 4)
    film.save(tmp_path)
    again = load_film(tmp_path)
    assert again.moments == film.moments
    at = film.moments[-1].epoch
    assert not again.add(at + APART / 2, 4, b"too near") and again.add(at + 1, 4, b"later")
    assert again.listing()[-1] == {"epoch": round(at + 1, 3), "event": ""}


def test_a_run_that_goes_back_forgets_what_came_after():
    film = filmed(500)
    film.add(1.0, 10, b"again")
    assert film.moments[-1].epoch <= 1.0 and len(film.moments) < 60
    film.add(0.0, 3, b"with other channels")
    assert film.listing() == [{"epoch": 0.0, "event": "K_active 10 to 3"}]


def test_frames_of_a_paused_run_are_one_moment_until_channels_are_unlocked():
    film = Film()
    for frame, k in ((b"paused", 3), (b"labelled", 3), (b"unlocked", 4), (b"labelled again", 4)):
        film.add(1.0, k, frame)
    assert [moment.frame for moment in film.moments] == [b"paused", b"unlocked"]


def test_a_slider_that_is_dragged_up_and_down_is_one_event_or_none_and_takes_nothing_of_the_past():
    film = Film()
    for epoch in range(60):
        film.add(float(epoch), 10, f"frame {epoch}".encode())
    past = list(film.moments)
    for k in [*range(9, 0, -1), *range(2, 11)] * 4:
        assert film.add(59.0, k, f"K_active {k}".encode())
        events = [moment.event for moment in film.moments if moment.event]
        assert events == ([] if k == 10 else [f"K_active 10 to {k}"]) and film.moments[:60] == past
    film.add(59.5, 4, b"later")
    film.add(60.0, 10, b"all again")
    assert [moment.event for moment in film.moments if moment.event] == ["K_active 10 to 4", "K_active 4 to 10"]


def test_a_damaged_film_is_named(tmp_path):
    filmed(5).save(tmp_path)
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ValueError, match=f"{FILE} is damaged"):
        load_film(tmp_path)
