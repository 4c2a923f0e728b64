"""The workbench as its user meets it, in Chromium: the showcase, training, and sliders that move meanwhile."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

playwright = pytest.importorskip("playwright", reason="playwright is not installed: pip install -e '.[test]'")

from browser import (  # noqa: E402
    CHROMIUM,
    ROOT,
    STAMPS,
    ended,
    open_page,
    paints,
    sentence,
    serve,
    status,
    telling,
    texts,
    wait_for,
)

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="there is no Chromium: apt-get install chromium"
)


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    with serve(telling(folder), folder / "log") as server:
        yield server.url


@pytest.fixture
def page(url, request):
    with open_page(url, **getattr(request, "param", {})) as page:
        wait_for(lambda: status(page) == "saved run" and paints(page), 60, "the saved run")
        yield page


@pytest.mark.parametrize(
    "page, plane",
    [({"scheme": "light"}, "#ffffff"), ({"scheme": "dark"}, "#14171c")],
    indirect=["page"],
    ids=["light", "dark"],
)
def test_the_showcase_is_on_screen_before_anything_is_trained(page, plane):
    wait_for(lambda: sentence(page).startswith("10 of 10 channels active"), 20, "the sentence")
    assert len({text for text in texts(page) if "mostly" in text}) == 10
    box = page.locator("canvas.cv-canvas").bounding_box()
    assert box["width"] > 700 and box["x"] + box["width"] <= 1440 and box["y"] + box["height"] <= 900
    assert page.locator(".cv").evaluate("view => view.style.getPropertyValue('--cv-plane')") == plane
    page.locator(".cv-switches select").first.select_option("certainty")
    bar = page.locator(".cv-legend .cv-bar").evaluate("bar => getComputedStyle(bar).backgroundImage")
    shades = [[int(part) for part in shade.split(", ")] for shade in re.findall(r"rgb\((.+?)\)", bar)]
    ground = luminance([int(plane[at : at + 2], 16) for at in (1, 3, 5)])
    for shade in (luminance(shades[0]), luminance(shades[-1])):
        assert (max(shade, ground) + 0.05) / (min(shade, ground) + 0.05) > 2


def luminance(colour: list[int]) -> float:
    """Relative luminance of a colour's 0 to 255, by WCAG."""
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in colour)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def test_images_of_ones_own_train_in_the_workbench(tmp_path):
    rng = np.random.default_rng(0)
    labels, images = np.arange(700) % 3, rng.integers(0, 60, (700, 20, 12, 3), dtype=np.uint8)
    for label in range(3):
        images[labels == label, 6 * label : 6 * label + 6, :, label] += np.uint8(180)
    np.savez(tmp_path / "own.npz", x_train=images, y_train=labels)
    small = {"encoder": "dense", "decoder": "dense", "num_components": 4}
    words = ["--config", "plain", "--set", f"data.name={tmp_path / 'own.npz'}"]
    words += [word for name, value in small.items() for word in ("--set", f"model.{name}={value}")]
    with (
        serve(ROOT / "notebooks" / "decentralized.py", tmp_path / "log", *words) as server,
        open_page(server.url) as page,
    ):
        wait_for(lambda: status(page) == "ready: starts anew" and paints(page)[-1].step == 0, 60, "fresh weights")
        page.get_by_role("button", name="Train").click()
        wait_for(lambda: paints(page)[-1].step > 0, 120, "steps")
        assert "of 4 channels active" in sentence(page)


def test_words_that_ask_for_nothing_known_are_answered(tmp_path):
    notebook = ROOT / "notebooks" / "decentralized.py"
    with (
        serve(notebook, tmp_path / "log", "--set", "data.nme=own.npz") as server,
        open_page(server.url, first="text=did you mean 'data.name'") as page,
    ):
        assert not page.locator("canvas.cv-canvas").count()


@pytest.mark.parametrize("page", [{"width": 420}], indirect=True, ids=["narrow"])
def test_on_a_narrow_screen_the_planes_come_first_and_the_knobs_are_behind_a_button(page):
    box = page.locator("canvas.cv-canvas").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 420 and box["y"] < 300
    page.get_by_role("button").first.click()
    tau = page.get_by_role("slider").first
    tau.press("ArrowRight")
    wait_for(lambda: paints(page)[-1].tau == pytest.approx(1.1), 20, "the new tau")
    assert 0 <= tau.bounding_box()["x"] < 420


def test_the_pointer_shows_what_a_latent_decodes_to_in_every_channel(page):
    canvas, tip = page.locator("canvas.cv-canvas"), page.locator(".cv-tip")
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 80)
    wait_for(lambda: tip.is_visible(), 20, "the picture under the pointer")
    assert tip.inner_text().startswith("channel 0 at (")
    first = ink(page)
    assert len(set(first)) > 20  # a picture, not a plain square
    page.mouse.move(box["x"] + 20, box["y"] + 40)
    wait_for(lambda: ink(page) != first, 20, "another picture")
    page.mouse.move(box["x"] + 60, box["y"] - 200)
    wait_for(lambda: not tip.is_visible(), 20, "the way out")
    canvas.focus()
    page.keyboard.press("ArrowRight")
    wait_for(lambda: tip.is_visible() and tip.inner_text().startswith("channel 0 at (0."), 20, "the keys")
    first, chosen = onto_another_point(page), page.locator(".cv-chosen")
    assert page.locator(".cv-spoken").inner_text() == " ".join(tip.inner_text().splitlines())
    page.keyboard.press("Enter")
    wait_for(lambda: chosen.inner_text().startswith("1 selected"), 20, "the point at the pointer")
    onto_another_point(page, first)
    page.keyboard.press("Shift+Enter")
    wait_for(lambda: chosen.inner_text().startswith("2 selected"), 20, "one more point")
    page.keyboard.press("Escape")
    wait_for(lambda: not tip.is_visible(), 20, "the way out by keys")
    assert chosen.inner_text().startswith("Drag around")


def onto_another_point(page, known: str = "") -> str:
    """Let an arrow key move the pointer until it is at another point than the `known` one; which that is."""

    def moved():
        page.keyboard.press("ArrowRight")
        painted(page)
        found = re.search(r"point \d+", page.locator(".cv-tip").inner_text())
        return found and found[0] != known and found[0]

    return wait_for(moved, 20, "a point")


def test_a_finger_that_taps_a_plane_leaves_the_picture_there(page):
    tip = page.locator(".cv-tip")
    touch(page, "pointerdown", 60, 80)
    touch(page, "pointerup", 60, 80)
    touch(page, "pointerleave", 60, 80)
    wait_for(lambda: tip.is_visible(), 20, "the picture at the finger")
    assert tip.inner_text().startswith("channel 0 at (")


def test_a_second_finger_pans_and_selects_nothing(page):
    page.get_by_role("button", name="zoom in").click()
    wait_for(lambda: any("up to 1.5" in text for text in texts(page)), 20, "closer planes")
    touch(page, "pointerdown", 60, 80)
    touch(page, "pointerdown", 120, 130, first=False)
    before = wait_for(lambda: picture(page), 20, "the planes")
    touch(page, "pointermove", 100, 60, first=False)
    touch(page, "pointermove", 90, 120)
    wait_for(lambda: picture(page) != before, 20, "planes that moved")
    touch(page, "pointerup", 120, 130, first=False)
    touch(page, "pointerup", 90, 120)
    touch(page, "pointermove", 40, 50)
    drawn = len(texts(page))
    page.get_by_role("button", name="zoom out").click()
    wait_for(lambda: any(text.startswith("planes span") for text in texts(page)[drawn:]), 20, "whole planes")
    assert page.locator(".cv-chosen").inner_text().startswith("Drag around")


def touch(page, event: str, x: int, y: int, first: bool = True):
    """A finger's pointer event at (x, y) of the planes; capture is left to real fingers."""
    page.locator("canvas.cv-canvas").evaluate(
        """(canvas, [event, x, y, isPrimary]) => {
            canvas.setPointerCapture = () => {};
            const { left, top } = canvas.getBoundingClientRect(), [clientX, clientY] = [left + x, top + y];
            canvas.dispatchEvent(new PointerEvent(event, { pointerType: "touch", isPrimary, clientX, clientY }));
        }""",
        [event, x, y, first],
    )


def test_keys_zoom_and_pan_and_escape_ends_a_lasso(page):
    canvas = page.locator("canvas.cv-canvas")
    canvas.focus()
    page.keyboard.press("+")
    wait_for(lambda: any("up to 1.5" in text for text in texts(page)), 20, "closer planes")
    closer = picture(page)
    page.keyboard.press("Alt+ArrowRight")
    wait_for(lambda: picture(page) != closer, 20, "planes that moved")
    far = canvas.bounding_box()
    page.mouse.move(far["x"] + far["width"] - 2, far["y"] + far["height"] - 2)  # in no plane
    page.keyboard.press("+")
    wait_for(lambda: any("up to 2.3" in text for text in texts(page)), 20, "still closer planes")
    page.keyboard.press("-")
    drawn = len(texts(page))
    page.keyboard.press("-")
    wait_for(lambda: any(text.startswith("planes span") for text in texts(page)[drawn:]), 20, "whole planes")
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 40, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 120, box["y"] + 130, steps=4)
    page.keyboard.press("Escape")
    page.mouse.up()
    painted(page)
    assert page.locator(".cv-chosen").inner_text().startswith("Drag around")


def painted(page):
    """Wait until what was done so far is on the canvas."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def ink(page) -> list[int]:
    """The red of every pixel of the decoded picture."""
    script = "c => [...c.getContext('2d').getImageData(0, 0, 92, 92).data].filter((_, i) => i % 4 == 0)"
    return page.locator(".cv-probe").evaluate(script)


def test_sliders_answer_while_it_trains(page):
    page.get_by_role("button", name="Train").click()
    wait_for(lambda: status(page).startswith("training"), 120, "training")
    first = wait_for(lambda: [p for p in paints(page) if 0 < p.step < 2000], 60, "a frame of a new run")[0]
    tau, k_active = page.get_by_role("slider").nth(0), page.get_by_role("slider").nth(1)
    tau.press("ArrowRight")
    wait_for(lambda: any(p.tau > first.tau and p.step > first.step for p in paints(page)), 20, "steps at the new tau")
    k_active.press("ArrowLeft")
    wait_for(lambda: "off schedule: tau = 1.1, k_active = 9" in sentence(page), 20, "the knobs in words")
    wait_for(lambda: "locked" in texts(page), 20, "a locked channel")
    page.get_by_role("button", name="Pause").click()
    wait_for(lambda: status(page) == "paused", 20, "the pause")
    last = paints(page)[-1].step
    page.get_by_role("button", name="Step").click()
    wait_for(lambda: paints(page)[-1].step == last + 1, 20, "one more step")
    page.get_by_role("button", name="all knobs back on schedule").click()
    wait_for(lambda: "off schedule" not in sentence(page), 20, "the way back to the schedule")
    assert page.get_by_role("slider").nth(1).get_attribute("aria-valuenow") == "10"


def test_asked_labels_name_the_channels_at_once_and_are_taken_back(page):
    page.get_by_role("button", name="ask", exact=True).click()
    wait_for(lambda: len({text for text in texts(page) if '% "' in text}) == 10, 60, "ten names given by labels")
    wait_for(lambda: page.get_by_text("no training image has a label").count() == 0, 20, "a weight that can act")
    assert "label accuracy" in sentence(page) and "by 10 labels" in sentence(page)
    named = len(texts(page))
    page.get_by_role("button", name="forget", exact=True).click()
    wait_for(
        lambda: len({text for text in texts(page)[named:] if "mostly" in text}) == 10, 60, "the names without labels"
    )


def lasso(page):
    """Draw around the middle of the first plane."""
    box = page.locator("canvas.cv-canvas").bounding_box()
    page.mouse.move(box["x"] + 40, box["y"] + 50)
    page.mouse.down()
    for x, y in ((120, 50), (120, 130), (40, 130)):
        page.mouse.move(box["x"] + x, box["y"] + y, steps=4)
    page.mouse.up()


def test_points_in_a_lasso_show_their_images_and_take_a_label_that_undo_takes_back(page, tmp_path):
    chosen = page.locator(".cv-chosen")
    lasso(page)
    wait_for(lambda: "selected: " in chosen.inner_text(), 20, "the selection")
    assert page.locator(".cv-images").is_visible() and int(chosen.inner_text().split()[0]) > 20
    page.locator(".cv-names").get_by_role("button", name="3", exact=True).click()
    wait_for(lambda: any(re.fullmatch(r'0 · [\d.]+ % "3"', text) for text in texts(page)), 60, "the channel's name")
    wait_for(lambda: "labels given" in chosen.inner_text(), 20, "the labels in words")
    with page.expect_download() as saved:
        page.get_by_role("button", name="export").click()
    table = Path(saved.value.path()).read_text().splitlines()
    assert table[0] == "image,label" and len(table) == 1 + int(chosen.inner_text().split()[0])
    assert all(re.fullmatch(r"\d+,3", line) for line in table[1:])
    page.get_by_role("button", name="undo").click()
    wait_for(lambda: "labels given" not in chosen.inner_text(), 20, "the way back")
    assert focused(page) == "cv-canvas"
    (tmp_path / "labels.csv").write_text("\n".join(table[:4]))
    page.locator(".cv-selection input[type=file]").set_input_files(tmp_path / "labels.csv")
    wait_for(lambda: "3 labels given" in chosen.inner_text(), 20, "the labels of the file")
    (tmp_path / "labels.csv").write_text("image,label\n1,ten\n")
    page.locator(".cv-selection input[type=file]").set_input_files(tmp_path / "labels.csv")
    wait_for(lambda: "ten is none of 0, 1" in chosen.inner_text(), 20, "the words for a wrong file")
    page.get_by_role("button", name="clear").click()
    wait_for(lambda: not page.locator(".cv-images").is_visible(), 20, "an empty selection")
    assert focused(page) == "cv-canvas"


def focused(page) -> str:
    """The class of what has the focus, or its tag."""
    return page.evaluate(
        """() => {
            let at = document.activeElement;
            while (at.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
            return at.className || at.tagName;
        }"""
    )


def test_colours_dots_scale_and_legend_are_switched_without_the_kernel(page):
    colour, points, scale = (page.locator(".cv-switches select").nth(i) for i in range(3))
    shown = picture(page)
    for select, value in ((colour, "certainty"), (points, "images"), (scale, "own")):
        select.select_option(value)
        wait_for(lambda before=shown: picture(page) != before, 20, f"planes by {value}")
        shown = picture(page)
    colour.select_option("error")
    wait_for(lambda: "nats" in page.locator(".cv-legend").inner_text(), 20, "the scale of errors")
    colour.select_option("label")
    shown = wait_for(lambda: page.locator(".cv-legend button").count() == 10 and picture(page), 20, "the legend")
    page.locator(".cv-legend button").first.click()
    wait_for(lambda: picture(page) != shown, 20, "planes without zeros")
    assert page.locator(".cv-legend button").first.evaluate("key => getComputedStyle(key).opacity") == "1"
    colour.select_option("usage")
    page.get_by_role("button", name="show 1 hidden").click()
    assert focused(page) == "SELECT"
    colour.select_option("label")
    wait_for(lambda: picture(page) == shown, 20, "all points again")
    before, box = closest(page), page.locator("canvas.cv-canvas").bounding_box()
    page.mouse.move(box["x"] + 80, box["y"] + 80)
    page.mouse.wheel(0, -400)
    wait_for(lambda: closest(page) > 1.5 * before, 20, "planes of their own scale, closer by the wheel")
    scale.select_option("shared")
    page.get_by_role("button", name="zoom in").click()
    wait_for(lambda: any("up to 1.5" in text for text in texts(page)), 20, "closer planes")
    page.get_by_role("button", name="least sure").click()
    chosen = page.locator(".cv-chosen")
    wait_for(lambda: "24 selected" in chosen.inner_text(), 20, "the least sure images")
    name = chosen.inner_text().split(": ")[1].split(",")[0].split()[-1]
    page.locator(".cv-legend").get_by_role("button", name=name, exact=True).click()
    wait_for(lambda: f" {name}" not in chosen.inner_text(), 20, "a selection without what is hidden")
    page.keyboard.press("Escape")  # wherever in the view the focus is
    wait_for(lambda: chosen.inner_text().startswith("Drag around"), 20, "an empty selection")


def closest(page) -> float:
    """How many times closer the foot of the planes says that they are."""
    return float([text for text in texts(page) if text.startswith("up to ")][-1].split()[2])


def picture(page) -> str:
    """All pixels of the planes."""
    return page.locator("canvas.cv-canvas").first.evaluate("canvas => canvas.toDataURL()")


def test_the_past_of_a_run_is_a_slider_with_marks_where_channels_were_unlocked(page):
    page.get_by_role("button", name="Step").click()
    wait_for(lambda: status(page) == "paused" and paints(page)[-1].step == 1, 120, "the first step")
    page.get_by_role("slider").nth(1).press("ArrowLeft")
    wait_for(lambda: page.locator(".cv-mark").count() == 1, 30, "the mark of a locked channel")
    scrub, words = page.locator(".cv-scrub"), page.locator(".cv-time .cv-told")
    assert words.inner_text() == "now" and int(scrub.get_attribute("max")) >= 2
    painted = len(texts(page))
    scrub.press("Home")
    wait_for(lambda: words.inner_text() == "epoch 0.00", 20, "the first moment")
    wait_for(lambda: any(text.startswith("step 0 ·") for text in texts(page)[painted:]), 20, "its planes")
    page.locator(".cv-mark").click()
    wait_for(lambda: "K_active 10 to 9" in words.inner_text(), 20, "the moment of the change")
    page.get_by_role("button", name="now", exact=True).click()
    wait_for(lambda: words.inner_text() == "now", 20, "the way back")
    assert focused(page) == "cv-scrub"
    fits = "words => (words.textContent = 'epoch 29.50, K_active 10 to 100', words.scrollWidth <= words.clientWidth)"
    assert words.evaluate(fits)


def test_another_run_stands_beside_the_live_one(page):
    page.get_by_role("button", name="Step").click()
    wait_for(lambda: paints(page)[-1].step == 1, 120, "a run of our own")
    page.get_by_text("Compare with another run").click()
    page.locator("select", has_text="showcase").select_option(index=2)
    wait_for(lambda: page.locator("canvas.cv-canvas").count() == 2, 120, "the planes of the showcase")
    second = page.locator("canvas.cv-canvas").nth(1)
    wait_for(lambda: second.bounding_box()["height"] > 300, 20, "their size")
    wait_for(lambda: page.get_by_text("train.starts").count() > 0, 20, "the settings that differ")


def test_two_pages_do_not_disturb_each_other_and_closing_one_ends_its_run(url, page):
    second = page.context.new_page()
    second.add_init_script(STAMPS)
    second.goto(url)
    page.get_by_role("button", name="Train").click()
    wait_for(lambda: second.locator(".cv-status").count() and status(second) == "saved run", 60, "a second page")
    wait_for(lambda: status(page).startswith("training") and 1 < paints(page)[-1].step < 2000, 120, "training")
    wait_for(ended(second).with_name("watched").exists, 20, "word of the second page's first picture")
    second.get_by_role("slider").nth(0).press("ArrowRight")
    wait_for(lambda: paints(second)[-1].tau == pytest.approx(1.1), 20, "the second page's tau")
    step, gone = paints(page)[-1].step, ended(page)
    second.get_by_role("button", name="Step").click()
    wait_for(lambda: paints(second)[-1].step == 1, 120, "the second page's first step")
    wait_for(lambda: paints(page)[-1].step > step, 20, "further steps of the first page")
    assert {frame.tau for frame in paints(page)} == {1.0} and status(second) == "paused" and not gone.exists()
    page.close()
    wait_for(gone.exists, 30, "the end of the first page's run")
    second.get_by_role("button", name="Step").click()
    wait_for(lambda: paints(second)[-1].step == 2, 20, "the second page's second step")


def test_the_estimators_are_measured_on_demand_and_the_section_stays_open(page):
    section = page.get_by_role("button", name="Inside routing")
    assert section.get_attribute("aria-expanded") == "false"
    section.click()
    page.get_by_role("slider").nth(0).press("ArrowRight")
    wait_for(lambda: paints(page)[-1].tau == pytest.approx(1.1), 20, "the new tau")
    page.get_by_role("button", name="measure").click()
    wait_for(lambda: page.get_by_text("At tau 1.1, epoch ").count(), 120, "the meter")
    assert page.get_by_text("All-channel tax").count() and section.get_attribute("aria-expanded") == "true"


def test_a_structural_change_builds_a_new_model_and_says_so(page):
    page.locator("select").nth(1).select_option("heteroscedastic")
    wait_for(lambda: status(page).startswith("ready"), 120, "the new model")
    assert "starts anew" in status(page) and page.locator(".cv-high").inner_text() == "0.5"
    page.get_by_role("button", name="Step").click()
    wait_for(lambda: any(p.step == 1 for p in paints(page)), 120, "the first step")
    page.locator("select").nth(0).select_option("concat")
    wait_for(lambda: "kept" in status(page), 120, "the words for what was kept")
    assert status(page) == "ready: kept embeddings, encoder; the rest starts anew"


def test_a_contradiction_is_said_and_can_be_undone(page):
    field = page.get_by_role("textbox").first
    field.fill("1")
    field.press("Enter")
    wait_for(lambda: page.get_by_text("set model.conditioning='none'").count(), 20, "the words for the contradiction")
    assert page.locator("canvas.cv-canvas").count() == 1 and page.get_by_role("slider").count() >= 10
    page.locator("select").nth(0).select_option("none")
    wait_for(lambda: status(page).startswith("ready") and "1 of 1 channels" in sentence(page), 120, "one channel")
