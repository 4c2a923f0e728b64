"""What a setting is: a field with a type, a range and a label, checked when its section is made."""

import math
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import Field, field, fields
from difflib import get_close_matches
from typing import Any, ClassVar


def setting(default, low=None, high=None, label="", step=None, live=False, log=False) -> Any:
    """A field whose value lies in [low, high]; `step` and `log` shape its slider."""
    shape = dict(low=low, high=high, label=label, step=step, live=live, log=log)
    return field(default=default, metadata=shape | {"valid": None})


def choice(default: str, valid: Iterable[str], label: str) -> Any:
    """A field that is one of the names in `valid`; a name put there later may be chosen from then on."""
    return field(default=default, metadata=setting("", label=label).metadata | {"valid": valid})


def nearest(what: str, value: Any, valid: Iterable[str]) -> str:
    """`what` does not exist, with the nearest valid name and all of them."""
    return f"{what} does not exist{did_you_mean(value, valid)} (valid: {', '.join(valid)})"


def did_you_mean(value: Any, valid: Iterable[str]) -> str:
    """A hint at the valid name that is nearest, whatever its case, if one is near."""
    names = {name.lower(): name for name in valid}
    near = get_close_matches(str(value).lower(), names, n=1, cutoff=0.5)
    return f"; did you mean {names[near[0]]!r}?" if near else ""


TYPE_NAMES = {int: "whole number", float: "number", bool: "true or false", str: "text"}


def check(path: str, value: Any, hint: Any, metadata: Mapping) -> Any:
    """The value as the type `hint` asks, inside its range; raises ValueError naming the key's path."""
    if isinstance(hint, types.UnionType):
        return None if value is None else check(path, value, typing.get_args(hint)[0], metadata)
    if metadata["valid"] is not None:
        if value not in tuple(metadata["valid"]):
            raise ValueError(nearest(f"{path}={value!r}", value, metadata["valid"]))
        return value
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            raise ValueError(f"{path}={value!r} must be a list of whole numbers, as in [1, 2, 5]")
        return tuple(check(f"{path}[{i}]", v, int, metadata) for i, v in enumerate(value))
    if hint is float and type(value) is int:
        value = float(value) if abs(value) < 2**1023 else math.inf  # what no float can hold is out of range
    if type(value) is not hint:
        found = "" if type(value) in (int, float) else f", not {TYPE_NAMES.get(type(value), type(value).__name__)}"
        raise ValueError(f"{path}={value!r} must be a {TYPE_NAMES[hint]}{found}")
    low, high = metadata["low"], metadata["high"]
    if (low is not None and not low <= value <= (math.inf if high is None else high)) or value == math.inf:
        ends = f"finite and at least {low:g}" if high is None else f"between {low:g} and {high:g}"
        raise ValueError(f"{path}={value!r} is out of range: it must be {ends}")
    return value


def settings(section: type) -> list[tuple[Field, Any]]:
    """The fields of a section, each with its type."""
    hints = typing.get_type_hints(section)
    return [(f, hints[f.name]) for f in fields(section)]


class Section:
    """A frozen group of settings that checks the type and the range of each when it is made."""

    path: ClassVar[str]

    def __post_init__(self):
        for f, hint in settings(type(self)):
            object.__setattr__(self, f.name, check(f"{self.path}.{f.name}", getattr(self, f.name), hint, f.metadata))
