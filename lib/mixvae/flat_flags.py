"""The flat flags of the original specification, as one table of what each of them is called here."""

import re
from collections.abc import Mapping
from typing import Any

from mixvae.settings import nearest

FLAT = {
    "dataset": "data.name",
    "num_labels": "data.labels",
    "num_components": "model.num_components",
    "latent_dim": "model.latent_dim",
    "latent_layout": "model.latent_layout",
    "encoder_type": "model.encoder",
    "decoder_type": "model.decoder",
    "hidden_dims": "model.hidden_dims",
    "component_embedding_dim": "model.component_embedding_dim",
    "sigma_min": "model.sigma_min",
    "sigma_max": "model.sigma_max",
    "gumbel_temperature": "routing.tau",
    "gumbel_temperature_min": "routing.tau_end",
    "gumbel_temperature_decay": "routing.tau_rate",
    "kl_weight": "objective.beta_z",
    "kl_c_weight": "objective.beta_c",
    "dirichlet_alpha": "objective.usage_alpha",
    "label_weight": "objective.w_label",
    "use_tau_classifier": "objective.use_tau_classifier",
    "tau_alpha_0": "objective.alpha0",
    "max_epochs": "train.epochs",
    "batch_size": "train.batch_size",
    "learning_rate": "train.learning_rate",
    "weight_decay": "train.weight_decay",
    "grad_clip_norm": "train.clip",
    "random_seed": "train.seed",
    "curriculum_enabled": "curriculum.enabled",
    "k_active_schedule": "curriculum.k_active_schedule",
    "unlock_epochs": "curriculum.unlock_epochs",
    "kl_boost_on_unlock": "curriculum.kl_boost_on_unlock",
    "boost_epochs": "curriculum.boost_epochs",
}
RECONSTRUCTION_LOSSES = {"bce": "bernoulli", "mse": "gaussian"}
FLAGS = (
    "use_film_decoder",
    "use_component_aware_decoder",
    "use_heteroscedastic_decoder",
    "use_gumbel_softmax",
    "use_straight_through_gumbel",
)
CONDITIONED = {
    "model.conditioning='film'": "use_film_decoder=True",
    "model.conditioning='concat'": "use_component_aware_decoder=True",
    "model.conditioning='none'": "use_film_decoder and use_component_aware_decoder to false",
}
CHOICES = {"prior_type": ("mixture", "standard"), "reconstruction_loss": tuple(RECONSTRUCTION_LOSSES)}
WRITTEN = (*FLAT, *FLAGS, *CHOICES)


def to_sections(flags: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The settings that the flags ask for, by section; raises ValueError where two of them contradict each other."""
    settings: dict[str, Any] = {}
    for key, value in flags.items():
        if key not in WRITTEN:
            raise ValueError(nearest(key, key, WRITTEN))
        if key in FLAGS and type(value) is not bool:
            raise ValueError(f"{key}={value!r} must be true or false")
        if key in CHOICES and value not in CHOICES[key]:
            raise ValueError(nearest(f"{key}={value!r}", value, CHOICES[key]))
        if key in FLAT:
            settings[FLAT[key]] = value
    return by_section(settings | translated(flags))


def translated(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The flags that are not one setting each: conditioning, output, estimator, prior, likelihood."""
    film, concat = flags.get("use_film_decoder"), flags.get("use_component_aware_decoder")
    soft, straight = flags.get("use_gumbel_softmax"), flags.get("use_straight_through_gumbel")
    if film and concat:
        raise ValueError(
            "use_film_decoder and use_component_aware_decoder are both true; a decoder has one conditioning"
        )
    if soft is False and straight:
        raise ValueError("use_straight_through_gumbel=True needs use_gumbel_softmax, which is False")
    out = {}
    if film is not None or concat is not None:
        out["model.conditioning"] = "film" if film else "concat" if concat else "none"
    if "use_heteroscedastic_decoder" in flags:
        out["model.output"] = "heteroscedastic" if flags["use_heteroscedastic_decoder"] else "standard"
    if soft is not None or straight is not None:
        out["routing.estimator"] = "exact" if soft is False else "gumbel" if straight is False else "straight_through"
    if flags.get("reconstruction_loss") == "bce" and flags.get("use_heteroscedastic_decoder"):
        raise ValueError(
            "reconstruction_loss='bce' has no sigma, and use_heteroscedastic_decoder=True gives one; leave one out"
        )
    if "reconstruction_loss" in flags:
        out["model.likelihood"] = RECONSTRUCTION_LOSSES[flags["reconstruction_loss"]]
    if flags.get("prior_type") == "standard":
        asked = "use_film_decoder" if film else "use_component_aware_decoder" if concat else None
        if asked:
            raise ValueError(
                f"prior_type='standard' has no channels for {asked} to condition on; use prior_type: mixture"
            )
        if flags.get("num_components", 1) != 1:
            raise ValueError(
                f"prior_type='standard' has one channel and num_components={flags['num_components']}; "
                "use prior_type: mixture"
            )
        out |= {"model.num_components": 1, "model.conditioning": "none"}
    return out


def as_written(message: str) -> str:
    """An error about nested keys, told in flat keys."""
    for path, flat in CONDITIONED.items():
        message = message.replace(path, flat)
    for flat, path in FLAT.items():
        message = re.sub(rf"\b{re.escape(path)}\b", flat, message)
    return message


def by_section(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """{"model.latent_dim": 2} -> {"model": {"latent_dim": 2}}."""
    tree: dict[str, dict[str, Any]] = {}
    for path, value in settings.items():
        section, key = path.split(".")
        tree.setdefault(section, {})[key] = value
    return tree
