"""Every notebook runs to its end, as a script and as a page; what theory computes are the contract's numbers."""

import math
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import polars as pl
import pytest

ROOT = Path(__file__).parents[1]
SHOWN = {  # something of every notebook that only a cell which ran can have written
    "decentralized": "saved run",
    "conditioning": "of 30 runs have no row yet",
    "uncertainty": "of 15 runs have no row yet",
    "curriculum": "of 60 runs have no row yet",
    "estimators": "of 18 runs have no row yet",
    "theory": "certainty } 0.5516",
}
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))


@pytest.mark.parametrize("notebook", [name for name in SHOWN if name != "theory"])  # which trains nothing
def test_it_trains_as_a_script(notebook):
    path = ROOT / "notebooks" / f"{notebook}.py"
    result = subprocess.run([sys.executable, path], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_becomes_a_small_page(notebook, page_of):
    page = page_of(notebook)
    assert page.stat().st_size < 6 * 2**20 and SHOWN[notebook.stem] in page.read_text(encoding="utf-8")


@pytest.fixture
def functions_of(monkeypatch):
    """A notebook's functions, by its name; none of its cells has run."""
    monkeypatch.setattr("workbench.cache.use_compilation_cache", lambda: None)

    def load(name: str):
        spec = spec_from_file_location(f"{name}_notebook", ROOT / "notebooks" / f"{name}.py")
        notebook = module_from_spec(spec)
        spec.loader.exec_module(notebook)
        return notebook

    return load


def test_the_estimators_are_answered_from_the_last_epoch_at_tau_1(functions_of):
    runs = [  # arm, seed, tau, estimator, relative, cosine
        ("plain, 3 epochs", 0, 1.0, "gumbel", 0.5, 0.1),
        ("plain, 10 epochs", 0, 2.0, "gumbel", 9.0, 0.0),
        ("plain, 10 epochs", 0, 1.0, "gumbel", 0.5, 0.9),
        ("plain, 10 epochs", 0, 1.0, "straight_through", 1.0, 0.2),
        ("plain, 10 epochs", 0, 1.0, "exact", 0.0, 1.0),
    ]
    columns = ["arm", "seed", "tau", "estimator", "relative", "cosine"]
    details = pl.DataFrame(runs, schema=columns, orient="row").with_columns(noise=1.0)
    answer = functions_of("estimators").answer
    said = answer(details)
    assert "gumbel ends nearest" in said and "after 10 epochs" in said and "exact, plain" not in said
    assert "gumbel, plain: 0.90 and 0.50; straight-through, plain: 0.20 and 1.00; mean" in said
    twice = pl.concat([details, details.with_columns(seed=pl.lit(1, pl.Int64), cosine=pl.col("cosine") - 0.8)])
    assert "gumbel, plain: 0.50 ± 0.57 and 0.50 ± 0.00" in answer(twice)


def test_what_the_theory_notebook_computes_are_the_contracts_numbers(functions_of):
    theory = functions_of("theory")
    at = dict(logit=4.0, own=1.0, log_var=0.0)
    every, rest_at_prior = (theory.latents_frame(others=mean, **at).sum().row(0)[1:] for mean in (1.0, 0.0))
    assert every == pytest.approx([1.0, 9.0])
    assert sum(rest_at_prior) == pytest.approx(1.0) and rest_at_prior[0] > rest_at_prior[1]
    counts, named, sure = theory.label_answers(first=0.9, second=0.2, alpha0=1.0, new=0.9)
    np.testing.assert_allclose(counts, [[1.9, 1.2], [1.1, 1.8]], rtol=1e-6)
    np.testing.assert_allclose([*named, sure], [0.5895, 0.4105, 0.5516], atol=5e-5)
    nats = theory.cost_frame(784, 0.1, np.array([0.5, 0.1, 0.05]))["once a pixel"]
    np.testing.assert_allclose(nats, [-527.75, -1413.23, -780.65], atol=0.01)
    assert theory.head_frame(np.array([0.0]), 0.05, 0.5)["sigma"].item() == pytest.approx(0.158, abs=5e-4)
    _, kl_c, used = theory.prior_batch(certainty=80.0, tilt=0.0, alpha=2.0)
    assert (kl_c, used) == pytest.approx((math.log(3), 3 * math.log(3)))
    routers = {name: terms for name, *terms in theory.routers_frame(certainty=80.0).iter_rows()}
    assert routers["good"] == pytest.approx([0, math.log(10), 0], abs=1e-6)
    assert routers["undecided"] == pytest.approx([0, math.log(10), math.log(10)], abs=1e-6)
    assert routers["one channel"] == pytest.approx([0, 0, 0], abs=1e-6) and routers["moved by views"][0] > 70
