"""What each part of training costs: steps, epochs, test images, a frame of the live view, a checkpoint, compilation.

    python tests/benchmarks/parts.py [PRESET] [--set SECTION.KEY=VALUE] [--images N] [--steps 20] [--rounds 7]

All parts alternate; medians and quartiles of rounds. Where a preset trains routers alone at first, a step and an epoch
of one stand beside those of the whole model. Frames are built and encoded as for a page, and sent to none. To its first
step a fresh process builds a model, compiles and steps, with an empty compilation cache, then with the cache filled.
"""

import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import jax
from measure import alternated, command, configured, machine, quartiles, seconds

from mixvae import Config, Dataset, State, Trainer, load_dataset, predict
from mixvae.checkpoint import load, save
from mixvae.config_file import override
from mixvae.runs import Snapshot, build_trainer, epoch_row
from mixvae.step import draw
from workbench.atlas import build_atlas
from workbench.cache import use_compilation_cache
from workbench.channel_view import ChannelView
from workbench.frame import frame_scale
from workbench.points import Points
from workbench.presets import WHOLE
from workbench.scores import scores


def training(name: str, trainer: Trainer, steps: int) -> dict[str, Callable]:
    """Steps in one call, and an epoch, from fresh weights."""
    state = trainer.init()
    return {
        f"a step, {name}": lambda: trainer.advance(state, steps)[0].params,
        f"an epoch, {name}": lambda: trainer.advance(state)[0].params,
    }


def frames(trainer: Trainer, state: State, dataset: Dataset) -> dict[str, Callable]:
    """The live view's frame while it trains, and when it pauses."""
    points, view = Points(dataset, 1000), ChannelView()
    view.set_points(points.labels, dataset.class_names, points.images)

    def frame(whole: bool):
        points.encode(trainer, state, whole)
        shown = points.frame(trainer, state, "training", 0.0)
        view.show(shown)
        if whole:
            view.show_atlas(build_atlas(trainer.model, state.average, frame_scale(shown), shown.sigma_range))

    return {"a frame while training": partial(frame, False), "a whole frame, with its atlas": partial(frame, True)}


def checkpoints(trainer: Trainer, state: State, folder: Path) -> dict[str, Callable]:
    """Saving a run with a history of the config's epochs, then loading it."""
    _, columns = trainer.advance(state, 1)
    history = [epoch_row(trainer, state, columns)] * trainer.config.train.epochs
    saving = partial(save, folder, trainer, state, history)
    return {"saving a checkpoint": saving, "loading a checkpoint": lambda: load(folder, trainer)[0].params}


def to_first_step(config: Config, cache: str) -> float:
    """Seconds from a config and its images to the end of its first step, in a process that has compiled nothing yet."""
    os.environ["XDG_CACHE_HOME"] = cache
    use_compilation_cache()
    dataset = load_dataset(config.data.name, validation=config.data.validation)
    return seconds(lambda: (trainer := build_trainer(config, dataset)).advance(trainer.init(), 1)[0].params)


def first_steps(config: Config, rounds: int) -> dict[str, list[float]]:
    """`to_first_step` of fresh processes, with an empty compilation cache and with a filled one."""
    taken = {"to the first step, nothing cached": [], "to the first step, all cached": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as cache:
            for found in taken.values():
                with ProcessPoolExecutor(1, get_context("spawn")) as process:
                    found.append(process.submit(to_first_step, config, cache).result())
    return taken


def main():
    """Print the table."""
    cli = command(__doc__)
    cli.add_argument("--images", type=int, help="training images of an epoch (default: all)")
    cli.add_argument("--steps", type=int, default=20, help="training steps of a round")
    cli.add_argument("--rounds", type=int, default=7)
    arguments = cli.parse_args()
    config = configured(arguments)
    dataset = load_dataset(config.data.name, validation=config.data.validation)
    first = slice(arguments.images)
    dataset = replace(dataset, x_train=dataset.x_train[first], y_train=dataset.y_train[first])
    trainer = build_trainer(override(config, WHOLE), dataset)
    state, _ = trainer.advance(trainer.init(), 1)
    batch, augment = draw(trainer.coming(state).data, 0).x, jax.jit(trainer.objective.view)
    alone = config.train.starts > 0
    parts = training("router alone", build_trainer(config, dataset), arguments.steps) if alone else {}
    parts |= training("whole model", trainer, arguments.steps) | {
        "augmentation of a batch": lambda: augment(state.key, batch),
        "test images encoded and decoded": lambda: predict(trainer.model, state, dataset.x_test),
        "all scores of the test images": lambda: scores(Snapshot(trainer, state, []), dataset),
    }
    with tempfile.TemporaryDirectory() as folder:
        parts |= frames(trainer, state, dataset) | checkpoints(trainer, state, Path(folder))
        taken = alternated(parts, arguments.rounds)
    taken |= first_steps(trainer.config, arguments.rounds)
    print(f"{arguments.preset}: {machine()}")
    print(f"{dataset}, batch {config.train.batch_size}")
    print(f"{'':36}{'ms, median':>12}   quartiles")
    for name, times in taken.items():
        each = arguments.steps if name.startswith("a step") else 1
        low, middle, high = (1000 * value / each for value in quartiles(times))
        print(f"{name:36}{middle:12.1f}   {low:.1f} to {high:.1f}")


if __name__ == "__main__":
    main()
