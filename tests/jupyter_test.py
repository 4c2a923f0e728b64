"""The workbench in Jupyter: the notebook runs to its end, and in JupyterLab it trains and answers."""

import os
import shutil

import nbformat
import pytest
from nbclient import NotebookClient

playwright = pytest.importorskip("playwright", reason="playwright is not installed: pip install -e '.[test]'")

from browser import CHROMIUM, ROOT, open_page, paints, sentence, serve_lab, status, texts, wait_for  # noqa: E402

NOTEBOOK = ROOT / "notebooks" / "decentralized.ipynb"
needs_a_browser = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="there is no Chromium: apt-get install chromium"
)


def test_it_runs_to_its_end_and_shows_the_saved_run(tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = notebook.cells[-1].outputs[-1].data["application/vnd.jupyter.widget-view+json"]["model_id"]
    models = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"].state
    assert "workbench" in models[shown].state._dom_classes
    (view,) = (model for model in models.values() if "points" in model.state)
    sent = {part["path"][0] for part in view.buffers if part["data"]}
    assert view.state.status == "saved run" and {"frame", "atlas"} <= sent


@pytest.fixture
def page(tmp_path):
    """JupyterLab after Run All Cells in a copy of the notebook."""
    shutil.copy(NOTEBOOK, tmp_path)
    (tmp_path / "home").mkdir()
    with (
        serve_lab(tmp_path, tmp_path / "home") as url,
        open_page(f"{url}/tree/{NOTEBOOK.name}", first=".jp-Notebook") as page,
    ):
        wait_for(lambda: page.get_by_text("| Idle").count(), 60, "a kernel")
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        wait_for(lambda: page.locator("canvas.cv-canvas").count() and paints(page), 120, "the saved run")
        yield page


@needs_a_browser
def test_in_jupyterlab_it_trains_and_its_knobs_answer(page):
    def press(name):
        page.get_by_role("button", name=name, exact=True).click()

    assert status(page) == "saved run" and "off schedule" not in sentence(page)
    assert len({text for text in texts(page) if "mostly" in text}) == 10
    charts = page.locator(".workbench-charts img")
    wait_for(lambda: charts.count() == 3, 20, "the charts")
    places = page.locator(".workbench"), page.locator("canvas.cv-canvas"), charts.last
    whole, planes, last = (place.bounding_box() for place in places)
    assert whole["height"] <= 800 and planes["width"] > 700  # one screen of JupyterLab, its file browser open
    assert max(box["x"] + box["width"] for box in (planes, last)) <= whole["x"] + whole["width"] + 1 < 1440

    before = charts.first.get_attribute("src")
    press("Train")
    wait_for(lambda: status(page).startswith("training"), 120, "training")
    first = wait_for(lambda: [p for p in paints(page) if 0 < p.step < 2000], 60, "a frame of a new run")[0]
    tau, k_active = page.get_by_role("slider").nth(0), page.get_by_role("slider").nth(1)
    tau.press("ArrowRight")
    moved = wait_for(lambda: [p for p in paints(page) if p.tau > first.tau], 20, "a frame at the new tau")[0]
    assert moved.tau == 1.1
    wait_for(lambda: [p for p in paints(page) if p.tau == 1.1 and p.step > first.step], 20, "steps at the new tau")
    k_active.press("ArrowLeft")
    wait_for(lambda: "off schedule: tau = 1.1, k_active = 9" in sentence(page), 20, "the knobs in words")
    wait_for(lambda: charts.first.get_attribute("src") != before, 20, "the charts of the new run")
    press("Pause")
    wait_for(lambda: status(page) == "paused", 20, "the pause")
    colours = page.locator(".cv select").first
    colours.press("ArrowDown")  # JupyterLab's own arrows go from cell to cell, and its letters cut and copy them
    assert colours.input_value() == "certainty"
    colours.press("l")
    assert colours.input_value() == "label"
    last = paints(page)[-1].step
    press("Step")
    wait_for(lambda: paints(page)[-1].step == last + 1, 20, "one more step")
    tau = page.get_by_role("slider").nth(0)
    tau.press("ArrowLeft")
    wait_for(lambda: sentence(page).endswith("off schedule: k_active = 9"), 20, "tau back where it was")
    press("all knobs back on schedule")
    wait_for(lambda: "off schedule" not in sentence(page), 20, "the way back to the schedule")
    assert page.get_by_role("slider").nth(1).get_attribute("aria-valuenow") == "10.0"

    press("ask")
    wait_for(lambda: len({text for text in texts(page) if '% "' in text}) == 10, 60, "ten names given by labels")
    wait_for(lambda: page.get_by_text("no training image has a label").count() == 0, 20, "a weight that can act")

    field = page.locator(".widget-text input")
    field.fill("1")
    field.press("Enter")
    wait_for(lambda: page.get_by_text("set model.conditioning='none'").count(), 20, "the words for the contradiction")
    page.locator(".workbench select").first.select_option("none")
    wait_for(lambda: status(page).startswith("ready") and "1 of 1 channels" in sentence(page), 120, "one channel")
    assert page.get_by_text("set model.conditioning='none'").count() == 0
    assert page.locator("[data-mime-type$=error], [data-mime-type$=stderr]").count() == 0
