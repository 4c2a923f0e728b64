"""From the launch of the workbench's server to the first frame of a run of one's own, in Chromium.

    python tests/benchmarks/start.py [--rounds 5]

Every round starts a fresh server twice, with an empty compilation cache and with what the first start left in it. The
browser runs already; Train is pressed once the saved run is on screen. Seconds since the launch, medians and extremes;
a picture or a frame counts when the canvas has painted it.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import marimo
from measure import machine

sys.path.insert(0, str(Path(__file__).parents[1]))

from browser import CHROMIUM, ROOT, STAMPS, Paint, open_page, paints, serve, status, wait_for

GOAL = 5.0  # seconds, of the second start
PATIENCE = 300  # seconds


def start(folder: Path) -> dict[str, float]:
    """Seconds from the launch to each part of a start, by the compilation cache in `folder`."""
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    with open_page("about:blank", first="html", record=STAMPS) as page:
        launched, told = time.time(), {}

        def tell(part: str, at: float | None = None):
            told[part] = (at or time.time()) - launched

        with serve(ROOT / "notebooks" / "decentralized.py", folder / "log") as server:
            tell("server answers")
            page.goto(server.url)
            tell("page open")
            page.locator("canvas.cv-canvas").wait_for(timeout=1000 * PATIENCE)
            tell("canvas on the page")
            wait_for(lambda: status(page) == "saved run" and paints(page), PATIENCE, "the saved run")
            tell("saved run painted", paints(page)[0].painted / 1000)
            page.get_by_role("button", name="Train").click()
            pressed = time.time()
            tell("Train pressed", pressed)
            wait_for(lambda: status(page).startswith("training"), PATIENCE, "training")
            tell("status says training")

            def fresh() -> list[Paint]:
                return [frame for frame in paints(page) if frame.made > 1000 * pressed and frame.step > 0]

            tell("first frame with new steps", wait_for(fresh, PATIENCE, "a new step")[0].painted / 1000)
    return told


def main():
    """Print the table."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--rounds", type=int, default=5)
    arguments = cli.parse_args()
    first, second = [], []
    for _ in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as folder:
            first.append(start(Path(folder)))
            second.append(start(Path(folder)))
    print(f"{machine()}, Chromium {version()}, marimo {marimo.__version__}; {arguments.rounds} starts of each")
    print(f"{'seconds since the launch':28}{'first start':>12}   {'extremes':16}{'second start':>12}   extremes")
    for part in first[0]:
        line = f"{part:28}"
        for starts in (first, second):
            times = [told[part] for told in starts]
            line += f"{statistics.median(times):12.2f}   {f'{min(times):.2f} to {max(times):.2f}':16}"
        print(line.rstrip())
    print(f"The goal for the second start is {GOAL:g} s.")


def version() -> str:
    """Chromium's."""
    return subprocess.run([CHROMIUM, "--version"], capture_output=True, text=True).stdout.split()[1]


if __name__ == "__main__":
    main()
