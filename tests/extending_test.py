"""lib/EXTENDING.md: its examples run as they stand there, and what they add is in configs, panels and errors."""

import re

import jax
import pytest

from browser import ROOT
from mixvae import Config
from mixvae.catalogue import NAMED
from mixvae.config_file import override
from mixvae.modules.conditioning import CONDITIONERS
from mixvae.modules.decoders import DECODERS, HEADS
from workbench import controls, knob_widgets

TABLES = (CONDITIONERS, HEADS, DECODERS, NAMED)
ADDED = {"model.conditioning": "gated", "model.output": "laplace", "model.decoder": "residual"}


@pytest.fixture(scope="module")
def extended():
    """The names that the examples define; the tables are as before afterwards."""
    jax.config.update("jax_disable_most_optimizations", True)
    before = [dict(table) for table in TABLES]
    text = (ROOT / "lib" / "EXTENDING.md").read_text(encoding="utf-8")
    names = {"__name__": "extending"}
    for block in re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        exec(compile(block, "EXTENDING.md", "exec"), names)
    yield names
    for table, entries in zip(TABLES, before, strict=True):
        table.clear()
        table.update(entries)


def test_every_example_trains(extended):
    assert extended["run"].trainer.config.data.name == "stripes" and len(extended["run"].history) == 2


@pytest.mark.parametrize("path", ADDED)
def test_what_it_adds_is_in_every_panel_and_in_errors(extended, path):
    assert ADDED[path] in controls.choice(Config(), path).options
    assert ADDED[path] in knob_widgets.choice(Config(), path).options
    with pytest.raises(ValueError, match=f"did you mean '{ADDED[path]}'"):
        override(Config(), {path: ADDED[path] + "s"})
