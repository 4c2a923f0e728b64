"""Many pages on one server: each trains a run of its own, and what the server holds once all have gone.

    python tests/reliability/browsers.py [--count 20]

Pages of the workbench in Chromium, on one `marimo run`, train at the same time, each at a tau that no other has.
AssertionError where a page shows no further steps or another's tau, or where the run of a closed page does not end;
RuntimeError where the server then has more threads, open files or memory than after one page had come and gone.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from playwright.sync_api import Page

from browser import RECORD, ended, open_page, paints, serve, telling, wait_for
from reliability.held import by, flat
from reliability.table import Found, print_table, timed

PATIENCE = 1800  # seconds that many pages may take
MEGABYTES = 1024  # that a server may grow by
SAVED = 2000  # steps; the saved run, which a page shows at first, has more


def browsers(count: int) -> Found:
    """`count` pages of one server that train at the same time; one was there before them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with serve(telling(folder), folder / "log") as server:
            train_on(server.url, 1)
            alone = by(server.pid)
            fewest = train_on(server.url, count)
            found = flat(alone, by(server.pid), MEGABYTES)
    return {"tried": "pages that train at once, on one server", "count": count, "found": f"{fewest} {found}"}


def train_on(url: str, count: int) -> int:
    """Open pages, press Train on all, see all train, and close them; the fewest frames that one showed of its run."""
    with open_page(url) as first:
        pages = [first, *(first.context.new_page() for _ in range(count - 1))]
        for page in pages[1:]:
            page.add_init_script(RECORD)
            page.goto(url)
        for number, page in enumerate(pages, 1):
            wait_for(lambda page=page: page.locator(".run").count() and paints(page), PATIENCE, "a page")
            for _ in range(number):
                page.get_by_role("slider").nth(0).press("ArrowRight")  # tau, by 0.1
            page.get_by_role("button", name="Train").click()
        for page in pages:
            wait_for(lambda page=page: steps(page), PATIENCE, "a step")
        seen = [steps(page)[-1] for page in pages]
        for number, (page, before) in enumerate(zip(pages, seen, strict=True), 1):
            wait_for(lambda page=page, before=before: steps(page)[-1] > before, PATIENCE, "further steps")
            taus = {paint.tau for paint in paints(page) if 0 < paint.step < SAVED}
            assert taus == {round(1 + number / 10, 1)}, taus
        ends, frames = [ended(page) for page in pages], [len(steps(page)) for page in pages]
    for end in ends:
        wait_for(end.exists, PATIENCE, "the end of a closed page's run")
    return min(frames)


def steps(page: Page) -> list[int]:
    """The steps of the page's own run that it painted so far."""
    return [paint.step for paint in paints(page) if 0 < paint.step < SAVED]


def main():
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--count", type=int, default=20)
    print_table([timed(browsers, options.parse_args().count)])


if __name__ == "__main__":
    main()
