"""A folder for one writer at a time, where a killed process holds no lock; files written whole or not at all."""

import errno
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


@contextmanager
def locked(folder: str | Path, wait: bool = False) -> Iterator[None]:
    """Be the only writer in `folder` that asks to be, which is made if need be.

    Raises PermissionError where nothing can be written there, ValueError where another writer is, unless asked to
    `wait`. Where a file system has no locks for folders a warning says so, and nothing is locked.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, "nothing can be written there; choose another folder", str(folder))
    descriptor = os.open(folder, os.O_RDONLY) if fcntl else None
    try:
        acquire(descriptor, folder, wait)
        yield
    finally:
        if fcntl:
            os.close(descriptor)


def acquire(descriptor: int | None, folder: str | Path, wait: bool):
    """Lock an open folder until it is closed."""
    try:
        if descriptor is None:
            raise OSError("this system has no flock")
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise ValueError(
            f"{folder} is being written into already; wait until that ends, or choose another folder"
        ) from None
    except OSError as error:
        warnings.warn(f"{folder} cannot be locked ({error}); let one process at a time write into it", stacklevel=4)


def write_atomically(path: Path, content: bytes):
    """Write a file by rename, so that a reader finds the old content or the new; an OSError names the file."""
    partial = partial_name(path)
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        raise


def partial_name(path: Path) -> Path:
    """Where a file is written before it is renamed; no other process writes there."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def sweep_partials(folder: str | Path):
    """Delete what killed processes left half written; for who has locked the folder."""
    for partial in Path(folder).glob(".*.partial"):
        partial.unlink(missing_ok=True)
