"""The page of a notebook: what it is made of, and what is said where there can be none."""

import pytest

from workbench import offline
from workbench.__main__ import main

NOTEBOOK = """
import marimo

app = marimo.App()


@app.cell
def _():
    divisor = {divisor}
    return (divisor,)


@app.cell
def _(divisor):
    7 / divisor
    return


@app.cell
def _(divisor):
    divisor + 1
    return
"""
FAULTS = {
    "a cell that fails": (NOTEBOOK.format(divisor=0), "division by zero in the cell that begins '7 / divisor'"),
    "no Python": (
        NOTEBOOK.format(divisor="("),
        "SyntaxError: '(' was never closed in the cell that begins 'divisor = ('",
    ),
    "nothing to see": ("import marimo\n\napp = marimo.App()\n", "shows nothing"),
    "no notebook": ("divisor = 1\n", "is not a marimo notebook"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_notebook_that_does_not_run_to_its_end_is_a_fault_that_says_where(fault, tmp_path, capsys):
    content, words = FAULTS[fault]
    (tmp_path / "mine.py").write_text(content)
    assert main(["report", str(tmp_path / "mine.py")]) == 1
    line = capsys.readouterr().err
    assert line.startswith(f"error: {tmp_path / 'mine.py'}") and words in line and len(line.splitlines()) == 1
    assert not (tmp_path / "mine.html").exists()


def test_a_notebook_that_is_not_there_is_named(tmp_path, capsys):
    assert main(["report", str(tmp_path / "none.py")]) == 1
    assert capsys.readouterr().err == f"error: there is no notebook {tmp_path / 'none.py'}\n"


@pytest.mark.parametrize("roots", [0, 2])
def test_a_page_of_marimos_that_is_made_otherwise_is_refused(roots, tmp_path, monkeypatch):
    monkeypatch.setattr(offline, "exported", lambda notebook: roots * offline.ROOT)
    with pytest.raises(ValueError, match=f"has {roots} of"):
        offline.offline(tmp_path / "mine.py")


def test_what_works_offline_is_put_into_the_root_of_marimos_page(tmp_path, monkeypatch):
    for extra, set_formulas in ((r"a", False), (r"<marimo-tex class='arithmatex'>||(a||)</marimo-tex>", True)):
        monkeypatch.setattr(offline, "exported", lambda notebook, extra=extra: f"<b>{offline.ROOT}{extra}</b>")
        page = offline.offline(tmp_path / "<i>mine</i>.py")
        assert page.startswith('<b><div id="root"><div id="offline">') and page.endswith(f"</div>\n</div>{extra}</b>")
        assert "&lt;i&gt;mine&lt;/i&gt;" in page and "<i>mine" not in page and "<th>commit<td>" in page
        assert ('<script type="text/plain" id="katex"></script>' in page) is not set_formulas


def test_the_module_that_sets_formulas_stands_by_itself():
    module = offline.katex().decode()
    assert "renderToString" in module and not module.startswith("import") and 'from"./' not in module
