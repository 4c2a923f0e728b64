"""Rows on disk: those of a job give way to newer ones."""

import pytest

from workbench.rows import of, put, read

ONE = {"arm": "a", "seed": 0, "config_hash": "012345678901"}  # digits alone, and yet no number
OTHER = ONE | {"arm": "b"}


def test_rows_of_a_job_are_replaced_and_go_with_the_file(tmp_path):
    path = tmp_path / "new" / "x.csv"
    put(path, ONE, {"epoch": 0}, {"epoch": 1})
    put(path, OTHER, {"epoch": 7})
    put(path, ONE, {"epoch": 5}, {"epoch": 6}, {"epoch": 8})
    assert [(*row.values(),) for row in read("x", path.parent).to_dicts()] == [
        ("b", 0, "012345678901", 7),
        *(("a", 0, "012345678901", epoch) for epoch in (5, 6, 8)),
    ]
    put(path, ONE)
    left = read("x", path.parent)
    assert left.height == left.filter(of(OTHER)).height == 1 and left.filter(of(ONE)).is_empty()
    put(path, OTHER)
    assert not path.exists() and read("x", path.parent).is_empty()


def test_a_row_of_an_earlier_config_gives_way_and_that_of_another_seed_stays(tmp_path):
    path = tmp_path / "x.csv"
    put(path, ONE, {"nmi": 0.25})
    put(path, ONE | {"seed": 1}, {"nmi": 0.5})
    put(path, ONE | {"config_hash": "abcdefabcdef"}, {"nmi": 0.75})
    assert [(row["seed"], row["nmi"]) for row in read("x", tmp_path).to_dicts()] == [(1, 0.5), (0, 0.75)]


def test_where_nothing_changes_nothing_is_written(tmp_path):
    put(tmp_path / "x.csv", ONE)
    assert not list(tmp_path.iterdir())
    put(tmp_path / "x.csv", ONE, {"epoch": 0})
    before = (tmp_path / "x.csv").stat().st_ino
    put(tmp_path / "x.csv", OTHER)
    assert (tmp_path / "x.csv").stat().st_ino == before  # a rename would leave another file


def test_a_row_with_a_new_figure_leaves_it_empty_in_the_others(tmp_path):
    put(tmp_path / "x.csv", ONE, {"mse": 0.5})
    put(tmp_path / "x.csv", OTHER, {"nmi": 0.25})
    assert read("x", tmp_path).to_dicts() == [ONE | {"mse": 0.5, "nmi": None}, OTHER | {"mse": None, "nmi": 0.25}]


@pytest.mark.parametrize(
    "content, said",
    [
        ("", "is no table of results"),
        ("arm,seed,config_hash\n<<<<<<< HEAD,,,\n", "is no table of results"),
        ("arm,seed\na,1\n", "has no column config_hash"),
    ],
    ids=["empty", "conflict", "columns"],
)
def test_a_damaged_file_of_rows_is_named(content, said, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=f"(?s){path} {said}.*; restore it, or delete it to begin anew"):
        read("x", tmp_path)


def test_an_arm_may_have_the_name_of_a_number(tmp_path):
    for arm in ("0.5", "2"):
        put(tmp_path / "x.csv", ONE | {"arm": arm}, {"mse": 0.5})
    assert read("x", tmp_path)["arm"].to_list() == ["0.5", "2"]


def test_a_figure_that_is_no_number_is_none(tmp_path):
    (tmp_path / "x.csv").write_text("arm,seed,config_hash,ence\na,1,f,NaN\na,2,g,0.5\n")
    assert read("x", tmp_path)["ence"].to_list() == [None, 0.5]


def test_a_commit_of_digits_is_no_number_either(tmp_path):
    commits = "012345678901", "1234567e8901"
    for job, commit in zip((ONE, OTHER), commits, strict=True):
        put(tmp_path / "x.csv", job, {"commit": commit})
    assert read("x", tmp_path)["commit"].to_list() == list(commits)
