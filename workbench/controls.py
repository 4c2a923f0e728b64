"""The marimo panels: the knobs of Config, and beside one that does nothing now, why."""

from collections.abc import Callable, Mapping
from dataclasses import Field
from typing import Any

import marimo as mo

from mixvae import Config
from mixvae.config import FIELDS, LIVE
from workbench.knobs import (
    CHANNELS,
    STRUCTURAL,
    channels_shown,
    choices,
    curriculum_fits,
    idle,
    log_steps,
    note,
    short,
    slider_range,
    standing,
)


def structural_panel(config: Config) -> mo.ui.dictionary:
    """A dropdown for each structural setting but K, by its path; a change of one builds a new model."""
    return mo.ui.dictionary({path: choice(config, path) for path in STRUCTURAL})


def choice(config: Config, path: str) -> mo.ui.dropdown:
    """The names that a setting may have."""
    shown = {"label": named(FIELDS[path][0]), "allow_select_none": False}
    return mo.ui.dropdown(choices(path), value=standing(config, path), **shown)


def channels_field(config: Config) -> mo.ui.number:
    """K, in a field of its own: the live knobs follow it, and no other structural setting."""
    field = FIELDS[CHANNELS][0]
    return mo.ui.number(step=1, value=config.model.num_components, label=named(field))


def live_panel(
    start: Config, channels: float | None, on_change: Callable[[dict[str, float]], Any] | None = None
) -> mo.ui.dictionary:
    """A slider for each live knob, by its name, and a switch for the curriculum, for K = `channels`.

    `on_change` hears of a move before any cell runs for it.
    """
    channels = channels_shown(start, channels)
    fits = curriculum_fits(start, channels)
    switch = mo.ui.switch(start.curriculum.enabled and fits, label="curriculum", disabled=not fits)
    sliders = {name: slider(start, name, channels) for name in LIVE}
    return mo.ui.dictionary({"curriculum": switch, **sliders}, on_change=on_change)


class LivePanel:
    """The live knobs on a page: a move goes to `follow`, and runs no cell.

    marimo runs the cells that name an element whose value changes, and does not look inside an object. `renew` is
    called where a move makes a note beside a knob come or go, so that the panel is drawn anew. Nothing follows while
    the structure is refused: the knobs are those of another K than the run's.
    """

    def __init__(
        self,
        start: Config,
        channels: int | None,
        follow: Callable[[dict[str, float]], Any],
        renew: Callable[[], Any],
    ):
        self._start, self._drawn = start, {}
        drawn = self._drawn

        def moved(knobs: dict[str, float]):  # without self: a panel in a circle would keep the run of a closed page
            if drawn and drawn["refused"]:
                return
            follow(knobs)
            if drawn and idle(drawn["config"], knobs, drawn["labelled"]) != drawn["why"]:
                renew()

        self.knobs = live_panel(start, channels, on_change=moved)

    @property
    def value(self) -> dict[str, Any]:
        """Where each knob stands, by its name."""
        return self.knobs.value

    def drawn(self, config: Config | None, labelled: bool) -> mo.Html:
        """The knobs, and the reasons beside them; `config` is None where the structure is refused."""
        refused, config = config is None, config or self._start
        why = idle(config, self.knobs.value, labelled)
        self._drawn.update(config=config, labelled=labelled, why=why, refused=refused)
        return panel(self.knobs, why)


def slider(config: Config, name: str, channels: int) -> mo.ui.slider:
    """One live knob; K_active ends at K, a rate moves by factors."""
    field = LIVE[name][1]
    low, high, value = slider_range(config, name, channels)
    shown = {"value": value, "label": named(field), "show_value": True}
    if low == high:
        return mo.ui.slider(low, high + 1, disabled=True, **shown)
    if field.metadata["log"]:
        return mo.ui.slider(steps=log_steps(low, high, value), **shown)
    return mo.ui.slider(low, high, step=field.metadata["step"], **shown)


def named(field: Field) -> str:
    """The short name of a setting, the whole label as its tooltip."""
    return f'<span title="{field.metadata["label"]}" style="display: inline-block; width: 6.4em">{short(field)}</span>'


def panel(knobs: mo.ui.dictionary, why: Mapping[str, str]) -> mo.Html:
    """The live knobs, and beside one that cannot change training now, why not.

    Each has a place for a reason, also an empty one: where rows come and go, marimo's page may lose one that stays.
    """
    rows = [mo.vstack([element, mo.Html(note(why.get(name, "")))], gap=0) for name, element in knobs.elements.items()]
    return mo.vstack(rows, gap=0.2)


def page(*parts: mo.Html) -> mo.Html:
    """Parts below each other, at their whole height: the editor cuts the output of a cell, unless it is told not to."""
    uncut = mo.Html("<style>.output-area { max-height: none !important }</style>")
    return mo.vstack([uncut, *parts], gap=0.4)
