"""The README's pictures: the first screen, a latent in every channel, points as images with some of them selected.

python tests/picture.py data/showcase
"""

import sys
import tempfile
from pathlib import Path

from browser import ROOT, open_page, paints, serve, status, wait_for

LASSO = ((120, 50), (120, 130), (40, 130))


def main(folder: Path):
    """Write workbench.png, pointer.png and selection.png."""
    with (
        tempfile.TemporaryDirectory() as logs,
        serve(ROOT / "notebooks" / "decentralized.py", Path(logs) / "log") as server,
        open_page(server.url) as page,
    ):
        wait_for(lambda: status(page) == "saved run" and paints(page), 60, "the saved run")
        page.locator(".vega-embed").nth(2).wait_for()
        page.screenshot(path=folder / "workbench.png")
        planes, tip = page.locator("canvas.cv-canvas"), page.locator(".cv-tip")
        planes.hover(position={"x": 440, "y": 110})
        wait_for(tip.is_visible, 20, "the picture under the pointer")
        box = planes.bounding_box()
        page.screenshot(path=folder / "pointer.png", clip=box)
        page.locator(".cv select").nth(1).select_option("images")
        page.mouse.move(box["x"] + 40, box["y"] + 50)
        page.mouse.down()
        for x, y in LASSO:
            page.mouse.move(box["x"] + x, box["y"] + y, steps=4)
        page.mouse.up()
        wait_for(lambda: "selected: " in page.locator(".cv-chosen").inner_text(), 20, "the selection")
        page.mouse.move(box["x"] + 20, box["y"] - 200)
        wait_for(tip.is_hidden, 20, "the pointer's leave")
        page.locator(".cv").screenshot(path=folder / "selection.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
