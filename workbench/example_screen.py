"""A live run before a view that records, for tests."""

import threading
import weakref

from mixvae.config import LIVE
from mixvae.example_runs import STAGES, tiny_config, tiny_dataset
from mixvae.schedules import constant
from workbench.frame import Frame, check
from workbench.live import LiveRun

DATASET = tiny_dataset()
LONG = {"train.epochs": 100_000}
OFF = STAGES | {"curriculum.enabled": False}


class Screen:
    """A view that keeps what it is shown, as ChannelView would draw it."""

    def __init__(self):
        self.frames: list[Frame] = []
        self.settled: list[bool] = []  # of every frame, whether it is to be shown at its own scale
        self.said: list[str] = []
        self.status = ""
        self.changed = threading.Condition()
        self.colour_by = "label"
        self.scale = 1.0
        self.behind = False  # whether it has yet to paint what it was sent

    def set_points(self, labels, class_names, images):
        self.labels, self.class_names, self.images = labels, class_names, images

    def listen(self, answer):
        self.answer = answer

    def once_watched(self, call):
        self.watch = call

    def close_with(self, owner):
        weakref.finalize(owner, setattr, self, "status", "closed").atexit = False

    def show(self, frame: Frame, settled: bool = False) -> bytes:
        check(frame, len(self.labels))
        self.settled.append(settled)
        self._add(self.frames, frame._replace(z=frame.z.copy()), frame.status)
        return f"step {frame.step}".encode()

    def keeps_up(self) -> bool:
        return not self.behind

    def show_given(self, images, labels, points, table, undo, fault=""):
        given = {"images": images, "labels": labels, "points": points, "table": table}
        self.given = given | {"undo": undo, "fault": fault}

    def show_moments(self, moments, frames=()):
        self.moments, self.film = moments, list(frames)

    def show_past(self, frame: bytes):
        self.past = frame

    def show_atlas(self, atlas):
        self.atlas = atlas

    def say(self, status: str):
        self._add(self.said, status, status)

    def _add(self, kind, entry, status):
        with self.changed:
            kind.append(entry)
            self.status = status
            self.changed.notify_all()

    def wait(self, condition, timeout=60):
        with self.changed:
            assert self.changed.wait_for(condition, timeout), f"still {self.status!r} after {timeout} s"

    def wait_for_training(self, frames=3):
        start = len(self.frames)
        self.wait(lambda: [f.status for f in self.frames[start:]].count("training") >= frames)


def make(view, **settings) -> LiveRun:
    live = LiveRun(view, DATASET, points=100, max_fps=200)
    live.configure(tiny_config(**settings))
    return live


def panel(config, **moved) -> dict:
    """The knobs as they stand on the panel, some of them moved."""
    return {"curriculum": config.curriculum.enabled} | {name: constant(config, name) for name in LIVE} | moved
