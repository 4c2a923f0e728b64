"""The live view while it trains: frames a second, snapshot to paint, slider to painted frame.

    python tests/benchmarks/live_view.py [--seconds 20] [--presses 20]

Runs the workbench in headless Chromium on this machine, so that page and training share its cores.
"""

import argparse
import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from browser import ROOT, Paint, open_page, paints, serve, status, wait_for


def quantile(values: list[float], share: float) -> float:
    """The smallest value with at least this share of the values at or below it."""
    return sorted(values)[max(0, round(share * len(values)) - 1)]


def press(page, slider) -> float:
    """Milliseconds from a key on tau's slider to the first painted frame that shows another tau."""
    before = paints(page)[-1]
    sent = page.evaluate("Date.now()")
    slider.press("ArrowRight" if before.tau < 4 else "ArrowLeft")

    def answer() -> list[Paint]:
        return [frame for frame in paints(page) if frame.painted >= sent and frame.tau != before.tau]

    return wait_for(answer, 20, "a frame at another tau")[0].painted - sent


def main():
    """Print the table."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--seconds", type=float, default=20.0, help="how long frames are counted")
    cli.add_argument("--presses", type=int, default=20, help="how often the slider is moved")
    arguments = cli.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        serve(ROOT / "notebooks" / "decentralized.py", Path(folder) / "log") as url,
    ):
        opened = time.perf_counter()
        with open_page(url) as page:
            wait_for(lambda: status(page) == "saved run" and paints(page), 60, "the saved run")
            first_picture = time.perf_counter() - opened
            page.get_by_role("button", name="Train").click()
            wait_for(lambda: status(page).startswith("training") and paints(page)[-1].step > 20, 180, "training")
            start = page.evaluate("Date.now()")
            page.wait_for_timeout(1000 * arguments.seconds)
            frames = [frame for frame in paints(page) if frame.painted >= start]
            slider = page.get_by_role("slider").first
            answers = [press(page, slider) for _ in range(arguments.presses)]
    waits = [frame.painted - frame.made for frame in frames]
    fresh = sum(a.step < b.step for a, b in pairwise(frames))
    seconds = (frames[-1].painted - frames[0].painted) / 1000
    rows = {
        "page open to first picture, with the browser's start, s": first_picture,
        "frames a second, 10 asked for": (len(frames) - 1) / seconds,
        "frames with new steps, %": 100 * fresh / (len(frames) - 1),
        "training steps a second": (frames[-1].step - frames[0].step) / seconds,
        "snapshot to paint, median, ms": statistics.median(waits),
        "snapshot to paint, p95, ms": quantile(waits, 0.95),
        "slider to painted frame, median, ms": statistics.median(answers),
        "slider to painted frame, p95, ms": quantile(answers, 0.95),
    }
    for name, value in rows.items():
        print(f"{name:56} {value:8.1f}")


if __name__ == "__main__":
    main()
