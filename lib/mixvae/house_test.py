"""The library stands without the workbench, and says what each public name is."""

import subprocess
import sys

import mixvae

UI = ("marimo", "altair", "anywidget", "ipywidgets", "workbench")


def test_importing_the_library_imports_no_user_interface():
    program = f"import sys, mixvae; print([name for name in {UI} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_every_public_name_has_a_docstring():
    assert [name for name in mixvae.__all__ if not (getattr(mixvae, name).__doc__ or "").strip()] == []
