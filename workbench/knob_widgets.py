"""The knobs of Config as ipywidgets, one by one."""

import ipywidgets as widgets

from mixvae import Config
from mixvae.config import FIELDS, LIVE
from workbench.knobs import CHANNELS, channels_shown, choices, curriculum_fits, log_steps, short, slider_range, standing

LABELLED = {"layout": {"width": "auto"}, "style": {"description_width": "82px"}}


def choice(config: Config, path: str) -> widgets.Dropdown:
    """The names that a structural setting may have."""
    shown = {"description": short(FIELDS[path][0]), **LABELLED}
    return widgets.Dropdown(options=choices(path), value=standing(config, path), **shown)


def channels_field(config: Config) -> widgets.IntText:
    """K: the live knobs follow it."""
    shown = {"description": short(FIELDS[CHANNELS][0]), **LABELLED}
    return widgets.IntText(config.model.num_components, **shown)


def live_knobs(config: Config, channels: int) -> dict[str, widgets.ValueWidget]:
    """The switch of the curriculum and a slider for each live knob, by its name, for K = `channels`."""
    channels = channels_shown(config, channels)
    fits = curriculum_fits(config, channels)
    shown = {"description": "curriculum", "indent": False, "disabled": not fits}
    switch = widgets.Checkbox(config.curriculum.enabled and fits, **shown)
    return {"curriculum": switch} | {name: slider(config, name, channels) for name in LIVE}


def slider(config: Config, name: str, channels: int) -> widgets.ValueWidget:
    """One live knob; K_active ends at K, a rate moves by factors."""
    field = LIVE[name][1]
    low, high, value = slider_range(config, name, channels)
    shown = {"value": value, "description": short(field), "tooltip": field.metadata["label"], **LABELLED}
    if field.metadata["log"]:
        steps = [(f"{step:g}", step) for step in log_steps(low, high, value)]
        return widgets.SelectionSlider(options=steps, **shown)
    span = {"min": low, "max": high + (low == high), "step": field.metadata["step"], "disabled": low == high}
    if isinstance(low, int):
        return widgets.IntSlider(**span, **shown)
    return widgets.FloatSlider(readout_format="", **span, **shown)
