"""The six convolutional decoders, modular and in one piece: time of their loss, and of its gradient.

    python tests/benchmarks/modular.py [--batch 125] [--rounds 30]

Both forms have the same parameters and alternate; medians, and the ratio modular / one piece with its quartiles over
rounds. That their numbers, FLOPs and bytes agree is a test (tests/monolith_test.py).
"""

import argparse
import statistics
import sys
from functools import partial
from itertools import product
from pathlib import Path

import jax
import numpy as np
from measure import alternated, machine, quartiles

sys.path.insert(0, str(Path(__file__).parents[1]))

from mixvae import ModularConvDecoder
from monolith import monolith


def compared(conditioning: str, output: str, batch: int, rounds: int) -> list[tuple[list[float], list[float]]]:
    """Seconds of every round, of both forms, for the loss and for its gradient."""
    random = np.random.default_rng(0)
    z, e, x = (random.random((batch, *shape), np.float32) for shape in ((2,), (16,), (28, 28, 1)))
    module = ModularConvDecoder(conditioning, output)
    params = module.init(jax.random.key(0), z, e)

    def of_modules(p, z, e, x):
        return module.apply(p, z, e, x, method="nll")

    found = []
    for form in (lambda loss: loss, jax.grad):
        pair = [
            jax.jit(form(lambda p, nll=nll: nll(p, z, e, x).mean()))
            for nll in (of_modules, monolith(conditioning, output))
        ]
        calls = {name: partial(function, params) for name, function in zip(("mine", "other"), pair, strict=True)}
        found.append(tuple(alternated(calls, rounds).values()))
    return found


def main():
    """Print the table."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--batch", type=int, default=125)
    cli.add_argument("--rounds", type=int, default=30)
    arguments = cli.parse_args()
    print(f"{machine()}, batch {arguments.batch}")
    print(f"{'':38}{'modular ms':>12}{'one piece ms':>14}{'ratio':>8}   quartiles")
    for conditioning, output in product(("film", "concat", "none"), ("standard", "heteroscedastic")):
        for what, (mine, other) in zip(
            ("loss", "gradient"), compared(conditioning, output, arguments.batch, arguments.rounds), strict=True
        ):
            ratios = [a / b for a, b in zip(mine, other, strict=True)]
            low, middle, high = quartiles(ratios)
            name = f"{conditioning}, {output}, {what}"
            times = f"{1000 * statistics.median(mine):12.2f}{1000 * statistics.median(other):14.2f}"
            print(f"{name:38}{times}{middle:8.3f}   {low:.3f} to {high:.3f}")


if __name__ == "__main__":
    main()
