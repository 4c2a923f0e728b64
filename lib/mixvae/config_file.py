"""Config <-> YAML: nested as in `config.py`, or the flat flags of the original specification.

Every error is a ValueError that names the key as it was written, and the file.
"""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mixvae.config import FIELDS, SECTIONS, Config
from mixvae.flat_flags import WRITTEN, as_written, to_sections
from mixvae.settings import nearest, settings


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
    try:
        return from_nested(to_sections(flags))
    except ValueError as error:
        raise ValueError(as_written(str(error))) from None


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
        section, key = path.split(".")
        tree[section][key] = value
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
