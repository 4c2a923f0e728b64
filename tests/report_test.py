"""A report, opened from disk in Chromium with the network off."""

import os

import pytest

playwright = pytest.importorskip("playwright", reason="playwright is not installed: pip install -e '.[test]'")

from browser import CHROMIUM, ROOT, open_page, sentence, texts, wait_for  # noqa: E402
from workbench.__main__ import main  # noqa: E402

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="there is no Chromium: apt-get install chromium"
)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "showcase.html"
    assert main(["report", str(ROOT / "data" / "showcase"), "-o", str(out)]) == 0
    assert out.stat().st_size < 6 * 2**20
    return out


@pytest.mark.parametrize("scheme, width", [("light", 1440), ("dark", 420)])
def test_the_showcase_shows_planes_charts_and_the_picture_under_the_pointer(file, scheme, width):
    with open_page(file.as_uri(), scheme=scheme, width=width, offline=True) as page:
        faults = []
        page.on("pageerror", lambda fault: faults.append(fault))
        wait_for(lambda: sentence(page).startswith("10 of 10 channels active"), 20, "the sentence")
        wait_for(lambda: page.locator("#chart2 svg").count() == 1, 20, "the charts")
        assert page.locator(".charts svg").count() == 3 and any(text.startswith("0 · ") for text in texts(page))
        box = page.locator("canvas.cv-canvas").bounding_box()
        page.mouse.move(box["x"] + 60, box["y"] + 70)
        tip = page.locator(".cv-tip")
        wait_for(lambda: tip.is_visible() and tip.inner_text().startswith("channel 0 at ("), 20, "the picture")
        page.locator(".cv-scrub").press("Home")
        wait_for(lambda: page.locator(".cv-time .cv-told").inner_text() == "epoch 1.00", 20, "the past")
        page.get_by_role("button", name="least sure").click()
        wait_for(lambda: page.locator(".cv-images").is_visible(), 20, "images of points")
        assert page.get_by_role("button", name="ask", exact=True).count() == 0  # nobody is there to answer
        assert page.evaluate("document.documentElement.scrollWidth") <= width and not faults


def test_on_paper_a_dark_page_is_light_in_its_charts_too_and_has_no_controls(file):
    words = "getComputedStyle(document.querySelector('#chart2 svg text')).fill"
    with open_page(file.as_uri(), scheme="dark", offline=True) as page:
        wait_for(lambda: page.locator("#chart2 svg text").count(), 20, "the charts")
        assert page.evaluate(words) == "rgb(232, 235, 240)"
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.evaluate(words) == "rgb(28, 36, 48)"
        assert not any(page.locator(part).first.is_visible() for part in (".cv-time", ".cv-switches", ".cv-selection"))
