"""Threads for what must not keep a notebook waiting; none of them keeps an interpreter from its end."""

import queue
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

REST = 0.2  # seconds without anything to do, after which it looks whether its owner is still there


class Worker:
    """A thread that calls `turn` again and again, and rests where that returns False until there is a command.

    `turn` is a method, whose owner is held weakly: a notebook that lets go of the owner ends the thread. `commands` are
    for the owner to take. A turn that is busy may itself wait for `wake`, which says that there are some. The last that
    the thread does is to call `ended`.
    """

    def __init__(self, turn: Callable[[], bool], name: str, ended: Callable[[], Any]):
        self.commands: queue.SimpleQueue[Callable[[], Any]] = queue.SimpleQueue()
        self.wake, self._quit, self._ended = threading.Event(), threading.Event(), ended
        self._thread = threading.Thread(target=self._run, args=(weakref.WeakMethod(turn),), daemon=True, name=name)

    def start(self):
        """Begin to take turns."""
        self._thread.start()

    def command(self, command: Callable[[], Any]):
        """Leave a command for the next turn."""
        self.commands.put(command)
        self.wake.set()

    def close(self):
        """End the thread."""
        self._quit.set()
        self.wake.set()

    def _run(self, ref: "weakref.WeakMethod"):
        while (turn := ref()) is not None and not self._quit.is_set():
            self.wake.clear()
            busy = turn()
            del turn  # also between two turns without a rest: else an owner that works would keep itself alive
            if not busy:
                self.wake.wait(REST)
        self._ended()


def in_thread(run: Callable[[], Any], wake: threading.Event, name: str) -> Future:
    """What `run` returns or raises, once a thread of its own has it; then `wake` is set."""
    future = Future()

    def work():
        try:
            future.set_result(run())
        except BaseException as error:
            future.set_exception(error)
        wake.set()

    threading.Thread(target=work, daemon=True, name=name).start()
    return future
