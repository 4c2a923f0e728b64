"""Many pages on one server: each trains a run of its own, and what the server holds once all have gone.

    python tests/reliability/browsers.py [--count 20]

Pages of the workbench in Chromium, on one `marimo run`, are opened one after another and train at the same time; they
are closed, and as many come again. AssertionError where a page shows no further steps, or where the run of a closed
page does not end; RuntimeError where two pages show one frame, or the server has more threads, open files or memory
after the second crowd than after the first, whose size its allocator keeps.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from playwright.sync_api import Page

from browser import STAMPS, Paint, Server, ended, open_page, paints, serve, telling, threads, wait_for
from reliability.held import Leak, by, flat
from reliability.table import Found, print_table, timed

PATIENCE = 1800  # seconds that many pages may take
MEGABYTES = 1024  # that a server may grow by
POOLS = ("AnyIO", "asyncio")  # the server's own: they grow and shrink by how many requests come at once
SAVED = 2000  # steps; the saved run, which a page shows at first, has more


def browsers(count: int) -> Found:
    """`count` pages of one server that train at the same time, and as many once these have gone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with serve(telling(folder), folder / "log") as server:
            train_on(server.url, count)
            before = left(server)
            train_on(server.url, count)
            found = flat(before, left(server), MEGABYTES)
    return {"tried": "pages that train at once, on one server, twice", "count": count, "found": found}


def train_on(url: str, count: int):
    """Open pages and press Train on each, see all train, close them."""
    with open_page(url, record=STAMPS) as first:
        pages = [first]
        for _ in range(1, count):
            pages.append(page := first.context.new_page())
            page.add_init_script(STAMPS)
            page.goto(url)
            wait_for(lambda page=page: page.locator(".run").count() and paints(page), PATIENCE, "a page")
        for page in pages:
            page.get_by_role("button", name="Train").click(timeout=1000 * PATIENCE)
        seen = [wait_for(lambda page=page: own(page), PATIENCE, "a step") for page in pages]
        for page, before in zip(pages, seen, strict=True):
            wait_for(lambda page=page, before=before: own(page)[-1].step > before[-1].step, PATIENCE, "further steps")
        frames, ends = [own(page) for page in pages], [ended(page) for page in pages]
    for end in ends:
        wait_for(end.exists, PATIENCE, "the end of a closed page's run")
    made = [(frame.step, frame.made) for painted in frames for frame in painted]
    if len(set(made)) < len(made):
        raise Leak("two pages showed one frame")


def left(server: Server) -> dict[str, float]:
    """What the server holds: its threads, as one more page sees them, open files and memory once that has gone too."""
    with open_page(server.url, record=STAMPS) as page:
        wait_for(page.locator(".threads").count, PATIENCE, "the names of the threads")
        names, end = threads(page), ended(page)
    wait_for(end.exists, PATIENCE, "the end of a closed page's run")
    return {"threads": len([name for name in names if not name.startswith(POOLS)])} | by(server.pid)


def own(page: Page) -> list[Paint]:
    """The frames of the page's own run that it painted so far."""
    return [paint for paint in paints(page) if 0 < paint.step < SAVED]


def main():
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--count", type=int, default=20)
    print_table([timed(browsers, options.parse_args().count)])


if __name__ == "__main__":
    main()
