"""Config <-> YAML: nested as in `config.py`, or the flat flags of the original specification.

Every error is a ValueError that names the key as it was written, and the file.
"""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mixvae.config import SECTIONS, Config
from mixvae.settings import check, nearest, settings

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
LIKELIHOODS = {"bce": "bernoulli", "mse": "gaussian"}
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
CHOICES = {"prior_type": ("mixture", "standard"), "reconstruction_loss": tuple(LIKELIHOODS)}
WRITTEN = (*FLAT, *FLAGS, *CHOICES)
FIELDS = {f"{name}.{f.name}": (f, hint) for name, section in SECTIONS.items() for f, hint in settings(section)}


def load_config(path: str | Path) -> Config:
    """Read a YAML file, nested or flat. Raises FileNotFoundError, or ValueError naming the file and the key."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such config file")
    try:
        return parse_config(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def parse_config(text: str) -> Config:
    """A Config from YAML text; what is left out has its default. Raises ValueError, naming the key."""
    try:
        tree = yaml.load(text, StrictLoader)
    except (yaml.YAMLError, RecursionError, ArithmeticError, AttributeError, LookupError, TypeError) as error:
        raise ValueError(f"this is not YAML: {error}") from None  # a wrong tag fails in PyYAML's own constructors
    if tree is None:
        return Config()
    if not isinstance(tree, dict) or not all(isinstance(key, str) for key in tree):
        raise ValueError(f"a config is a mapping of names to settings, not {type(tree).__name__}")
    flat = [key for key in tree if key in WRITTEN]
    sections = [key for key in tree if key in SECTIONS or (key not in flat and isinstance(tree[key], dict))]
    if not sections:
        return from_flat(tree)
    if flat:
        raise ValueError(
            f"{flat[0]!r} stands beside the section {sections[0]!r}: use sections alone, or flat flags alone"
        )
    return from_nested(tree)


def from_nested(tree: Mapping[str, Any]) -> Config:
    """A Config from a mapping of sections."""
    sections = {}
    for name, values in tree.items():
        if name not in SECTIONS:
            raise ValueError(nearest(f"section {name!r}", name, SECTIONS))
        if not isinstance(values, dict):
            raise ValueError(f"{name}={values!r} must be a section of settings")
        for key in values:
            if f"{name}.{key}" not in FIELDS:
                valid = [f.name for f, _ in settings(SECTIONS[name])]
                raise ValueError(nearest(f"{name}.{key}", key, valid))
        sections[name] = SECTIONS[name](**values)
    return Config(**sections)


def from_flat(flags: Mapping[str, Any]) -> Config:
    """A Config from the original flat flags; raises where two of them contradict each other."""
    tree: dict[str, dict[str, Any]] = {}
    for key, value in flags.items():
        if key not in WRITTEN:
            raise ValueError(nearest(key, key, WRITTEN))
        if key in FLAGS and type(value) is not bool:
            raise ValueError(f"{key}={value!r} must be true or false")
        if key in CHOICES and value not in CHOICES[key]:
            raise ValueError(nearest(f"{key}={value!r}", value, CHOICES[key]))
        if key in FLAT:
            f, hint = FIELDS[FLAT[key]]
            put(tree, FLAT[key], check(key, value, hint, f.metadata))
    for path, value in translated(flags).items():
        put(tree, path, value)
    try:
        return from_nested(tree)
    except ValueError as error:
        raise ValueError(as_written(str(error))) from None


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
        out["model.likelihood"] = LIKELIHOODS[flags["reconstruction_loss"]]
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


def put(tree: dict[str, dict[str, Any]], path: str, value: Any):
    """Set `section.key` in a mapping of sections."""
    section, key = path.split(".")
    tree.setdefault(section, {})[key] = value


def to_dict(config: Config) -> dict[str, dict[str, Any]]:
    """The sections as plain values, tuples as lists."""
    plain = dataclasses.asdict(config)
    return {s: {k: list(v) if isinstance(v, tuple) else v for k, v in d.items()} for s, d in plain.items()}


def dump_config(config: Config) -> str:
    """YAML that `parse_config` reads back to an equal Config."""
    return yaml.dump(to_dict(config), Dumper=StrictDumper, sort_keys=False)


def override(config: Config, settings_by_path: Mapping[str, Any]) -> Config:
    """The config with `section.key` settings replaced, all at once; raises ValueError as `load_config` does."""
    tree = to_dict(config)
    for path, value in settings_by_path.items():
        if path not in FIELDS:
            raise ValueError(nearest(path, path, FIELDS))
        put(tree, path, value)
    return from_nested(tree)


class StrictLoader(yaml.SafeLoader):
    """SafeLoader that reads 1e-3 as a number and refuses a key written twice."""


class StrictDumper(yaml.SafeDumper):
    """SafeDumper that quotes a text which StrictLoader would read as a number."""


def unique_mapping(loader: StrictLoader, node: yaml.MappingNode) -> dict:
    """A mapping whose keys are all different."""
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    twice = next((key for i, key in enumerate(keys) if key in keys[:i]), None)
    if twice is not None:
        raise ValueError(f"{twice!r} is set twice")
    return loader.construct_mapping(node, deep=True)


StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, unique_mapping)
for end in StrictLoader, StrictDumper:
    end.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
    )
