"""What the commands of this folder print: a table of what was tried and what was found."""

import time
from collections.abc import Callable, Iterable
from typing import Any

Found = dict[str, Any]  # what was tried, how often, what was found: one row


def print_table(rows: Iterable[Found]):
    """Rows as a Markdown table, each as soon as it is there."""
    head = False
    for row in rows:
        if not head:
            print("|", " | ".join(row), "|\n|" + "---|" * len(row))
            head = True
        print("|", " | ".join(str(value) for value in row.values()), "|", flush=True)


def timed(check: Callable[..., Found], *arguments: Any, **settings: Any) -> Found:
    """The row of a check, with its seconds."""
    start = time.perf_counter()
    return check(*arguments, **settings) | {"seconds": round(time.perf_counter() - start)}
