"""Rows on disk: those of a job give way to newer ones."""

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
