"""DataFrame -> Altair chart. Every plotted number is a column of the history, in nats where it is a loss."""

import json
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from mixvae.checkpoint import Row

TERMS = {
    "recon": "reconstruction",
    "kl_z": "KL of the latents",
    "kl_c": "KL of the channels",
    "inv": "invariance",
    "h": "doubt of an image, h",
    "H": "spread of the batch, H",
    "label": "label",
    "usage_prior": "usage prior",
}
LINE, CHOICE = "#4477aa", "#ee7733"
COLOURS = [LINE, CHOICE, "#228833", "#aa3377"]  # told apart by every eye, on white and on black
MOMENTS = 240  # of a curve, in a chart some 200 pixels wide
ROWS = "rows"
Rows = pl.DataFrame | alt.NamedData
PAGE = {"background": "transparent", "usermeta": {"embedOptions": {"actions": False}}}


def of_run(
    runs: Mapping[str, list[Row]],
    weights: np.ndarray,
    class_names: tuple[str, ...],
    name: str,
    heights: tuple[int, ...] = (),
) -> list["Redrawn"]:
    """The charts below the planes of the first of `runs`; `heights`, if given, of one term's and of another, pixels.

    `weights` [K, Y] are what its channels hold of every label, as `name` says; without labels there is no such chart.
    """
    term, other = heights[:1], heights[1:]
    curves, angle = next(iter(runs.values())), -90 if max(map(len, class_names), default=0) > 2 else 0
    matrix = Redrawn(matrix_chart, matrix_frame(weights, class_names), name, angle, *other) if class_names else None
    return [
        Redrawn(terms_chart, terms_frame(runs), len(runs) > 1, *term),
        Redrawn(usage_chart, usage_frame(curves), *other),
        *([matrix] if matrix else []),
    ]


def thinned(curves: list[Row]) -> list[Row]:
    """At most MOMENTS of the rows at equal distances, the newest among them."""
    return curves[:: -math.ceil(len(curves) / MOMENTS)][::-1] if curves else curves


def terms_frame(runs: Mapping[str, list[Row]]) -> pl.DataFrame:
    """Long form: run, epoch, term, value; a term is left out where it is 0, as it is while its weight is 0."""
    schema = {"run": pl.String, "epoch": pl.Float64, "term": pl.String, "value": pl.Float64}
    rows = [
        (run, row["epoch"], words, float(row[name]))
        for run, curves in runs.items()
        for row in thinned(curves)
        for name, words in TERMS.items()
        if row[name]
    ]
    return pl.DataFrame(rows, schema=schema, orient="row")


def usage_frame(curves: list[Row]) -> pl.DataFrame:
    """Long form: epoch, channel, share of the images."""
    schema = {"epoch": pl.Float64, "channel": pl.Int64, "share": pl.Float64}
    rows = [(row["epoch"], k, float(share)) for row in thinned(curves) for k, share in enumerate(row["usage"])]
    return pl.DataFrame(rows, schema=schema, orient="row")


def matrix_frame(weights: np.ndarray, class_names: tuple[str, ...]) -> pl.DataFrame:
    """Long form of a [K, Y] matrix of channel x label weights: channel, label, weight, share of the channel's own."""
    share = weights / np.maximum(weights.sum(1, keepdims=True), 1e-9)
    rows = [
        (k, name, float(weights[k, y]), float(share[k, y]))
        for k in range(len(weights))
        for y, name in enumerate(class_names)
    ]
    schema = {"channel": pl.Int64, "label": pl.String, "images": pl.Float64, "share": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


class Redrawn:
    """`chart(frame, *settings)`, for a page that draws it again and again: Altair makes and checks it once."""

    def __init__(self, chart: Callable[..., alt.TopLevelMixin], frame: pl.DataFrame, *settings: Hashable):
        self.spec = specification(chart, *settings) | {"datasets": {ROWS: frame.fill_nan(None).to_dicts()}}

    def _mime_(self) -> tuple[str, str]:
        return f"application/vnd.vegalite.{alt.SCHEMA_VERSION.split('.')[0]}+json", json.dumps(self.spec)


@lru_cache(100)
def specification(chart: Callable[..., alt.TopLevelMixin], *settings: Hashable) -> dict[str, Any]:
    """The Vega-Lite of `chart` without its rows, which come later, as the data set ROWS."""
    return chart(alt.NamedData(ROWS), *settings).to_dict()


def terms_chart(frame: Rows, several: bool = False, height: int = 42, width: int = 78) -> alt.Chart:
    """The terms of the objective over the epochs, each on its own scale; a colour a run, where there are several."""
    return (
        alt.Chart(frame)
        .mark_line(strokeWidth=1.5)
        .encode(
            color=alt.Color("run:N", title=None, legend=alt.Legend(orient="bottom")) if several else alt.value(LINE),
            x=alt.X("epoch:Q", title=None, axis=alt.Axis(tickCount=3, grid=False)),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=2, format=".4~r")),
            tooltip=[alt.Tooltip("epoch:Q", format=".2f"), alt.Tooltip("value:Q", format=".4g")],
        )
        .properties(width=width, height=height)
        .facet(
            alt.Facet(
                "term:N", title=None, sort=list(TERMS.values()), header=alt.Header(labelFontSize=10, labelPadding=2)
            ),
            columns=3,
            spacing={"row": 4, "column": 8},
        )
        .resolve_scale(y="independent")
        .properties(title=title("Terms of the objective, nats"), **PAGE)
    )


def usage_chart(frame: Rows, height: int = 112, width: int = 170) -> alt.Chart:
    """Each channel's mean responsibility over the epochs."""
    return (
        alt.Chart(frame, title=title("Mean q(c|x) by channel"))
        .mark_area(stroke="white", strokeWidth=0.3)
        .encode(
            x=alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickCount=5, grid=False)),
            y=alt.Y("share:Q", stack="normalize", title=None, axis=alt.Axis(format="%", tickCount=3)),
            color=alt.Color("channel:O", scale=alt.Scale(scheme="viridis"), legend=None),
            tooltip=["channel:O", alt.Tooltip("share:Q", format=".1%"), alt.Tooltip("epoch:Q", format=".2f")],
        )
        .properties(width=width, height=height, **PAGE)
    )


def matrix_chart(frame: Rows, name: str, angle: int = 0, height: int = 112, width: int = 170) -> alt.Chart:
    """Which labels each channel holds: stronger is a larger share of the channel; names of labels stand at `angle`."""
    names = alt.Axis(labelAngle=angle, labelOverlap=True, labelLimit=60)
    return (
        alt.Chart(frame, title=title(name))
        .mark_rect(color=LINE)
        .encode(
            x=alt.X("label:N", title="label", sort=None, axis=names),
            y=alt.Y("channel:O", title="channel", axis=alt.Axis(labelOverlap=True)),
            opacity=alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0.06, 1]), legend=None),
            tooltip=[
                "channel:O",
                "label:N",
                alt.Tooltip("share:Q", format=".1%"),
                alt.Tooltip("images:Q", format=".1f"),
            ],
        )
        .properties(width=width, height=height, **PAGE)
    )


def planes_chart(points: pl.DataFrame, colours: Sequence[str], side: int = 84) -> alt.Chart:
    """Where each arm puts test images: a row an arm, a plane a channel, every plane on a scale of its own arm.

    `colours` has one for every label, as the view has them.
    """
    scale = alt.Scale(domain=list(range(len(colours))), range=list(colours))

    def row(arm: str) -> alt.Chart:
        return (
            alt.Chart(points.filter(pl.col("arm") == arm).select("channel", "label", pl.col("z1", "z2").round(2)))
            .mark_circle(size=9, opacity=0.7)
            .encode(
                x=alt.X("z1:Q", title=None, axis=None),
                y=alt.Y("z2:Q", title=None, axis=None),
                color=alt.Color("label:N", scale=scale, legend=alt.Legend(orient="top")),
                tooltip=["channel:O", "label:N", alt.Tooltip("z1:Q", format=".2f"), alt.Tooltip("z2:Q", format=".2f")],
            )
            .properties(width=side, height=side)
            .facet(alt.Facet("channel:O", title=None, header=alt.Header(labelFontSize=10)), spacing=4)
            .properties(title=title(arm))
        )

    arms = points["arm"].unique(maintain_order=True)
    return alt.vconcat(*map(row, arms)).resolve_scale(x="independent", y="independent").properties(**PAGE)


def title(text: str) -> alt.Title:
    """A chart's title, at its left."""
    return alt.Title(text, anchor="start", fontSize=12)
