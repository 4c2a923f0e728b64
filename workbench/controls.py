"""The knobs of Config as panels: what to show, what each does now, and why one does nothing where it does nothing."""

import html
import math
from collections.abc import Callable, Mapping
from dataclasses import Field
from typing import Any, get_args

import marimo as mo

from mixvae import Config
from mixvae.config import FIELDS, LIVE
from mixvae.config_file import override
from mixvae.schedules import constant

STRUCTURAL = (
    "model.conditioning",
    "model.output",
    "routing.estimator",
    "model.latent_layout",
    "model.encoder",
    "model.decoder",
)
LOG_STEPS_PER_DECADE = 10
SHOWN_CHANNELS = 100
CHANNELS = "model.num_components"


def structural_panel(config: Config) -> mo.ui.dictionary:
    """A dropdown for each structural setting but K, by its path; a change of one builds a new model."""
    return mo.ui.dictionary({path: choice(config, path) for path in STRUCTURAL})


def choice(config: Config, path: str) -> mo.ui.dropdown:
    """The names that a setting may have."""
    field, hint = FIELDS[path]
    section, name = path.split(".")
    value = getattr(getattr(config, section), name)
    return mo.ui.dropdown(get_args(hint), value=value, label=named(field), allow_select_none=False)


def channels_field(config: Config) -> mo.ui.number:
    """K, in a field of its own: the live knobs follow it, and no other structural setting."""
    field = FIELDS[CHANNELS][0]
    return mo.ui.number(1, SHOWN_CHANNELS, step=1, value=config.model.num_components, label=named(field))


def configured(start: Config, structure: Mapping[str, Any], channels: int | None) -> tuple[Config | None, str]:
    """The config that the panels ask for; None where two choices contradict each other, and in words why."""
    try:
        return override(start, {**structure, CHANNELS: channels}), ""
    except ValueError as error:
        return None, str(error)


def live_panel(
    start: Config, channels: int | None, on_change: Callable[[dict[str, float]], Any] | None = None
) -> mo.ui.dictionary:
    """A slider for each live knob, by its name, and a switch for the curriculum, for K = `channels`.

    `on_change` hears of a move before any cell runs for it.
    """
    channels = channels or start.model.num_components
    too_few = start.curriculum.k_active_schedule[-1] > channels
    switch = mo.ui.switch(start.curriculum.enabled and not too_few, label="curriculum", disabled=too_few)
    sliders = {name: slider(start, name, channels) for name in LIVE}
    return mo.ui.dictionary({"curriculum": switch, **sliders}, on_change=on_change)


def slider(config: Config, name: str, channels: int) -> mo.ui.slider:
    """One live knob; K_active ends at K, a rate moves by factors."""
    field, value = LIVE[name][1], constant(config, name)
    low, high = field.metadata["low"], field.metadata["high"]
    if name == "k_active":
        high = channels
        value = min(config.routing.k_active or channels, channels)
    shown = {"value": value, "label": named(field), "show_value": True}
    if low == high:
        return mo.ui.slider(low, high + 1, disabled=True, **shown)
    if field.metadata["log"]:
        return mo.ui.slider(steps=log_steps(low, high, value), **shown)
    return mo.ui.slider(low, high, step=field.metadata["step"], **shown)


def named(field: Field) -> str:
    """The short name before the comma of a label, the whole of it as its tooltip."""
    label = field.metadata["label"]
    return f'<span title="{label}" style="display: inline-block; width: 6.4em">{label.split(", ")[0]}</span>'


def log_steps(low: float, high: float, value: float) -> list[float]:
    """Steps of equal factors from low to high, with `value` among them."""
    count = round(LOG_STEPS_PER_DECADE * math.log10(high / low))
    steps = {float(f"{low * (high / low) ** (i / count):.3g}") for i in range(count + 1)}
    return sorted(steps | {value})


def panel(knobs: mo.ui.dictionary, config: Config, labels: int, asked: bool = False) -> mo.Html:
    """The live knobs, and beside one that cannot change training now, why not."""
    why = idle(config, knobs.value, labels, asked)
    rows = []
    for name, element in knobs.elements.items():
        rows.append(element)
        if name in why:
            rows.append(note(why[name]))
    return mo.vstack(rows, gap=0.2)


def note(words: str) -> mo.Html:
    """Small print under a knob."""
    return mo.Html(f'<div style="font-size: 0.72rem; opacity: 0.75; margin: -0.2rem 0 0">{html.escape(words)}</div>')


def idle(config: Config, knobs: Mapping[str, Any], labels: int, asked: bool = False) -> dict[str, str]:
    """Why a live knob cannot change training as things stand, by its name; no entry where it can.

    `labels` are the config's, `asked` says whether there are some that were asked for.
    """
    why = {}
    if config.routing.estimator == "exact":
        why["tau"] = "the exact estimator has no temperature"
    elif config.routing.estimator == "straight_through" and knobs["router_recon"] == 0:
        why["tau"] = "fades the points only: with router_recon at 0 no gradient passes through the choice"
    alone = ("tau", "router_recon", "beta_c", "w_inv", "w_mi", "w_label")
    if knobs["w_evidence"] == 0:
        why |= dict.fromkeys(("tau", "router_recon", "beta_z", "beta_c"), "w_evidence is 0: nothing is reconstructed")
    if config.model.num_components == 1:
        why |= dict.fromkeys(("k_active", *alone), "there is one channel")
    elif knobs["k_active"] == 1 and not knobs["curriculum"]:
        why |= dict.fromkeys(alone, "one channel is unlocked")
    if not (labels or asked):
        why["w_label"] = "no training image has a label"
    elif config.objective.label_target == "tau" and not (config.objective.use_tau_classifier or asked):
        why["w_label"] = "acts through the tau table, and there is no tau-classifier"
    left = config.train.epochs - config.train.starts_end
    if config.curriculum.k_active_schedule[-1] > config.model.num_components:
        stages = list(config.curriculum.k_active_schedule)
        why["curriculum"] = f"its schedule {stages} needs more channels than {config.model.num_components}"
    elif config.curriculum.unlock_epochs and config.curriculum.unlock_epochs[-1] >= left:
        last, end = config.curriculum.unlock_epochs[-1], left
        why["curriculum"] = f"its last channels unlock at epoch {last}, and training ends at {end}"
    if not knobs["curriculum"]:
        why["kl_boost_on_unlock"] = "the curriculum is off"
    return why


def page(side: mo.Html, main: mo.Html) -> mo.Html:
    """Two columns, the wider one for the planes; on a narrow screen they stack."""
    return mo.Html(
        '<div style="display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start">'
        f'<div style="flex: 1 1 17rem; max-width: 22rem">{side}</div>'
        f'<div style="flex: 999 1 34rem; min-width: 0; overflow: hidden">{main}</div></div>'
    )
