"""Labels given by hand, taken back, and read from a table."""

import re

import numpy as np
import pytest

from workbench.given import GivenLabels

NAMES = ("round", "square", "other")


def test_given_labels_stand_in_place_of_drawn_ones_and_are_found_among_the_points():
    given = GivenLabels(7)
    given.label([1, 6], [2, 0], 3)
    assert given.over(np.array([0, 1, -1, -1, 2, -1, -1])).tolist() == [0, 2, -1, -1, 2, -1, 0]
    assert given.told(np.array([4, 6, 0])) == ([1, 6], [2, 0], [-1, 1])


def test_every_change_can_be_taken_back_in_its_turn():
    given, states = GivenLabels(7), []
    for change in (
        lambda: given.label([1, 6], [2, 0], 3),
        lambda: given.label([6], [-1], 3),
        lambda: given.read("image,label\n0,square\n6,other\n", NAMES),
        given.forget,
    ):
        states.append(given.labels.tolist())
        change()
    assert not given.any() and states[-1] == [1, 2, -1, -1, -1, -1, 2]
    for state in reversed(states):
        given.undo()
        assert given.labels.tolist() == state
    given.undo()
    assert given.labels.tolist() == [-1] * 7 and given.labels.dtype == np.int32


def test_what_changes_nothing_is_nothing_to_take_back():
    given = GivenLabels(7)
    given.label([3], [1], 3)
    given.label([3, 5], [1, -1], 3)
    given.label([], [], 3)
    given.undo()
    assert not given.any() and not given.before
    given.forget()
    assert not given.before


FAULTS = {
    "no table": ("", "no labels were read: "),
    "columns": ("picture,label\n1,round\n", "expected the columns ['image', 'label'], found ['picture', 'label']"),
    "class": ("image,label\n1,round\n2,oval\n", "oval is none of round, square, other"),
    "no class": ("image,label\n1,\n", "None is none of round, square, other"),
    "no number": ("image,label\none,round\n", "the column image holds something that is no whole number"),
    "missing number": ("image,label\n1,round\n,round\n", "the column image holds something that is no whole number"),
    "beyond": ("image,label\n7,round\n", "there is no training image 7; they are 0 to 6"),
    "negative": ("image,label\n-1,round\n", "there is no training image -1; they are 0 to 6"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_table_changes_nothing_and_is_told(fault):
    text, words = FAULTS[fault]
    given = GivenLabels(7)
    given.label([3], [1], 3)
    with pytest.raises(ValueError, match=re.escape(words)):
        given.read(text, NAMES)
    assert given.labels.tolist() == [-1, -1, -1, 1, -1, -1, -1] and len(given.before) == 1


def test_a_label_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match=re.escape("there is no label 3; they are 0 to 2, and -1 for none")):
        GivenLabels(7).label([0, 1], [2, 3], 3)


def test_a_table_is_read_as_it_was_written():
    names = ("a, b", 'the "c"', "7")
    given, again = GivenLabels(7), GivenLabels(7)
    given.label([6, 0, 3], [1, 0, 2], 3)
    again.read(given.table(names), names)
    np.testing.assert_array_equal(again.labels, given.labels)
    assert GivenLabels(7).table(names) == GivenLabels(7).table(()) == "image,label\n"
