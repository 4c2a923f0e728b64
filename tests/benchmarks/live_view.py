"""The live view while it trains: frames a second, slider to frame, pointer to picture, memory, cost of watching.

    python tests/benchmarks/live_view.py [--dense] [--seconds 20] [--presses 60] [--fps 10] [--minutes 0]

Runs the workbench in headless Chromium on this machine, so that page and training share its cores. While frames are
counted no driver is attached to the browser: one is told of every message, which costs as much as drawing it. Watched
and unwatched training are of the same config, one after the other; memory is that of the server's process. `--dense`
measures both with the dense encoder and decoder, the small net that the page offers.
"""

import argparse
import math
import random
import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from browser import ROOT, STAMPS, Paint, attached, browsing, open_page, paints, serve, status, wait_for
from mixvae import load_dataset
from mixvae.config import LIVE
from mixvae.config_file import override
from mixvae.runs import build_trainer
from workbench.cache import use_compilation_cache
from workbench.knobs import STRUCTURAL
from workbench.memory import keep_freed_memory
from workbench.presets import watched_config


def quantile(values: list[float], share: float) -> float:
    """The smallest value with at least this share of the values at or below it."""
    return sorted(values)[max(0, round(share * len(values)) - 1)]


KEYS = """
window.keys = [];
addEventListener("keydown", (event) => window.keys.push(performance.timeOrigin + event.timeStamp), true);
"""


def press(page, slider, times: int, seed: int = 0) -> list[float]:
    """Milliseconds from each of `times` keys on tau's slider to the first painted frame that shows another tau.

    Both by the browser's clock, at moments that follow no rhythm; nothing asks the page meanwhile.
    """
    pauses, start = random.Random(seed), page.evaluate("Date.now()")
    for turn in range(times):
        slider.press("ArrowLeft" if turn % 2 else "ArrowRight")
        page.wait_for_timeout(pauses.uniform(500, 900))
    keys, painted = page.evaluate("window.keys")[-times:], paints(page, start - 10_000)

    def answer(key: float) -> float:
        before = [frame.tau for frame in painted if frame.painted <= key][-1]
        return next((frame.painted - key for frame in painted if frame.painted > key and frame.tau != before), math.inf)

    return [answer(key) for key in keys]


HOVER = """async (canvas, moves) => {
  const told = canvas.parentNode.querySelector(".cv-tip .cv-told"), box = canvas.getBoundingClientRect(), waits = [];
  for (let i = 0; i < moves; i++) {
    const before = told.textContent, start = performance.now();
    const at = { isPrimary: true, clientX: box.x + 30 + 2 * i, clientY: box.y + 60 + (i % 7) };
    canvas.dispatchEvent(new PointerEvent("pointermove", at));
    while (told.textContent === before) await new Promise(requestAnimationFrame);
    waits.push(performance.now() - start);
    await new Promise((done) => setTimeout(done, 100));
  }
  return waits;
}"""


def opened(page, url: str) -> float:
    """Seconds from a page's request to the first painted frame of the saved run."""
    page.add_init_script(STAMPS + KEYS)
    asked = time.time()
    page.goto(url)
    wait_for(lambda: status(page) == "saved run" and paints(page), 60, "the saved run")
    return paints(page)[0].painted / 1000 - asked


def switch(page) -> tuple[float, float]:
    """Seconds from another conditioning to the first painted frame of the new model, and to the first of its steps."""
    sent = page.evaluate("Date.now()")
    page.locator("select").nth(0).select_option("concat")

    def shown() -> list[Paint]:
        return [frame for frame in paints(page, sent) if frame.step == 0]

    new = wait_for(shown, 180, "the new model")[0].painted
    later = wait_for(lambda: [f for f in paints(page, new) if f.step > 0], 180, "its first steps")
    return (new - sent) / 1000, (later[0].painted - sent) / 1000


def resident(process: int) -> float:
    """Resident memory of a process, MB."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * 4096 / 2**20


def heap(page) -> float:
    """What the page's scripts hold after a collection, MB."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    return session.send("Runtime.getHeapUsage")["usedSize"] / 2**20


def trained_on(page, process: int, minutes: float) -> list[tuple[float, float, float]]:
    """Minutes, memory of the server and heap of the page, MB: now, and after every sixth of `minutes` of training."""
    start, told = time.monotonic(), [(0.0, resident(process), heap(page))]
    while (now := (time.monotonic() - start) / 60) < minutes:
        if status(page).startswith("stopped"):
            raise RuntimeError(status(page))
        if not status(page).startswith(("training", "compiling")):
            page.get_by_role("button", name="Train").click()
        page.evaluate("window.stamps.length = 0")
        page.wait_for_timeout(2000)
        if now >= len(told) * minutes / 6:
            told.append((now, resident(process), heap(page)))
    return [*told, (minutes, resident(process), heap(page))] if minutes else told


def unwatched(seconds: float, structure: dict[str, str]) -> float:
    """Steps a second of the notebook's config without a page, a view or a pause between chunks."""
    use_compilation_cache()
    keep_freed_memory()
    config = override(watched_config(), structure)
    trainer = build_trainer(config, load_dataset(config.data.name, validation=config.data.validation))
    state, _ = trainer.advance(trainer.init(), 1)
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        state, columns = trainer.advance(state, 10)
        steps += len(columns["loss"])
    return steps / (time.perf_counter() - start)


def main():
    """Print the table."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--seconds", type=float, default=20.0, help="how long frames are counted")
    cli.add_argument("--presses", type=int, default=60, help="how often the slider is moved")
    cli.add_argument("--fps", type=int, default=10, help="frames a second asked for")
    cli.add_argument("--minutes", type=float, default=0.0, help="train on this long, and read memory as one does")
    cli.add_argument("--dense", action="store_true", help="the dense encoder and decoder")
    arguments = cli.parse_args()
    structure = dict.fromkeys(("model.encoder", "model.decoder"), "dense") if arguments.dense else {}
    with (
        tempfile.TemporaryDirectory() as folder,
        serve(ROOT / "notebooks" / "decentralized.py", Path(folder) / "log") as server,
        browsing(Path(folder) / "profile") as port,
    ):
        with attached(port) as page:
            first_picture = opened(page, server.url)
            rate = page.get_by_role("slider").nth(len(LIVE))
            for _ in range(abs(arguments.fps - 10)):
                rate.press("ArrowRight" if arguments.fps > 10 else "ArrowLeft")
            for path, name in structure.items():
                page.locator("select").nth(STRUCTURAL.index(path)).select_option(name)
                page.wait_for_timeout(2000)
            page.get_by_role("button", name="Train").click()
            wait_for(lambda: status(page).startswith("training") and paints(page)[-1].step > 20, 180, "training")
            start = page.evaluate("Date.now()") + 1000  # ms; by then it goes on alone
        time.sleep(1 + arguments.seconds)
        with attached(port) as page:
            frames = [frame for frame in paints(page, start) if frame.painted < start + 1000 * arguments.seconds]
            slider = page.get_by_role("slider").first
            answers = press(page, slider, arguments.presses)
            hovers = page.locator("canvas.cv-canvas").evaluate(HOVER, 40)
            new_model, new_steps = switch(page)
            memory = trained_on(page, server.pid, arguments.minutes)
            page.goto("about:blank")
            page.wait_for_timeout(5000)  # the run of the page that was left ends
        with open_page(server.url, record="") as page:  # which fills the browser's cache
            next_picture = opened(page, server.url)
    speed = unwatched(arguments.seconds, structure)
    waits = [frame.painted - frame.made for frame in frames]
    fresh = sum(a.step < b.step for a, b in pairwise(frames))
    seconds = (frames[-1].painted - frames[0].painted) / 1000
    rows = {
        "page open to first picture, s": first_picture,
        "page open to first picture, kernel up, s": next_picture,
        f"frames a second, {arguments.fps} asked for": (len(frames) - 1) / seconds,
        "frames with new steps, %": 100 * fresh / (len(frames) - 1),
        "training steps a second": (frames[-1].step - frames[0].step) / seconds,
        "of the steps a second unwatched, %": 100 * (frames[-1].step - frames[0].step) / seconds / speed,
        "snapshot to paint, median, ms": statistics.median(waits),
        "snapshot to paint, p95, ms": quantile(waits, 0.95),
        "slider to painted frame, median, ms": statistics.median(answers),
        "slider to painted frame, p95, ms": quantile(answers, 0.95),
        "pointer to picture, median, ms": statistics.median(hovers),
        "pointer to picture, p95, ms": quantile(hovers, 0.95),
        "another conditioning to its first frame, s": new_model,
        "another conditioning to its first steps, s": new_steps,
    }
    for minutes, server_mb, page_mb in memory:
        rows[f"memory of the server after {minutes:.1f} minutes, MB"] = server_mb
        rows[f"heap of the page after {minutes:.1f} minutes, MB"] = page_mb
    for name, value in rows.items():
        print(f"{name:56} {value:8.1f}")


if __name__ == "__main__":
    main()
