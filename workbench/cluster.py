"""Calls on the workers of a Dask scheduler, each in a process of its own there.

So a call cannot hold the interpreter lock that a worker's heartbeat needs, nor count as the worker's memory, nor keep a
device after it has ended.
"""

import asyncio
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from typing import Any

from workbench.process import in_process


def connect(address: str) -> Any:
    """A client of the scheduler at this address. Raises ValueError without the extra, OSError where nothing answers."""
    try:
        from distributed import Client, Security, comm
    except ModuleNotFoundError:
        raise ValueError("--scheduler needs the extra 'cluster': pip install -e '.[cluster]'") from None

    async def knock():
        answered = await comm.connect(address, **Security().get_connection_args("client"))
        await answered.close()

    try:
        asyncio.run(knock())  # a Client that found nobody would hold up the end of this process
    except Exception as error:  # what a server of another kind answers can raise anything
        raise OSError(
            f"no Dask scheduler answers at {address!r} ({error}); start one with `dask scheduler` and give the address "
            "that it prints, as in tcp://10.0.0.1:8786"
        ) from None
    return Client(address)


def on_cluster(
    client: Any, function: Callable[..., Any], calls: list[tuple]
) -> Iterator[tuple[int, tuple[Any, float] | Exception]]:
    """The number of a call, with what `in_process` returns of it or the error that ended it, as they end.

    A call whose worker died runs again on another one; after so many deaths as the scheduler allows
    (`allowed-failures`) KilledWorker ends it. Raises OSError where the scheduler is lost.
    """
    from distributed import as_completed

    waiting = {client.submit(in_process, unpacked, pickle.dumps((function, *call))): i for i, call in enumerate(calls)}
    for future in as_completed(list(waiting)):
        try:
            packed, seconds = future.result()
            outcome = pickle.loads(packed), seconds
        except CancelledError:
            raise OSError("the Dask scheduler was lost; the same command goes on with what has no row yet") from None
        except Exception as error:
            outcome = error
        yield waiting.pop(future), outcome


def unpacked(packed: bytes) -> bytes:
    """Make a call; packed, so that neither the scheduler nor the worker imports what only the call needs."""
    function, *arguments = pickle.loads(packed)
    return pickle.dumps(function(*arguments))
