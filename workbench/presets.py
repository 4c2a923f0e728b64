"""The presets of data/configs, by name."""

from pathlib import Path

from mixvae import Config, load_config
from mixvae.settings import nearest

CONFIGS = Path(__file__).parent.parent / "data" / "configs"


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
