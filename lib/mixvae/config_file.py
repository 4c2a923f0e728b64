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

LONGEST = 2**16  # characters of a config; a whole one has some 2000


def load_config(path: str | Path) -> Config:
    """Read a YAML file, nested or flat. Raises FileNotFoundError, or ValueError naming the file and the key."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such config file")
    try:
        with path.open(encoding="utf-8") as file:
            return parse_config(file.read(LONGEST + 1))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def parse_config(text: str) -> Config:
    """A Config from YAML text; what is left out has its default. Raises ValueError, naming the key."""
    tree = read_yaml(text)
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


def read_yaml(text: str) -> Any:
    """What YAML text says, without anchors, tags of a language, or a key written twice. Raises ValueError."""
    if len(text) > LONGEST:
        raise ValueError(f"this is longer than the {LONGEST} characters of the longest config that is read")
    try:
        return yaml.load(text, StrictLoader)
    except (yaml.YAMLError, RecursionError, ArithmeticError, AttributeError, LookupError, TypeError) as error:
        raise ValueError(f"this is not YAML: {error}") from None  # a wrong tag fails in PyYAML's own constructors


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


def differences(a: Config, b: Config) -> list[tuple[str, Any, Any]]:
    """The settings in which two configs differ: path, value in `a`, value in `b`."""
    ours, theirs = to_dict(a), to_dict(b)
    values = [(f"{s}.{k}", value, theirs[s][k]) for s, section in ours.items() for k, value in section.items()]
    return [(path, x, y) for path, x, y in values if x != y]


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
    """SafeLoader that reads 1e-3 as a number and refuses a key written twice, and what may grow without bound."""

    def compose_node(self, parent, index):
        """A node that is not another one's alias: nine lines of aliases of aliases are a billion values."""
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.MarkedYAMLError(None, None, f"*{event.anchor}: write it out again instead", event.start_mark)
        return super().compose_node(parent, index)


class StrictDumper(yaml.SafeDumper):
    """SafeDumper that quotes a text which StrictLoader would read as a number."""


def unique_mapping(loader: StrictLoader, node: yaml.MappingNode) -> dict:
    """A mapping whose keys are all different."""
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    if len(set(keys)) < len(keys):
        twice = next(key for i, key in enumerate(keys) if key in keys[:i])
        raise ValueError(f"{twice!r} is set twice")
    return loader.construct_mapping(node, deep=True)


StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, unique_mapping)
for end in StrictLoader, StrictDumper:
    end.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
    )
