"""The library stands without the workbench."""

import subprocess
import sys

UI = ("marimo", "altair", "anywidget", "ipywidgets", "workbench")


def test_no_module_of_the_library_imports_a_user_interface():
    program = f"""
import importlib, mixvae, pkgutil, re, sys
for module in pkgutil.walk_packages(mixvae.__path__, "mixvae."):
    if not re.search("_test$|conftest$|example_", module.name):
        importlib.import_module(module.name)
print([name for name in {UI} if name in sys.modules])
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
