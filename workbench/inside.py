"""Inside routing: soft weights beside the hard choice, channels in use, and how far estimators are from exact."""

from functools import partial
from typing import Any, NamedTuple

import altair as alt
import jax
import numpy as np
import polars as pl
from jaxtyping import Array, Float
from scipy.special import softmax

from mixvae import State, Trainer
from mixvae.checkpoint import Row
from mixvae.estimators import measure
from mixvae.losses import all_channel_tax, kl_latents, kl_normal
from mixvae.metrics import EstimatorBias, effective_channels
from mixvae.objective import Objective
from mixvae.routing import lock
from workbench.charts import CHOICE, LINE, PAGE, Rows, title

IMAGES, DRAWS = 250, 1000
FIGURES = ("relative bias", "cosine", "noise of a draw")


class Meter(NamedTuple):
    """One measurement: every estimator's bias and noise, the latents' KL over all channels and the tax in it, nats."""

    estimators: dict[str, EstimatorBias]
    kl_all: float
    tax: float
    tau: float
    epoch: float
    images: int


def measured(trainer: Trainer, state: State, x: Float[np.ndarray, "n h w c"]) -> tuple[Meter | None, str]:
    """The meter by the averaged weights at the State's tau, on the first IMAGES of `x`; None, and in words why not."""
    x, params, knobs = x[:IMAGES], state.average, state.knobs
    try:
        found = measure(trainer.objective, params, x, tau=knobs.tau, k_active=knobs.k_active, draws=DRAWS)
    except ValueError as error:
        return None, str(error)
    kl_all, tax = (float(a) for a in latent_kl(trainer.objective, params, x, knobs.k_active))
    return Meter(found, kl_all, tax, float(knobs.tau), trainer.epoch(state), len(x)), ""


@partial(jax.jit, static_argnums=0)
def latent_kl(objective: Objective, params: Any, x: Float[Array, "b h w c"], k_active: Any) -> tuple[Array, Array]:
    """The latents' KL over all channels and the all-channel tax in it: means over the images, nats."""
    posterior = objective.encode(params, x)
    kl, q = kl_normal(posterior.mean, posterior.log_var), jax.nn.softmax(lock(posterior.logits, k_active))
    return kl_latents(kl, q, "all").mean(), all_channel_tax(kl, q).mean()


def weights_frame(
    logits: Float[np.ndarray, "n k"],
    noise: Float[np.ndarray, "n k"],
    tau: float,
    k_active: int,
    estimator: str = "straight_through",
    count: int = 24,
) -> pl.DataFrame:
    """What weighs channels for `count` images, of the unlocked ones: image, channel, weight, q, chosen.

    The weight is softmax((l + g) / tau), and q itself for the exact estimator; `chosen` marks argmax(l + g), which
    straight-through alone chooses by. Images are numbered from the least sure to the surest and taken more densely
    where they are unsure, whatever tau is; weight and q have 4 digits.
    """
    logits, noise = (np.asarray(a, np.float64)[:, :k_active] for a in (logits, noise))
    q = softmax(logits, axis=1)
    count, channels = min(count, len(q)), q.shape[1]
    ranks = np.maximum(np.arange(count), (np.linspace(0, 1, count) ** 2 * (len(q) - 1)).astype(int))
    image = np.argsort(q.max(1), kind="stable")[ranks]
    perturbed = (logits + noise)[image]
    weight = q[image] if estimator == "exact" else softmax(perturbed / tau, axis=1)
    hard = perturbed.argmax(1)[:, None] == np.arange(channels)
    return pl.DataFrame(
        {
            "image": np.repeat(np.arange(1, count + 1), channels),
            "channel": np.tile(np.arange(channels), count),
            "weight": weight.ravel().round(4),
            "q": q[image].ravel().round(4),
            "chosen": hard.ravel() & (estimator == "straight_through"),
        }
    )


def effective_frame(curves: list[Row]) -> pl.DataFrame:
    """exp(H) of the batches' mean responsibilities over the epochs: epoch, channels."""
    rows = [(float(row["epoch"]), effective_channels(row["usage"])) for row in curves]
    return pl.DataFrame(rows, schema={"epoch": pl.Float64, "channels": pl.Float64}, orient="row")


def meter_frame(meter: Meter) -> pl.DataFrame:
    """Long form: estimator, figure, value; low and high are the bias -+ 2 errors, and null for other figures."""
    rows = []
    for name, bias in meter.estimators.items():
        low, high = max(0.0, bias.relative - 2 * bias.error), bias.relative + 2 * bias.error
        ends = {"relative bias": (low, high)}
        for figure, value in zip(FIGURES, (bias.relative, bias.cosine, bias.noise), strict=True):
            rows.append((name.replace("_", "-"), figure, value, *ends.get(figure, (None, None))))
    schema = {"estimator": pl.String, "figure": pl.String, "value": pl.Float64, "low": pl.Float64, "high": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(pl.col("value").fill_nan(None))


def words(meter: Meter) -> str:
    """Markdown: what was measured, and the all-channel tax."""
    return (
        f"At tau {meter.tau:.3g}, epoch {meter.epoch:.3g}, on {meter.images} images of the planes, with router_recon "
        "at 1; *exact* differentiates sum_k q_k nll_k, every channel decoded. Lengths are in units of the exact "
        "gradient's; whiskers are ± 2 errors.  \n"
        f"**All-channel tax: {meter.tax:.2f} nats an image**: the latents' KL is {meter.kl_all:.2f} over all channels "
        f"(`kl_scope: all`) and {meter.kl_all - meter.tax:.2f} by responsibility (`routed`)."
    )


def weights_chart(
    frame: Rows, tau: float, estimator: str = "straight_through", width: int = 336, height: int = 140
) -> alt.LayerChart:
    """The weight as opacity, a column an image and a row a channel; a dot is the hard choice."""
    soft = f"softmax((l + g) / tau) at tau {tau:.3g}"
    names = {"straight_through": f"{soft}, dot: hard choice", "gumbel": soft, "exact": "q(c|x), which exact weighs by"}
    base = alt.Chart(frame).encode(
        x=alt.X("image:O", title="images, least sure to surest", axis=alt.Axis(labels=False, ticks=False)),
        y=alt.Y("channel:O", title="channel", axis=alt.Axis(labelOverlap=True)),
        tooltip=[
            "channel:O",
            alt.Tooltip("weight:Q", format=".3f"),
            alt.Tooltip("q:Q", title="q(c|x)", format=".3f"),
            alt.Tooltip("chosen:N", title="hard choice"),
        ],
    )
    faint_to_full = alt.Scale(domain=[0, 1], range=[0.04, 1])
    weights = base.mark_rect(color=LINE).encode(opacity=alt.Opacity("weight:Q", scale=faint_to_full, legend=None))
    hard = base.transform_filter("datum.chosen").mark_circle(color=CHOICE, size=28, opacity=1)
    return alt.layer(weights, hard).properties(
        title=title(names[estimator]),
        width=width,
        height=height,
        **PAGE,
    )


def effective_chart(frame: Rows, channels: int, width: int = 200, height: int = 140) -> alt.Chart:
    """Channels in effective use over the epochs, of the `channels` that there are."""
    scale = alt.Scale(domain=[1, max(2, channels)])
    return (
        alt.Chart(frame, title=title("Effective channels, exp(H) of mean q(c|x)"))
        .mark_line(color=LINE, strokeWidth=1.5)
        .encode(
            x=alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickCount=5, grid=False)),
            y=alt.Y("channels:Q", title=None, scale=scale, axis=alt.Axis(tickCount=5)),
            tooltip=[alt.Tooltip("channels:Q", format=".2f"), alt.Tooltip("epoch:Q", format=".2f")],
        )
        .properties(width=width, height=height, **PAGE)
    )


def meter_chart(frame: pl.DataFrame, width: int = 90, row: int = 22) -> alt.FacetChart:
    """Bias, direction and noise of every estimator beside the exact gradient; the whisker is the bias -+ 2 errors."""
    base = alt.Chart(frame).encode(
        y=alt.Y("estimator:N", title=None, sort=None),
        tooltip=["estimator:N", "figure:N", alt.Tooltip("value:Q", format=".3f")],
    )
    axis = alt.Axis(tickCount=2, grid=False, format="~g")
    bar = base.mark_bar(color=LINE, height=10).encode(x=alt.X("value:Q", title=None, axis=axis))
    whisker = base.transform_filter("isValid(datum.low)").mark_rule(color=CHOICE, strokeWidth=2)
    told = base.transform_filter("isValid(datum.value)").mark_text(align="left", fontSize=10, color="gray")
    figure = told.encode(x=alt.value(width + 5), text=alt.Text("value:Q", format=".3f"))  # of none it would write 0
    return (
        alt.layer(bar, whisker.encode(x="low:Q", x2="high:Q"), figure)
        .properties(width=width, height=alt.Step(row))
        .facet(alt.Facet("figure:N", title=None, sort=list(FIGURES), header=alt.Header(labelFontSize=10)), spacing=40)
        .resolve_scale(x="independent")
        .properties(title=title("Gradient of the router's logits, beside the exact one"), **PAGE)
    )
