"""Writers, views and presses at once, a few of each; load.py does it by hundreds."""

from reliability import load


def test_two_processes_lose_no_row():
    assert load.rows(5)["found"] == "0 lost"


def test_nothing_grows_while_one_trains_presses_and_looks():
    for check, count in ((load.presses, 20), (load.views, 3), (load.epochs, 20), (load.opened, 3)):
        assert check(count)["count"] == count  # what grows is a Leak
