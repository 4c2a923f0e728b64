import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Uncertainty: a sigma for every pixel")

with app.setup(hide_code=True):
    import altair as alt
    import marimo as mo
    import numpy as np
    import polars as pl
    import polars.selectors as cs
    from scipy import ndimage

    from mixvae import load_dataset, predict, tau_classifier
    from mixvae.data import sample
    from mixvae.inference import router_logits
    from mixvae.runs import open_run
    from workbench import answers, sweep, tables
    from workbench.cache import use_compilation_cache
    from workbench.charts import LINE, PAGE, title
    from workbench.experiments import EXPERIMENTS
    from workbench.presets import DATA

    EXPERIMENT = "uncertainty"
    ARMS = EXPERIMENTS[EXPERIMENT].arms
    HEADS = ("sigma per pixel", "sigma per image")
    RUN = DATA / "uncertainty"
    LIMITS = (0.95, 1.05)
    use_compilation_cache()


@app.function(hide_code=True)
def rotated(x: np.ndarray, degrees: float) -> np.ndarray:
    """Images [N, H, W, C] in [0, 1] about their centres, bilinear, on black."""
    return ndimage.rotate(x, degrees, axes=(2, 1), reshape=False, order=1).astype(np.float32)


@app.function(hide_code=True)
def told(model, state, name: str, x: np.ndarray) -> dict:
    """Means over images: sigma, |x - mean|, and the largest responsibility."""
    p = predict(model, state, x)
    error = np.abs(p.mean - x).mean()
    return {"images": name, "sigma": p.sigma.mean(), "error": error, "certainty": p.responsibilities.max(1).mean()}


@app.function(hide_code=True)
def z2_chart(details: pl.DataFrame, width: int = 260, row: int = 18) -> alt.FacetChart:
    """Mean z^2 of every channel and seed, as trained and scaled; the band is what counts as calibrated."""
    frame = details.with_columns(
        sigma=pl.when(pl.col("scalar") == 1).then(pl.lit("as trained")).otherwise(pl.lit("times a scalar"))
    )
    low, high = LIMITS
    once = alt.Chart().transform_aggregate(dots="count()")  # else a band a dot, and all of them are opaque
    band = once.mark_rect(color="gray", opacity=0.2).encode(x=alt.datum(low), x2=alt.datum(high))
    dots = (
        alt.Chart()
        .mark_circle(color=LINE, size=30, opacity=0.6)
        .encode(
            x=alt.X("mean_z2:Q", title="mean z²", scale=alt.Scale(zero=False), axis=alt.Axis(grid=False)),
            y=alt.Y("channel:O", axis=alt.Axis(title="channel")),
            tooltip=["channel:O", "seed:O", "images:Q", alt.Tooltip("mean_z2:Q", format=".3f"), "ence:Q"],
        )
    )
    return (
        alt.layer(band, dots, data=frame)
        .properties(width=width, height=alt.Step(row))
        .facet(row=alt.Row("arm:N", title=None), column=alt.Column("sigma:N", title=None))
        .properties(title=title("Mean z² by channel, a dot a seed; band: .95 to 1.05"), **PAGE)
    )


@app.function(hide_code=True)
def calibrated(details: pl.DataFrame, arm: str) -> str:
    """In words: how many channels of an arm are calibrated, as trained and after the scalar."""
    mine = details.filter(pl.col("arm") == arm) if not details.is_empty() else details
    if mine.is_empty():
        return f"{arm}: not run yet"
    trained, scaled = mine.filter(pl.col("scalar") == 1), mine.filter(pl.col("scalar") != 1)
    inside = [part.filter(pl.col("mean_z2").is_between(*LIMITS)).height for part in (trained, scaled)]
    seeds = trained["seed"].n_unique()
    return (
        f"{arm}: mean z² lies in .95 to 1.05 in **{inside[0]} of {trained.height}** channels, {seeds} seeds together "
        f"({trained['mean_z2'].min():.2f} to {trained['mean_z2'].max():.2f}), and in {inside[1]} of {scaled.height} "
        "once every sigma is multiplied by a scalar fitted on validation images"
    )


@app.cell(hide_code=True)
def _(details, rows):
    _said = [f"- {calibrated(details, arm)}." for arm in HEADS] + [
        f"- {tables.verdict(rows, 'clustering_accuracy', arm, 'standard')}" for arm in HEADS
    ]
    mo.vstack(
        [
            mo.md(
                "# A sigma for every pixel\n\n"
                "Is it calibrated, in every channel, and what does it cost the clustering? Pixels are those whose "
                "sigma is free of its bounds: per pixel two in five, the others being background, where it cannot be "
                "as low as the error.\n\n" + "\n".join(_said)
            ),
            *([] if details.is_empty() else [z2_chart(details)]),
        ]
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    **What was measured.** z = (x - mean) / sigma over the pixels of 10 000 test images whose sigma is free of its
    bounds, by the channel that each image is routed to; 1 is calibrated, above 1 too sure. Background pixels are
    black in nearly every image: there sigma stands at its lower bound, .05, and *share low* counts them. ENCE
    compares the error with sigma in 15 bins of sigma, over the same pixels. The scalar is a row of its own, never the
    headline.
    """)
    return


@app.cell(hide_code=True)
def _(rows):
    _figures = ("mean_z2", "ence", "spearman", "share_low", "mse", "clustering_accuracy")
    mo.vstack(
        [
            mo.md(f"## All figures\n\n{tables.table(EXPERIMENT, rows)}"),
            answers.every_seed(EXPERIMENT, rows, *_figures),
        ]
    )
    return


@app.cell(hide_code=True)
def _():
    saved = dataset = None
    if RUN.exists():
        config = ARMS["sigma per pixel"].config(0)
        dataset = load_dataset(config.data.name, validation=config.data.validation)
        saved = open_run(RUN, dataset)
    angle = mo.ui.slider(0, 180, 5, value=0, label="rotation, degrees", show_value=True, debounce=False)
    return angle, dataset, saved


@app.cell(hide_code=True)
def _(dataset, saved):
    surest = None
    if saved:
        _logits = router_logits(saved.trainer.model, saved.state.average, dataset.x_test)
        surest = dataset.x_test[tau_classifier.surest(_logits)] / np.float32(255)
    return (surest,)


@app.cell(hide_code=True)
def _(angle, saved, surest):
    if saved:
        _x = rotated(surest, angle.value)
        _p = predict(saved.trainer.model, saved.state, _x)
        _low, _high = saved.trainer.config.model.sigma_min, saved.trainer.config.model.sigma_max
        _maps = np.stack([_x, _p.mean, (_p.sigma - _low) / (_high - _low)])
        _shown = answers.picture(_maps, "images, their reconstructions, and maps of sigma", zoom=2)
        _taken = ", ".join(map(str, _p.channel))
    else:
        _shown, _taken = mo.md(f"No run is kept in `{RUN.name}`."), ""
    mo.vstack(
        [
            mo.md(
                "## Sigma where images turn\n\nThe test image that each channel is surest of; below it what the model "
                "makes of it, and its map of sigma, black at .05 and white at .5. Turn them."
            ),
            angle,
            _shown,
            mo.md(f"channel that takes each: {_taken}"),
        ]
    )
    return


@app.cell(hide_code=True)
def _(dataset, saved):
    _rows = []
    if saved:
        _x = dataset.x_test[sample(len(dataset.x_test), 500)] / np.float32(255)
        _noise = np.random.default_rng(0).uniform(size=_x.shape).astype(np.float32)
        _inputs = {f"turned by {a}°": rotated(_x, a) for a in (0, 30, 60, 90, 180)}
        _inputs |= {"negatives, 1 - x": 1 - _x, "uniform noise": _noise}
        _rows = [told(saved.trainer.model, saved.state, name, x) for name, x in _inputs.items()]
    mo.vstack(
        [
            mo.md(
                "## Does sigma know what it does not know?\n\n"
                "Means over 500 test images, the same images changed, and noise. Sigma speaks of what the latent "
                "leaves open, not of whether an image belongs here: where *error* grows and *sigma* does not, it does "
                "not know."
            ),
            mo.ui.table(pl.DataFrame(_rows).with_columns(cs.float().round(3)), selection=None) if _rows else "",
        ]
    )
    return


@app.cell(hide_code=True)
def _():
    train = mo.ui.run_button(label="train the missing runs")
    return (train,)


@app.cell(hide_code=True)
def _(rows, train):
    _ = rows  # which of them are there
    mo.vstack([mo.md(answers.run_again(EXPERIMENT)), train])
    return


@app.cell(hide_code=True)
def _(train):
    if train.value:
        answers.train_missing(EXPERIMENT)
    if mo.app_meta().mode == "script":
        print(answers.small_rerun(EXPERIMENT, "sigma per pixel"))
    rows, details = sweep.results(EXPERIMENT), sweep.results(EXPERIMENT, "_details")
    return details, rows


if __name__ == "__main__":
    app.run()
