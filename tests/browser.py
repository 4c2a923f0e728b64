"""A page of the workbench in headless Chromium, for tests: the server, the page, and what the canvas painted."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[1]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync", "--no-first-run"]
STAMPS = """
window.stamps = [];
const stampText = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
  if (String(text).startsWith("step ")) window.stamps.push([text, +this.canvas.dataset.made, Date.now()]);
  return stampText.call(this, text, ...rest);
};
"""
TEXTS = """
window.texts = [];
const recordText = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
  window.texts.push(String(text));
  return recordText.call(this, text, ...rest);
};
"""  # grows by hundreds a second while a run trains
ENDED = """
@app.cell
def _(live):
    import tempfile
    import threading
    import weakref
    from pathlib import Path

    run = Path(tempfile.mkdtemp(dir={folder!r})) / "ended"
    weakref.finalize(live, run.touch)
    live.view.once_watched(run.with_name("watched").touch)
    names = "\\n".join(thread.name for thread in threading.enumerate())
    mo.Html(f'<span class="run">{{run}}</span><pre class="threads">{{names}}</pre>')
    return


if __name__ =="""  # a last cell: the threads, and files that tell of a painted frame and of the end of the run
STAMP = re.compile(r"step (\d+) · τ ([\d.]+)")


class Paint(NamedTuple):
    """One frame on the canvas: the step it shows, when it was made and when it was painted (ms), its tau."""

    step: int
    made: int
    painted: int
    tau: float


class Server(NamedTuple):
    """Where a server answers, and its process."""

    url: str
    pid: int


@contextmanager
def serve(notebook: Path, log: Path, *words: str) -> Iterator[Server]:
    """`marimo run` on a free port of the loopback address, until the block ends; a closed page's run ends at once.

    `words` are for the notebook.
    """
    port = free_port()
    options = ["run", str(notebook), "--headless", "--no-token", "--session-ttl", "1", "-p", str(port), "--", *words]
    with serving("marimo", options, f"http://127.0.0.1:{port}/health", log) as pid:
        yield Server(f"http://127.0.0.1:{port}", pid)


def telling(folder: Path) -> Path:
    """A copy of the workbench and its settings in `folder`; `ended` and `threads` give what its pages tell."""
    shutil.copy(ROOT / "pyproject.toml", folder)
    workbench = ROOT / "notebooks" / "decentralized.py"
    notebook = folder / workbench.name
    notebook.write_text(workbench.read_text().replace("if __name__ ==", ENDED.format(folder=str(folder))))
    return notebook


def ended(page: Page) -> Path:
    """The file that is there once the run of a page that is `telling` has ended."""
    return Path(page.locator(".run").inner_text())


def threads(page: Page) -> list[str]:
    """The names of the server's Python threads as a page that is `telling` opened."""
    return page.locator(".threads").inner_text().splitlines()


@contextmanager
def serve_lab(folder: Path, home: Path) -> Iterator[str]:
    """JupyterLab over `folder`, likewise; settings, kernels' files and the log stay in `home`."""
    port = free_port()
    settings = {"ip": "127.0.0.1", "port": port, "port_retries": 0, "root_dir": folder, "token": ""}
    options = ["--no-browser", "--allow-root", *(f"--ServerApp.{name}={value}" for name, value in settings.items())]
    options += [
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
    ]
    places = {f"JUPYTER_{kind}_DIR": str(home / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
    url = f"http://127.0.0.1:{port}"
    with serving("jupyterlab", options, f"{url}/api", home / "log", places | {"IPYTHONDIR": str(home / "ipython")}):
        yield f"{url}/lab"


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serving(
    module: str, options: list[str], health: str, log: Path, environment: dict[str, str] | None = None
) -> Iterator[int]:
    """The process of `python -m module options`, from when it answers at `health` until the block ends."""
    command = [sys.executable, "-m", module, *options]
    surroundings = os.environ | (environment or {})
    with (
        log.open("w") as output,
        subprocess.Popen(command, cwd=ROOT, env=surroundings, stdout=output, stderr=output) as server,
    ):
        try:
            wait_for(lambda: answers(health), 60, "the server")
            yield server.pid
        finally:
            server.terminate()


@contextmanager
def open_page(
    url: str,
    scheme: str = "light",
    width: int = 1440,
    height: int = 900,
    offline: bool = False,
    first: str = "canvas.cv-canvas",
    record: str = STAMPS + TEXTS,
) -> Iterator[Page]:
    """The page in a fresh browser from when `first` is on it; `record` runs before its own scripts."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, offline=offline)
        page = context.new_page()
        page.add_init_script(record)
        page.goto(url)
        page.locator(first).wait_for(timeout=120_000)
        yield page
        browser.close()


@contextmanager
def browsing(folder: Path) -> Iterator[int]:
    """A fresh browser with its profile in `folder`, until the block ends; the port that drivers are `attached` at."""
    port = free_port()
    places = [f"--remote-debugging-port={port}", f"--user-data-dir={folder}"]
    command = [
        CHROMIUM,
        *FLAGS,
        *places,
        "--headless=new",
        "--hide-scrollbars",
        "--window-size=1440,900",
        "about:blank",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as browser:
        try:
            wait_for(lambda: answers(f"http://127.0.0.1:{port}/json/version"), 60, "the browser")
            yield port
        finally:
            browser.terminate()


@contextmanager
def attached(port: int) -> Iterator[Page]:
    """The page of a browser that goes on without this driver, which is told of every message that the page gets."""
    with sync_playwright() as playwright:
        yield playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{port}").contexts[0].pages[0]


def texts(page: Page) -> list[str]:
    """Every text that the canvas painted so far."""
    return page.evaluate("window.texts")


def status(page: Page) -> str:
    """The word beside the status dot."""
    return page.locator(".cv-status").inner_text()


def sentence(page: Page) -> str:
    """What is on screen, in words."""
    return page.locator(".cv-sentence").inner_text()


def paints(page: Page, since: float = 0.0) -> list[Paint]:
    """Every frame that the canvas painted so far, or since a time (ms), each once."""
    found = {}
    for text, made, painted in page.evaluate("since => window.stamps.filter((stamp) => stamp[2] >= since)", since):
        if match := STAMP.fullmatch(text):
            found.setdefault(made, Paint(int(match[1]), made, painted, float(match[2])))
    return list(found.values())


def answers(url: str) -> bool:
    """Whether a server answers there."""
    try:
        return urlopen(url, timeout=5).status == 200
    except (URLError, OSError):
        return False


def wait_for(condition, seconds: float, what: str):
    """Return what `condition` gives once it is true; fail after `seconds`, naming what did not come."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come in {seconds} s")
