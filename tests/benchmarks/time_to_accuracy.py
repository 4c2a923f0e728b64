"""Seconds of training until channels are classes, without a label: the time to a clustering accuracy, over seeds.

    python tests/benchmarks/time_to_accuracy.py [PRESET] [--set SECTION.KEY=VALUE] [--accuracy .98] [--seeds 0 1 2 ...]

After every epoch the test images are clustered by the weights in hand: of several starts those of the lowest label-free
loss so far. Test labels score them and choose nothing. Seconds are of steps and of comparing starts, not of compilation
or scoring; they are infinite where a seed ends below the accuracy.
"""

import math
import statistics
import time

from measure import command, configured, machine

from mixvae import Config, Dataset, load_dataset
from mixvae.config_file import override
from mixvae.inference import responsibilities
from mixvae.metrics import clustering_accuracy
from mixvae.regroup import regrouped
from mixvae.runs import build_trainer


def reached(config: Config, dataset: Dataset, accuracy: float) -> tuple[float, int, float]:
    """Seconds and epochs of training until an epoch ends with `accuracy`, or inf and all epochs; the accuracy then."""
    trainer = build_trainer(config, dataset)
    state, taken = trainer.init(), 0.0
    trainer.advance(state, 1)  # compiles, as do the comparison of starts and what regroups
    trainer.label_free_loss(state)
    if config.train.regroups:
        regrouped(trainer.model, state.average, *trainer.judged_views(), state.knobs.k_active)
    if config.train.self_label_epochs:
        trainer.self_labelled(state)
    for epoch in range(1, config.train.epochs + 1):
        start = time.perf_counter()
        state, _ = trainer.advance(state)
        taken += time.perf_counter() - start
        compared = epoch <= config.train.starts_end and math.isfinite(state.best.label_free)
        weights = state.best.average if compared else state.average
        channel = responsibilities(trainer.model, weights, dataset.x_test, state.knobs.k_active).argmax(1)
        found = clustering_accuracy(channel, dataset.y_test)
        if found >= accuracy:
            return taken, epoch, found
    return math.inf, epoch, found


def main():
    """Print a line a seed, and the median."""
    cli = command(__doc__)
    cli.add_argument("--accuracy", type=float, default=0.98)
    cli.add_argument("--seeds", type=int, nargs="+", default=[*range(10)], metavar="SEED")
    arguments = cli.parse_args()
    config = configured(arguments)
    dataset = load_dataset(config.data.name, validation=config.data.validation)
    print(f"{arguments.preset} to {arguments.accuracy:g}: {machine()}\n\n| seed | epochs | seconds | accuracy |")
    print("|---|---|---|---|")
    times = []
    for seed in arguments.seeds:
        taken, epochs, found = reached(override(config, {"train.seed": seed}), dataset, arguments.accuracy)
        times.append(taken)
        print(f"| {seed} | {epochs} | {taken:.1f} | {found:.4f} |", flush=True)
    print(f"\nmedian of {len(times)} seeds: {statistics.median(times):.1f} s of training")


if __name__ == "__main__":
    main()
