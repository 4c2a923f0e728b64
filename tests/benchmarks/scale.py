"""What a training step costs as K, the batch, the images and D grow: time and memory, beside those of a preset.

    python tests/benchmarks/scale.py [PRESET] [--set SECTION.KEY=VALUE] [--steps 5] [--rounds 5]

One setting grows at a time. Rounds of all forms alternate; medians are printed, and their ratio to the preset's. Memory
is what the compiled step holds beside its arguments; arguments are weights, optimiser and images.
"""

import statistics
from functools import partial

import numpy as np
from measure import alternated, command, configured, machine

from mixvae import Config, State, Trainer, load_dataset
from mixvae.config_file import override
from mixvae.step import run_steps
from workbench.cache import use_compilation_cache
from workbench.presets import WHOLE

GROWN = {  # what is set, and by how much images are enlarged
    "as it is": ({}, 1),
    "K = 100": ({"model.num_components": 100}, 1),
    "K = 1000": ({"model.num_components": 1000}, 1),
    "batch 250": ({"train.batch_size": 250}, 1),
    "batch 500": ({"train.batch_size": 500}, 1),
    "images 56 x 56": ({}, 2),
    "D = 16": ({"model.latent_dim": 16}, 1),
    "exact, K = 10": ({"routing.estimator": "exact"}, 1),
}
MEBI = 2**20


def build(config: Config, x: np.ndarray, enlarged: int) -> Trainer:
    """A trainer on images that are `enlarged` times as high and as wide."""
    return Trainer(config, x.repeat(enlarged, 1).repeat(enlarged, 2))


def steps_of(trainer: Trainer, state: State, steps: int):
    """The weights after some steps."""
    return trainer.advance(state, steps)[0].params


def memory(trainer: Trainer) -> tuple[float, float]:
    """MiB that the compiled step holds for itself, and MiB of its arguments."""
    coming = trainer.coming(trainer.init(), 1)
    found = run_steps.lower(trainer.objective, trainer.optimiser, coming).compile().memory_analysis()
    return found.temp_size_in_bytes / MEBI, found.argument_size_in_bytes / MEBI


def main():
    """Print the table."""
    cli = command(__doc__)
    cli.add_argument("--steps", type=int, default=5, help="training steps of a round")
    cli.add_argument("--rounds", type=int, default=5)
    arguments = cli.parse_args()
    use_compilation_cache()
    preset = configured(arguments, WHOLE)
    x = load_dataset(preset.data.name).x_train[:6000]
    trainers = {name: build(override(preset, settings), x, by) for name, (settings, by) in GROWN.items()}
    steps = {name: partial(steps_of, trainer, trainer.init(), arguments.steps) for name, trainer in trainers.items()}
    taken = alternated(steps, arguments.rounds)
    print(f"{arguments.preset}: {machine()}")
    print(f"{'':20}{'ms a step':>10}{'ratio':>8}{'own MiB':>10}{'arguments MiB':>16}")
    each = {name: statistics.median(times) / arguments.steps for name, times in taken.items()}
    for name, trainer in trainers.items():
        own, given = memory(trainer)
        print(f"{name:20}{1000 * each[name]:10.1f}{each[name] / each['as it is']:8.2f}{own:10.1f}{given:16.1f}")


if __name__ == "__main__":
    main()
