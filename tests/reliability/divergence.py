"""Knobs at the ends of their ranges and beyond: numbers that go wrong are said, and training goes on from good ones.

    python tests/reliability/divergence.py [--count 200] [--seed 0]

A live run is trained with every knob at an end of its range, drawn anew for each case, and then asked for a value that
no slider has. It must end its steps, or say what went wrong; its weights stay finite; moved back, it trains on.
RuntimeError where it does not.
"""

import argparse
import contextlib
import io
import random
import re
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import jax
import numpy as np

from mixvae import Knobs
from mixvae.config import LIVE
from reliability.table import Found, print_table, timed
from workbench.example_screen import LONG, Screen, make, panel

STEPS = 20
BEYOND = {"tau": 0.0, "beta_z": 1e6, "beta_c": -1.0, "learning_rate": 1e3, "k_active": 0, "w_inv": float("nan")}


class Silent(RuntimeError):
    """Something went wrong and nothing said so, or nothing went on."""


def ends(count: int, seed: int = 0, **settings: object) -> Found:
    """`count` settings of all knobs, each at one end of its range, on one model."""
    chance, outcomes, screen = random.Random(seed), Counter(), Screen()
    with contextlib.redirect_stderr(io.StringIO()):  # a worker tells the terminal of every error
        live = make(screen, **LONG, **settings)
        live.settled()
        start = panel(live.trainer.config)
        for number in range(count):
            live.reset()
            live.follow(start | {name: drawn(name, chance) for name in LIVE})
            live.step(STEPS)
            outcomes[outcome(live, f"case {number} of seed {seed}")] += 1
            beyond = chance.choice(sorted(BEYOND))
            live.follow({beyond: BEYOND[beyond]})
            refused = live.settled() and live.status.startswith(f"stopped: ValueError: {LIVE[beyond][0]}.{beyond}=")
            before = int(live.state.step)
            live.follow(start)
            live.step(3)
            if not (refused and live.settled() and live.state.step == before + 3 and live.status == "paused"):
                raise Silent(f"case {number} of seed {seed}: after {beyond} it said {live.status}")
        live.close()
    return {"tried": f"knobs at their ends {settings or ''}", "count": count, "found": dict(sorted(outcomes.items()))}


def drawn(name: str, chance: random.Random) -> float:
    """An end of a knob's range; of K_active, within the five channels of the model."""
    metadata = LIVE[name][1].metadata
    return chance.choice((metadata["low"], 5 if name == "k_active" else metadata["high"]))


def outcome(live, case: str) -> str:
    """How the steps ended: in finite numbers or in words, and in finite weights either way."""
    if not live.settled(300):
        raise Silent(f"{case}: no answer")
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((live.state.params, live.state.average))):
        raise Silent(f"{case}: weights are not finite, and it says {live.status}")
    if live.state.step == STEPS and live.status == "paused":
        return "trained"
    if live.status.startswith("stopped: FloatingPointError: ") and "=" in live.status:
        return "told"
    raise Silent(f"{case}: at step {live.state.step} it says {live.status}")


def wrong(count: int) -> Found:
    """`count` times a knob that makes the loss infinite: told with the term and the knobs, and trained on without."""
    screen = Screen()
    with contextlib.redirect_stderr(io.StringIO()):
        live = make(screen, **LONG)
        for number in range(count):
            live.step(1 + number % 4)
            live.settled()
            good = live.state
            knobs = Knobs(**good.knobs._asdict() | {"beta_z": np.float32(3e38)})
            live.state = good._replace(knobs=knobs, held=good.held._replace(beta_z=np.bool_(True)))
            live.step(2)
            live.settled()
            told = rf"stopped: FloatingPointError: (loss|gradient) is no longer .* {good.step + 1}, at .*beta_z=3e\+38"
            if not re.match(told, screen.status) or live.state.step != good.step:
                raise Silent(f"after {number} it says {screen.status}")
            live.follow(panel(live.trainer.config))
            live.step(1)
            if not (live.settled() and live.status == "paused" and live.state.step == good.step + 1):
                raise Silent(f"after {number} it does not go on: {live.status}")
        live.close()
    return {
        "tried": "a loss or a gradient that is infinite",
        "count": count,
        "found": f"{count} told, 0 silent, trained on",
    }


HETEROSCEDASTIC = {"model.output": "heteroscedastic"}
EXACT = {"routing.estimator": "exact", "model.conditioning": "concat"}


def main():
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--count", type=int, default=200, help="cases of each model")
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    rows = (timed(ends, given.count, given.seed, **settings) for settings in ({}, HETEROSCEDASTIC, EXACT))
    print_table([timed(wrong, given.count)])
    print_table(rows)


if __name__ == "__main__":
    main()
