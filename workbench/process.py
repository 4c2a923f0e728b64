"""Calls in a process of their own, which ends with the one that started it."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import active_children, current_process, get_context, parent_process
from typing import Any


def one_by_one(function: Callable[..., Any], calls: list[tuple]) -> Iterator[tuple[int, tuple[Any, float] | Exception]]:
    """The number of a call, with what `in_process` returns of it or the error that ended it, in their order."""
    for i, call in enumerate(calls):
        try:
            outcome = in_process(function, *call)
        except Exception as error:
            outcome = error
        yield i, outcome


def in_process(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """What `function(*arguments)` returns in a fresh process, and the seconds that the process took."""
    current_process().daemon = False  # a Dask worker under a nanny is one, and a daemon may start no process
    start, others = time.perf_counter(), set(active_children())
    with ProcessPoolExecutor(1, get_context("spawn"), end_with_parent) as process:
        try:
            result = process.submit(function, *arguments).result()
        except Exception:
            raise
        except BaseException:  # an interruption, for which the executor would wait until the call has ended
            for child in set(active_children()) - others:
                child.terminate()
            raise
    return result, time.perf_counter() - start


def end_with_parent():
    """Let this process end where the one that started it was killed; else it would go on for nobody."""

    def watch():
        parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
