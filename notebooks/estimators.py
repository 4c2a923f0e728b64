import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Estimators: how far from the exact gradient")

with app.setup(hide_code=True):
    import altair as alt
    import marimo as mo
    import polars as pl

    from workbench import answers, sweep, tables
    from workbench.charts import CHOICE, LINE, PAGE, title

    EXPERIMENT = "estimators"
    FIGURES = {"relative": "relative bias", "cosine": "cosine", "noise": "noise of a draw"}


@app.function(hide_code=True)
def named_arms(details: pl.DataFrame) -> pl.DataFrame:
    """The details with the arm's objective and epochs in columns of their own."""
    parts = pl.col("arm").str.extract_groups(r"^(?<objective>.+), (?<epochs>\d+) epochs?$")
    named = details.with_columns(parts.alias("parts")).unnest("parts")
    figures = dict.fromkeys(FIGURES, pl.Float64)
    return named.cast({"epochs": pl.Int64} | figures).with_columns(pl.col("estimator").str.replace("_", "-"))


@app.function(hide_code=True)
def gradients_chart(details: pl.DataFrame, width: int = 190, height: int = 130) -> alt.FacetChart:
    """Bias, direction and noise at the end of runs, means over seeds: a colour an estimator, a dash a temperature."""
    frame = (
        named_arms(details)
        .filter(pl.col("estimator") != "exact")
        .unpivot(list(FIGURES), index=["objective", "epochs", "estimator", "tau"], variable_name="figure")
        .with_columns(pl.col("figure").replace(FIGURES), pl.col("value").fill_nan(None))
        .group_by("objective", "epochs", "estimator", "tau", "figure", maintain_order=True)
        .agg(pl.col("value").mean(), seeds=pl.col("value").count())
    )
    told = ["objective:N", "estimator:N", "tau:Q", "epochs:Q", alt.Tooltip("value:Q", format=".3f"), "seeds:Q"]
    base = alt.Chart(frame).encode(
        x=alt.X("epochs:Q", scale=alt.Scale(type="log"), axis=alt.Axis(values=[1, 3, 10], grid=False)),
        y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
        color=alt.Color("estimator:N", scale=alt.Scale(range=[CHOICE, LINE])),
        tooltip=told,
    )
    return (
        alt.layer(base.mark_line().encode(strokeDash="tau:O"), base.mark_circle(opacity=1).encode(detail="tau:O"))
        .properties(width=width, height=height)
        .facet(
            row=alt.Row("objective:N", title=None),
            column=alt.Column("figure:N", title=None, sort=list(FIGURES.values())),
        )
        .resolve_scale(y="independent")
        .properties(title=title("Gradient of the router's logits beside the exact one, by the run's epochs"), **PAGE)
    )


@app.function(hide_code=True)
def answer(details: pl.DataFrame, tau: float = 1.0) -> str:
    """In words: which estimator ends nearest to the exact gradient's direction, and each one's cosine and bias."""
    named = named_arms(details).filter(pl.col("estimator") != "exact", pl.col("tau") == tau)
    last = named.filter(pl.col("epochs") == named["epochs"].max())
    nearest = last.group_by("estimator").agg(pl.col("cosine").mean()).sort("cosine", descending=True)["estimator"]
    figures = "; ".join(
        f"{estimator}, {objective}: {spread(runs['cosine'])} and {spread(runs['relative'])}"
        for estimator in nearest
        for (objective,), runs in last.filter(pl.col("estimator") == estimator).group_by(
            "objective", maintain_order=True
        )
    )
    return (
        f"**Of the estimators with a bias, {nearest[0]} ends nearest to the direction of the exact gradient.** At tau "
        f"{tau:g} after {last['epochs'].max()} epochs, cosine to the exact gradient and length of the bias, in units "
        f"of that gradient's: {figures}; mean ± standard deviation over {last['seed'].n_unique()} seeds."
    )


@app.function(hide_code=True)
def spread(values: pl.Series) -> str:
    """The mean, with the standard deviation where there are two values or more."""
    return f"{values.mean():.2f}" + (f" ± {values.std():.2f}" if len(values) > 1 else "")


@app.cell(hide_code=True)
def _(details):
    _answer = [mo.md("Not run yet.")] if details.is_empty() else [mo.md(answer(details)), gradients_chart(details)]
    mo.vstack([mo.md("# How far are the estimators from the exact gradient?"), *_answer])
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    **What was measured.** Reconstruction's gradient with respect to the router's logits, for 250 test images and one
    fixed draw of their latents, on the decoders of runs of 1, 3 and 10 epochs, each with its whole schedule of the
    learning rate. The choice's noise alone is averaged over, in 1000 draws, so what is left is the bias of the
    routing. Lengths are in units of the exact gradient's: a relative bias of 1 is as large as the gradient itself.
    *Noise* is the standard deviation of a single draw. *exact* has neither. A bias is there by construction at every
    tau, since softmax((l + g) / tau) has neither the mean of q nor its slope: Gumbel's grows with tau, and vanishes
    with it while the noise grows without bound. `router_recon` is taken as 1, also where training has it at 0. What a
    training step costs with each estimator: `python tests/benchmarks/throughput.py` with `--set
    routing.estimator=gumbel`.
    """)
    return


@app.cell(hide_code=True)
def _(rows):
    mo.md(f"## The runs\n\n{tables.table(EXPERIMENT, rows)}")
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
        print(answers.small_rerun(EXPERIMENT, "label-free, 1 epoch"))
    rows, details = sweep.results(EXPERIMENT), sweep.results(EXPERIMENT, "_details")
    return details, rows


if __name__ == "__main__":
    app.run()
