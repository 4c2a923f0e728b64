"""The workbench in Jupyter: the planes of a live run at the right, its knobs as ipywidgets at the left."""

import base64
import html
import weakref
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import vl_convert

from mixvae import Config
from workbench import charts
from workbench.knob_widgets import channels_field, choice, live_knobs
from workbench.knobs import FRAME_RATES, STRUCTURAL, configured, idle, note
from workbench.live import LiveRun
from workbench.saved import keep

COMMANDS: dict[str, Callable[[LiveRun], None]] = {
    "Train": lambda run: run.start(),
    "Pause": lambda run: run.pause(),
    "Step": lambda run: run.step(),
    "Reset": lambda run: run.reset(),
}
CHARTS_EVERY_MS = 5000  # drawing them holds Python for a fifth of a second
GONE = "The notebook let go of this run: run its cells again."
STYLE = Path(__file__).with_suffix(".css").read_text(encoding="utf-8")


class Panel(widgets.HBox):
    """Knobs, buttons, planes and charts of a live run, whose settings begin as `start` has them.

    The run is held weakly: a notebook that lets go of it ends its training.
    """

    def __init__(self, run: LiveRun, start: Config):
        self._run, self._start, self._drawn = weakref.ref(run), start, b""
        self.view = run.view
        self.structure = {path: choice(start, path) for path in STRUCTURAL}
        self.channels = channels_field(start)
        self.fault, self.live_rows, self.charts = widgets.HTML(), widgets.VBox(), widgets.HTML()
        self.release = widgets.Button(description="all knobs back on schedule", layout={"width": "auto"})
        self.save = widgets.Button(description="save", tooltip="keep this run in data/runs", layout={"width": "auto"})
        self.frame_rate = widgets.IntSlider(
            run.pace.max_fps, *FRAME_RATES, description="frames a second", layout={"width": "auto"}
        )
        self.frame_rate.style.description_width = "initial"
        self.buttons = {name: widgets.Button(description=name, layout={"flex": "1"}) for name in COMMANDS}
        self.buttons["Train"].button_style = "success"
        self.clock = widgets.Play(interval=CHARTS_EVERY_MS, max=10**6, repeat=True, layout={"display": "none"})
        super().__init__([self._side(), self._main()])
        self.add_class("workbench")
        self._listen()
        self.put_back()
        self.draw_charts()

    @property
    def knobs(self) -> dict[str, Any]:
        """The live knobs as they stand, and the switch of the curriculum."""
        return {name: plain(knob.value) for name, knob in self.live.items()}

    def put_back(self, _=None):
        """Every live knob where the config has it, for the K of the moment."""
        before = self.live_rows.children
        self.live = live_knobs(self._start, self.channels.value)
        self.notes = {name: widgets.HTML() for name in self.live}
        self.live_rows.children = [*chain.from_iterable(zip(self.live.values(), self.notes.values(), strict=True))]
        for row in before:
            row.layout.close()  # else ipywidgets keeps them
            row.style.close()
            row.close()
        for knob in self.live.values():
            knob.observe(self._follow, "value")
        self._configure()

    def draw_charts(self, _=None):
        """The charts of the moment, where the planes have changed since the last ones."""
        run = self._run()
        if run is None or self.view.frame == self._drawn:
            return
        self._drawn, (weights, title) = self.view.frame, run.matrix()
        drawn = charts.of_run({"live": run.curves}, weights, run.dataset.class_names, title, heights=(34, 94))
        self.charts.value = f'<div class="workbench-charts">{"".join(map(picture, drawn))}</div>'

    def _side(self) -> widgets.VBox:
        structure = [widgets.HTML("<b>Structure</b> · builds a new model"), *self.structure.values()]
        live = [
            widgets.HTML("<b>Live</b> · moves while training"),
            self.live_rows,
            self.release,
            self.frame_rate,
            self.save,
        ]
        rows = [widgets.HBox([*self.buttons.values()]), *structure, self.channels, self.fault, *live]
        return widgets.VBox(rows, layout={"flex": "0 0 236px"})

    def _main(self) -> widgets.VBox:
        unseen = widgets.HBox([self.clock, widgets.HTML(f"<style>{STYLE}</style>")], layout={"height": "0"})
        return widgets.VBox([self.view, self.charts, unseen], layout={"flex": "1 1 0", "min_width": "0"})

    def _listen(self):
        for setting in self.structure.values():
            setting.observe(self._configure, "value")
        self.channels.observe(self.put_back, "value")
        self.release.on_click(self.put_back)
        self.save.on_click(lambda _: self._tell(lambda run: self._say(keep(run))))
        self.view.observe(self._explain, "given")
        self.frame_rate.observe(self._set_frame_rate, "value")
        self.clock.observe(self.draw_charts, "value")
        for button in self.buttons.values():
            button.on_click(lambda pressed: self._tell(COMMANDS[pressed.description]))
            button.on_click(self._tick)

    def _set_frame_rate(self, change: dict[str, Any]):
        self._tell(lambda run: setattr(run.pace, "max_fps", change["new"]))

    def _tell(self, command: Callable[[LiveRun], Any]):
        """Pass a command on to the run, if there still is one."""
        if (run := self._run()) is None:
            self._say(GONE)
        else:
            command(run)

    def _tick(self, _=None):
        """Let the browser's clock run, and the charts with it; it starts where `playing` turns from false to true."""
        self.clock.playing = False
        self.clock.playing = True

    def _say(self, fault: str):
        self.fault.value = fault and f'<div class="workbench-fault">{html.escape(fault)}</div>'

    def _configure(self, _=None):
        structure = {path: setting.value for path, setting in self.structure.items()}
        self._config, fault = configured(self._start, structure, self.channels.value)
        self._say(fault)
        if self._config:
            self._tell(lambda run: run.configure(self._config))
        self._follow()
        self._tick()

    def _follow(self, _=None):
        if self._config:
            self._tell(lambda run: run.follow(self.knobs))
        self._explain()

    def _explain(self, _=None):
        """Beside a knob that cannot change training now, why not; labels given by hand may let it."""
        labelled = bool(self._start.data.labels or self.view.given["images"])
        why = idle(self._config or self._start, self.knobs, labelled)
        for name, told in self.notes.items():
            told.value = note(why[name]) if name in why else ""
            told.layout.display = None if name in why else "none"


def plain(value: Any) -> Any:
    """A number as it is written: 1, where the browser's steps of a tenth add up to 1 + 2e-16."""
    return float(f"{value:.10g}") if isinstance(value, float) else value


def picture(chart: charts.Redrawn) -> str:
    """A chart as an image in HTML that needs no network."""
    svg = base64.b64encode(vl_convert.vegalite_to_svg(chart.spec).encode()).decode()
    return f'<img src="data:image/svg+xml;base64,{svg}" alt="{html.escape(chart.spec["title"]["text"])}">'
