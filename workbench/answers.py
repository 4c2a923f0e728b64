"""What the notebooks of the experiments share: a figure of all seeds, pictures, and training the runs anew."""

import html
from collections import deque

import altair as alt
import marimo as mo
import numpy as np
import polars as pl
from jaxtyping import Float
from scipy.special import stdtrit

from mixvae import fit, load_dataset
from mixvae.config_file import override
from workbench.charts import LINE, PAGE, title
from workbench.experiments import EXPERIMENTS
from workbench.figures import png
from workbench.scores import scores
from workbench.sweep import jobs, missing, sweep

SMALL = {  # seconds an arm
    "data.name": "digits",
    "model.encoder": "dense",
    "model.decoder": "dense",
    "model.hidden_dims": [16],
}
SMALL_VALIDATION = 200


def seeds_frame(rows: pl.DataFrame, figures: tuple[str, ...], arms: list[str]) -> pl.DataFrame:
    """Long form: arm, figure, seed, value, and the mean of the arm with the ends of its 95 % interval over seeds.

    The interval is Student's t; null where there is one seed.
    """
    kept = [figure for figure in figures if figure in rows.columns]
    if not kept:
        schema = {"arm": pl.String, "figure": pl.String, "seed": pl.Int64}
        return pl.DataFrame(schema=schema | dict.fromkeys(("value", "mean", "low", "high"), pl.Float64))
    long = (
        rows.filter(pl.col("arm").is_in(arms))
        .unpivot(kept, index=["arm", "seed"], variable_name="figure")
        .drop_nulls()
        .with_columns(pl.col("figure").str.replace_all("_", " "), pl.col("value").cast(pl.Float64))
    )
    value = pl.col("value")
    spread = long.group_by("arm", "figure").agg(mean=value.mean(), n=pl.len(), error=value.std() / value.len().sqrt())
    quantile = [float(stdtrit(n - 1, 0.975)) if n > 1 else None for n in spread["n"]]
    half = pl.Series("half", quantile, dtype=pl.Float64) * spread["error"]
    spread = spread.select("arm", "figure", "mean", low=spread["mean"] - half, high=spread["mean"] + half)
    return long.join(spread, on=["arm", "figure"])


def every_seed(experiment: str, rows: pl.DataFrame, *figures: str) -> alt.FacetChart | mo.Html:
    """The chart of an experiment's rows, or in words that there are none."""
    arms = list(EXPERIMENTS[experiment].arms)
    frame = seeds_frame(rows, figures, arms)
    return mo.md("No run has a row yet.") if frame.is_empty() else seeds_chart(frame, arms)


def seeds_chart(frame: pl.DataFrame, arms: list[str], width: int = 170, row: int = 20) -> alt.FacetChart:
    """A dot a run, and the mean of each arm with its 95 % interval; every figure on a scale of its own."""
    base = alt.Chart(frame).encode(y=alt.Y("arm:N", title=None, sort=arms, axis=alt.Axis(labelLimit=160)))
    x = dict(scale=alt.Scale(zero=False), title=None, axis=alt.Axis(tickCount=4, format="~f"))
    told = ["arm:N", "figure:N", alt.Tooltip("mean:Q", format=".4f")]
    dots = base.mark_circle(color=LINE, opacity=0.45, size=36).encode(
        x=alt.X("value:Q", **x), tooltip=[*told, "seed:O", alt.Tooltip("value:Q", format=".4f")]
    )
    rule = base.mark_rule(color=LINE, strokeWidth=2).encode(x="low:Q", x2="high:Q", tooltip=told)
    tick = base.mark_tick(color=LINE, thickness=3, size=14).encode(x="mean:Q", tooltip=told)
    return (
        alt.layer(dots, rule.transform_filter("isValid(datum.low)"), tick)
        .properties(width=width, height=alt.Step(row))
        .facet(alt.Facet("figure:N", title=None, sort=None, header=alt.Header(labelFontSize=11)), columns=3)
        .resolve_scale(x="independent")
        .properties(title=title("Every seed, the mean, and its 95 % interval"), **PAGE)
    )


def picture(tiles: Float[np.ndarray, "r c h w n"], said: str, zoom: int = 1) -> mo.Html:
    """Rows of images in [0, 1], grey or RGB, side by side; `said` is their text for who cannot see them."""
    rows, columns, height, width, channels = tiles.shape
    apart = np.pad(tiles, ((0, 0), (0, 0), (0, 1), (0, 1), (0, 0)), constant_values=0.5)
    whole = apart.swapaxes(1, 2).reshape(rows * (height + 1), columns * (width + 1), channels)
    size = f"width: {zoom * whole.shape[1]}px; max-width: 100%; image-rendering: pixelated"
    return mo.Html(f'<img src="{png(whole)}" alt="{html.escape(said)}" style="{size}">')


def run_again(experiment: str) -> str:
    """Markdown: how many runs are missing, and the command that trains them."""
    every = jobs(experiment)
    return (
        f"## Run it again\n\n{len(missing(every))} of {len(every)} runs have no row yet. The button "
        "trains them here; from a shell, where a sweep can be stopped and goes on: "
        f"`python -m workbench sweep {experiment}`."
    )


def train_missing(experiment: str):
    """Train the runs that have no row yet, with a progress bar in the notebook; a run that fails is told and left."""
    todo = missing(jobs(experiment))
    with mo.status.progress_bar(total=len(todo), title=f"{len(todo)} runs", remove_on_exit=True) as bar:
        for job, row in sweep(todo):
            failed = f": {type(row).__name__}: {row}" if isinstance(row, Exception) else ""
            bar.update(subtitle=f"{job.arm}, seed {job.config.train.seed}{failed}")


def small_rerun(experiment: str, *arms: str) -> pl.DataFrame:
    """Figures of some arms' first seed, trained here on 8 x 8 digits with small networks: the code runs, no more."""
    plan, rows = EXPERIMENTS[experiment], []
    for arm in arms:
        config = plan.arms[arm].config(0)
        held_out = {"data.validation": SMALL_VALIDATION if config.data.validation else 0}
        config = override(config, SMALL | held_out)
        dataset = load_dataset(config.data.name, validation=config.data.validation)
        [last] = deque(fit(config, dataset), 1)
        details, found = plan.details(last, dataset) if plan.details else [], scores(last, dataset)
        rows.append({"arm": arm, "details": len(details)} | {figure: found.get(figure) for figure in plan.figures})
    return pl.DataFrame(rows)
