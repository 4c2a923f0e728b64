"""What every panel of knobs is made from: which settings it shows, how far each moves, and why one does nothing."""

import html
import math
from collections.abc import Mapping
from dataclasses import Field
from typing import Any

from mixvae import Config, Knobs, State, Trainer
from mixvae.config import FIELDS, LIVE
from mixvae.config_file import override
from mixvae.schedules import constant
from workbench.frame import MOST_CHANNELS

STRUCTURAL = (
    "model.conditioning",
    "model.output",
    "routing.estimator",
    "model.latent_layout",
    "model.encoder",
    "model.decoder",
)
CHANNELS = "model.num_components"
FRAME_RATES = (1, 30)
LOG_STEPS_PER_DECADE = 10


def short(field: Field) -> str:
    """The name before the comma of a setting's label."""
    return field.metadata["label"].split(", ")[0]


def choices(path: str) -> tuple[str, ...]:
    """The names that the setting at `path` may have."""
    return tuple(FIELDS[path][0].metadata["valid"])


def standing(config: Config, path: str) -> Any:
    """What the setting at `path` is in `config`."""
    section, name = path.split(".")
    return getattr(getattr(config, section), name)


def configured(start: Config, structure: Mapping[str, Any], channels: int | None) -> tuple[Config | None, str]:
    """The config that the panels ask for; None where it cannot be, as two choices contradict each other, and why."""
    try:
        return shown(override(start, {**structure, CHANNELS: channels})), ""
    except ValueError as error:
        return None, f"{error}. The model stays as it was."


def shown(config: Config) -> Config:
    """`config`. Raises ValueError where it has more channels than a view shows."""
    if config.model.num_components > MOST_CHANNELS:
        found = f"{CHANNELS}={config.model.num_components}"
        raise ValueError(f"{found}: a view shows {MOST_CHANNELS} channels at most; the command line trains more")
    return config


def channels_shown(start: Config, channels: float | None) -> int:
    """K as its field has it, or the start's where that is no number of channels that a view shows."""
    return int(channels) if channels in range(1, MOST_CHANNELS + 1) else start.model.num_components


def slider_range(config: Config, name: str, channels: int) -> tuple[float, float, float]:
    """Lowest and highest value of a live knob and the config's, for K = `channels`; K_active ends at K."""
    metadata, value = LIVE[name][1].metadata, constant(config, name)
    if name == "k_active":
        return metadata["low"], channels, min(config.routing.k_active or channels, channels)
    return metadata["low"], metadata["high"], value


def as_shown(trainer: Trainer, state: State, panel: Mapping[str, Any]) -> State:
    """`state` with its knobs as a panel shows them; the curriculum only where its schedule fits K."""
    config = trainer.config
    on = panel.get("curriculum", config.curriculum.enabled) and curriculum_fits(config, config.model.num_components)
    held = {name: panel[name] for name in Knobs._fields if moved(config, name, panel)}
    state = trainer.hold(trainer.release(state, *(set(Knobs._fields) - set(held))), **held)
    return trainer.set_curriculum(state, on) if on != bool(state.curriculum.on) else state


def moved(config: Config, name: str, panel: Mapping[str, Any]) -> bool:
    """Whether a panel shows a knob elsewhere than `config` has it; K_active only within K."""
    start = constant(config, name)
    shown = panel.get(name, start)
    return shown != start and not (name == "k_active" and shown > config.model.num_components)


def curriculum_fits(config: Config, channels: int) -> bool:
    """Whether the schedule of the curriculum ends within K = `channels`."""
    return config.curriculum.k_active_schedule[-1] <= channels


def log_steps(low: float, high: float, value: float) -> list[float]:
    """Steps of equal factors from low to high, with `value` among them."""
    count = round(LOG_STEPS_PER_DECADE * math.log10(high / low))
    steps = {float(f"{low * (high / low) ** (i / count):.3g}") for i in range(count + 1)}
    return sorted(steps | {value})


def idle(config: Config, knobs: Mapping[str, Any], labelled: bool) -> dict[str, str]:
    """Why a live knob cannot change training as things stand, by its name; no entry where it can.

    `labelled` says whether any training image has a label, be it the config's or given by hand.
    """
    why = {}
    if config.routing.estimator == "exact":
        why["tau"] = "the exact estimator has no temperature"
    elif config.routing.estimator == "straight_through" and knobs["router_recon"] == 0:
        why["tau"] = "fades the points only: with router_recon at 0 no gradient passes through the choice"
    alone = ("tau", "router_recon", "beta_c", "w_inv", "w_mi", "w_label")
    if knobs["w_evidence"] == 0:
        scaled = ("tau", "router_recon", "beta_z", "beta_c", "kl_boost_on_unlock")
        why |= dict.fromkeys(scaled, "w_evidence is 0: nothing is reconstructed")
    if config.model.num_components == 1:
        why |= dict.fromkeys(("k_active", *alone), "there is one channel")
    elif knobs["k_active"] == 1 and (not knobs["curriculum"] or moved(config, "k_active", knobs)):
        why |= dict.fromkeys(alone, "one channel is unlocked")
    if not labelled:
        why["w_label"] = "no training image has a label"
    left = config.train.epochs - config.train.starts_end
    if config.curriculum.k_active_schedule[-1] > config.model.num_components:
        stages = list(config.curriculum.k_active_schedule)
        why["curriculum"] = f"its schedule {stages} needs more channels than {config.model.num_components}"
    elif config.curriculum.unlock_epochs and config.curriculum.unlock_epochs[-1] >= left:
        last, end = config.curriculum.unlock_epochs[-1], left
        why["curriculum"] = f"its last channels unlock at epoch {last}, and training ends at {end}"
    if not config.curriculum.boost_epochs:
        why["kl_boost_on_unlock"] = "curriculum.boost_epochs is 0"
    if not knobs["curriculum"]:
        why["kl_boost_on_unlock"] = "the curriculum is off"
    return why


def note(words: str) -> str:
    """Small print under a knob, as HTML."""
    return f'<div style="font-size: 0.72rem; opacity: 0.75; margin: -0.2rem 0 0">{html.escape(words)}</div>'
