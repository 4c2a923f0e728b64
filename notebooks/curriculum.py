import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Curriculum: channels unlocked one after another")

with app.setup(hide_code=True):
    import altair as alt
    import marimo as mo
    import polars as pl

    from mixvae import load_config, load_dataset
    from mixvae.checkpoint import CONFIG
    from workbench import answers, sweep, tables
    from workbench.charts import CHOICE, LINE, PAGE, title
    from workbench.experiments import EXPERIMENTS, UNLOCKING
    from workbench.film import load_film
    from workbench.presets import DATA
    from workbench.saved import show_moment

    EXPERIMENT = "curriculum"
    ARMS = EXPERIMENTS[EXPERIMENT].arms
    OBJECTIVES = {"": "With the label-free objective", ", plain": "With the specification's objective alone"}
    RUN = DATA / "curriculum"


@app.function(hide_code=True)
def unlocks_chart(details: pl.DataFrame, width: int = 190, height: int = 120) -> alt.FacetChart:
    """Channels in effective use by epoch, the mean over seeds, a colour an objective; dashed: those unlocked."""
    plain = pl.col("arm").str.ends_with(", plain")
    frame = details.group_by("arm", "epoch", maintain_order=True).agg(
        pl.col("effective_channels", "k_active").mean(), lowest=pl.col("effective_channels").min(), seeds=pl.len()
    )
    frame = frame.with_columns(
        objective=pl.when(plain).then(pl.lit("plain")).otherwise(pl.lit("label-free")),
        unlocking=pl.col("arm").str.replace(", plain", "", literal=True),
    )
    told = ["unlocking:N", "objective:N", "epoch:Q", "effective_channels:Q", "lowest:Q", "k_active:Q", "seeds:Q"]
    base = alt.Chart(frame).encode(x=alt.X("epoch:Q", axis=alt.Axis(grid=False, tickMinStep=1)), tooltip=told)
    scale = alt.Scale(domain=[0, 10])
    color = alt.Color("objective:N", title=None, scale=alt.Scale(range=[LINE, CHOICE]))
    used = base.mark_line(point=True).encode(y=alt.Y("effective_channels:Q", title=None, scale=scale), color=color)
    dashed = base.mark_line(strokeDash=[3, 3], color="gray", strokeWidth=1)
    return (
        alt.layer(dashed.encode(y=alt.Y("k_active:Q", title=None, scale=scale), detail="objective:N"), used)
        .properties(width=width, height=height)
        .facet(alt.Facet("unlocking:N", title=None, sort=list(UNLOCKING)), columns=3)
        .properties(
            title=title("Effective channels of mean q(c|x) in training, mean over seeds; dashed: unlocked"), **PAGE
        )
    )


@app.function(hide_code=True)
def collapsed(rows: pl.DataFrame, arm: str) -> str:
    """In words: in how many of an arm's seeds a channel ended with 1 % of the images or fewer."""
    mine = rows.filter(pl.col("arm") == arm) if not rows.is_empty() else rows
    if mine.is_empty():
        return "not run yet"
    fewer = mine.filter(pl.col("active_channels") < 10)
    least = f", at worst with {fewer['active_channels'].min():.0f} of 10 active" if len(fewer) else ""
    return f"{len(fewer)} of {len(mine)} seeds{least}"


@app.function(hide_code=True)
def in_short(rows: pl.DataFrame) -> str:
    """In words: of the runs that unlock, how many end with an inactive channel, by objective."""
    if rows.is_empty():
        return "Not run yet."
    unlocked = rows.filter(~pl.col("arm").str.starts_with("at once"))
    plain = pl.col("arm").str.ends_with(", plain")
    counts = [
        f"{len(mine.filter(pl.col('active_channels') < 10))} of {len(mine)} runs with the {name} objective"
        for name, mine in (("label-free", unlocked.filter(~plain)), ("specification's", unlocked.filter(plain)))
    ]
    return f"**Of the runs that unlock channels, {' and '.join(counts)} end with an inactive one.**"


@app.function(hide_code=True)
def cost(rows: pl.DataFrame, figure: str) -> str:
    """In words: which ways of unlocking are worse in a figure than all channels at once, beyond the 95 % interval."""
    compared = {name: tables.compared(rows, figure, name, "at once") for name in list(UNLOCKING)[1:]}
    known = {name: found for name, found in compared.items() if found[2] > 1}
    sign = -1 if figure in tables.HIGHER_IS_WORSE else 1
    worse = [name for name, (mean, half, _) in known.items() if sign * mean + half < 0]
    named = f" ({'; '.join(f'*{name}*' for name in worse)})" if worse else ""
    name = figure.replace("_", " ")
    return f"{name} is worse than *at once*, beyond its 95 % interval, in {len(worse)} of {len(known)} ways{named}"


@app.cell(hide_code=True)
def _(details, rows):
    listed = "\n".join(
        f"| {name} | {collapsed(rows, name)} | {collapsed(rows, name + ', plain')} |" for name in UNLOCKING
    )
    mo.vstack(
        [
            mo.md(
                "# Channels unlocked one after another\n\n"
                f"Does a curriculum leave channels without images, and does it cost accuracy? {in_short(rows)} "
                "Seeds that do, with 1 % of the test images or fewer in a channel:\n\n"
                f"| unlocking | label-free objective | specification's objective |\n| --- | --- | --- |\n{listed}\n"
            ),
            mo.md(f"With the label-free objective, {cost(rows, 'clustering_accuracy')}, and {cost(rows, 'mse')}."),
            *([] if details.is_empty() else [unlocks_chart(details)]),
        ]
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    **What was compared.** 1, 2, 5 and 10 channels from epochs 0, 1, 3 and 5 of 10, against all ten *at once*.
    A newcomer is *split* off the channel with the largest summed loss, or starts *fresh*; *boost* doubles both
    betas for two epochs after an unlock; *plateau* unlocks after an epoch in which the evidence loss of 5000
    training images did not fall 5 nats below its best, though never in the first epoch after an unlock, instead of
    at given epochs. A raised KL weight of the latents cannot make a new channel used, since its
    cost does not depend on which channel is chosen; that of the choice, 0 in the label-free arms, pulls towards
    newcomers as towards all others.
    """)
    return


@app.cell(hide_code=True)
def _(rows):
    _figures = ("clustering_accuracy", "active_channels", "effective_channels", "nmi", "mse", "kl_z")
    _compared = [
        f"- {words}, {tables.verdict(rows, 'clustering_accuracy', name + arm, 'at once' + arm)}"
        for arm, words in OBJECTIVES.items()
        for name in list(UNLOCKING)[1:]
    ]
    mo.vstack(
        [
            mo.md(f"## All figures\n\n{tables.table(EXPERIMENT, rows)}\n\n" + "\n".join(_compared)),
            answers.every_seed(EXPERIMENT, rows, *_figures),
        ]
    )
    return


@app.cell(hide_code=True)
def _():
    film = load_film(RUN).moments
    unlocks = {moment.event: i for i, moment in enumerate(film) if moment.event}
    unlock = mo.ui.dropdown(unlocks, value=next(iter(unlocks), None), label="unlock")
    return film, unlock


@app.cell(hide_code=True)
def _(film, unlock):
    if unlock.value is None:
        planes = mo.md(f"No run is kept in `{RUN.name}`.")
    else:
        split = load_config(RUN / CONFIG).data
        dataset = load_dataset(split.name, validation=split.validation)
        pair = film[unlock.value - 1], film[min(unlock.value + 1, len(film) - 1)]
        views = [show_moment(moment, dataset) for moment in pair]
        planes = mo.vstack(
            [
                part
                for moment, view in zip(pair, views, strict=True)
                for part in (mo.md(f"Epoch {moment.epoch:.3g}"), mo.ui.anywidget(view))
            ]
        )
        for shown in views:
            shown.close_with(planes)
    mo.vstack([mo.md("## Planes before and after an unlock\n\nOf seed 0, *split*."), unlock, planes])
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
        print(answers.small_rerun(EXPERIMENT, "split"))
    rows, details = sweep.results(EXPERIMENT), sweep.results(EXPERIMENT, "_details")
    return details, rows


if __name__ == "__main__":
    app.run()
