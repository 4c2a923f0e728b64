"""Every notebook runs to its end, as a script and as an export."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHOWN = {  # something of every notebook that only a cell which ran can have written
    "decentralized": "saved run",
    "conditioning": "of 30 runs have no row yet",
    "uncertainty": "of 15 runs have no row yet",
    "curriculum": "of 60 runs have no row yet",
    "estimators": "of 18 runs have no row yet",
}
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))


def run(*command: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_as_a_script(notebook):
    result = run(str(notebook))
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_exports_to_html(notebook, tmp_path):
    out = tmp_path / "out.html"
    result = run("-m", "marimo", "export", "html", str(notebook), "-o", str(out))
    assert result.returncode == 0, result.stderr
    assert SHOWN[notebook.stem] in out.read_text(encoding="utf-8")
