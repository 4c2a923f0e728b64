"""The pace of a live run: how many steps it takes at a time, and when its next frame and atlas are due."""

import time
from collections.abc import Callable

LONGEST_CHUNK = 0.1  # seconds that commands wait, but for knobs; a call maps XLA's temporary memory anew
ATLAS_SECONDS = 5.0  # between two atlases while training, coarse ones: a fine one holds up the frames for .25 s


class Pace:
    """`max_fps` frames a second at most, each after a chunk of new steps, and an atlas every few seconds.

    `max_fps` may be set at any time. `now` reads a clock, in seconds.
    """

    def __init__(self, max_fps: float, now: Callable[[], float] = time.perf_counter):
        self.max_fps, self._now = max_fps, now
        self._frame_due = self._atlas_due = 0.0
        self.forget()

    def forget(self):
        """Measure steps anew: they are of another model."""
        self._step_seconds, self.steps_per_second = LONGEST_CHUNK, 0.0

    def took(self, steps: int, seconds: float):
        """That these steps took so long; the last ones count a fifth."""
        latest = seconds / steps
        self._step_seconds = 0.8 * self._step_seconds + 0.2 * latest if self.steps_per_second else latest
        self.steps_per_second = 1.0 / self._step_seconds

    @property
    def steps(self) -> int:
        """Steps of the next chunk: as many as fit between two frames."""
        return max(1, round(self._chunk_seconds / self._step_seconds))

    @property
    def frame_due(self) -> bool:
        """Whether now is nearer to when the next frame is due than the end of another chunk will be."""
        return self._now() + self._chunk_seconds / 2 > self._frame_due

    @property
    def atlas_due(self) -> bool:
        """Whether it is time for another atlas."""
        return self._now() > self._atlas_due

    def frame_shown(self):
        """The next frame is due a period after this one was, but for one that came late, or by a knob's move."""
        now, period = self._now(), 1.0 / self.max_fps
        self._frame_due = min(max(self._frame_due + period, now + period / 2), now + 1.5 * period)

    def atlas_shown(self):
        """The next atlas is due from now."""
        self._atlas_due = self._now() + ATLAS_SECONDS

    @property
    def _chunk_seconds(self) -> float:
        return min(1.0 / self.max_fps, LONGEST_CHUNK)
