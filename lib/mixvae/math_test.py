"""MATH.md says what the code does: its sessions give the numbers they show, and what it names is where it says."""

import doctest
import importlib
import inspect
import re
from pathlib import Path

from mixvae.config import FIELDS

LIB = Path(__file__).parents[1]
TEXT = (LIB / "MATH.md").read_text(encoding="utf-8")
NAMED = re.findall(r"\[`([\w.]+)`\]\[(\w+)\]", TEXT)
FILES = dict(re.findall(r"^\[(\w+)\]: (\S+)$", TEXT, re.MULTILINE))
NUMBER = re.compile(r"-?\d+\.\d+")


class Close(doctest.OutputChecker):
    """Equal but for what float32 sums may differ by on another machine."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        pairs = zip(map(float, NUMBER.findall(want)), map(float, NUMBER.findall(got)), strict=False)
        return NUMBER.sub("#", want) == NUMBER.sub("#", got) and all(
            abs(a - b) <= 1.01e-4 + 1e-5 * abs(a) for a, b in pairs
        )


def test_its_sessions_give_the_numbers_they_show():
    sessions = "\n".join(re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE))
    test = doctest.DocTestParser().get_doctest(sessions, {}, "MATH.md", "MATH.md", 0)
    said = []
    failed, tried = doctest.DocTestRunner(Close(), verbose=False).run(test, out=said.append)
    assert tried > 40 and not failed, "".join(said)


def test_every_function_it_names_is_in_the_file_it_names():
    assert len(NAMED) > 40
    for name, file in NAMED:
        path = FILES[file]
        module = path.removesuffix(".py").replace("/", ".")
        thing = importlib.import_module(module)
        for part in f"mixvae.{name}".removeprefix(f"{module}.").split("."):
            thing = getattr(thing, part)
        assert Path(inspect.getsourcefile(thing)) == LIB / path, name


def test_every_other_dotted_name_is_a_setting():
    rest = re.sub(r"\[`[\w.]+`\]|^```.*?^```$", "", TEXT, flags=re.DOTALL | re.MULTILINE)
    dotted = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", rest))
    assert len(dotted) > 10 and dotted - set(FIELDS) == {"losses.kl_normal"}
