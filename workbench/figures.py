"""DataFrame -> Altair chart, for the theory notebook: curves, bars, pictures, a simplex, and features."""

import base64
import io
import json
from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np
import polars as pl
from jaxtyping import Float
from PIL import Image

from workbench.charts import COLOURS, title

INK = "gray"
HEIGHT = 190
QUIET = {"view": {"stroke": None}, "axis": {"gridOpacity": 0.4}}
HEXAGON = "M0,-1L.866,-.5L.866,.5L0,1L-.866,.5L-.866,-.5Z"
Q = ["q0", "q1", "q2"]
CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 0.75**0.5]])  # of a triangle, where each of them is 1


def curves(
    frame: pl.DataFrame, now: pl.DataFrame, name: str, width: int = 400, y: str | None = "nats", log: str = ""
) -> alt.LayerChart:
    """Every column over the first; a dot on each where the sliders stand, which is the one row of `now`.

    `log` names the axes that are logarithmic; y, which may be negative, is linear around 0.
    """
    x, *terms = frame.columns
    across = alt.Axis(grid=False, format="~g", tickCount=6, labelOverlap=True)
    up = alt.Axis(values=[-1000, -100, -10, 0, 10, 100, 1000, 10000]) if "y" in log else alt.Axis(tickCount=5)
    lines, dots = (each.unpivot(index=x, variable_name="term", value_name="value") for each in (frame, now))
    encoded = {
        "x": alt.X(f"{x}:Q", title=x, scale=alt.Scale(type="log" if "x" in log else "linear", nice=False), axis=across),
        "y": alt.Y("value:Q", title=y, scale=alt.Scale(zero=False, type="symlog" if "y" in log else "linear"), axis=up),
        "color": coloured("term", terms),
        "tooltip": ["term:N", alt.Tooltip(f"{x}:Q", format=".3g"), alt.Tooltip("value:Q", format=".4g")],
    }
    rule = alt.Chart(now).mark_rule(color=INK, strokeDash=[3, 3]).encode(x=f"{x}:Q")
    line = alt.Chart(lines).mark_line(strokeWidth=2).encode(**encoded)
    dot = alt.Chart(dots).mark_circle(size=70, opacity=1).encode(**encoded)
    return alt.layer(rule, line, dot).properties(title=title(name), width=width, height=HEIGHT)


def bars(
    frame: pl.DataFrame, name: str, width: int, y: str = "nats", beside: bool = False
) -> alt.Chart | alt.LayerChart:
    """A bar for each row of the first column: the others stacked, or beside each other. `mark` is a tick across it."""
    x, *parts = frame.columns
    parts = [part for part in parts if part != "mark"]
    long = frame.unpivot(parts, index=x, variable_name="part", value_name="value").with_row_index("order")
    each = alt.X(f"{x}:N", title=x, sort=None, axis=alt.Axis(labelAngle=0))
    bar = (
        alt.Chart(long)
        .mark_bar()
        .encode(
            x=each,
            y=alt.Y("value:Q", title=y, axis=alt.Axis(tickCount=5)),
            color=coloured("part", parts),
            order="order:Q",
            tooltip=[f"{x}:N", "part:N", alt.Tooltip("value:Q", format=".4g")],
        )
    )
    if beside:
        bar = bar.encode(xOffset=alt.XOffset("part:N", sort=parts))
    if "mark" in frame.columns:
        bar += alt.Chart(frame).mark_tick(color=INK, thickness=3, opacity=1).encode(x=each, y="mark:Q")
    return bar.properties(title=title(name), width=width, height=HEIGHT)


def pictures(
    rows: Mapping[str, Sequence[Float[np.ndarray, "h w c"]]], words: Sequence[str], name: str = "", side: int = 60
) -> alt.Chart:
    """Rows of pictures beside their names, with a few words below each column."""
    cells = [
        (row, column, png(image, -(-side // len(image))))
        for row, images in rows.items()
        for column, image in enumerate(images)
    ]
    bare = {"title": None, "axis": alt.Axis(domain=False, ticks=False, labelAngle=0)}
    below = alt.Axis(domain=False, ticks=False, labelAngle=0, labelExpr=f"{json.dumps(list(words))}[datum.value]")
    return (
        alt.Chart(pl.DataFrame(cells, schema=["row", "column", "png"], orient="row"))
        .mark_image(width=side - 4, height=side - 4)
        .encode(x=alt.X("column:O", **bare | {"axis": below}), y=alt.Y("row:N", sort=list(rows), **bare), url="png:N")
        .properties(title=title(name), width=side * len(words), height=side * len(rows))
    )


def column(*charts: alt.Chart | alt.LayerChart) -> alt.VConcatChart:
    """Charts one above the other, each with its own legend."""
    return alt.vconcat(*charts).resolve_scale(color="independent")


def png(image: Float[np.ndarray, "h w c"], zoom: int = 1) -> str:
    """A picture, grey or RGB with values in [0, 1], as a data URL; a pixel is `zoom` pixels wide."""
    pixels = np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8).repeat(zoom, 0).repeat(zoom, 1)
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def simplex(points: pl.DataFrame, name: str, field: pl.DataFrame | None = None, side: int = 270) -> alt.LayerChart:
    """Responsibilities q0, q1, q2 of three channels as points of a triangle.

    Points are coloured by `chosen`, "channel 0" to "channel 2", or lie on a `field` that has `nats` for its own.
    """
    place = {
        "x": alt.X("x:Q", axis=None, scale=alt.Scale(domain=[-0.05, 1.05])),
        "y": alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[-0.07, 0.93])),
    }
    told = [alt.Tooltip(f"{name}:Q", format=".3f") for name in Q]
    layers = []
    dots = alt.Chart(placed(points)).encode(**place, tooltip=told)
    if field is not None:
        nats = alt.Color("nats:Q", scale=alt.Scale(scheme="viridis"), legend=alt.Legend(gradientLength=100))
        cells = alt.Chart(placed(field)).mark_point(shape=HEXAGON, size=118, filled=True, opacity=1)
        layers.append(cells.encode(**place, color=nats, tooltip=[*told, alt.Tooltip("nats:Q", format=".3f")]))
        layers.append(dots.mark_circle(size=140, color=COLOURS[1], opacity=1, stroke="white", strokeWidth=1.5))
    else:
        chosen = coloured("chosen", [f"channel {k}" for k in range(3)])  # also those that no point has
        layers.append(dots.mark_circle(size=14, opacity=0.8).encode(color=chosen))
    edges = pl.DataFrame(CORNERS[[0, 1, 2, 0]], schema=["x", "y"]).with_row_index("i")
    layers.append(alt.Chart(edges).mark_line(color=INK, strokeWidth=1).encode(**place, order="i:Q"))
    names = pl.DataFrame({"x": [0.0, 1.0, 0.5], "y": [-0.04, -0.04, 0.9], "channel": ["0", "1", "2"]})
    layers.append(alt.Chart(names).mark_text(color=INK, fontSize=12).encode(**place, text="channel:N"))
    return alt.layer(*layers).properties(title=title(name), width=side, height=int(0.87 * side))


def placed(points: pl.DataFrame) -> pl.DataFrame:
    """`points` with the place x, y of their q0, q1, q2."""
    x, y = (points.select(Q).to_numpy() @ CORNERS).T
    return points.with_columns(x=pl.Series(x), y=pl.Series(y))


def simplex_grid(cells: int = 28) -> Float[np.ndarray, "n 3"]:
    """Points all over the simplex of three channels, none of them on its edges."""
    first, second = np.divmod(np.arange(cells * cells), cells)
    q = np.stack([first, second, cells - 1 - first - second], -1)[first + second < cells]
    return (q + 1 / 3) / cells


def scatter(frame: pl.DataFrame, name: str, side: int = 200) -> alt.LayerChart:
    """The second column over the first, and the diagonal where they are equal."""
    x, y = frame.columns
    ends = [frame.min().min_horizontal()[0], frame.max().max_horizontal()[0]]
    place = {"x": alt.X(f"{x}:Q", axis=alt.Axis(tickCount=5)), "y": alt.Y(f"{y}:Q", axis=alt.Axis(tickCount=5))}
    same = alt.Chart(pl.DataFrame({x: ends, y: ends})).mark_line(color=INK, strokeDash=[3, 3]).encode(**place)
    dots = alt.Chart(frame).mark_circle(size=14, color=COLOURS[0], opacity=0.6).encode(**place)
    return alt.layer(same, dots).properties(title=title(name), width=side, height=side)


def coloured(field: str, names: Sequence[str]) -> alt.Color:
    """A colour for each name, in their order; named above the chart where there are several."""
    legend = alt.Legend(orient="top", title=None, labelLimit=300, symbolType="circle") if len(names) > 1 else None
    return alt.Color(f"{field}:N", scale=alt.Scale(domain=names, range=COLOURS[: len(names)]), legend=legend)


def rms(values: Float[np.ndarray, "*n"]) -> float:
    """The root of the mean square."""
    return float(np.sqrt(np.mean(np.square(values))))
