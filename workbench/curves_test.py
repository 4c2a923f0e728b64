"""Rows of the curves: means over parts of an epoch, and none of two epochs."""

import numpy as np
import pytest

from workbench.curves import POINTS_PER_EPOCH, with_chunk

A_ROW = 12  # steps


def curves_of(chunk: int, epochs: int):
    """The curves of a run whose loss is the number of the step; an epoch's last chunk has a validation loss too."""
    curves, an_epoch = [], POINTS_PER_EPOCH * A_ROW
    for end in range(chunk, epochs * an_epoch + 1, chunk):
        steps = np.arange(end - chunk, end)
        columns = {"loss": steps.astype(float), "usage": np.stack([steps, -steps], 1)}
        if end % an_epoch == 0:
            columns["validation_loss"] = np.array([7.0])
        curves = with_chunk(curves, end / an_epoch, columns)
    return curves


@pytest.mark.parametrize("chunk", [1, 3, 4, 12])
def test_a_row_is_the_mean_of_its_part_of_one_epoch(chunk):
    curves = curves_of(chunk, epochs=3)
    assert [row["steps"] for row in curves] == [A_ROW] * 3 * POINTS_PER_EPOCH
    middles = A_ROW * np.arange(len(curves)) + (A_ROW - 1) / 2
    np.testing.assert_allclose([row["loss"] for row in curves], middles)
    np.testing.assert_allclose([row["usage"] for row in curves], np.stack([middles, -middles], 1))
    ends = [row["epoch"] for row in curves if "validation_loss" in row]
    assert ends == [1.0, 2.0, 3.0]


def test_chunks_weigh_as_many_steps_as_they_have():
    curves = with_chunk([], 0.01, {"loss": np.array([1.0])})
    curves = with_chunk(curves, 0.02, {"loss": np.array([3.0, 4.0, 8.0])})
    assert curves == [{"epoch": 0.02, "steps": 4, "loss": 4.0}]


def test_rows_of_a_saved_run_stay_as_they_are():
    saved = [{"epoch": 1.0, "loss": 5.0}]
    assert with_chunk(saved, 1.0, {"loss": np.array([1.0])}) == [*saved, {"epoch": 1.0, "steps": 1, "loss": 1.0}]
