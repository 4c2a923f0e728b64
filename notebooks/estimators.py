import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Estimators: how far from the exact gradient")

with app.setup(hide_code=True):
    import altair as alt
    import marimo as mo
    import polars as pl

    from workbench import answers, sweep, tables
    from workbench.charts import PAGE, title

    EXPERIMENT = "estimators"
    FIGURES = {"relative": "relative bias", "cosine": "cosine", "noise": "noise of a draw"}


@app.function(hide_code=True)
def gradients_frame(details: pl.DataFrame) -> pl.DataFrame:
    """Long form, means over seeds: objective, epochs, estimator with its tau, figure, value."""
    parts = pl.col("arm").str.extract_groups(r"^(?<objective>.+), (?<epochs>\d+) epochs?$")
    named = details.with_columns(parts.alias("parts")).unnest("parts").cast({"epochs": pl.Int64})
    return (
        named.with_columns(pl.col("estimator").str.replace("_", "-"))
        .unpivot(list(FIGURES), index=["objective", "epochs", "estimator", "tau"], variable_name="figure")
        .with_columns(pl.col("figure").replace(FIGURES), pl.col("value").cast(pl.Float64).fill_nan(None))
        .group_by("objective", "epochs", "estimator", "tau", "figure", maintain_order=True)
        .agg(pl.col("value").mean(), seeds=pl.col("value").count())
    )


@app.function(hide_code=True)
def gradients_chart(frame: pl.DataFrame, width: int = 190, height: int = 130) -> alt.FacetChart:
    """Bias, direction and noise over training: a colour an estimator, a dash a temperature."""
    return (
        alt.Chart(frame.filter(pl.col("estimator") != "exact"))
        .mark_line(point=True)
        .encode(
            x=alt.X("epochs:Q", scale=alt.Scale(type="log"), axis=alt.Axis(values=[1, 3, 10], grid=False)),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
            color=alt.Color("estimator:N", scale=alt.Scale(range=["#ee7733", "#4477aa"])),
            strokeDash=alt.StrokeDash("tau:O"),
            tooltip=[
                "objective:N",
                "estimator:N",
                "tau:Q",
                "epochs:Q",
                alt.Tooltip("value:Q", format=".3f"),
                "seeds:Q",
            ],
        )
        .properties(width=width, height=height)
        .facet(
            row=alt.Row("objective:N", title=None),
            column=alt.Column("figure:N", title=None, sort=list(FIGURES.values())),
        )
        .resolve_scale(y="independent")
        .properties(title=title("Gradient of the router's logits beside the exact one, by epochs of training"), **PAGE)
    )


@app.cell(hide_code=True)
def _(details):
    _intro = mo.md(
        """
        # How far are the estimators from the exact gradient?

        Early and late in training, at three temperatures. Lengths are in units of the exact gradient's, so a relative
        bias of 1 is as large as the gradient itself; *noise* is the standard deviation of a single draw. *exact* has
        neither. A bias at tau other than 1 is there by construction: the exact gradient knows no tau.
        """
    )
    mo.vstack([_intro, mo.md("Not run yet.") if details.is_empty() else gradients_chart(gradients_frame(details))])
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    **What was measured.** Reconstruction's gradient with respect to the router's logits, for 250 test images and one
    fixed draw of their latents, on the decoder after 1, 3 and 10 epochs. The choice's noise alone is averaged over, in
    1000 draws, so what is left is the bias of the routing. `router_recon` is taken as 1, also where training has it
    at 0. What a training step costs with each estimator: `python tests/benchmarks/throughput.py` with
    `--set routing.estimator=gumbel`.
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
    rows, details = sweep.read(EXPERIMENT), sweep.read(f"{EXPERIMENT}_details")
    return details, rows


if __name__ == "__main__":
    app.run()
