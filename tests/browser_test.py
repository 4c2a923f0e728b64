"""The workbench as its user meets it, in Chromium: the showcase, training, and sliders that move meanwhile."""

import os

import pytest

playwright = pytest.importorskip("playwright", reason="playwright is not installed: pip install -e '.[test]'")

from browser import CHROMIUM, ROOT, open_page, paints, serve, texts, wait_for  # noqa: E402

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="there is no Chromium: apt-get install chromium"
)


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with serve(ROOT / "notebooks" / "decentralized.py", tmp_path_factory.mktemp("server") / "log") as address:
        yield address


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_showcase_is_on_screen_before_anything_is_trained(url, scheme):
    with open_page(url, scheme) as page:
        wait_for(lambda: "saved run" in texts(page), 60, "the saved run")
        painted = texts(page)
        assert [text for text in painted if text.startswith("10 of 10 channels active")]
        assert sum("mostly" in text for text in set(painted)) == 10
        box = page.locator("canvas.cv-canvas").bounding_box()
        assert box["width"] > 700 and box["x"] + box["width"] <= 1440 and box["y"] + box["height"] <= 900


def test_sliders_answer_while_it_trains(url):
    with open_page(url) as page:
        wait_for(lambda: "saved run" in texts(page), 60, "the saved run")
        page.get_by_role("button", name="Train").click()
        wait_for(lambda: "training" in texts(page), 120, "training")
        first = wait_for(lambda: [p for p in paints(page) if 0 < p.step < 2000], 60, "a frame of a new run")[0]
        tau, k_active = page.get_by_role("slider").nth(0), page.get_by_role("slider").nth(1)
        tau.press("ArrowRight")
        moved = wait_for(lambda: [p for p in paints(page) if p.tau > first.tau], 20, "a frame at the new tau")[0]
        assert moved.step > first.step
        k_active.press("ArrowLeft")
        wait_for(lambda: "locked" in texts(page), 20, "a locked channel")
        assert any("off schedule: tau = 1.1, k_active = 9" in text for text in texts(page))
        page.get_by_role("button", name="Pause").click()
        wait_for(lambda: texts(page)[::-1].index("paused") < texts(page)[::-1].index("training"), 20, "the pause")
        last = paints(page)[-1].step
        page.get_by_role("button", name="Step").click()
        wait_for(lambda: paints(page)[-1].step == last + 1, 20, "one more step")


def test_a_structural_change_builds_a_new_model_and_says_so(url):
    with open_page(url) as page:
        wait_for(lambda: "saved run" in texts(page), 60, "the saved run")
        page.locator("select").nth(1).select_option("heteroscedastic")
        wait_for(lambda: "compiling" in texts(page), 20, "the word compiling")
        wait_for(lambda: any("ready" in text for text in texts(page)), 120, "the new model")
        wait_for(lambda: any("then σ" in text for text in texts(page)), 20, "the sigma maps")
        page.get_by_role("button", name="Step").click()
        wait_for(lambda: any(p.step == 1 for p in paints(page)), 120, "the first step")
