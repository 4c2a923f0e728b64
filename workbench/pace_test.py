"""Pace by a clock that stands until it is moved."""

import pytest

from workbench.pace import ATLAS_SECONDS, LONGEST_CHUNK, Pace


class Clock:
    def __init__(self):
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_speed_is_0_until_measured_then_a_moving_average_of_a_steps_seconds(clock):
    pace = Pace(10, clock)
    assert pace.steps_per_second == 0
    pace.took(4, 2.0)
    assert pace.steps_per_second == 2
    pace.took(1, 1.0)
    assert pace.steps_per_second == pytest.approx(1 / (0.8 * 0.5 + 0.2 * 1))
    pace.forget()
    assert pace.steps_per_second == 0
    pace.took(7, 1.0)
    assert pace.steps_per_second == pytest.approx(7)


@pytest.mark.parametrize(("fps", "seconds", "steps"), [(10, 0.03, 3), (30, 0.01, 3), (1, 0.01, 10), (30, 2.0, 1)])
def test_a_chunk_fills_the_time_between_frames_but_never_more_than_commands_may_wait(fps, seconds, steps, clock):
    pace = Pace(fps, clock)
    assert pace.steps == max(1, round(min(1 / fps, LONGEST_CHUNK) / LONGEST_CHUNK))
    pace.took(5, 5 * seconds)
    assert pace.steps == steps


@pytest.mark.parametrize("fps", [1, 10, 30])
def test_frames_come_at_their_rate_when_every_chunk_fits(fps, clock):
    pace, shown = Pace(fps, clock), 0
    chunk = min(1 / fps, LONGEST_CHUNK)
    for _ in range(round(20 / chunk)):
        if pace.frame_due:
            pace.frame_shown()
            shown += 1
        clock.time += chunk
    assert shown == pytest.approx(20 * fps, abs=1)


def test_a_late_frame_is_not_made_up_for_by_a_burst(clock):
    pace = Pace(10, clock)
    pace.frame_shown()
    clock.time += 30
    assert pace.frame_due
    pace.frame_shown()
    assert not pace.frame_due
    clock.time += 0.1
    assert pace.frame_due


def test_frames_of_moved_knobs_put_the_next_one_off_by_one_and_a_half_periods_at_most(clock):
    pace = Pace(2, clock)
    for _ in range(50):
        pace.frame_shown()
    half_a_chunk = LONGEST_CHUNK / 2
    clock.time += 1.5 / 2 - half_a_chunk - 0.01
    assert not pace.frame_due
    clock.time += 0.02
    assert pace.frame_due


def test_another_rate_counts_from_the_next_frame_on(clock):
    pace = Pace(1, clock)
    pace.frame_shown()
    pace.max_fps = 20
    pace.frame_shown()
    clock.time += 1.5 / 20
    assert pace.frame_due


def test_atlases_have_a_time_of_their_own(clock):
    pace = Pace(10, clock)
    assert pace.atlas_due
    pace.atlas_shown()
    clock.time += ATLAS_SECONDS - 0.01
    pace.frame_shown()
    assert not pace.atlas_due
    clock.time += 0.02
    assert pace.atlas_due
