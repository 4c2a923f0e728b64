"""A run whose every name is a script, as a report in Chromium: the names are read there, and nothing runs or loads."""

import dataclasses
import os

import pytest

playwright = pytest.importorskip("playwright", reason="playwright is not installed: pip install -e '.[test]'")

from browser import CHROMIUM, open_page, sentence, wait_for  # noqa: E402
from mixvae.example_runs import tiny_config, tiny_dataset  # noqa: E402
from mixvae.runs import fit  # noqa: E402
from workbench.film import Film, Moment  # noqa: E402
from workbench.report import report  # noqa: E402

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="there is no Chromium: apt-get install chromium"
)
SCRIPT = "</script></pre></title><script>window.hurt = 1</script><img src=x onerror='window.hurt = 1'>"
PLACES = ("run", "data set", "label", "file", "moment", "score")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    named = {place: f"{place} {SCRIPT}" for place in PLACES}
    names = tuple(f"{i} {named['label']}" for i in range(3))
    dataset = dataclasses.replace(tiny_dataset(), name=named["data set"], class_names=names)
    snapshot = next(fit(tiny_config(**{"data.name": named["file"], "train.epochs": 1}), dataset))
    row = snapshot.history[0] | {named["score"]: 1.0}
    seen = snapshot._replace(history=[row, row | {"epoch": 2}])
    film = Film([Moment(0.5, "", b""), Moment(1.0, named["moment"], b"")])
    file = tmp_path_factory.mktemp("report") / "page.html"
    file.write_text(report(seen, dataset, film, named["run"]), encoding="utf-8")
    return file


def test_scripts_in_names_are_shown_and_never_run(page):
    with open_page(page.as_uri(), offline=True) as opened:
        faults, asked = [], []
        opened.on("pageerror", lambda fault: faults.append(fault))
        opened.on("request", lambda request: asked.append(request.url))
        opened.reload()
        wait_for(lambda: "channels active" in sentence(opened), 20, "the view")
        wait_for(lambda: opened.locator("#chart2 svg").count() == 1, 20, "the charts")
        assert opened.locator("h1").inner_text() == f"run {SCRIPT}" == opened.title()
        text = "".join(opened.locator("body").inner_text().split())  # YAML breaks long lines
        assert all("".join(words.split()) in text for words in (f"data set {SCRIPT}", f"file {SCRIPT}"))
        assert f"0 label {SCRIPT}" in opened.locator(".cv-legend").inner_text()
        assert opened.evaluate("window.hurt") is None and opened.locator("img[src=x]").count() == 0
        assert not [url for url in asked if url.startswith("http")] and not faults
