"""The documents say what is: ARCHITECTURE.md lists the tree in the order of its imports, and links lead somewhere."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from browser import ROOT
from mixvae.example_runs import tiny_config, tiny_dataset
from workbench.channel_view import SCRIPTS

DOCUMENTS = sorted(
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
)
TABLES = {"## The library": ROOT / "lib" / "mixvae", "## The workbench": ROOT / "workbench"}
ARCHITECTURE = (ROOT / "lib" / "ARCHITECTURE.md").read_text(encoding="utf-8")


def listed(heading: str, ending: str) -> list[str]:
    """The files of a section's tables, in their order."""
    section = ARCHITECTURE[ARCHITECTURE.index(heading) :].split("\n## ")[0]
    return re.findall(rf"^\| `([\w/]+\{ending})` \|", section, re.MULTILINE)


def is_part(path: Path) -> bool:
    """Neither a test nor what only tests import, nor a package's front door."""
    return not path.name.endswith("_test.py") and not path.name.startswith(("conftest", "example_", "__init__"))


def imported(path: Path, base: Path) -> set[str]:
    """The files under `base` that a Python file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == base.name:
            parts = node.module.split(".")[1:]
            for tail in ([], *([alias.name] for alias in node.names)):
                file = base.joinpath(*parts, *tail).with_suffix(".py")
                found |= {file.relative_to(base).as_posix()} if file.is_file() else set()
    return found


@pytest.mark.parametrize("heading", TABLES)
def test_the_tree_is_as_listed_and_no_file_imports_one_below_it(heading):
    base = TABLES[heading]
    files = listed(heading, ".py")
    assert set(files) == {path.relative_to(base).as_posix() for path in base.rglob("*.py") if is_part(path)}
    for place, file in enumerate(files):
        assert imported(base / file, base) <= set(files[:place]), file


def test_the_parts_of_the_view_are_joined_in_the_order_listed():
    assert listed("## The workbench", ".js") == [f"view/{part}.js" for part in SCRIPTS]
    assert {f"{part}.js" for part in SCRIPTS} == {path.name for path in (ROOT / "workbench" / "view").glob("*.js")}


def test_the_python_of_the_readme_runs(monkeypatch):
    monkeypatch.setattr("mixvae.load_config", lambda path: (ROOT / path).is_file() and tiny_config())
    monkeypatch.setattr("mixvae.load_dataset", lambda name, validation: tiny_dataset())
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(block, names)
    assert names["images"].shape == (16, 12, 9, 1) and names["seen"].channel.shape == (130,)
    assert int(names["state"].step) == len(names["terms"]["recon"]) > 0


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_and_named_files_are_there(document):
    text = document.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!http|#)([^)#\s]+)", text) + re.findall(r"^\[\w+\]: (?!http)(\S+)$", text, re.MULTILINE)
    named = re.findall(r"`((?:data|lib|workbench|notebooks|tests)/[\w/.]+\.[a-z]+)`", text)
    missing = [link for link in links if not (document.parent / link).exists()]
    assert missing + [name for name in named if not (ROOT / name).exists()] == []
