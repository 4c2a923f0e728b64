import marimo

__generated_with = "0.25.2"
app = marimo.App(width="full", app_title="Decentralized latents")

with app.setup(hide_code=True):
    import gc
    from functools import partial

    gc.disable()  # what is imported stays, and is not searched for garbage again and again

    import altair as alt
    import marimo as mo

    from workbench import charts, compare, controls, inside, sweep, tables
    from workbench.cache import use_compilation_cache
    from workbench.channel_view import class_colours
    from workbench.experiments import EXPERIMENTS
    from workbench.knobs import FRAME_RATES, configured
    from workbench.memory import keep_freed_memory
    from workbench.opening import asked, opened
    from workbench.saved import keep

    alt.data_transformers.disable_max_rows()
    use_compilation_cache()
    keep_freed_memory()
    if not gc.get_freeze_count():  # once a process: later it would keep other pages' runs
        gc.freeze()
    gc.enable()


@app.cell(hide_code=True)
def _(live, view):
    buttons = [
        mo.ui.button(label="Train", kind="success", on_click=lambda _: live.start()),
        mo.ui.button(label="Pause", on_click=lambda _: live.pause()),
        mo.ui.button(label="Step", on_click=lambda _: live.step()),
        mo.ui.button(label="Reset", on_click=lambda _: live.reset()),
        mo.ui.button(label="Save", on_click=lambda _: mo.status.toast(keep(live))),
    ]
    planes = mo.ui.anywidget(view)
    head = mo.hstack([mo.md("### Decentralized latents"), mo.hstack(buttons, justify="end")], align="center")
    controls.page(head, planes)
    return


@app.cell(hide_code=True)
def _(beside, given, live, others, refresh, set_given):
    _ = refresh.value  # a tick runs this cell again
    if given() != live.given.any():
        set_given(live.given.any())
    weights, title = live.matrix()
    runs = {"live": live.curves} | ({others.selected_key: beside.history} if beside and beside.history else {})
    mo.hstack(charts.of_run(runs, weights, live.dataset.class_names, title), justify="start", wrap=True)
    return


@app.cell(hide_code=True)
def _():
    refresh = mo.ui.refresh(options=["1s", "2s", "5s"], default_interval="2s", label="charts every")
    mo.hstack([refresh])  # here: a cell that takes it from another is drawn anew by every tick
    return (refresh,)


@app.cell(hide_code=True)
def _(channels, config, fault, frame_rate, given, knobs, noted, release, start, structure):
    _ = noted()  # runs this cell again
    panel = [
        mo.Html("<div><b>Structure</b> · a change builds a new model</div>"),
        mo.vstack([*structure.elements.values(), channels], gap=0.2),
        *([mo.callout(fault, kind="warn")] if fault else []),
        mo.Html("<div><b>Live</b> · moves while training</div>"),
        knobs.drawn(config, bool(start.data.labels) or given()),
        release,
        *frame_rate,
    ]
    mo.sidebar(mo.vstack(panel, gap=0.4).style(flex="none"), width="22rem")
    return


@app.cell(hide_code=True)
def _(again, beside, config, others, unreadable):
    parts = [mo.hstack([others, again], justify="start")]
    if unreadable:
        parts.append(mo.callout(unreadable, kind="warn"))
    if beside:
        parts.append(mo.ui.anywidget(beside.view))
    if beside and config:
        different = compare.differences(config, beside.config)
        parts.append(mo.ui.table(different, selection=None, label="settings that differ, live knobs left aside"))
    mo.accordion({"Compare with another run": mo.vstack(parts)})
    return


@app.cell(hide_code=True)
def _(live, measure, measured, while_open):
    _ = while_open.value  # a tick runs this cell again
    tau, k_active = float(live.state.knobs.tau), int(live.state.knobs.k_active)
    estimator = live.trainer.config.routing.estimator
    soft = inside.weights_frame(live.points.logits, live.points.noise, tau, k_active, estimator)
    in_use, of = inside.effective_frame(live.curves), live.trainer.config.model.num_components
    moving = [
        charts.Redrawn(inside.weights_chart, soft, round(tau, 3), estimator),
        charts.Redrawn(inside.effective_chart, in_use, of),
    ]
    rows_inside = [mo.hstack(moving, justify="start", wrap=True), mo.hstack([measure, while_open], justify="start")]
    mo.accordion({"Inside routing": mo.vstack([*rows_inside, measured])})
    return


@app.cell(hide_code=True)
def _():
    try:
        begun, start = opened(**asked(mo.cli_args()))
    except (ValueError, OSError) as cause:
        mo.stop(True, mo.callout(str(cause), kind="danger"))
    view = begun.view
    return begun, start, view


@app.cell(hide_code=True)
def _(begun, start):
    structure = controls.structural_panel(start)
    channels = controls.channels_field(start)
    told = {"label": "frames a second", "show_value": True, "on_change": partial(setattr, begun.pace, "max_fps")}
    frame_rate = [mo.ui.slider(*FRAME_RATES, value=begun.pace.max_fps, **told)]  # in a list: a move runs no cell
    release = mo.ui.button(label="all knobs back on schedule")
    noted, note = mo.state(0)  # how often a note beside a knob came or went
    given, set_given = mo.state(False)  # whether labels were given by hand, which no cell hears of
    again = mo.ui.button(label="look for runs again")
    measure = mo.ui.run_button(label="measure")
    while_open = mo.ui.refresh(["1s", "2s", "5s"], default_interval="2s", label="charts every")  # off the page, no tick
    return (
        again,
        channels,
        frame_rate,
        given,
        measure,
        note,
        noted,
        release,
        set_given,
        structure,
        while_open,
    )


@app.cell(hide_code=True)
def _(config, live, measure):
    _ = config  # what was measured is of another model once it changes
    measured = mo.md("Bias and noise of every estimator at the present tau, in some seconds.")
    if measure.value:
        with mo.status.spinner("measuring the estimators"):
            meter, unmeasured = inside.measured(live.trainer, live.state, live.points.x)
        about = mo.md(inside.words(meter) if meter else unmeasured)
        measured = mo.vstack([*([inside.meter_chart(inside.meter_frame(meter))] if meter else []), about])
    return (measured,)


@app.cell(hide_code=True)
def _(again, live):
    _ = again.value, live  # after the first picture: there may be many
    others = mo.ui.dropdown(compare.saved_runs(), label="planes of", allow_select_none=True)
    return (others,)


@app.cell(hide_code=True)
def _(live, others):
    beside, unreadable = None, ""
    try:
        beside = compare.beside(others.value, live) if others.value else None
    except (ValueError, OSError) as cause:
        unreadable = str(cause)
    return beside, unreadable


@app.cell(hide_code=True)
def _(begun, channels, note, release, start):
    _ = release.value  # a press makes the panel anew
    knobs = controls.LivePanel(start, channels.value, begun.follow, renew=lambda: note(lambda times: times + 1))
    return (knobs,)


@app.cell(hide_code=True)
def _(channels, start, structure):
    config, fault = configured(start, structure.value, channels.value)
    return config, fault


@app.cell(hide_code=True)
def _(begun, view):
    live = begun  # once its first picture is on screen: the panel comes meanwhile, as planes beside it are narrower
    if not live.settled(600) or live.error:  # seconds; a server whose other pages train has little time for one more
        raise RuntimeError(f"the first picture did not come on screen: {view.status}")
    return (live,)


@app.cell(hide_code=True)
def _(config, knobs, live):
    if config:
        live.configure(config)
        live.follow(knobs.value)
    return


@app.cell(hide_code=True)
def _():
    rows, points = sweep.results("separation"), sweep.results("separation", "_details")
    arms = ("decentralized", "shared")
    answers = [
        f"- {tables.verdict(rows, figure, *(arm + objective for arm in arms))}"
        for objective in ("", ", label-free")
        for figure in ("plane_separation", "clustering_accuracy")
    ]
    said = mo.md(
        f"{EXPERIMENTS['separation'].question}\n\n{tables.table('separation', rows)}\n" + "\n".join(answers) + "\n\n"
        "Live: set *layout* to *shared*, press Train, and compare."
    )
    planes_of_arms = [] if points.is_empty() else [charts.planes_chart(points, class_colours(10))]
    mo.accordion({"Experiment 1": mo.vstack([said, *planes_of_arms])})
    return


@app.cell(hide_code=True)
def _(live, view):
    if mo.app_meta().mode == "script":
        live.step(5)
        if not live.settled() or live.error or live.state.step != 5:
            raise RuntimeError(f"five steps were asked for: {view.status}")
        print(f"{view.status} after {live.state.step} steps")
    return


if __name__ == "__main__":
    app.run()
