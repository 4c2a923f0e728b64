"""A notebook as one HTML file: marimo's own page, which needs the network, and in it one that does not."""

import html
import json
import subprocess
import sys
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import Any

import marimo

from workbench.report import made, packed, part, table, vega

ROOT = '<div id="root"></div>'
FORMULA = "marimo-tex"


def offline(notebook: Path) -> str:
    """The page of a notebook that was run to its end; online, marimo replaces what is shown offline.

    Raises ValueError where a cell fails, naming it.
    """
    page = exported(notebook)
    if page.count(ROOT) != 1:
        raise ValueError(
            f"marimo's page of {notebook} has {page.count(ROOT)} of {ROOT}, where this version expects one"
        )
    about = f"{notebook.stem}: everything here works without a network. To train and to move a knob: "
    body = Template(part("offline.html")).substitute(
        style=part("page.css") + part("offline.css"),
        about=html.escape(about) + f"<code>marimo edit {html.escape(str(notebook))}</code>",
        versions=table(made()),
        vega=vega(),
        katex=packed(katex()) if FORMULA in page else "",
        script=part("page.js") + part("cells.js"),
    )
    return page.replace(ROOT, f'<div id="root">{body}</div>')


def exported(notebook: Path) -> str:
    """What `marimo export html` makes of a notebook. Raises ValueError where it cannot be run to its end."""
    if not notebook.is_file():
        raise ValueError(f"there is no notebook {notebook}")
    with TemporaryDirectory() as folder:
        out = Path(folder) / "page.html"
        command = [sys.executable, "-m", "marimo", "export", "html", str(notebook), "-o", str(out)]
        done = subprocess.run(command, capture_output=True, text=True)
        page = out.read_text(encoding="utf-8") if out.exists() else ""
    failed = first_fault(page) if page else ""
    if failed or done.returncode:
        said = done.stderr.strip().splitlines() or [f"its export ended silently, with exit code {done.returncode}"]
        raise ValueError(f"{notebook}: {failed or said[-1]}")
    outputs = (output for cell in field(page, "session")["cells"] for output in cell["outputs"])
    if not any(shown for output in outputs for shown in output["data"].values()):
        raise ValueError(f"{notebook} shows nothing. {done.stderr.strip()}")
    return page


def first_fault(page: str) -> str:
    """The first cell that failed, and how, on a page that marimo made; empty where none did."""
    cells, outputs = field(page, "notebook")["cells"], field(page, "session")["cells"]
    faults = (
        f"{what['evalue']} in the cell that begins {cell['code'].splitlines()[0]!r}"
        for cell, found in zip(cells, outputs, strict=True)
        for what in found["outputs"]
        if what["type"] == "error"
    )
    return next(faults, "")


def field(page: str, name: str) -> dict[str, Any]:
    """A part of what marimo's page is mounted with. Raises ValueError where it is not there."""
    _, found, rest = page.partition("__MARIMO_MOUNT_CONFIG__")[2].partition(f'"{name}": ')
    if not found:
        raise ValueError(f"marimo's page has no {name}, where this version expects one")
    return json.JSONDecoder().raw_decode(rest)[0]


def katex() -> bytes:
    """The module that sets formulas, as marimo has it."""
    assets = Path(marimo.__file__).parent / "_static" / "assets"
    return max((path.read_bytes() for path in assets.glob("katex-*.js")), key=len)
