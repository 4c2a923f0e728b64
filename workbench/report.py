"""A run as one HTML file that needs no kernel and no network: planes, decoded pictures, curves, scores, config."""

import base64
import gzip
import html
import json
import math
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from string import Template

import vl_convert

from mixvae import Dataset
from mixvae.config_file import dump_config
from mixvae.runs import Snapshot
from workbench import charts
from workbench.channel_view import ChannelView
from workbench.film import Film
from workbench.saved import show_saved
from workbench.scores import MEANINGS, scores
from workbench.sweep import commit, config_hash

PAGE = Path(__file__).parent / "page"
PACKAGES = ("mixvae", "jax", "flax", "optax")
TOLD = ("points", "status", "given", "moments", "moment", "kernel", "colour_by")
SENT = ("frame", "atlas", "images", "film")
WHOLE = ("test_images", "active_channels")  # scores that are counts
AGAIN = (
    "This config and these versions give the same numbers again on the same machine, bit by bit, also where training "
    "is stopped and goes on. On another kind of device, another number of devices or of cores, or with another version "
    "sums may be taken in another order: the last digits may differ, and what follows, up to which channel takes which "
    "images."
)


def report(snapshot: Snapshot, dataset: Dataset, film: Film, title: str) -> str:
    """The page of a run: what the live view would show of it, its curves by epoch, its scores, and how to repeat it."""
    trainer = snapshot.trainer
    view, config = ChannelView(), trainer.config
    points = show_saved(view, snapshot, dataset, film)
    view.show_moments(film.listing(), [moment.frame for moment in film.moments])
    weights, name = points.matrix(trainer, snapshot.state)
    figures = charts.of_run({"run": snapshot.history}, weights, dataset.class_names, name)
    found = {name: shown(name, value) for name, value in scores(snapshot, dataset).items()}
    return Template(part("report.html")).substitute(
        title=html.escape(title),
        summary=html.escape(
            f"{dataset.name}, {len(dataset.x_train)} training images, {len(snapshot.history)} epochs. Move the pointer "
            "over a plane, or focus it and use the arrow keys: the picture is what the latent there decodes to."
        ),
        style=part("page.css"),
        charts="".join(f'<div id="chart{i}"></div>' for i in range(len(figures))),
        scores=table(found, MEANINGS),
        versions=table(made()),
        run=table({"hash": config_hash(config), "seed": config.train.seed}),
        again=html.escape(AGAIN),
        config=html.escape(dump_config(config)),
        vega=vega(),
        script=part("page.js"),
        widget=in_script(still(view)),
        specs=in_script([figure.spec for figure in figures]),
    )


def still(view: ChannelView) -> dict[str, object]:
    """A view as `hold` of page.js takes it: module, style, state, and what of the state is bytes."""
    return {
        "esm": f"data:text/javascript;base64,{base64.b64encode(str(view._esm).encode()).decode()}",
        "css": str(view._css),
        "state": {name: getattr(view, name) for name in TOLD},
        "bytes": {name: base64.b64encode(getattr(view, name)).decode() for name in SENT},
    }


def made() -> dict[str, str]:
    """What made a page; its run may have been trained by another commit."""
    versions = {package: version(package) for package in PACKAGES}
    return {"commit": commit() or "unknown", "Python": platform.python_version()} | versions


def part(name: str) -> str:
    """A file that pages are made of."""
    return (PAGE / name).read_text(encoding="utf-8")


def vega() -> str:
    """Vega, Vega-Lite and vegaEmbed, packed."""
    return packed(vl_convert.javascript_bundle().encode())


def table(rows: dict[str, object], meanings: Mapping[str, str] | None = None) -> str:
    """HTML: a name, its value and, where there is one, its meaning."""
    lines = []
    for name, value in rows.items():
        told = f'<td class="meaning">{html.escape(meanings[name])}' if name in (meanings or ()) else ""
        lines.append(f"<tr><th>{html.escape(name.replace('_', ' '))}<td>{html.escape(str(value))}{told}")
    return f'<table class="facts">{"".join(lines)}</table>'


def shown(name: str, value: float) -> str:
    """A score in four digits, a count as it is, and what is nan as not measured."""
    if math.isnan(value):
        return "not measured"
    return str(round(value)) if name in WHOLE else f"{value:.4f}"


def packed(message: bytes) -> str:
    """gzip in base64."""
    return base64.b64encode(gzip.compress(message, mtime=0)).decode()


def in_script(value: object) -> str:
    """JSON that cannot end the script it stands in."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c")
