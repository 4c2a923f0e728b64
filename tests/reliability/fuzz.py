"""Bad input: every format that is read, spoilt in many ways, and what came of it.

    python tests/reliability/fuzz.py [--count 100000] [--seed 0] [FORMAT ...]

A case is read, or refused by an error for whoever made the mistake: a ValueError or an OSError that is not empty and
names the file. Anything else, a case of more than SECONDS, or one that takes more than MEMORY ends the command with a
Fault that names the format, the seed and the number of the case.
"""

import argparse
import contextlib
import io
import random
import resource
import signal
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from reliability import formats
from reliability.table import Found, print_table, timed

SECONDS, MEMORY = 30, 2**30


class Fault(RuntimeError):
    """Input that was neither read nor refused as it should be."""


class Hang(BaseException):
    """A case takes too long."""


def overdue(*_):
    """End the case that is under way."""
    raise Hang(f"more than {SECONDS} s")


def check(name: str, count: int, seed: int = 0) -> Found:
    """`count` cases of a format."""
    outcomes, most = Counter(), peak()
    signal.signal(signal.SIGALRM, overdue)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with getattr(formats, name)(Path(folder)) as case:
            for number in range(count):
                named, before = f"{name} {seed} {number}", most
                outcomes[outcome(case, random.Random(named), named)] += 1
                most = peak()
                if number and most - before > MEMORY:
                    raise Fault(f"{named}: took {(most - before) / 2**30:.1f} GiB")
    if peak() - most > MEMORY:
        raise Fault(f"{name} {seed}: a process that was started took {(peak() - most) / 2**30:.1f} GiB")
    told = ", ".join(f"{times} {kind}" for kind, times in sorted(outcomes.items()))
    return {"tried": name, "count": count, "found": told}


def peak() -> int:
    """The most bytes that this process, or one that it started and that has ended, ever had in memory."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return 1024 * max(resource.getrusage(kind).ru_maxrss for kind in kinds)


def outcome(case: Callable[[random.Random], str | None], chance: random.Random, named: str) -> str:
    """`read` or `refused`. Raises Fault for everything else."""
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            where = case(chance)
    except formats.Refused as refused:
        if not str(refused) or refused.where not in str(refused):
            raise Fault(f"{named}: the error {refused!s:.300} does not name {refused.where}") from refused
        return "refused"
    except (Exception, Hang) as error:
        raise Fault(f"{named}: {type(error).__name__}: {error!s:.300}") from error
    finally:
        signal.alarm(0)
    return where or "read"


def main():
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("format", nargs="*", default=formats.NAMES, help=f"default: {', '.join(formats.NAMES)}")
    options.add_argument("--count", type=int, default=100_000, help="cases of each format")
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    print_table(timed(check, name, given.count, given.seed) for name in given.format)


if __name__ == "__main__":
    main()
