"""The library stands without the workbench."""

import subprocess
import sys

UI = ("marimo", "altair", "anywidget", "ipywidgets", "workbench")


def test_importing_the_library_imports_no_user_interface():
    program = f"import sys, mixvae; print([name for name in {UI} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
