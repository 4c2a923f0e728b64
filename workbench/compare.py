"""Another run beside the live one: which there are, its planes and its past, and which settings differ."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mixvae import Config, config_file, load_config, load_dataset
from mixvae.checkpoint import CHECKPOINT, CONFIG, Row
from mixvae.runs import open_run
from workbench.channel_view import ChannelView
from workbench.film import Film, load_film
from workbench.live import LiveRun
from workbench.presets import RUNS, SHOWCASE
from workbench.saved import show_film, show_saved

PAST = "this run, earlier"


@dataclass(frozen=True)
class Beside:
    """What stands beside the live run."""

    view: ChannelView
    config: Config
    history: list[Row]

    def __post_init__(self):
        self.view.close_with(self)


def saved_runs(folders: tuple[Path, ...] = (SHOWCASE, RUNS)) -> dict[str, Path | str]:
    """Every saved run in these folders, by a name that tells it from the others, after the live run's own past."""
    found = [(path.parent, folder.parent) for folder in folders for path in sorted(folder.rglob(CHECKPOINT))]
    return {PAST: PAST} | {described(folder, home): folder for folder, home in found}


def described(folder: Path, home: Path) -> str:
    """A run in a list: its folder below `home`, data set, channels, epochs and seed."""
    name = folder.relative_to(home)
    try:
        config = load_config(folder / CONFIG)
    except (ValueError, OSError):
        return f"{name}: its {CONFIG} cannot be read"
    size = f"K = {config.model.num_components}, {config.train.epochs} epochs, seed {config.train.seed}"
    return f"{name}: {config.data.name}, {size}"


def beside(run: Path | str, live: LiveRun) -> Beside:
    """A saved run on a view of its own, or the live run's own past up to now.

    Raises ValueError or OSError where the run cannot be read.
    """
    if run == PAST:
        view = ChannelView()
        show_film(view, live.points, live.dataset, Film(list(live.film.moments)))
        return Beside(view, live.trainer.config, [])
    config = load_config(Path(run) / CONFIG)
    data = live.trainer.config.data
    same = (config.data.name, config.data.validation) == (data.name, data.validation)
    dataset = live.dataset if same else load_dataset(config.data.name, validation=config.data.validation)
    saved, film, view = open_run(run, dataset), load_film(run), ChannelView()
    show_saved(view, saved, dataset, film)
    return Beside(view, config, saved.history)


def differences(panel: Config, other: Config) -> pl.DataFrame:
    """The settings of the panel that differ from another run's: setting, panel, other."""
    rows = [(path, str(a), str(b)) for path, a, b in config_file.differences(panel, other)]
    return pl.DataFrame(rows, schema=["setting", "panel", "other"], orient="row")
