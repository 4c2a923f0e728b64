"""The figure of all seeds, pictures, and what is missing, on rows made by hand."""

import base64
import io
import re
from functools import partial

import marimo as mo
import numpy as np
import polars as pl
import pytest
from PIL import Image

from workbench import answers, sweep
from workbench.experiments import EXPERIMENTS

ROWS = pl.DataFrame(
    {
        "arm": ["a", "a", "a", "b", "c"],
        "seed": [0, 1, 2, 0, 0],
        "mse": [0.1, 0.2, 0.3, 0.5, 9],
        "kl_z": [1, 2, 3, 4, None],
    }
)


def test_every_arm_has_its_mean_and_an_interval_where_there_are_several_seeds():
    frame = answers.seeds_frame(ROWS, ("mse", "kl_z", "nats"), ["a", "b"])
    assert set(frame["arm"]) == {"a", "b"} and set(frame["figure"]) == {"mse", "kl z"} and frame.height == 8
    a, b = (frame.filter((pl.col("arm") == arm) & (pl.col("figure") == "mse")) for arm in "ab")
    half = 4.3027 * 0.1 / 3**0.5
    assert a["mean"].to_list() == pytest.approx([0.2] * 3) and a["value"].to_list() == [0.1, 0.2, 0.3]
    assert a["low"][0] == pytest.approx(0.2 - half, rel=1e-4) and a["high"][0] == pytest.approx(0.2 + half, rel=1e-4)
    assert b["mean"].to_list() == [0.5] and b["low"].to_list() == b["high"].to_list() == [None]


def test_a_chart_has_the_arms_in_their_order_and_no_rows_are_said_in_words():
    spec = answers.seeds_chart(answers.seeds_frame(ROWS, ("mse",), ["b", "a"]), ["b", "a"]).to_dict()
    assert spec["spec"]["layer"][0]["encoding"]["y"]["sort"] == ["b", "a"]
    assert isinstance(answers.every_seed("conditioning", pl.DataFrame(), "mse"), mo.Html)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_has_its_images_side_by_side_and_its_text_escaped(channels):
    tiles = np.random.default_rng(0).uniform(size=(2, 3, 4, 5, channels))
    shown = answers.picture(tiles, 'a "quoted" <text>').text
    assert "&quot;quoted&quot; &lt;text&gt;" in shown and "<text>" not in shown
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(re.search(r"base64,([^\"]+)", shown)[1]))))
    assert pixels.shape == ((10, 18) if channels == 1 else (10, 18, 3))
    np.testing.assert_array_equal(pixels[5:9, 12:17].squeeze(), np.rint(255 * tiles[1, 2]).astype(np.uint8).squeeze())


def test_runs_without_a_row_are_missing(monkeypatch, tmp_path):
    todo = sweep.jobs("conditioning")
    assert sweep.missing(todo, tmp_path) == todo and len(todo) == 30 == len(EXPERIMENTS["conditioning"].arms) * 5
    pl.DataFrame([todo[7].named]).write_csv(tmp_path / "conditioning.csv")
    assert sweep.missing(todo, tmp_path) == todo[:7] + todo[8:]
    monkeypatch.setattr(answers, "missing", partial(sweep.missing, folder=tmp_path))
    reads, read = [], sweep.read
    monkeypatch.setattr(sweep, "read", lambda *file: reads.append(file) or read(*file))
    assert "29 of 30 runs have no row yet" in answers.run_again("conditioning") and len(reads) == 1
