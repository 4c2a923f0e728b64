"""A sweep over a small experiment: rows, resumption, failures; and the tables made of rows."""

import polars as pl
import pytest

from mixvae import Config, load_dataset
from mixvae.runs import open_run
from workbench import experiments, process, sweep, tables
from workbench.details import placed
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
    details=placed,
)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setitem(EXPERIMENTS, "small", SMALL)


def reached(config: Config) -> sweep.Reached:
    """Stands for a training."""
    point = {"channel": 2, "z1": 0.5, "z2": -0.5, "label": config.train.seed}
    figures = {"device": "none", "mse": 0.1 + config.train.seed / 10, "active_channels": 3}
    return sweep.Reached(figures, [point] * 4, {"note": config.model.conditioning.encode()})


def swept(monkeypatch, folder, reach=reached, together=1, **chosen):
    """The outcomes of a sweep whose jobs run in this process."""
    monkeypatch.setattr(process, "in_process", lambda _, configs, __: ([reach(config) for config in configs], 1.5))
    return list(sweep.sweep(sweep.jobs("small", **chosen), folder, folder / "runs", together))


def test_every_arm_and_seed_is_one_row_and_none_is_run_twice(small, monkeypatch, tmp_path):
    first = swept(monkeypatch, tmp_path, seeds=[1])
    assert [(job.arm, row["seed"]) for job, row in first] == [("film", 1), ("none", 1)]
    again = swept(monkeypatch, tmp_path)
    assert [(job.arm, job.config.train.seed, row is None) for job, row in again] == [
        ("film", 1, True),
        ("none", 1, True),
        ("film", 0, False),
        ("none", 0, False),
    ]
    assert all((tmp_path / "runs" / job.config_hash / "note").read_text() == job.arm for job, _ in again)
    rows = sweep.read("small", tmp_path)
    assert rows.height == 4 and rows["config_hash"].n_unique() == 4
    details = sweep.read("small_details", tmp_path)
    assert details["arm"].to_list() == (["film"] * 4 + ["none"] * 4) * 2 and set(details["channel"]) == {2}
    assert set(rows["mse"]) == {0.1, 0.2} and set(rows["experiment"]) == {"small"}


def test_seeds_of_an_arm_are_trained_together_where_they_have_no_row(small, monkeypatch, tmp_path):
    swept(monkeypatch, tmp_path, arms=["none"], seeds=[1])
    outcomes = swept(monkeypatch, tmp_path, together=2, seeds=[0, 1, 2])
    assert [(job.arm, job.config.train.seed, row and row["together"]) for job, row in outcomes] == [
        ("none", 1, None),
        ("film", 0, 2),
        ("film", 1, 2),
        ("none", 0, 2),
        ("none", 2, 2),
        ("film", 2, 1),
    ]


def test_what_trains_together_is_of_one_arm_of_one_experiment():
    todo = [sweep.Job(name, "arm", Config()) for name in ("first", "second", "first", "first")]
    assert sweep.groups(todo, 2) == [[todo[0], todo[2]], [todo[1]], [todo[3]]]


@pytest.mark.parametrize("blocked", ["rows", "runs"])
def test_where_nothing_can_be_written_nothing_is_trained(blocked, small, tmp_path):
    (tmp_path / blocked).write_text("a file, where a folder should be")
    with pytest.raises(OSError, match=blocked):
        list(sweep.sweep(sweep.jobs("small"), tmp_path / "rows", tmp_path / "runs"))


def test_a_job_that_fails_is_kept_among_the_failures_until_it_succeeds(small, monkeypatch, tmp_path):
    def diverges(config):
        if config.model.conditioning == "film":
            raise FloatingPointError("recon is\n  no longer finite")
        return reached(config)

    for _ in range(2):  # the second time the first failure gives way to the second
        outcomes = swept(monkeypatch, tmp_path, diverges)
    assert [isinstance(row, FloatingPointError) for _, row in outcomes] == [False, False, True, True]
    assert sweep.read("small", tmp_path)["arm"].to_list() == ["none"] * 2
    kept = sweep.read("small_failures", tmp_path)
    assert kept.columns == ["arm", "seed", "config_hash", "error"]
    assert sorted(kept["seed"]) == [0, 1] and set(kept["arm"]) == {"film"}
    assert set(kept["error"]) == {"FloatingPointError: recon is no longer finite"}
    swept(monkeypatch, tmp_path, seeds=[1])
    assert sweep.read("small_failures", tmp_path)["seed"].to_list() == [0]
    swept(monkeypatch, tmp_path)
    assert not (tmp_path / "small_failures.csv").exists() and sweep.read("small", tmp_path).height == 4


def test_seeds_that_fail_together_are_run_one_by_one(small, monkeypatch, tmp_path):
    def one_diverges(configs, _):
        if 1 in [config.train.seed for config in configs]:
            raise FloatingPointError("loss is no longer finite")
        return [reached(config) for config in configs]

    monkeypatch.setattr(process, "in_process", lambda _, *call: (one_diverges(*call), 1.5))
    todo = sweep.jobs("small", arms=["film"], seeds=[0, 1, 2])
    (_, zero), (_, one), (_, two) = sweep.sweep(todo, tmp_path, tmp_path / "runs", together=3)
    assert zero["seed"] == 0 and isinstance(one, FloatingPointError) and two["seed"] == 2
    assert sweep.read("small_failures", tmp_path)["seed"].to_list() == [1]


def test_a_group_that_fails_holds_no_other_back(small, monkeypatch, tmp_path):
    called = []

    def only_alone(configs, _):
        called.append(len(sweep.read("small", tmp_path)))  # rows on disk by then
        if len(configs) > 1 and configs[0].model.conditioning == "film":
            raise FloatingPointError("loss is no longer finite")
        return [reached(config) for config in configs]

    monkeypatch.setattr(process, "in_process", lambda _, *call: (only_alone(*call), 1.5))
    done = list(sweep.sweep(sweep.jobs("small"), tmp_path, tmp_path / "runs", together=2))
    assert called == [0, 0, 2, 3] and [job.arm for job, _ in done] == ["none", "none", "film", "film"]


def test_a_process_of_its_own_reaches_the_scores(small, tmp_path):
    (job, row), (_, other) = sweep.sweep(sweep.jobs("small", arms=["film"]), tmp_path, tmp_path, together=2)
    assert row["together"] == 2 and row["seed"] == 0 and other["seed"] == 1 and row["mse"] != other["mse"]
    saved = open_run(tmp_path / job.config_hash, load_dataset("digits"))
    assert saved.trainer.config == job.config and len(saved.history) == 1
    assert job.config.train.seed == 0 and row["active_channels"] in (1, 2, 3)
    assert row["seconds"] > 0 and 0 < row["mse"] < 1 and row["test_images"] == 360 and row["device"] == "cpu"
    assert 0 <= row["clustering_accuracy"] <= row["majority_purity"] <= 1 and row["kl_z"] > 0


def test_a_table_shows_what_was_run_and_the_command_for_what_was_not(small, monkeypatch, tmp_path):
    swept(monkeypatch, tmp_path, arms=["film"])
    text = tables.table("small", sweep.read("small", tmp_path))
    assert "| film | 2 of 2 | 0.1500 ± 0.0707 (0.2000) | 3.0 ± 0.0 (3.0) |" in text
    assert "| none | 0 of 2 |   |   |" in text and "`python -m workbench sweep small`" in text
    assert tables.cell(pl.DataFrame({"seconds": [None, 3.0, 5.0]}), "seconds") == "4 ± 1 (5), of 2"
    document = "before\n<!-- results: small -->\nold\n<!-- end -->\nafter\n"
    assert tables.filled(document, tmp_path) == f"before\n<!-- results: small -->\n{text}<!-- end -->\nafter\n"


def test_rows_of_an_earlier_config_are_in_no_table_and_other_seeds_than_planned_are_counted_apart(
    small, monkeypatch, tmp_path
):
    swept(monkeypatch, tmp_path, arms=["film"], seeds=[0, 42])
    document = "<!-- results: small -->\n<!-- end -->"
    assert "| film | 1 of 2, 1 more |" in tables.filled(document, tmp_path)
    changed = SMALL._replace(arms={"film": Arm("plain", DIGITS | {"train.clip": 2.0})})
    monkeypatch.setitem(EXPERIMENTS, "small", changed)
    assert "| film | 0 of 2 |" in tables.filled(document, tmp_path)
    assert sweep.results("small", "_details", tmp_path).is_empty() and sweep.read("small", tmp_path).height == 2


def test_a_table_that_is_none_or_has_no_end_is_named_and_nothing_is_lost(small, tmp_path):
    with pytest.raises(ValueError, match="the experiment 'smal' of a table does not exist; did you mean 'small'"):
        tables.filled("<!-- results: smal -->\n<!-- end -->\n", tmp_path)
    unclosed = "<!-- results: small -->\nbetween\n<!-- results: small -->\nold\n<!-- end -->\n"
    with pytest.raises(ValueError, match="the table of small has no end; close it with <!-- end -->"):
        tables.filled(unclosed, tmp_path)


@pytest.mark.parametrize("figure, worst", [("mse", 1.2), ("mean_z2", 0.7), ("ence", 1.2), ("nmi", 0.7)])
def test_the_worst_seed_is_by_what_the_figure_means(figure, worst):
    assert tables.cell(pl.DataFrame({figure: [0.9, 1.2, 0.7]}), figure).endswith(f"({worst:.4f})")


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
        assert rows.is_empty() or set(rows["config_hash"]) <= known, name


def test_two_arms_are_compared_seed_by_seed():
    rows = pl.DataFrame({"arm": ["a", "b"] * 3, "seed": [0, 0, 1, 1, 2, 2], "nmi": [0.5, 0.4, 0.7, 0.5, 0.9, 0.6]})
    mean, half, n = tables.compared(rows, "nmi", "a", "b")
    assert (mean, half, n) == (pytest.approx(0.2), pytest.approx(4.3027 * 0.1 / 3**0.5, rel=1e-4), 3)
    assert "the seeds bear no difference out" in tables.verdict(rows, "nmi", "a", "b")
    sure = rows.with_columns(pl.when(pl.col("arm") == "a").then(pl.col("nmi") + 1).otherwise(pl.col("nmi")))
    assert tables.verdict(sure, "nmi", "a", "b") == "nmi: a has more than b, +1.2000 ± 0.2484 (95 %, 3 seeds)."
    assert "nmi: b has less than a" in tables.verdict(sure, "nmi", "b", "a")


def test_a_share_is_of_the_seeds_that_both_arms_have():
    rows = pl.DataFrame(
        {"arm": ["a", "a", *"bbbbb"], "seed": [0, 1, 0, 1, 2, 3, 4], "mse": [95.0, 94.9, 100, 100, 200, 200, 200]}
    )
    assert "a is +5.0 % ± 0.6 % better than b (95 %, 2 seeds)" in tables.better(rows, "mse", "a", "b")
    nothing = rows.with_columns(mse=pl.when(pl.col("arm") == "b").then(0.0).otherwise(pl.col("mse")))
    assert "b has a mean of 0, of which nothing is a share" in tables.better(nothing, "mse", "a", "b")


@pytest.mark.parametrize("percent, said", [(10, "yes"), (50, "no"), (35, "undecided")])
def test_better_is_said_where_the_whole_interval_is_on_one_side(percent, said):
    rows = pl.DataFrame({"arm": ["a", "b"] * 3, "seed": [0, 0, 1, 1, 2, 2], "mse": [0.6, 1.0, 0.65, 1.0, 0.7, 1.0]})
    assert tables.better(rows, "mse", "a", "b", percent) == (
        f"mse: **{said}**, a is +35.0 % ± 12.4 % better than b (95 %, 3 seeds)"
    )
    assert "**no**, b is -53.8 %" in tables.better(rows, "mse", "b", "a", percent)


def test_one_seed_is_no_answer():
    rows = pl.DataFrame({"arm": ["a", "b", "a"], "seed": [0, 0, 1], "nmi": [0.5, 0.4, 0.7]})
    assert tables.verdict(rows, "nmi", "a", "b") == "nmi: a and b have 1 of the 2 seeds or more that an answer takes."
    assert tables.verdict(pl.DataFrame(), "nmi", "a", "b").startswith("nmi: a and b have 0 of")
