"""python -m workbench train CONFIG | report RUN_OR_NOTEBOOK | sweep EXPERIMENT | tables"""

import argparse
import re
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import jax
from tqdm import tqdm

from mixvae import load_config, load_dataset
from mixvae.checkpoint import CONFIG, save
from mixvae.config_file import override, read_yaml
from mixvae.folder import write_atomically
from mixvae.runs import Snapshot, fit, open_run
from mixvae.settings import nearest
from workbench import presets, tables
from workbench.cache import use_compilation_cache
from workbench.cluster import connect
from workbench.experiments import EXPERIMENTS
from workbench.film import load_film
from workbench.frame import MOST_CHANNELS
from workbench.offline import offline
from workbench.report import report
from workbench.rows import RESULTS
from workbench.saved import Recorder
from workbench.scores import scores
from workbench.sweep import ROOT, jobs, sweep

SHOWN = ("clustering_accuracy", "nmi", "label_accuracy", "active_channels", "seconds")


def main(argv: list[str] | None = None) -> int:
    """Run a command; 0 where it ended well, 1 where a file or a setting was at fault, 130 where it was interrupted."""
    arguments = parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except (ValueError, OSError, FloatingPointError, MemoryError, jax.errors.JaxRuntimeError) as error:
        print(f"error: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"interrupted; {arguments.resume}", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """The commands and their arguments."""
    cli = argparse.ArgumentParser(
        prog="python -m workbench", description="Train mixtures of VAEs from the command line."
    )
    commands = cli.add_subparsers(dest="command", required=True)
    one = commands.add_parser("train", help="train a config to its last epoch and score it on the test images")
    one.add_argument("config", help=f"a YAML file, or a preset: {', '.join(presets.names())}")
    one.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="replace a setting")
    one.add_argument("--out", type=named, metavar="FOLDER", help="save every epoch there, and go on from what it holds")
    one.add_argument(
        "--light", action="store_true", help="at the end keep the averaged weights alone, in half precision"
    )
    one.add_argument(
        "--hosts",
        type=named,
        metavar="HOST:PORT,N,ID",
        help="be number ID, from 0, of N processes that train together, where number 0 listens at HOST:PORT; "
        "or auto, under Slurm, Open MPI or on a TPU pod",
    )
    one.set_defaults(run=train, resume="with --out, the same command goes on from the last epoch")
    many = commands.add_parser("sweep", help="run an experiment, arms x seeds, and keep a row of results for each run")
    many.add_argument(
        "experiment",
        choices=sorted(EXPERIMENTS),
        help="; ".join(f"{name}: {EXPERIMENTS[name].question}" for name in sorted(EXPERIMENTS)),
    )
    many.add_argument("--arm", action="append", metavar="ARM", help="one arm only; may be given again")
    many.add_argument("--seeds", type=int, nargs="+", metavar="SEED", help="other seeds than the experiment's own")
    many.add_argument(
        "--together", type=int, default=1, metavar="N", help="train N seeds of an arm at once, which a GPU has room for"
    )
    many.add_argument(
        "--scheduler",
        type=named,
        metavar="ADDRESS",
        help="run them on the workers of this Dask scheduler, as in tcp://10.0.0.1:8786",
    )
    many.set_defaults(run=run_sweep, resume="finished runs keep their rows, and the same command goes on")
    page = commands.add_parser(
        "report", help="a saved run, or a notebook, as one HTML file that works without a kernel or a network"
    )
    page.add_argument("source", metavar="RUN_OR_NOTEBOOK", help="a folder that train --out filled, or a notebook's .py")
    page.add_argument("-o", "--out", type=named, metavar="FILE", help="default: beside it, with .html at its end")
    page.set_defaults(run=write_report, resume="no file was half written")
    made = commands.add_parser("tables", help="make the result tables of a document anew from the rows")
    made.add_argument("document", nargs="*", default=[str(ROOT / "README.md")], help="default: README.md")
    made.set_defaults(run=fill_tables, resume="no document was half written")
    return cli


def named(text: str) -> str:
    """An argument that names something. Raises ArgumentTypeError for '', as of a variable that is not set."""
    if not text:
        raise argparse.ArgumentTypeError("expected a name, found ''")
    return text


def parse_settings(pairs: list[str]) -> dict:
    """['a.b=1'] -> {'a.b': 1}; values are read as in YAML. ValueError for a pair without '=', or a key set twice."""
    for pair in pairs:
        if "=" not in pair:
            raise ValueError(f"--set {pair}: expected SECTION.KEY=VALUE, as in model.num_components=20")
    split = [(key.strip(), value) for key, value in (pair.split("=", 1) for pair in pairs)]
    keys = [key for key, _ in split]
    if twice := {key for key in keys if keys.count(key) > 1}:
        raise ValueError(f"--set {', '.join(sorted(twice))}: given more than once; leave one of them")
    try:
        return {key: read_yaml(value) for key, value in split}
    except ValueError as error:
        raise ValueError(f"--set: {error}") from None


def train(arguments: argparse.Namespace) -> int:
    """Train with a progress bar and print the scores of the final epoch; of several processes the first alone tells."""
    config = override(presets.read_config(arguments.config), parse_settings(arguments.set))
    out, light = arguments.out, arguments.light
    if light and not out:
        raise ValueError("--light says what --out keeps of a run; give --out FOLDER too")
    if arguments.hosts:
        join(arguments.hosts)
    use_compilation_cache()
    tells = jax.process_index() == 0
    dataset = load_dataset(config.data.name, validation=config.data.validation)
    sizes = f"{len(dataset.x_train)} training images, {len(dataset.x_test)} test images"
    print(f"{dataset.name}: {sizes}; K = {config.model.num_components}")
    start, snapshot = time.perf_counter(), None
    recorder = None
    if out and tells and config.model.num_components > MOST_CHANNELS:
        print(f"{out}: a view shows {MOST_CHANNELS} channels at most, so no moments are kept for one")
    elif out and tells:
        recorder = Recorder(dataset, out)
    steps = len(dataset.x_train) // config.train.batch_size * config.train.epochs
    with tqdm(total=steps, unit=" steps", mininterval=0.5, disable=not tells) as bar:

        def resumed(saved: Snapshot):
            bar.initial = bar.n = bar.last_print_n = int(saved.state.step)
            if (epoch := len(saved.history)) < config.train.epochs:
                bar.write(f"{out}: goes on after epoch {epoch} of {config.train.epochs}")
            if recorder:
                recorder.record(saved)

        for snapshot in fit(config, dataset, out, bar.update, resumed):
            row = snapshot.history[-1]
            if recorder:
                recorder.record(snapshot)
            bar.update(row["step"] - bar.n)
            bar.set_postfix({k: f"{row[k]:.3f}" for k in ("epoch", "loss", "recon", "kl_z", "effective_channels")})
    if not tells:
        return 0
    if snapshot is None:
        print(f"{out} is at its last epoch already; nothing was trained")
        snapshot = open_run(out, dataset)
    else:
        print(f"{config.train.epochs} epochs, {time.perf_counter() - start:.0f} s in this process")
    if out and light:
        save(out, *snapshot, light=True)
    for name, value in scores(snapshot, dataset).items():
        print(f"  {name:22} {value:.4f}")
    return 0


def join(hosts: str):
    """Make this process one of those that train together. Raises ValueError or OSError where it cannot be one."""
    named = re.fullmatch(r"(\S+:\d+),(\d+),(\d+)", hosts)
    expected = "HOST:PORT,N,ID with ID below N, as in 10.0.0.1:1234,2,0 for the first of two"
    if (not named and hosts != "auto") or (named and int(named[3]) >= int(named[2])):
        raise ValueError(f"--hosts {hosts}: expected {expected}; or auto, under Slurm, Open MPI or on a TPU pod")
    try:
        if named:
            print(f"process {named[3]} of {named[2]}: waiting for the others at {named[1]}", flush=True)
            jax.distributed.initialize(named[1], int(named[2]), int(named[3]), cluster_detection_method="deactivate")
        else:
            jax.distributed.initialize()
    except ValueError:
        raise ValueError(f"--hosts auto: found neither Slurm, Open MPI nor a TPU pod; give {expected}") from None
    except RuntimeError as error:
        raise OSError(f"--hosts {hosts}: {error}") from None


def run_sweep(arguments: argparse.Namespace) -> int:
    """Run the jobs of an experiment that have no row yet; 1 where one of them failed."""
    plan, failed = EXPERIMENTS[arguments.experiment], 0
    if arguments.together < 1:
        raise ValueError(f"--together {arguments.together}: expected 1 or more seeds at once")
    for arm in arguments.arm or []:
        if arm not in plan.arms:
            raise ValueError(nearest(f"the arm {arm!r} of {arguments.experiment}", arm, plan.arms))
    print(f"{plan.question} Rows: {RESULTS / arguments.experiment}.csv")
    todo = jobs(arguments.experiment, arguments.arm, arguments.seeds)
    with connect(arguments.scheduler) if arguments.scheduler else nullcontext() as client:
        if client:
            print(f"{arguments.scheduler}: {len(client.nthreads())} workers now; more may join at any time", flush=True)
        for done, (job, row) in enumerate(sweep(todo, together=arguments.together, client=client), 1):
            name = f"{done} of {len(todo)}  {job.arm}, seed {job.config.train.seed}"
            if row is None:
                print(f"{name}: has its row already", flush=True)
            elif isinstance(row, Exception):
                failed += 1
                print(f"{name}: {type(row).__name__}: {row}", file=sys.stderr, flush=True)
            else:
                print(f"{name}: {', '.join(f'{k} {row[k]:.4g}' for k in SHOWN if k in row)}", flush=True)
    if failed:
        kept = RESULTS / f"{arguments.experiment}_failures.csv"
        print(f"{failed} of {len(todo)} failed, see {kept}; the same command runs them again", file=sys.stderr)
    return int(failed > 0)


def write_report(arguments: argparse.Namespace) -> int:
    """Write the page of a saved run or of a notebook."""
    source = Path(arguments.source)
    notebook, home = source.suffix == ".py", source.resolve()
    beside = home.with_suffix(".html") if notebook else home.with_name(f"{home.name}.html")  # a run may be named lr_0.1
    out = Path(arguments.out) if arguments.out else beside
    page = (offline(source) if notebook else run_page(source)).encode()
    write_atomically(out, page)
    print(f"{out}: {len(page) / 2**20:.1f} MB")
    return 0


def run_page(folder: Path) -> str:
    """The page of a saved run."""
    use_compilation_cache()
    config = load_config(folder / CONFIG)
    dataset = load_dataset(config.data.name, validation=config.data.validation)
    return report(open_run(folder, dataset), dataset, load_film(folder), folder.resolve().name)


def fill_tables(arguments: argparse.Namespace) -> int:
    """Write the tables of documents."""
    for path in map(Path, arguments.document):
        try:
            document = tables.filled(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        write_atomically(path, document.encode())
        print(f"{path}: {len(tables.HEADER.findall(document))} tables")
    return 0


if __name__ == "__main__":
    sys.exit(main())
