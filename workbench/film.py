"""The past of a run: frames as they were sent to the view, thinned as their number grows, and kept beside a run."""

import zlib
from pathlib import Path
from typing import NamedTuple

from flax import serialization

from mixvae.folder import write_atomically

MOST = 120  # moments kept; MNIST's have some 60 kB each
APART = 0.02  # epochs between two moments at first
FILE = "film.msgpack.z"
LARGEST = 2**32  # bytes of all moments; msgpack has no more


class Moment(NamedTuple):
    """A frame that was kept, as ChannelView sent it; `event` says what was unlocked just before, if anything."""

    epoch: float
    event: str
    frame: bytes


class Film:
    """Moments of a run in their order, MOST of them; those before and after an unlock are the last to go."""

    def __init__(self, moments: list[Moment] | None = None):
        self.moments = moments or []
        self.apart = APART
        self._last: tuple[Moment, int] | None = None  # the newest frame, kept or not, and its unlocked channels
        self._before: int | None = None  # the unlocked channels before the newest event, if there was one

    def add(self, epoch: float, k_active: int, frame: bytes) -> bool:
        """Keep a frame where it is far enough from the last one kept, or where channels were unlocked or locked.

        Many such moves at one moment, as of a slider that is dragged, are one event, or none that undo each other.
        """
        before, unlocked = self._last or (None, k_active)
        if self.moments and epoch < self.moments[-1].epoch:
            self.moments = [kept for kept in self.moments if kept.epoch < epoch]
        newest = self.moments[-1] if self.moments else None
        moves = self._before is not None and unlocked != k_active
        again = moves and newest is not None and newest.event != "" and epoch - newest.epoch < APART
        if again:
            self.moments.pop()
            before, unlocked = None, self._before
        event = "" if unlocked == k_active else f"K_active {unlocked} to {k_active}"
        moment = Moment(epoch, event, frame)
        self._last = moment, k_active
        if not event and self.moments and epoch - self.moments[-1].epoch < self.apart:
            return again
        if event:
            self._before = unlocked
            if before is not None and newest is not None and newest.epoch < before.epoch <= epoch:
                self.moments.append(before)
        self.moments.append(moment)
        if len(self.moments) > MOST:
            self._thin()
        return True

    def _thin(self):
        """Drop every other moment, but none beside an event unless these alone are too many."""
        events = {i + side for i, moment in enumerate(self.moments) if moment.event for side in (-1, 0)}
        kept = [moment for i, moment in enumerate(self.moments) if i % 2 == 0 or i in events]
        self.moments = kept if len(kept) <= MOST * 3 // 4 else self.moments[::2]
        self.apart = max(APART, 2 * (self.moments[-1].epoch - self.moments[0].epoch) / MOST)

    def listing(self) -> list[dict[str, float | str]]:
        """Epoch and event of every moment, for the view."""
        return [{"epoch": round(moment.epoch, 3), "event": moment.event} for moment in self.moments]

    def save(self, folder: str | Path):
        """Write the film into a run's folder."""
        payload = serialization.msgpack_serialize([moment._asdict() for moment in self.moments])
        write_atomically(Path(folder) / FILE, zlib.compress(payload, 6))


def load_film(folder: str | Path) -> Film:
    """The film of a saved run; an empty one where none was kept. Raises ValueError where it is damaged."""
    path = Path(folder) / FILE
    if not path.exists():
        return Film()
    try:
        return Film([checked(**moment) for moment in serialization.msgpack_restore(unpacked(path.read_bytes()))])
    except (zlib.error, ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}); delete it, and the run opens without its past") from None


def checked(epoch: float, event: str, frame: bytes) -> Moment:
    """A moment of a file. Raises TypeError where a part is not what it should be."""
    if not (isinstance(epoch, float | int) and isinstance(event, str) and isinstance(frame, bytes)):
        raise TypeError("a moment is a number, a text and bytes")
    return Moment(epoch, event, frame)


def unpacked(packed: bytes) -> bytes:
    """What was packed. Raises ValueError where it is more than LARGEST, or is cut off."""
    unpacker = zlib.decompressobj()
    content = unpacker.decompress(packed, LARGEST)
    if not unpacker.eof:
        raise ValueError(f"it is cut off, or unpacks to more than {LARGEST} bytes")
    return content
