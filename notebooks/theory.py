import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Theory")

with app.setup(hide_code=True):
    import jax.numpy as jnp
    import marimo as mo
    import numpy as np
    import polars as pl

    from mixvae import load_config, load_dataset, tau_classifier
    from mixvae.estimators import ESTIMATORS
    from mixvae.inference import responsibilities
    from mixvae.invariance import router_objective
    from mixvae.losses import all_channel_tax, kl_categorical, kl_latents, kl_normal, usage
    from mixvae.metrics import estimator_bias
    from mixvae.routing import route
    from mixvae.runs import open_run
    from workbench import charts, figures, theory
    from workbench.cache import use_compilation_cache
    from workbench.inside import latent_kl
    from workbench.presets import SHOWCASE

    use_compilation_cache()


@app.cell(hide_code=True)
def _():
    mo.md("""
    # The mathematics, with every symbol on a slider

    Every formula of this project, computed by the library's own functions: move a symbol, and the figure answers.

    [1 The bound](#1-the-mixture-and-its-evidence-bound) ·
    [2 Which KL](#2-the-latents-kl-of-every-channel-or-of-the-routed-one) ·
    [3 Temperature](#3-gumbel-softmax-and-what-temperature-does) ·
    [4 Bias](#4-straight-through-beside-the-exact-gradient) ·
    [5 FiLM](#5-film-on-real-features) ·
    [6 Dirichlet](#6-a-categorical-has-no-kl-to-a-dirichlet) ·
    [7 Sigma](#7-log-sigma-once-a-pixel) ·
    [8 Invariance](#8-what-the-invariance-objective-adds) ·
    [9 Labels](#9-labels-through-a-table)
    """)
    return


@app.function(hide_code=True)
def symbols(**sliders: tuple) -> mo.ui.dictionary:
    """A slider for each symbol, from (label, start, stop, step, value) or (label, steps, value)."""
    return mo.ui.dictionary({name: slider(*each) for name, each in sliders.items()})


@app.function(hide_code=True)
def slider(label: str, *reach) -> mo.ui.slider:
    """One symbol."""
    *reach, value = reach
    steps = {"steps": reach[0]} if len(reach) == 1 else dict(zip(("start", "stop", "step"), reach, strict=True))
    return mo.ui.slider(**steps, value=value, label=label, show_value=True)


@app.function(hide_code=True)
def section(text: str, sliders: mo.ui.dictionary) -> mo.Html:
    """A heading, a few sentences, and the sliders of their symbols."""
    row = "".join(f"{element}" for element in sliders.elements.values())
    return mo.vstack([mo.md(text), mo.Html(f'<div style="display: flex; flex-wrap: wrap; gap: 0 2rem">{row}</div>')])


@app.function(hide_code=True)
def figure(formula: str, *parts) -> mo.Html:
    """Charts side by side, and below them the formula with its numbers."""
    shown = [part.properties(**charts.PAGE, config=figures.QUIET) for part in parts]
    return mo.vstack([mo.hstack(shown, justify="start", wrap=True, gap=1.5), mo.md(f"$${formula}$$")])


@app.cell(hide_code=True)
def _():
    bound = symbols(
        x=("pixel $x$", 0.0, 1.0, 0.01, 0.4),
        logit=("logit $l$", -6.0, 6.0, 0.1, 0.0),
        first=("channel 0 renders", 0.0, 1.0, 0.01, 0.3),
        second=("channel 1 renders", 0.0, 1.0, 0.01, 0.75),
        sigma=(r"$\sigma$", 0.05, 0.5, 0.01, 0.15),
        beta_c=(r"$\beta_c$", 0.0, 2.0, 0.05, 1.0),
    )
    section(
        r"""
        ## 1 The mixture and its evidence bound

        A channel $c$ is drawn among $K$, a latent $z_c \sim N(0, I)$ in its plane, and one decoder renders both:
        $p(x) = \frac1K \sum_c \int p(x \mid z_c, e_c)\, p(z_c)\, dz_c$. That integral is out of reach, so training
        lowers a bound on $-\log p(x)$. Take an image of one pixel, two channels and no latent, with
        $q(c \mid x) = \mathrm{softmax}(l, 0)$: the bound lies above the evidence and touches it where $q$ is the
        posterior. Move $l$ and it touches elsewhere; move $x$ and another $q$ is best. With $\beta_c$ below 1 certainty
        is cheap, and the curve may fall below the evidence: it bounds nothing. All figures leave out
        $\tfrac12 \log 2\pi = .919$, as the likelihood does.
        """,
        bound,
    )
    return (bound,)


@app.function(hide_code=True)
def bound_frame(name: str, axis, x, logit, first: float, second: float, sigma: float, beta_c: float) -> pl.DataFrame:
    """The bound, the evidence and the parts of the bound along an axis of that name; nats."""
    found = theory.bound(*jnp.broadcast_arrays(x, logit), jnp.array([first, second]), sigma, beta_c)
    words = {"loss": "bound", "evidence": "-log p(x)", "recon": "Σ q L", "kl_c": "KL(q ‖ uniform)"}
    return pl.DataFrame({name: np.asarray(axis)} | {words[term]: np.asarray(found[term]) for term in words})


@app.function(hide_code=True)
def bound_figure(x: float, logit: float, **rest: float) -> mo.Html:
    """The bound over the pixel, where it is tangent to the evidence, and over the logit."""
    pixels, logits, x, logit = jnp.linspace(0, 1, 61), jnp.linspace(-6, 6, 61), jnp.array([x]), jnp.array([logit])
    over_x, at_x = (bound_frame("pixel x", axis, axis, logit, **rest)[:, :3] for axis in (pixels, x))
    over_l, at_l = (bound_frame("logit l", axis, x, axis, **rest) for axis in (logits, logit))
    _, loss, evidence, recon, kl_c = at_l.row(0)
    return figure(
        rf"""-\log p(x) = {evidence:.3f} \qquad \underbrace{{\textstyle\sum_c q_c L_c}}_{{{recon:.3f}}} +
        \beta_c \underbrace{{\mathrm{{KL}}(q \,\Vert\, \mathrm{{uniform}})}}_{{{kl_c:.3f}}} =
        {loss:.3f} \;\text{{nats}}""",
        figures.curves(over_x, at_x, "Over the pixel, q as it is"),
        figures.curves(over_l, at_l, "Over the router's logit, x as it is"),
    )


@app.cell(hide_code=True)
def _(bound):
    bound_figure(**bound.value)
    return


@app.cell(hide_code=True)
def _():
    config = load_config(SHOWCASE / "config.yaml")
    dataset = load_dataset(config.data.name, validation=config.data.validation)
    saved = open_run(SHOWCASE, dataset)
    objective, params = saved.trainer.objective, saved.state.average
    some, labels_of = dataset.x_train[::240] / np.float32(255), dataset.y_train[::240]
    sure = responsibilities(objective.model, params, some, saved.state.knobs.k_active).max(1)
    doubtful = [min(np.flatnonzero(labels_of == label), key=sure.__getitem__) for label in range(10)]
    digits = some[doubtful]
    return config, digits, objective, params, some


@app.cell(hide_code=True)
def _():
    image = symbols(
        digit=("image $x$", 0, 9, 1, 3),
        draw=(r"draw of $\epsilon$, in $z = \mu + \sigma \epsilon$", 0, 20, 1, 0),
    )
    section(
        "The same of a whole image, by the trained run on the workbench's first screen, the showcase. There is one "
        "image of each digit: among 250 the one that the router is least sure of.",
        image,
    )
    return (image,)


@app.function(hide_code=True)
def image_figure(objective, params, digits: np.ndarray, digit: int, draw: int) -> mo.Html:
    """What an image costs in every channel, and what each makes of its own latent of it."""
    seen = theory.in_every_channel(objective, params, digits[digit], draw)
    q, kl, nll, rendered = map(np.asarray, seen)
    chosen = q.argmax()
    costs = pl.DataFrame({"channel": range(10), "reconstruction, L": nll, "KL of its latent": kl})
    renderings = figures.pictures({"": rendered}, [f"q = {each:.2f}" for each in q])
    return figure(
        rf"L_{chosen} + \mathrm{{KL}}_{chosen} = {nll[chosen]:.1f} + {kl[chosen]:.1f} \;\text{{nats}}",
        figures.pictures({"": digits[[digit]]}, ["x"], side=120),
        figures.column(figures.bars(costs, "What x costs in each channel", 600), renderings),
    )


@app.cell(hide_code=True)
def _(digits, image, objective, params):
    image_figure(objective, params, digits, **image.value)
    return


@app.cell(hide_code=True)
def _(objective, params, some):
    _kl, _tax = (float(nats) for nats in latent_kl(objective, params, some, 10))
    latents = symbols(
        logit=("logit $l_0$", 0.0, 10.0, 0.1, 2.0),
        own=(r"$\mu_0$", -2.0, 2.0, 0.1, 1.5),
        others=(r"$\mu_1 \dots \mu_9$", -2.0, 2.0, 0.1, 0.5),
        log_var=(r"$\log \sigma^2$", -3.0, 2.0, 0.1, -1.0),
    )
    section(
        rf"""
        ## 2 The latents' KL: of every channel, or of the routed one

        Every channel has a posterior $q(z_k \mid x) = N(\mu_k, \mathrm{{diag}}\,\sigma_k^2)$, chosen or not. The bound
        needs $\sum_k q_k \mathrm{{KL}}_k$ (`kl_scope: routed`). Counting all of them (`all`, the default) is a bound
        too, looser by the all-channel tax $\sum_k (1 - q_k)\,\mathrm{{KL}}_k$; it holds channels that are not chosen at
        the prior. Move $\mu_1 \dots \mu_9$ to 0: the tax falls, and the KL of channel 0 stays as it is. Over
        {len(some)} training images of the showcase all channels cost {_kl:.2f} nats an image; {_tax:.2f} are tax.
        """,
        latents,
    )
    return (latents,)


@app.function(hide_code=True)
def latents_frame(logit: float, own: float, others: float, log_var: float) -> pl.DataFrame:
    """Of ten channels with 2-D latents: what each adds to the routed KL, and to the tax; nats."""
    kl = kl_normal(jnp.full((10, 2), others).at[0].set(own), jnp.full((10, 2), log_var))[:, None]
    q = route(None, jnp.zeros(10).at[0].set(logit), tau=1.0, k_active=10, estimator="exact")[:, None]
    routed, tax = (np.asarray(nats) for nats in (kl_latents(kl, q, "routed"), all_channel_tax(kl, q)))
    return pl.DataFrame({"channel": range(10), "q KL, routed": routed, "(1 - q) KL, the tax": tax})


@app.function(hide_code=True)
def latents_figure(**at: float) -> mo.Html:
    """Who pays for its latent, and how much of it is tax."""
    frame = latents_frame(**at)
    _, routed, tax = frame.sum().row(0)
    return figure(
        rf"""\underbrace{{\textstyle\sum_k \mathrm{{KL}}_k}}_{{\text{{all: }}{routed + tax:.2f}}} =
        \underbrace{{\textstyle\sum_k q_k \mathrm{{KL}}_k}}_{{\text{{routed: }}{routed:.2f}}} +
        \underbrace{{\textstyle\sum_k (1 - q_k)\, \mathrm{{KL}}_k}}_{{\text{{tax: }}{tax:.2f}}} \;\text{{nats}}""",
        figures.bars(frame, "KL of each channel's latent", 600),
    )


@app.cell(hide_code=True)
def _(latents):
    latents_figure(**latents.value)
    return


@app.cell(hide_code=True)
def _():
    choice = symbols(
        tau=(r"$\tau$", theory.TAUS, 1.0),
        first=("logit $l_0$", -4.0, 4.0, 0.1, 1.0),
        second=("logit $l_1$", -4.0, 4.0, 0.1, 0.5),
    )
    section(
        r"""
        ## 3 Gumbel-Softmax, and what temperature does

        The soft weights of a draw are $\mathrm{softmax}((l + g) / \tau)$ with $g \sim \mathrm{Gumbel}(0, 1)$;
        straight-through takes the largest of them whole. A dot is a draw, and keeps its noise while $\tau$ moves:
        weights run to the corners or to the middle, but no dot changes its colour, since $\arg\max (l + g)$ knows no
        $\tau$. Channels are chosen in proportion to $q = \mathrm{softmax}(l)$ at every temperature. What $\tau$ changes
        is the gradient, the slope of the weight: rare and steep where it is cold, everywhere and flat where it is hot.
        """,
        choice,
    )
    return (choice,)


@app.function(hide_code=True)
def choice_frames(tau: float, first: float, second: float) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """500 of 5000 draws among three channels: soft weights and hard choice. The share of each choice, at this tau.

    And over TAUS the slope of channel 0's weight by its logit: exact, mean and deviation of the draws.
    """
    draws, at = theory.choices(jnp.array([first, second, 0.0]), 5000), theory.TAUS.index(tau)
    soft, hard, q = (np.asarray(each[at]) for each in draws[:3])
    dots = pl.DataFrame(soft[:500], schema=figures.Q)
    dots = dots.with_columns(chosen=pl.Series([f"channel {k}" for k in hard[:500].argmax(1)]))
    shares = pl.DataFrame({"channel": range(3), "share": hard.mean(0), "mark": q})
    exact, slope = np.asarray(draws.exact_slope), np.asarray(draws.slope)
    slopes = {"exact": exact, "mean of the draws": slope.mean(1), "deviation of a draw": slope.std(1)}
    return dots, shares, pl.DataFrame({"tau": theory.TAUS} | slopes)


@app.function(hide_code=True)
def choice_figure(tau: float, **logits: float) -> mo.Html:
    """What tau moves, what it does not, and how the choice learns."""
    dots, shares, slopes = choice_frames(tau, **logits)
    at = slopes[theory.TAUS.index(tau)]
    q = ", ".join(f"{share:.3f}" for share in shares["mark"])
    return figure(
        rf"""q = ({q}) \qquad \frac{{\partial w_0}}{{\partial l_0}}: \;\text{{exact }} {at[0, 1]:.3f}, \;
        \text{{straight-through }} {at[0, 2]:.3f} \pm {at[0, 3]:.3f} \text{{ a draw}}""",
        figures.simplex(dots, "Soft weights, coloured by the hard choice"),
        figures.bars(shares, "Hard choices; tick: q", 170, y="share of the draws"),
        figures.curves(slopes, at, "Slope of the first weight by its logit", 300, y=None, log="x"),
    )


@app.cell(hide_code=True)
def _(choice):
    choice_figure(**choice.value)
    return


@app.cell(hide_code=True)
def _():
    bias = symbols(
        tau=(r"$\tau$", theory.TAUS, 1.0),
        sharpness=("sharpness $s$", 0.1, 3.0, 0.1, 1.0),
        sigma=(r"$\sigma$", 0.1, 0.5, 0.01, 0.2),
        pixel=("image", 0, 99, 1, 40),
    )
    section(
        r"""
        ## 4 Straight-through beside the exact gradient

        What reconstruction should tell the router is $\partial_l \sum_k q_k L_k$, and it takes a decoded image of every
        channel. Straight-through decodes one, and lets the gradient pass as if its weights had been soft. Here are 100
        images of one pixel, three channels that render .2, .5 and .8, and a router whose logits are $s$ times those of
        the true posterior. Where it is cold the mean of many draws is right and a single draw says little; where it is
        hot draws agree, on something else. Of a trained decoder the workbench measures both, under *Inside routing*.
        """,
        bias,
    )
    return (bias,)


@app.function(hide_code=True)
def bias_frames(sharpness: float, sigma: float) -> tuple[dict[str, pl.DataFrame], dict[str, np.ndarray]]:
    """Relative bias, its error and the noise of a draw over TAUS; and all gradients, [tau, draw, image, channel]."""
    found = theory.pixel_gradients(sharpness, sigma, draws=400)
    gradients = {name.replace("_", "-"): np.asarray(found[name]) for name in ESTIMATORS}
    exact = gradients["exact"][0, 0]
    noisy = {name: [estimator_bias(at, exact) for at in gradients[name]] for name in ("straight-through", "gumbel")}
    frames = {
        part: pl.DataFrame({"tau": theory.TAUS} | {k: [getattr(b, part) for b in v] for k, v in noisy.items()})
        for part in ("relative", "error", "noise")
    }
    return frames, gradients


@app.function(hide_code=True)
def bias_figure(tau: float, pixel: int, **rest: float) -> mo.Html:
    """Bias and noise over tau, and the mean gradient of one image."""
    (frames, gradients), at = bias_frames(**rest), theory.TAUS.index(tau)
    bias = frames["relative"].with_columns(
        frames["error"]["straight-through"].alias("standard error, straight-through")
    )
    noise = frames["noise"]
    means = {name: each[at, :, pixel].mean(0) for name, each in gradients.items()}
    (_, *biases, _), (_, *noises) = bias.row(at), noise.row(at)
    return figure(
        rf"""\frac{{|\mathbb{{E}}\, g - g_\mathrm{{exact}}|}}{{|g_\mathrm{{exact}}|}}: \;
        \text{{straight-through }} {biases[0]:.2f}, \; \text{{gumbel }} {biases[1]:.2f} \qquad
        \text{{noise of a draw: }} {noises[0]:.2f}, \; {noises[1]:.2f}""",
        figures.curves(bias, bias[at], "Bias, in lengths of the exact gradient", 250, y=None, log="x"),
        figures.curves(noise, noise[at], "Noise of a draw, likewise", 250, y=None, log="x"),
        figures.bars(
            pl.DataFrame({"channel": range(3)} | means), f"Mean gradient at x = {pixel / 99:.2f}", 250, beside=True
        ),
    )


@app.cell(hide_code=True)
def _(bias):
    bias_figure(**bias.value)
    return


@app.cell(hide_code=True)
def _():
    film = symbols(
        z1=("$z_1$", -3.0, 3.0, 0.1, 0.0),
        z2=("$z_2$", -3.0, 3.0, 0.1, 0.0),
        start=("channel $a$", 0, 9, 1, 0),
        end=("channel $b$", 0, 9, 1, 1),
        t=("$t$", 0.0, 1.0, 0.05, 0.0),
        block=("block", 1, 3, 1, 1),
    )
    section(
        r"""
        ## 5 FiLM on real features

        At every block of the decoder the channel's embedding scales and shifts the features:
        $(1 + \gamma(e))\,\mathrm{Norm}(h) + \beta(e)$. Untrained, $\gamma = \beta = 0$, and every feature lies on the
        diagonal; the trained decoder of the showcase moves each to where its channel wants it. One latent and ten
        embeddings make ten pictures. Along $e = (1 - t)\, e_a + t\, e_b$ one picture becomes another, and $z$ stays.
        """,
        film,
    )
    return (film,)


@app.function(hide_code=True)
def film_figure(model, params, z1: float, z2: float, start: int, end: int, t: float, block: int) -> mo.Html:
    """The features of a block before and after FiLM, and the pictures of one latent under other embeddings."""
    along = np.append(np.linspace(0, 1, 10), t)
    weights = np.concatenate([np.eye(10), np.outer(1 - along, np.eye(10)[start]) + np.outer(along, np.eye(10)[end])])
    rendered, layers = theory.film(model, params, np.tile(np.float32([z1, z2]), (21, 1)), np.float32(weights))
    norm, gamma, beta, film = (np.asarray(part[-1]).ravel() for part in layers[block - 1])
    features = pl.DataFrame({"Norm(h)": norm, "FiLM(h)": film})
    return figure(
        rf"""\mathrm{{FiLM}}(h) = (1 + \gamma)\,\mathrm{{Norm}}(h) + \beta \qquad |\gamma| = {figures.rms(gamma):.2f},
        \; |\beta| = {figures.rms(beta):.2f} \;\text{{(root mean square)}}""",
        figures.scatter(features.sample(min(len(norm), 512), seed=0), f"Features of block {block}, at t"),
        figures.column(
            figures.pictures({"channel": rendered[:10]}, list(map(str, range(10))), "One latent", 52),
            figures.pictures({"a to b": rendered[10:20]}, [f"{at:.2f}" for at in along[:-1]], side=52),
        ),
        figures.pictures({"": rendered[20:]}, [f"t = {t:.2f}"], side=120),
    )


@app.cell(hide_code=True)
def _(film, objective, params):
    film_figure(objective.model, params, **film.value)
    return


@app.cell(hide_code=True)
def _():
    prior = symbols(
        certainty=("certainty", 0.0, 8.0, 0.1, 3.0),
        tilt=("tilt", 0.0, 6.0, 0.1, 0.0),
        alpha=(r"$\alpha$", 1.0, 5.0, 0.1, 2.0),
    )
    section(
        r"""
        ## 6 A categorical has no KL to a Dirichlet

        The specification writes $\mathrm{KL}(q(c \mid x) \,\Vert\, \mathrm{Dirichlet}(\alpha))$. But $q(c \mid x)$ is
        one point of this triangle, and a Dirichlet is a density over all of its points: they are not distributions over
        the same things. Two things can be meant. `kl_c` compares the $q$ of each image with the uniform one. `usage` is
        $-\log$ of the Dirichlet's density at the *batch mean* of $q$, less a constant. Here are three images, each with
        a channel of its own. Make them certain: `kl_c` objects to every one, `usage` sees three channels in equal use.
        Tilt them towards channel 0: `usage` objects as well.
        """,
        prior,
    )
    return (prior,)


@app.function(hide_code=True)
def prior_batch(certainty: float, tilt: float, alpha: float) -> tuple[np.ndarray, float, float]:
    """q of three images, each for a channel of its own and tilted towards channel 0; mean kl_c, and usage; nats."""
    logits = certainty * jnp.eye(3) + tilt * jnp.eye(3)[0]
    q = route(None, logits, tau=1.0, k_active=3, estimator="exact")
    return np.asarray(q), float(kl_categorical(logits).mean()), float(usage(q, alpha, 3))


@app.function(hide_code=True)
def prior_figure(**at: float) -> mo.Html:
    """kl_c over the simplex with the images on it, and usage with their mean."""
    q, kl_c, used = prior_batch(**at)
    grid = figures.simplex_grid()
    maps = [
        pl.DataFrame(grid, schema=figures.Q).with_columns(nats=pl.Series(np.asarray(nats)))
        for nats in theory.over_simplex(grid, at["alpha"])
    ]
    images, mean = (pl.DataFrame(rows, schema=figures.Q) for rows in (q, q.mean(0, keepdims=True)))
    return figure(
        rf"""\mathrm{{kl}}_c = \tfrac13 \textstyle\sum_n \mathrm{{KL}}(q_n \,\Vert\, \mathrm{{uniform}}) = {kl_c:.3f}
        \qquad \mathrm{{usage}} = -(\alpha - 1) \sum_k \log \bar\pi_k = {used:.3f} \;\text{{nats}}""",
        figures.simplex(images, "kl_c; dots: the three images", maps[0]),
        figures.simplex(mean, "usage; dot: their mean", maps[1]),
    )


@app.cell(hide_code=True)
def _(prior):
    prior_figure(**prior.value)
    return


@app.cell(hide_code=True)
def _():
    sigma = symbols(
        residual=(r"$|x - m|$", 0.01, 0.5, 0.01, 0.1),
        pixels=("pixels $P$", [1, 4, 16, 64, 196, 784], 784),
        s=("raw $s$", -8.0, 8.0, 0.1, 0.0),
        low=(r"$\sigma_{\min}$", 0.01, 0.1, 0.01, 0.05),
        high=(r"$\sigma_{\max}$", 0.2, 1.0, 0.01, 0.5),
    )
    section(
        r"""
        ## 7 Log sigma, once a pixel

        A Gaussian pixel costs $(x - m)^2 / 2\sigma^2 + \log \sigma$, so an image pays $\log \sigma$ for each of its $P$
        pixels, and is cheapest where $\sigma$ is the error that it makes. Count it once, as a formula with a single
        $\log \sigma$ invites, and the cheapest $\sigma$ is $\sqrt P$ times larger, out of any sensible bound: $\sigma$
        runs to $\sigma_{\max}$ and says nothing. The head keeps $\sigma$ inside its bounds by a sigmoid of its raw
        number $s$: the slope is nowhere 0, as a clip's would be outside its range.
        """,
        sigma,
    )
    return (sigma,)


@app.function(hide_code=True)
def cost_frame(pixels: int, residual: float, sigmas: np.ndarray) -> pl.DataFrame:
    """What an image costs at each sigma, log sigma counted once a pixel and once an image; nats."""
    per_pixel, once = (np.asarray(nats) for nats in theory.image_nll(pixels, residual, jnp.asarray(sigmas)))
    return pl.DataFrame({"sigma": sigmas, "once a pixel": per_pixel, "once an image": once})


@app.function(hide_code=True)
def head_frame(s: np.ndarray, low: float, high: float) -> pl.DataFrame:
    """What the heteroscedastic head makes of its raw numbers."""
    sigma, slope = (np.asarray(made) for made in theory.head_sigma(jnp.asarray(s), low, high))
    return pl.DataFrame({"s": s, "sigma": sigma, "d log sigma / d s": slope})


@app.function(hide_code=True)
def sigma_figure(residual: float, pixels: int, s: float, low: float, high: float) -> mo.Html:
    """Where sigma is cheapest when its logarithm is counted once a pixel, and when it is counted once."""
    over_s = head_frame(np.append(np.linspace(-8, 8, 61), s), low, high)
    over_s, at_s = over_s[:-1], over_s[-1]
    sigma = at_s["sigma"].to_numpy()
    around = np.geomspace(min(0.45 * residual, *sigma), max(60 * residual, *sigma), 81)
    over, at = (cost_frame(pixels, residual, each) for each in (around, sigma))
    found, per_pixel, once = at.row(0)
    words = {way: f"log sigma {way}: least at {over['sigma'][over[way].arg_min()]:.2g}" for way in over.columns[1:]}
    return figure(
        rf"""\sigma = {found:.3f} \qquad
        \textstyle\sum_p \left[ (x_p - m_p)^2 / 2\sigma^2 + \log \sigma \right] = {per_pixel:.2f} \qquad
        \sum_p (x_p - m_p)^2 / 2\sigma^2 + \log \sigma = {once:.2f} \;\text{{nats}}""",
        figures.curves(over[:, [0, 1]], at[:, [0, 1]], words["once a pixel"], 250, log="x"),
        figures.curves(over[:, [0, 2]], at[:, [0, 2]], words["once an image"], 250, log="xy"),
        figures.curves(over_s, at_s, "What the head makes of s", 250, y=None),
    )


@app.cell(hide_code=True)
def _(sigma):
    sigma_figure(**sigma.value)
    return


@app.cell(hide_code=True)
def _(config):
    views = symbols(
        degrees=("rotation, degrees", 0.0, 60.0, 1.0, config.augment.degrees),
        shift=("shift, pixels", 0.0, 8.0, 0.5, config.augment.shift),
        scale=("scale", 0.0, 0.6, 0.05, config.augment.scale),
        shear=("shear", 0.0, 0.8, 0.05, config.augment.shear),
        draw=("draw", 0, 20, 1, 0),
    )
    section(
        r"""
        ## 8 What the invariance objective adds

        Likelihood alone gives channels no reason to be classes. The router learns from what must not matter: an image
        $x$ and a random affine view $a$ of it belong in one channel. It lowers
        $w_\mathrm{inv}\,\mathrm{inv} - w_\mathrm{mi}\,(2 H - h)$, with
        $\mathrm{inv} = \mathrm{KL}(q(c \mid x) \,\Vert\, q(c \mid a))$, where no gradient reaches $q(c \mid x)$ and an
        image's self-label stands in its place once there is one, $H$ the entropy of the batch mean of $q$ and $h$ the
        mean entropy of $q$. The router of the showcase learned from views within the bounds that the sliders start at.
        These are, of each digit among 250 images, the one that it is least sure of, and some of their views it puts
        elsewhere.
        """,
        views,
    )
    return (views,)


@app.function(hide_code=True)
def views_figure(objective, params, digits: np.ndarray, draw: int, **bounds: float) -> mo.Html:
    """Ten images, a view of each, where the router puts both, and what it pays for the difference."""
    seen = theory.compared(objective, params, digits, bounds, draw)
    inv = pl.DataFrame({"image": range(10), "inv": np.asarray(seen.inv)})
    words = [f"{x} → {a}" for x, a in np.asarray(seen.q.argmax(-1)).T]
    rows = {"x": digits, "a": np.asarray(seen.views)}
    return figure(
        rf"""\mathrm{{inv}} = {seen.terms.inv:.3f} \qquad H = {seen.terms.H:.3f} \qquad
        h = {seen.terms.h:.3f} \;\text{{nats}}""",
        figures.column(
            figures.pictures(rows, words, "Images, their views, and the channels of both"),
            figures.bars(inv, "inv of each image", 600),
        ),
    )


@app.cell(hide_code=True)
def _(digits, objective, params, views):
    views_figure(objective, params, digits, **views.value)
    return


@app.cell(hide_code=True)
def _():
    routers = symbols(certainty=("certainty", 0.0, 12.0, 0.1, 4.0))
    section(
        "Why three terms? Each of them alone is content with a router that has learned nothing. Four routers, on ten "
        "images and ten channels, with this logit for the channel that they choose:",
        routers,
    )
    return (routers,)


@app.function(hide_code=True)
def routers_frame(certainty: float) -> pl.DataFrame:
    """inv, H and h of four routers on ten images and ten channels; nats."""
    own = certainty * jnp.eye(10)
    same = jnp.broadcast_to(own[0], own.shape)
    pairs = {"one channel": (same, same), "undecided": (0 * own, 0 * own)}
    pairs |= {"moved by views": (own, jnp.roll(own, 1, axis=1)), "good": (own, own)}
    rows = [(name, *map(float, router_objective(x, a, 10))) for name, (x, a) in pairs.items()]
    return pl.DataFrame(rows, schema=["router", "inv", "H", "h"], orient="row")


@app.function(hide_code=True)
def routers_figure(certainty: float) -> mo.Html:
    """Three terms, each of them passed by a router that is no good."""
    frame = routers_frame(certainty)
    titles = {"inv": "inv, the lower the better", "H": "H, the higher the better", "h": "h, the lower the better"}
    _, inv, H, h = frame.row(3)
    return figure(
        rf"\text{{good: }} \;\mathrm{{inv}} = {inv:.3f}, \quad H = {H:.3f}, \quad h = {h:.3f} \;\text{{nats}}",
        *(figures.bars(frame.select("router", term), words, 280) for term, words in titles.items()),
    )


@app.cell(hide_code=True)
def _(routers):
    routers_figure(**routers.value)
    return


@app.cell(hide_code=True)
def _():
    labels = symbols(
        first=("an image labelled 0: $q_0$", 0.0, 1.0, 0.05, 0.9),
        second=("an image labelled 1: $q_0$", 0.0, 1.0, 0.05, 0.2),
        alpha0=(r"$\alpha_0$", 0.1, 5.0, 0.1, 1.0),
        new=("a new image: $q_0$", 0.0, 1.0, 0.05, 0.9),
    )
    section(
        r"""
        ## 9 Labels through a table

        A channel has no name until labels reach it. Two labelled images, two channels: the counts are
        $s_{ky} = \alpha_0 + \sum_n q(k \mid x_n)\,[y_n = y]$, their rows, made to sum to 1, are $T$, and a new image
        has the label $y$ with $p(y \mid x) = \sum_k q(k \mid x)\, T_{ky}$. Its certainty,
        $\max_k\, q(k \mid x) \max_y T_{ky}$, is low where no channel claims it, and where the one that does has no
        clear name.
        """,
        labels,
    )
    return (labels,)


@app.function(hide_code=True)
def label_answers(first: float, second: float, alpha0: float, new: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Counts of two images labelled 0 and 1 in two channels; p(y|x) and the certainty of a new image."""
    counts = tau_classifier.count(jnp.array([[first, 1 - first], [second, 1 - second]]), jnp.array([0, 1]), 2, alpha0)
    table, q = tau_classifier.channel_labels(counts), jnp.array([[new, 1 - new]])
    named, sure = tau_classifier.predict(q, table), tau_classifier.certainty(q, table)
    return np.asarray(counts), np.asarray(named[0]), float(sure[0])


@app.function(hide_code=True)
def labels_figure(**at: float) -> mo.Html:
    """The table, and what it says of a new image."""
    counts, named, sure = label_answers(**at)
    (a, b), (c, d) = counts
    return figure(
        rf"""s = \begin{{pmatrix}} {a:.2f} & {b:.2f} \\ {c:.2f} & {d:.2f} \end{{pmatrix}} \qquad
        p(y \mid x) = ({named[0]:.4f},\; {named[1]:.4f}) \qquad \text{{certainty }} {sure:.4f}""",
        charts.matrix_chart(charts.matrix_frame(counts, ("0", "1")), "T, by channel and label", 0, 190, 190),
        figures.bars(pl.DataFrame({"label": [0, 1], "p": named}), "The new image", 190, y="p(y|x)"),
    )


@app.cell(hide_code=True)
def _(labels):
    labels_figure(**labels.value)
    return


if __name__ == "__main__":
    app.run()
