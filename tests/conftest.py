"""What several test files need once: the page of a notebook, which takes a run of it."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import pytest

from workbench.__main__ import main


@pytest.fixture(scope="session")
def page_of(tmp_path_factory) -> Callable[[Path], Path]:
    """The HTML file that `report` makes of a notebook, made once."""
    folder = tmp_path_factory.mktemp("pages")

    @lru_cache
    def made(notebook: Path) -> Path:
        out = folder / f"{notebook.stem}.html"
        assert main(["report", str(notebook), "-o", str(out)]) == 0
        return out

    return made
