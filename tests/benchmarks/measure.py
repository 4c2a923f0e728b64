"""What the benchmarks share: the arguments that name a config, the machine in words, times of calls that alternate."""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax

from mixvae import Config
from mixvae.config_file import override
from workbench.__main__ import parse_settings
from workbench.presets import read_config


def command(doc: str) -> argparse.ArgumentParser:
    """A command line that begins with a preset and its settings; `doc` is its help."""
    cli = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("preset", nargs="?", default="fast", help="a preset of data/configs (default: fast)")
    cli.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="replace a setting")
    return cli


def configured(arguments: argparse.Namespace, settings: Mapping[str, Any] | None = None) -> Config:
    """The config that a command line names; `settings` stand where it sets no others."""
    return override(read_config(arguments.preset), dict(settings or {}) | parse_settings(arguments.set))


def machine() -> str:
    """Versions and device."""
    device = jax.devices()[0]
    on = f"{device.platform} ({device.device_kind}), {os.cpu_count()} cores"
    return f"jax {jax.__version__}, Python {platform.python_version()} on {on}"


def seconds(function: Callable, *arguments: Any) -> float:
    """The time of one call, to its last number."""
    start = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    return time.perf_counter() - start


def alternated(functions: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every function in each of `rounds` rounds; a call before them, not counted, compiles."""
    for function in functions.values():
        seconds(function)
    taken = [{name: seconds(function) for name, function in functions.items()} for _ in range(rounds)]
    return {name: [one[name] for one in taken] for name in functions}


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """The lower quartile, the median and the upper one; of two values or more."""
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))
