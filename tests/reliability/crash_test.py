"""A run that SIGKILL ends, or that cannot write, a few times; crash.py does it by hundreds."""

from reliability import crash


def test_a_run_that_is_killed_or_cannot_write_ends_as_one_that_nothing_disturbed():
    with crash.undisturbed() as runs:
        assert crash.kills(runs, 2, seed=3)["count"] >= 2
        for limit in ("file size", "read-only"):
            assert crash.refusals(runs, limit, 1)["count"] == 1
