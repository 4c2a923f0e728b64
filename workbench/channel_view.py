"""K latent planes on one canvas, each moment of training one binary message (frame.py).

An atlas is another, seldom sent: gzip of header, uint8 mean [K, G, G, H, W, C] and sigma [K, G, G, h, w] (atlas.py).
"""

import colorsys
import gzip
import struct
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets as tr
from jaxtyping import Int, UInt8

from workbench.atlas import Atlas
from workbench.frame import Frame, check, encode, frame_scale, message

FOLDER = Path(__file__).parent / "view"
SCRIPTS = ("message", "layout", "drawing", "atlas", "tint", "pointer", "words", "selection", "time", "widget")
EASING = 0.15
FAST = 1  # level of gzip
LAG = 0.25  # seconds that a frame may stay unpainted before its browser is behind, the wait for an answer included
PATIENCE = 1.0  # seconds; then a frame is sent to a browser that does not answer, as a page in the background does
PALETTE = (  # at least .10 apart in OKLab, for protan and deutan eyes too; contrast above 1.8 on white, 3 on near-black
    ("#1994f6", "#eabb16", "#b93403", "#10c3b5", "#7050cd", "#fe857a", "#00765c", "#c94d9a", "#ac8503", "#d7afff")
)


class ChannelView(anywidget.AnyWidget):
    """The planes of all channels, drawn in the browser. One thread at a time writes.

    The pointer shows what the latent under it decodes to in every channel, by the atlas that was sent last. From the
    browser come `moment`, `colour_by`, and messages: what it has painted, and what it asks for, as `do` says.
    """

    _esm = "\n".join((FOLDER / f"{part}.js").read_text(encoding="utf-8") for part in SCRIPTS)
    _css = (FOLDER / "view.css").read_text(encoding="utf-8")
    frame = tr.Bytes().tag(sync=True)
    number = tr.Int(0).tag(sync=True)  # of the frame; the browser answers with that of the last it painted
    atlas = tr.Bytes().tag(sync=True)
    points = tr.Dict({"labels": [], "names": [], "colours": [], "image": [0, 0, 0]}).tag(sync=True)
    images = tr.Bytes().tag(sync=True)  # of the points, gzip of uint8 [N, H, W, C]
    given = tr.Dict({"images": [], "labels": [], "points": [], "table": "", "undo": False, "fault": ""}).tag(sync=True)
    moments = tr.List([]).tag(sync=True)  # {"epoch", "event"} of every frame that was kept
    past = tr.Bytes().tag(sync=True)  # the frame of `moment`
    film = tr.Bytes().tag(sync=True)  # gzip of u32 length | frame, of every moment; empty where `past` is asked for
    status = tr.Unicode("ready").tag(sync=True)
    kernel = tr.Bool(True).tag(sync=True)  # whether somebody answers requests
    moment = tr.Int(-1).tag(sync=True)  # index into `moments`; -1 is now
    colour_by = tr.Enum(("label", "certainty", "error", "usage"), "label").tag(sync=True)
    watched = tr.Bool(False)  # whether a browser has ever painted a frame

    scale: float | None = None  # of the frame that is drawn: the latent at the edge of a plane
    _painted: int | None = None  # the number of the last frame that a browser painted, if any ever has

    def __init__(self, **traits: Any):
        super().__init__(**traits)
        self._sent: deque[tuple[int, float]] = deque(maxlen=64)  # numbers and times of frames not yet told of
        self._answer: Callable[[dict[str, Any]], Any] | None = None
        self.on_msg(self._hear)

    def close(self):
        """Close the view, and the layout that ipywidgets made for it and would keep."""
        super().close()
        self.layout.close()

    def show(self, frame: Frame, settled: bool = False) -> bytes:
        """Draw `frame`; its message. The planes' scale eases to that of a frame while training, and is a settled one's.

        Raises ValueError where its arrays do not fit each other or are not finite.
        """
        check(frame, len(self.points["labels"]))
        target = frame_scale(frame)
        self.scale = target if settled or self.scale is None else self.scale + EASING * (target - self.scale)
        with self.hold_sync():
            self.frame, self.status, self.number = encode(frame, self.scale), frame.status, self.number + 1
        if self._painted is not None:
            self._sent.append((self.number, time.monotonic()))
        return self.frame

    def keeps_up(self) -> bool:
        """Whether a browser paints what it is sent in time, or none answers: a page in the background, or none.

        Frames sent to a browser that is behind would wait there, and it would show what was long ago.
        """
        while self._sent and self._sent[0][0] <= self._painted:
            self._sent.popleft()
        now = time.monotonic()
        return not self._sent or now - self._sent[0][1] <= LAG or now - self._sent[-1][1] > PATIENCE

    def _hear(self, _view: Any, message: Any, _buffers: Any) -> None:
        match message:
            case {"painted": int(number)} if 0 < number <= self.number:
                self._painted, self.watched = number, True
            case {"do": str()} if self._answer:
                self._answer(message)
            case _:
                raise ValueError(f"the view said {str(message)[:200]}, which means nothing")

    def show_atlas(self, atlas: Atlas) -> None:
        """Let the pointer look pictures up in `atlas`."""
        header = {"scale": atlas.scale, "dimensions": atlas.dimensions, "shape": atlas.mean.shape[:2]}
        header |= {"image": atlas.mean.shape[3:]}
        self.atlas = gzip.compress(message(header, atlas.mean, atlas.sigma, atlas.sigma_range), FAST, mtime=0)

    def set_points(
        self, labels: Int[np.ndarray, " n"], class_names: Sequence[str], images: UInt8[np.ndarray, "n h w c"]
    ) -> None:
        """What the colours mean: the label of every point, -1 for none. ValueError for a label without a name."""
        labels, names = np.asarray(labels).tolist(), [str(name) for name in class_names]
        unnamed = sorted({label for label in labels if not -1 <= label < len(names)})
        if unnamed:
            raise ValueError(f"labels: expected -1 to {len(names) - 1}, one name a class, found {unnamed[:5]}")
        with self.hold_sync():
            self.images = gzip.compress(images.tobytes(), FAST, mtime=0)
            shape = {"image": list(images.shape[1:])}
            self.points = {"labels": labels, "names": names, "colours": class_colours(len(names))} | shape

    def show_given(
        self,
        images: Sequence[int],
        labels: Sequence[int],
        points: Sequence[int],
        table: str,
        undo: bool,
        fault: str = "",
    ) -> None:
        """Which training images carry a label given by hand, their points (-1: not among them), and all as CSV.

        `undo` says whether there is a change to take back, `fault` what went wrong.
        """
        given = {"images": images, "labels": labels, "points": points, "table": table}
        self.given = given | {"undo": undo, "fault": fault}

    def show_moments(self, moments: list[dict[str, float | str]], frames: Sequence[bytes] = ()) -> None:
        """Which moments of the past can be gone to; the view stays at its own, or is back in the present without it.

        Their `frames`, where they are sent along, need nobody to answer `moment`.
        """
        with self.hold_sync():
            shown = self.moments[self.moment] if 0 <= self.moment < len(self.moments) else None  # a browser's word
            self.moment = moments.index(shown) if shown in moments and len(moments) > 1 else -1
            film = b"".join(struct.pack("<I", len(frame)) + frame for frame in frames)
            self.moments, self.film = moments, gzip.compress(film, FAST, mtime=0) if film else b""

    def show_past(self, frame: bytes) -> None:
        """Answer `moment` with the frame that was kept."""
        self.past = frame

    def listen(self, answer: Callable[[dict[str, Any]], Any]) -> None:
        """Call `answer` with what the browser asks for; a moment is a request to `go` there."""
        self._answer = answer
        self.observe(lambda change: answer({"do": "go", "moment": change.new}), "moment")

    def once_watched(self, call: Callable[[], Any]) -> None:
        """Call `call` as soon as a browser has painted a frame."""
        self.observe(lambda _: call(), "watched")

    def close_with(self, owner: object) -> None:
        """Close once nobody holds `owner`, as ipywidgets keeps every widget that is not closed."""
        weakref.finalize(owner, self.close).atexit = False

    def say(self, status: str) -> None:
        """Replace the status alone: a known word, also with details after a colon, else taken for an error."""
        self.status = status


def class_colours(count: int) -> list[str]:
    """One colour a class; from the eleventh on hues by the golden ratio, apart but not safe for every eye."""
    hues = (colorsys.hls_to_rgb(i * 0.618034 % 1, 0.6, 0.55) for i in range(len(PALETTE), count))
    return [*PALETTE[:count], *("#" + "".join(f"{round(255 * c):02x}" for c in rgb) for rgb in hues)]
