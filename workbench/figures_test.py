"""The theory notebook's charts: which column stands where, and what pictures and triangles are made of."""

import base64
import io
import json

import numpy as np
import polars as pl
import pytest
from PIL import Image

from workbench import figures

FRAME = pl.DataFrame({"x": [0.1, 0.2, 0.4], "up": [1.0, 2.0, 3.0], "down": [-1.0, -2.0, -3.0]})
PICTURES = np.random.default_rng(0).uniform(size=(2, 5, 3, 1))


def spec(chart) -> dict:
    """The chart as JSON, checked against Vega-Lite's schema by Altair."""
    return json.loads(json.dumps(chart.to_dict(), allow_nan=False))


def rows(made: dict, layer: dict) -> list[dict]:
    return made["datasets"][layer["data"]["name"]]


def test_curves_draw_every_column_and_dots_where_the_sliders_stand():
    made = spec(figures.curves(FRAME, FRAME[1], "name", log="x"))
    rule, line, dot = made["layer"]
    assert [(r["x"], r["term"], r["value"]) for r in rows(made, line)][2:5] == [
        (0.4, "up", 3.0),
        (0.1, "down", -1.0),
        (0.2, "down", -2.0),
    ]
    assert [(r["x"], r["value"]) for r in rows(made, dot)] == [(0.2, 2.0), (0.2, -2.0)]
    assert [r["x"] for r in rows(made, rule)] == [0.2]
    scales = {axis: line["encoding"][axis]["scale"]["type"] for axis in "xy"}
    assert scales == {"x": "log", "y": "linear"} and line["encoding"]["color"]["scale"]["domain"] == ["up", "down"]


def test_bars_are_stacked_or_beside_each_other_and_a_mark_is_a_tick():
    stacked = spec(figures.bars(FRAME, "name", 100))
    assert "xOffset" not in stacked["encoding"] and len(rows(stacked, stacked)) == 6
    beside = spec(figures.bars(FRAME, "name", 100, beside=True))
    assert beside["encoding"]["xOffset"]["field"] == "part"
    bar, tick = spec(figures.bars(FRAME.rename({"down": "mark"}), "name", 100))["layer"]
    assert bar["encoding"]["color"]["legend"] is None and tick["encoding"]["y"]["field"] == "mark"


def test_pictures_stand_in_rows_and_are_the_pictures():
    made = spec(figures.pictures({"x": PICTURES, "a": PICTURES[::-1]}, ["one", "two"], side=10))
    cells = {(cell["row"], cell["column"]): cell["png"] for cell in rows(made, made)}
    assert list(cells) == [("x", 0), ("x", 1), ("a", 0), ("a", 1)] and cells["x", 0] == cells["a", 1]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(cells["x", 1].split(",")[1]))))
    assert pixels.shape == (10, 6)
    np.testing.assert_array_equal(pixels[::2, ::2], np.rint(255 * PICTURES[1, ..., 0]))
    assert made["encoding"]["x"]["axis"]["labelExpr"] == '["one", "two"][datum.value]'


def test_a_corner_of_the_simplex_is_certainty_and_the_middle_doubt():
    points = pl.DataFrame([*np.eye(3), [1 / 3] * 3], schema=figures.Q, orient="row")
    places = figures.placed(points).select("x", "y").to_numpy()
    np.testing.assert_allclose(places[:3], figures.CORNERS)
    np.testing.assert_allclose(np.linalg.norm(places[:3] - places[3], axis=1), 1 / np.sqrt(3))


def test_the_grid_lies_all_over_the_simplex_and_off_its_edges():
    grid = figures.simplex_grid(7)
    assert grid.shape == (28, 3) and len(np.unique(grid.round(9), axis=0)) == 28
    np.testing.assert_allclose(grid.sum(1), 1)
    assert grid.min() == pytest.approx(1 / 21) and grid.max() == pytest.approx(1 - 2 / 21)


def test_points_of_a_simplex_are_coloured_by_choice_or_lie_on_a_field():
    points = pl.DataFrame([(0.2, 0.3, 0.5), (1.0, 0.0, 0.0)], schema=figures.Q, orient="row")
    chosen = spec(figures.simplex(points.with_columns(chosen=pl.Series(["channel 2", "channel 0"])), "name"))["layer"][
        0
    ]
    assert chosen["encoding"]["color"]["scale"]["domain"] == ["channel 0", "channel 1", "channel 2"]
    cells, dots, *_ = spec(figures.simplex(points, "name", points.with_columns(nats=pl.lit(1.5))))["layer"]
    assert cells["encoding"]["color"]["field"] == "nats" and "color" not in dots["encoding"]


def test_a_scatter_has_the_diagonal_over_all_its_points():
    made = spec(figures.scatter(pl.DataFrame({"h": [-1.0, 0.5], "film": [2.0, -3.0]}), "name"))
    diagonal, dots = made["layer"]
    assert [(r["h"], r["film"]) for r in rows(made, diagonal)] == [(-3.0, -3.0), (2.0, 2.0)]
    assert dots["encoding"]["y"]["field"] == "film" and figures.rms(np.array([3.0, 4.0])) == pytest.approx(12.5**0.5)
