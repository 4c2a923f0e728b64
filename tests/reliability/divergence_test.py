"""Knobs at and beyond the ends of their ranges, a few times; divergence.py does it by hundreds."""

from reliability import divergence


def test_a_number_that_goes_wrong_is_told_and_training_goes_on_from_good_ones():
    assert divergence.wrong(2)["count"] == 2
    assert sum(divergence.ends(3, seed=1)["found"].values()) == 3
    for settings in (divergence.HETEROSCEDASTIC, divergence.EXACT):
        assert sum(divergence.ends(1, **settings)["found"].values()) == 1
