"""The page of a notebook, opened from disk in Chromium: with the network off, and with marimo's own files there."""

import mimetypes
import os
import re
from pathlib import Path

import marimo
import pytest

playwright = pytest.importorskip("playwright", reason="playwright is not installed: pip install -e '.[test]'")

from browser import CHROMIUM, ROOT, open_page, sentence, texts, wait_for  # noqa: E402

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="there is no Chromium: apt-get install chromium"
)
WORKBENCH = ROOT / "notebooks" / "decentralized.py"
EVERY_KIND = '''
import marimo

app = marimo.App()

with app.setup:
    import altair as alt
    import marimo as mo
    import polars as pl


@app.cell
def _():
    mo.md(r"""# A *title*

    A formula $\\frac{\\alpha}{2}$ and $$\\sum_{k=1}^K q_k$$

    | a | b | a_name_that_is_long | another_name_that_is_long | and_another_one_that_is_long |
    |---|---|---|---|---|
    | 1 | <u>two</u> | 3 | 4 | 5 |
    """)
    return


@app.cell
def _():
    frame = pl.DataFrame({"name": ["first", "<i>second</i>", None], "value": [1.5, 2.5, 3.5]})
    chart = alt.Chart(frame).mark_bar().encode(x="value:Q", y="name:N")
    mo.vstack([mo.ui.table(frame, selection=None, label="settings"), chart, mo.ui.altair_chart(chart)])
    return (chart,)


@app.cell
def _(chart):
    mo.accordion({"more *of it*": mo.vstack([chart, mo.callout(mo.md("be **careful**"))])})
    return


@app.cell
def _():
    panel = {"rate": mo.ui.slider(steps=[0.1, 1, 10], value=10, label="rate"), "on": mo.ui.switch(True, label="light")}
    kind = mo.ui.dropdown(["film", "none"], "film", label="kind")
    mo.vstack([mo.ui.dictionary(panel), kind, mo.ui.button(label="go")])
    return


@app.cell
def _():
    mo.ui.tabs({"one": "1st", "two": mo.mermaid("graph TD; A --> B")})
    return


if __name__ == "__main__":
    app.run()
'''


def test_markdown_formulas_tables_charts_and_controls_are_there_without_a_network(page_of, tmp_path):
    (tmp_path / "kinds.py").write_text(EVERY_KIND)
    with open_page(page_of(tmp_path / "kinds.py").as_uri(), width=420, offline=True, first="#cells h1") as page:
        cells = page.locator("#cells")
        assert page.locator("h1 em").inner_text() == "title" and cells.locator("td u").inner_text() == "two"
        wait_for(lambda: cells.locator("math").count() == 2 and cells.locator("mfrac").count() == 1, 20, "formulas")
        rows = [row.inner_text().split("\t") for row in cells.locator(".wide tr").all()]
        assert rows == [["name", "value"], ["first", "1.5"], ["<i>second</i>", "2.5"], ["", "3.5"]]
        wait_for(lambda: cells.locator("svg").count() == 2, 20, "the charts")
        fields = [" ".join(field.inner_text().split()) for field in cells.locator(".field").all()]
        assert fields == ["settings", "rate 10", "light on", "kind film"]
        closed = cells.locator("details").first
        assert closed.locator("summary em").inner_text() == "of it" and not closed.locator(".callout").is_visible()
        closed.locator("summary").click()
        assert closed.locator(".callout strong").is_visible() and closed.locator("svg").is_visible()
        assert [told.inner_text() for told in cells.locator(".missing").all()] == [
            "a chart of mo.ui.altair_chart: in the notebook alone",
            "mermaid: in the notebook alone",
        ]
        assert page.evaluate("document.documentElement.scrollWidth") == 420
        assert not page.evaluate(
            "[...document.querySelectorAll('#cells *')].filter(e => /^marimo-(?!ui)/.test(e.localName)).length"
        )


@pytest.mark.parametrize("scheme, width", [("light", 1440), ("dark", 420)])
def test_the_workbench_shows_planes_charts_and_the_past_without_a_network(page_of, scheme, width):
    with open_page(page_of(WORKBENCH).as_uri(), scheme=scheme, width=width, offline=True) as page:
        faults = []
        page.on("pageerror", lambda fault: faults.append(fault))
        wait_for(lambda: sentence(page).startswith("10 of 10 channels active"), 20, "the sentence")
        assert len({text for text in texts(page) if re.match(r"\d · ", text)}) == 10
        assert any("mostly" in text for text in texts(page)) and not any("…" in text for text in texts(page))
        wait_for(lambda: page.locator("#cells svg").count() == 6, 20, "the charts")
        page.locator("canvas.cv-canvas").hover(position={"x": 60, "y": 70})
        tip = page.locator(".cv-tip")
        wait_for(lambda: tip.is_visible() and tip.inner_text().startswith("channel 0 at ("), 20, "the picture")
        page.locator(".cv-scrub").press("Home")
        wait_for(lambda: page.locator(".cv-time .cv-told").inner_text() == "epoch 1.00", 20, "the past")
        wait_for(lambda: any(text.startswith("step 480 ·") for text in texts(page)), 20, "its planes")
        page.get_by_role("button", name="least sure").click()
        wait_for(lambda: page.locator(".cv-images").is_visible(), 20, "images of points")
        assert page.get_by_role("button", name="ask", exact=True).count() == 0  # nobody is there to answer
        assert page.evaluate("document.documentElement.scrollWidth") <= width and not faults


def test_online_marimos_own_page_takes_its_place(page_of):
    files = Path(marimo.__file__).parent / "_static"

    def answer(route):
        file = files / route.request.url.split("/dist/")[1]
        kind, _ = mimetypes.guess_type(file.name)
        route.fulfill(body=file.read_bytes(), content_type=kind, headers={"access-control-allow-origin": "*"})

    with open_page("about:blank", first="html") as page:
        faults = []
        page.on("pageerror", lambda fault: faults.append(fault))
        page.route("https://cdn.jsdelivr.net/npm/@marimo-team/frontend*/**", answer)
        page.goto(page_of(WORKBENCH).as_uri())
        wait_for(lambda: page.locator("canvas.cv-canvas").count() == 1, 60, "the planes")
        wait_for(lambda: page.get_by_role("slider").count() > 10, 20, "the sliders")
        assert page.get_by_role("slider").first.get_attribute("aria-valuenow") == "1"
        assert page.locator("#offline").count() == 0 and not faults
