"""Tests run small programs once: compiling them fast matters more than running them fast."""

import jax
import pytest

from workbench.example_screen import LONG, Screen, make

jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture
def quiet(capsys):
    """A test that expects no fault ends without a traceback of the worker's; one that does has read it."""
    yield
    assert capsys.readouterr().err == ""


@pytest.fixture
def screen():
    return Screen()


@pytest.fixture
def live(screen):
    """A long run, ready before its first step."""
    run = make(screen, **LONG)
    assert run.settled() and run.error is None
    yield run
    run.close()
