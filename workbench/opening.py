"""What the workbench opens with: the showcase, a saved run, or a config of one's own that is still to be trained."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixvae import Config, load_config, load_dataset
from mixvae.checkpoint import CONFIG
from mixvae.config_file import override, read_yaml
from mixvae.runs import open_run
from workbench.channel_view import ChannelView
from workbench.film import load_film
from workbench.knobs import shown
from workbench.live import LiveRun
from workbench.presets import SHOWCASE, read_config, watched_config

WORDS = "--run FOLDER, or --config PRESET_OR_FILE and --set SECTION.KEY=VALUE"


def opened(
    run: str | Path | None = None, config: str | None = None, settings: Mapping[str, Any] | None = None
) -> tuple[LiveRun, Config]:
    """A live run with a view of its own, and what Train trains.

    A saved `run` is shown, and trained anew; of a `config`, a preset or a file, with `settings` in place of its own,
    the weights before the first step are. Without either it is the showcase, or with settings the config that is
    trained beside it. Raises ValueError or OSError for what does not exist or cannot be read.
    """
    if run is not None and (config is not None or settings):
        raise ValueError("a saved run is shown as it is: ask for it alone, or for a config and settings")
    if run is None and config is None and not settings:
        run, start = SHOWCASE, watched_config()
    elif run is not None:
        start = load_config(Path(run) / CONFIG)
    else:
        start = override(watched_config() if config is None else read_config(config), settings or {})
    shown(start)
    dataset = load_dataset(start.data.name, validation=start.data.validation)
    live = LiveRun(ChannelView(), dataset)
    if run is None:
        live.configure(start)
    else:
        live.show(open_run(run, dataset), then=start, film=load_film(run))
    return live, start


def asked(words: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `opened`, from what marimo makes of the words behind `--` in its command: WORDS.

    Raises ValueError for others, for one given more than once, and for a setting without a value.
    """
    found: dict[str, Any] = {"settings": {}}
    for word, value in words.items():
        key = word.removeprefix("set ")
        if key == word and word not in ("run", "config"):
            raise ValueError(f"--{word} is not known; expected {WORDS}")
        if isinstance(value, list) or value == "":
            raise ValueError(f"--{word} needs one value, once; expected {WORDS}")
        if key == word:
            found[key] = str(value)
        else:
            found["settings"][key] = read_yaml(value) if isinstance(value, str) else value
    return found
