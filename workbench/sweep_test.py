"""A sweep over a small experiment: rows, resumption, failures; and the tables made of rows."""

import polars as pl
import pytest

from mixvae import Config
from workbench import experiments, sweep, tables
from workbench.experiments import EXPERIMENTS, Arm, Experiment

DIGITS = {
    "data.name": "digits",
    "model.num_components": 3,
    "model.encoder": "dense",
    "model.decoder": "dense",
    "model.hidden_dims": [6],
    "train.epochs": 1,
}
SMALL = Experiment(
    "Is it small?",
    2,
    {"film": Arm("plain", DIGITS), "none": Arm("plain", DIGITS | {"model.conditioning": "none"})},
    ("mse", "active_channels"),
)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setitem(EXPERIMENTS, "small", SMALL)


def reached(config: Config) -> dict:
    """Stands for a training."""
    return {"device": "none", "mse": 0.1 + config.train.seed / 10, "active_channels": 3}


def swept(monkeypatch, folder, reach=reached, **chosen):
    """The outcomes of a sweep whose jobs run in this process."""

    class Here:
        def __init__(self, *_):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def submit(self, function, config):
            return type("Future", (), {"result": lambda _: reach(config)})()

    monkeypatch.setattr(sweep, "ProcessPoolExecutor", Here)
    return list(sweep.sweep(sweep.jobs("small", **chosen), folder))


def test_every_arm_and_seed_is_one_row_and_none_is_run_twice(small, monkeypatch, tmp_path):
    first = swept(monkeypatch, tmp_path, seeds=[1])
    assert [(job.arm, row["seed"]) for job, row in first] == [("film", 1), ("none", 1)]
    again = swept(monkeypatch, tmp_path)
    assert [(job.arm, job.config.train.seed, row is None) for job, row in again] == [
        ("film", 0, False),
        ("none", 0, False),
        ("film", 1, True),
        ("none", 1, True),
    ]
    rows = sweep.read("small", tmp_path)
    assert rows.height == 4 and rows["config_hash"].n_unique() == 4
    assert set(rows["mse"]) == {0.1, 0.2} and set(rows["experiment"]) == {"small"}


def test_a_job_that_fails_leaves_no_row_and_the_others_go_on(small, monkeypatch, tmp_path):
    def fails_once(config):
        if config.model.conditioning == "film":
            raise FloatingPointError("recon is no longer finite")
        return reached(config)

    outcomes = swept(monkeypatch, tmp_path, fails_once, seeds=[0])
    assert isinstance(outcomes[0][1], FloatingPointError) and outcomes[1][1]["mse"] == 0.1
    assert sweep.read("small", tmp_path)["arm"].to_list() == ["none"]


def test_a_row_with_a_new_figure_leaves_it_empty_in_the_others(tmp_path):
    sweep.append(tmp_path / "x.csv", {"arm": "a", "mse": 0.5})
    sweep.append(tmp_path / "x.csv", {"arm": "b", "nmi": 0.25})
    assert sweep.read("x", tmp_path).to_dicts() == [
        {"arm": "a", "mse": 0.5, "nmi": None},
        {"arm": "b", "mse": None, "nmi": 0.25},
    ]


def test_a_process_of_its_own_reaches_the_scores(small, tmp_path):
    ((job, row),) = sweep.sweep(sweep.jobs("small", arms=["film"], seeds=[0]), tmp_path)
    assert job.config.train.seed == 0 and row["active_channels"] in (1, 2, 3)
    assert row["seconds"] > 0 and 0 < row["mse"] < 1 and row["test_images"] == 360 and row["device"] == "cpu"
    assert 0 <= row["clustering_accuracy"] <= row["majority_purity"] <= 1 and row["kl_z"] > 0


def test_a_table_shows_what_was_run_and_the_command_for_what_was_not(small, monkeypatch, tmp_path):
    swept(monkeypatch, tmp_path, arms=["film"])
    text = tables.table("small", sweep.read("small", tmp_path))
    assert "| film | 2 of 2 | 0.1500 ± 0.0707 (0.2000) | 3.0 ± 0.0 (3.0) |" in text
    assert "| none | 0 of 2 |   |   |" in text and "`python -m workbench sweep small`" in text
    document = "before\n<!-- results: small -->\nold\n<!-- end -->\nafter\n"
    assert tables.filled(document, tmp_path) == f"before\n<!-- results: small -->\n{text}<!-- end -->\nafter\n"


def test_the_tables_of_the_readme_are_those_of_the_rows():
    readme = (sweep.ROOT / "README.md").read_text(encoding="utf-8")
    assert tables.BLOCK.search(readme) and tables.filled(readme) == readme


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_configs_of_an_experiment_are_legal_and_differ(name):
    todo = sweep.jobs(name)
    assert (
        len({job.config_hash for job in todo})
        == len(todo)
        == experiments.EXPERIMENTS[name].seeds * len(EXPERIMENTS[name].arms)
    )


def test_the_rows_in_the_repository_are_of_todays_configs():
    for name in EXPERIMENTS:
        rows = sweep.read(name)
        known = {job.config_hash for job in sweep.jobs(name)}
        assert isinstance(rows, pl.DataFrame)
        assert rows.is_empty() or set(rows["config_hash"].cast(pl.String)) <= known, name
