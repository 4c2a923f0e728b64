"""python -m workbench train CONFIG [--set section.key=value ...] [--out FOLDER]"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import yaml
from tqdm import tqdm

from mixvae import Config, Dataset, load_config, load_dataset, predict
from mixvae import metrics as m
from mixvae.config_file import StrictLoader, override
from mixvae.runs import Snapshot, fit, open_run, save
from mixvae.settings import nearest
from workbench.cache import use_compilation_cache

CONFIGS = Path(__file__).parent.parent / "data" / "configs"


def main(argv: list[str] | None = None) -> int:
    """Run a command; 0 where it ended well, 1 where a file or a setting was at fault, 130 where it was interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m workbench", description="Train a mixture of VAEs from the command line."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    train_parser = commands.add_parser("train", help="train a config to its last epoch and score it on the test images")
    train_parser.add_argument(
        "config", help="a YAML file, or a preset: " + ", ".join(sorted(p.stem for p in CONFIGS.glob("*.yaml")))
    )
    train_parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="replace a setting"
    )
    train_parser.add_argument("--out", metavar="FOLDER", help="save every epoch there, and go on from what it holds")
    train_parser.add_argument(
        "--light", action="store_true", help="at the end keep the averaged weights alone, in half precision"
    )
    arguments = parser.parse_args(argv)
    use_compilation_cache()
    try:
        train(override(read_config(arguments.config), parse_settings(arguments.set)), arguments.out, arguments.light)
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; with --out, the same command goes on from the last epoch", file=sys.stderr)
        return 130
    return 0


def read_config(name: str) -> Config:
    """A preset by its name, or a config file. Raises ValueError where there is neither."""
    presets = sorted(path.stem for path in CONFIGS.glob("*.yaml"))
    if name in presets:
        return load_config(CONFIGS / f"{name}.yaml")
    if not Path(name).exists():
        raise ValueError(nearest(f"the file or preset {name!r}", name, presets))
    return load_config(name)


def parse_settings(pairs: list[str]) -> dict:
    """['a.b=1'] -> {'a.b': 1}; values are read as in YAML. Raises ValueError for a pair without '='."""
    for pair in pairs:
        if "=" not in pair:
            raise ValueError(f"--set {pair}: expected SECTION.KEY=VALUE, as in model.num_components=20")
    split = (pair.split("=", 1) for pair in pairs)
    try:
        return {key.strip(): yaml.load(value, StrictLoader) for key, value in split}
    except yaml.YAMLError as error:
        raise ValueError(f"--set: {error}") from None


def train(config: Config, out: str | None, light: bool):
    """Train with a progress bar and print the scores of the final epoch."""
    dataset = load_dataset(config.data.name, validation=config.data.validation)
    sizes = f"{len(dataset.x_train)} training images, {len(dataset.x_test)} test images"
    print(f"{dataset.name}: {sizes}; K = {config.model.num_components}")
    start, snapshot = time.perf_counter(), None
    steps = len(dataset.x_train) // config.train.batch_size * config.train.epochs
    with tqdm(total=steps, unit=" steps", mininterval=0.5) as bar:
        for snapshot in fit(config, dataset, out, bar.update):
            row = snapshot.history[-1]
            bar.update(row["step"] - bar.n)
            bar.set_postfix({k: f"{row[k]:.3f}" for k in ("epoch", "loss", "recon", "kl_z", "effective_channels")})
    if snapshot is None:
        print(f"{out} is at its last epoch already; nothing was trained")
        snapshot = open_run(out, dataset)
    else:
        print(f"{config.train.epochs} epochs, {time.perf_counter() - start:.0f} s in this process")
    if out and light:
        save(out, config, snapshot.state, snapshot.history, light=True)
    for name, value in scores(snapshot, dataset).items():
        print(f"  {name:22} {value:.4f}")


def scores(snapshot: Snapshot, dataset: Dataset) -> dict[str, float]:
    """The final epoch on the test images, whose labels score and choose nothing; seeds are ranked by the first line."""
    row = snapshot.history[-1]
    prediction = predict(snapshot.trainer.model, snapshot.state, dataset.x_test)
    usage = np.bincount(prediction.channel, minlength=prediction.responsibilities.shape[1]) / len(prediction.channel)
    pixels = dataset.x_test / np.float32(255)
    result = {
        "label_free_objective": row["w_inv"] * row["inv"] - row["w_mi"] * (2 * row["H"] - row["h"]),
        "test_images": len(pixels),
        "active_channels": m.active_channels(usage),
        "effective_channels": m.effective_channels(usage),
        "mse": float(np.mean(np.square(prediction.mean - pixels))),
    }
    if (dataset.y_test >= 0).sum() >= m.MINIMUM:
        known = dataset.y_test >= 0
        for name, score in dict(clustering_accuracy=m.clustering_accuracy, nmi=m.nmi, ari=m.ari).items():
            result[name] = score(prediction.channel[known], dataset.y_test[known])
    return result


if __name__ == "__main__":
    sys.exit(main())
