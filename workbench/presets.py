"""The presets of data/configs, by name, and what the notebooks show and train first."""

from pathlib import Path

from mixvae import Config, load_config
from mixvae.config_file import override
from mixvae.settings import nearest

DATA = Path(__file__).parent.parent / "data"
CONFIGS, SHOWCASE, RUNS = DATA / "configs", DATA / "showcase", DATA / "runs"
WHOLE = {"train.starts": 0, "train.regroups": 0, "train.self_label_epochs": 0}  # the VAEs train from the first step on
WATCHED = WHOLE | {
    "train.epochs": 8,
    "curriculum.k_active_schedule": (2, 5, 10),
    "curriculum.unlock_epochs": (0, 1, 2),
}


def names() -> list[str]:
    """Every preset."""
    return sorted(path.stem for path in CONFIGS.glob("*.yaml"))


def read_config(name: str) -> Config:
    """A preset by its name, or a config file. Raises ValueError where there is neither."""
    if name in names():
        return load_config(CONFIGS / f"{name}.yaml")
    if not Path(name).exists():
        raise ValueError(nearest(f"the file or preset {name!r}", name, names()))
    return load_config(name)


def watched_config() -> Config:
    """What Train trains in a notebook: the showcase's config, short enough to watch from its first step."""
    return override(load_config(SHOWCASE / "config.yaml"), WATCHED)
