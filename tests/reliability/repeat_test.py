"""Two fresh processes, as repeat.py starts ten."""

from reliability.repeat import repeat


def test_fresh_processes_end_with_the_same_numbers():
    assert repeat(2, optimised=False)["found"] == "1 result, bit by bit"
