import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Conditioning: FiLM, concatenation, or none")

with app.setup(hide_code=True):
    import jax
    import marimo as mo
    import numpy as np

    from mixvae import build_decoder, load_config, load_dataset, predict
    from mixvae.inference import chosen_latents
    from mixvae.runs import open_run
    from workbench import answers, sweep, tables
    from workbench.cache import use_compilation_cache
    from workbench.experiments import EXPERIMENTS
    from workbench.presets import SHOWCASE

    EXPERIMENT = "conditioning"
    ARMS = EXPERIMENTS[EXPERIMENT].arms
    OBJECTIVES = {"": "With the label-free objective", ", plain": "With the specification's objective alone"}
    use_compilation_cache()


@app.function(hide_code=True)
def decoder_size(model) -> int:
    """Parameters of the decoder of a model's config, for 28 x 28 grey images."""
    decoder = build_decoder(model, (28, 28, 1))
    z, e = (jax.ShapeDtypeStruct((1, n), "float32") for n in (model.latent_dim, model.component_embedding_dim))
    return sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(decoder.init, jax.random.PRNGKey(0), z, e)))


@app.function(hide_code=True)
def crossed(model, params, z):
    """What every channel makes of every channel's latent, [K, K, H, W, C]: a latent a row, a channel a column."""
    k = len(z)
    latents = np.broadcast_to(z[:, None], (k, k, z.shape[-1]))
    channels = np.broadcast_to(np.eye(k), (k, k, k))
    image = model.apply({"params": params}, latents, channels, method="decode")
    return np.asarray(image[0] if isinstance(image, tuple) else image)


@app.cell(hide_code=True)
def _(rows):
    figures = ("mse", "nats", "cross_decoding", "clustering_accuracy", "accuracy_one_per_class", "effective_channels")
    said = [
        f"- {words}: {tables.better(rows, figure, f'film{arm}', f'concat{arm}')}."
        for arm, words in OBJECTIVES.items()
        for figure in figures[:3]
    ]
    found = sum("**yes**" in line for line in said)
    answer = mo.md(
        "# FiLM, concatenation, or none\n\n"
        "Is FiLM at least 5 % better than concatenation, in reconstruction or in how far the channels specialise? "
        f"**The seeds show it in {found} of {len(said)} comparisons.**\n\n" + "\n".join(said)
    )
    chart = answers.every_seed(EXPERIMENT, rows, *figures)
    mo.vstack([answer, chart])
    return


@app.cell(hide_code=True)
def _():
    sizes = {name: decoder_size(ARMS[name].config(0).model) for name in ("film", "concat", "none")}
    mo.md(
        f"""
        **What was compared.** The same networks, data, seeds and 10 epochs; only the way in which the channel's
        embedding e enters the decoder differs: *film* `(1 + gamma(e)) * Norm(h) + beta(e)` at every block, *concat*
        `[z; e]` at the input, *none* not at all. Decoders have {sizes["film"]:,}, {sizes["concat"]:,} and
        {sizes["none"]:,} parameters. *cross decoding* is what it costs an image, in nats, to be decoded from its own
        latent with another channel's embedding: 0 where the embedding says nothing. *clustering accuracy* is a control
        where `router_recon` is 0: the decoder then does not push the choice, though it still shapes the layers that
        the router reads from.
        """
    )
    return


@app.cell(hide_code=True)
def _(rows):
    compared = [
        f"- {words}, {tables.verdict(rows, figure, f'{one}{arm}', f'{other}{arm}')}"
        for arm, words in OBJECTIVES.items()
        for figure in ("clustering_accuracy", "cross_decoding")
        for one, other in (("film", "concat"), ("concat", "none"))
    ]
    mo.md(f"## All figures\n\n{tables.table(EXPERIMENT, rows)}\n\n" + "\n".join(compared))
    return


@app.cell(hide_code=True)
def _():
    config = load_config(SHOWCASE / "config.yaml")
    dataset = load_dataset(config.data.name, validation=config.data.validation)
    saved = open_run(SHOWCASE, dataset)
    model, state = saved.trainer.model, saved.state
    prediction = predict(model, state, dataset.x_test)
    latents = chosen_latents(prediction)
    centres = np.stack([latents[prediction.channel == k].mean(0) for k in range(model.num_components)])
    explained = mo.md(
        """
        ## What an embedding does

        A run with FiLM, the one that the workbench opens with. A row has the mean latent of one channel's test images;
        a column is the channel that decodes it. The diagonal is what the model reconstructs with; what changes along a
        row is what the embedding says, and along a column what the latent says.
        """
    )
    grid = answers.picture(crossed(model, state.average, centres), "every channel's latent, decoded by every channel")
    mo.vstack([explained, grid])
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
        print(answers.small_rerun(EXPERIMENT, "concat"))
    rows = sweep.results(EXPERIMENT)
    return (rows,)


if __name__ == "__main__":
    app.run()
