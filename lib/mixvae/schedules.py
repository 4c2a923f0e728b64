"""The live knobs as functions of the epochs that the weights have trained, and what holds one off its schedule."""

from typing import NamedTuple

import numpy as np

from mixvae.config import LIVE, Config, CurriculumConfig, Knobs, ObjectiveConfig, TrainConfig


class Curriculum(NamedTuple):
    """How far the unlocking has come; scalars, part of the State."""

    on: np.ndarray  # bool
    stage: np.ndarray  # int32, index into k_active_schedule
    unlocked_at: np.ndarray  # float32, epoch of the last unlock
    best: np.ndarray  # float32, lowest evidence loss since then, nats
    waited: np.ndarray  # int32, epochs since it last fell by min_delta


def curriculum_start(config: CurriculumConfig) -> Curriculum:
    """The curriculum before the first epoch."""
    return Curriculum(np.bool_(config.enabled), np.int32(0), np.float32(0), np.float32(np.inf), np.int32(0))


def temperature(epochs: np.ndarray, tau: float, tau_end: float, rate: float) -> np.ndarray:
    """max(tau_end, tau exp(-rate e)); constant at `tau` where the rate is 0."""
    return np.maximum(tau_end, tau * np.exp(-rate * epochs)) if rate else np.full_like(epochs, tau, float)


def beta_share(epochs: np.ndarray, objective: ObjectiveConfig) -> np.ndarray:
    """`beta_start` during the warm-up, then a linear ramp to 1."""
    late = epochs - objective.beta_warmup_epochs
    ramp = late / objective.beta_ramp_epochs if objective.beta_ramp_epochs else np.where(late < 0, 0.0, 1.0)
    return objective.beta_start + (1.0 - objective.beta_start) * np.clip(ramp, 0.0, 1.0)


def age(epochs: np.ndarray | float, train: TrainConfig) -> np.ndarray | float:
    """Epochs since the present start began, or since the best of them went on."""
    return np.where(epochs < train.starts_end, epochs % train.start_epochs, epochs - train.starts_end)


def learning_rate(epochs: np.ndarray, train: TrainConfig) -> np.ndarray:
    """A linear warm-up to the peak, then a cosine to `final_rate` of it at the last epoch; the same in every start."""
    now = age(epochs, train)
    last = np.where(epochs < train.starts_end, train.start_epochs, train.epochs - train.starts_end)
    warm = now / max(train.warmup_epochs, 1e-9)
    done = np.clip((now - train.warmup_epochs) / np.maximum(last - train.warmup_epochs, 1e-9), 0.0, 1.0)
    cosine = train.final_rate + (1.0 - train.final_rate) * 0.5 * (1.0 + np.cos(np.pi * done))
    return train.learning_rate * np.where(now < train.warmup_epochs, warm, cosine)


def scheduled(config: Config, curriculum: Curriculum, epochs: np.ndarray) -> Knobs:
    """Every live knob at the given epochs [n], by its schedule alone."""
    values = {name: np.full_like(epochs, constant(config, name), float) for name in LIVE}
    routers_alone, now = epochs < config.train.starts_end, age(epochs, config.train)
    values["w_evidence"][routers_alone] = 0.0
    share = beta_share(now, config.objective)
    values["beta_z"] *= share
    values["beta_c"] *= share
    values["tau"] = temperature(now, config.routing.tau, config.routing.tau_end, config.routing.tau_rate)
    values["learning_rate"] = learning_rate(epochs, config.train)
    if curriculum.on:
        values["k_active"][~routers_alone] = config.curriculum.k_active_schedule[int(curriculum.stage)]
    return Knobs(**values)


def constant(config: Config, name: str) -> float:
    """The configured value of a live knob; `k_active` left out is all channels."""
    section, _ = LIVE[name]
    value = getattr(getattr(config, section), name)
    return config.model.num_components if value is None else value


def knobs_at(config: Config, curriculum: Curriculum, current: Knobs, held: Knobs, epochs: np.ndarray) -> Knobs:
    """The knobs at `epochs` [n]: `current` where `held` is true, else the schedule's; float32 [n]."""
    plan = zip(current, held, scheduled(config, curriculum, epochs), strict=True)
    return Knobs(*(np.asarray(np.full_like(epochs, value) if hold else at, np.float32) for value, hold, at in plan))


def boosted(knobs: Knobs, config: Config, curriculum: Curriculum, epochs: np.ndarray) -> Knobs:
    """Both betas times `kl_boost_on_unlock` for `boost_epochs` after an unlock (the first stage is none)."""
    recent = age(epochs, config.train) - curriculum.unlocked_at < config.curriculum.boost_epochs
    boost = np.where(recent & bool(curriculum.on and curriculum.stage > 0), knobs.kl_boost_on_unlock, np.float32(1))
    return knobs._replace(beta_z=knobs.beta_z * boost, beta_c=knobs.beta_c * boost)


def next_stage(config: CurriculumConfig, curriculum: Curriculum, epoch: int, loss: float) -> Curriculum:
    """The curriculum after `epoch` complete epochs, the last with this mean evidence loss (nats).

    Without `unlock_epochs` a stage ends once the loss has not fallen by `min_delta` for `patience` epochs after the
    `cooldown`.
    """
    last = len(config.k_active_schedule) - 1
    if not curriculum.on:
        return curriculum
    if config.unlock_epochs is not None:
        stage = sum(epoch >= start for start in config.unlock_epochs) - 1
        return unlocked(curriculum, stage, config.unlock_epochs[stage]) if stage != curriculum.stage else curriculum
    fell = loss < curriculum.best - config.min_delta
    cooling = epoch - curriculum.unlocked_at <= config.cooldown
    watched = curriculum._replace(
        best=np.float32(loss) if fell else curriculum.best,
        waited=np.int32(0 if fell or cooling else curriculum.waited + 1),
    )
    ready = watched.waited >= config.patience and watched.stage < last
    return unlocked(watched, int(watched.stage) + 1, epoch) if ready else watched


def unlocked(curriculum: Curriculum, stage: int, epoch: int) -> Curriculum:
    """The curriculum at a new stage, its plateau forgotten."""
    fresh = dict(best=np.float32(np.inf), waited=np.int32(0))
    return curriculum._replace(stage=np.int32(stage), unlocked_at=np.float32(epoch), **fresh)
