"""The README's picture: the workbench's first screen.

python tests/picture.py data/showcase/workbench.png
"""

import sys
import tempfile
from pathlib import Path

from browser import ROOT, open_page, paints, serve, status, wait_for

with (
    tempfile.TemporaryDirectory() as folder,
    serve(ROOT / "notebooks" / "decentralized.py", Path(folder) / "log") as url,
    open_page(url) as page,
):
    wait_for(lambda: status(page) == "saved run" and paints(page), 60, "the saved run")
    page.locator(".vega-embed").nth(2).wait_for()
    page.screenshot(path=sys.argv[1])
