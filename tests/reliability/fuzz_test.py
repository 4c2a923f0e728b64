"""Bad input of every format is read or refused: a few cases of each, as fuzz.py does by the hundred thousand."""

import pytest

from reliability import formats, fuzz

FEW = {"messages": 8, "checkpoint": 60, "parquet": 4}  # these have a model or a process behind them


@pytest.mark.parametrize("name", formats.NAMES)
def test_bad_input_is_read_or_refused_by_an_error_that_names_it(name):
    fuzz.check(name, FEW.get(name, 200), seed=1)
