"""Charts are functions of a frame: the columns, the values, and which field stands where."""

import json
from itertools import pairwise

import marimo
import numpy as np
import polars as pl
import pytest

from workbench import charts
from workbench.channel_view import class_colours

CURVES = [
    {"epoch": 0.5, "usage": np.array([0.25, 0.75]), **{name: 1.0 + i for i, name in enumerate(charts.TERMS)}},
    {"epoch": 1.0, "usage": [0.5, 0.5], **{name: 10.0 + i for i, name in enumerate(charts.TERMS)}, "steps": 3},
]
WEIGHTS = np.array([[3.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
NAMES = ("cat", "<b>dog</b>", "7")


def spec(chart) -> dict:
    """The chart as JSON, checked against Vega-Lite's schema by Altair."""
    made = chart.to_dict()
    return json.loads(json.dumps(made, allow_nan=False))


def rows(made: dict) -> list[dict]:
    (data,) = made["datasets"].values()
    return data


def fields(encoding: dict) -> dict:
    return {channel: entry["field"] for channel, entry in encoding.items() if "field" in entry}


def test_terms_are_one_row_an_epoch_and_term_under_their_names():
    frame = charts.terms_frame({"live": CURVES})
    assert frame.schema == {"run": pl.String, "epoch": pl.Float64, "term": pl.String, "value": pl.Float64}
    assert frame.height == 2 * len(charts.TERMS)
    got = {(epoch, term): value for _, epoch, term, value in frame.iter_rows()}
    for i, title in enumerate(charts.TERMS.values()):
        assert got[0.5, title] == 1 + i and got[1.0, title] == 10 + i


def test_a_term_is_left_out_where_it_is_0_and_no_other():
    curves = [row | {"label": 0.0, "inv": np.float64(0), "h": 0.0} for row in CURVES]
    curves[1] |= {"h": -1e-9}
    frame = charts.terms_frame({"live": curves})
    titles = [title for name, title in charts.TERMS.items() if name not in ("label", "inv", "h")]
    assert frame["term"].to_list() == [
        *titles,
        *(t for t in charts.TERMS.values() if t in (*titles, charts.TERMS["h"])),
    ]
    assert frame.filter(pl.col("term") == charts.TERMS["h"]).rows() == [("live", 1.0, charts.TERMS["h"], -1e-9)]
    assert {row["term"] for row in rows(spec(charts.terms_chart(frame)))} == {*titles, charts.TERMS["h"]}


def test_usage_is_one_row_an_epoch_and_channel():
    frame = charts.usage_frame(CURVES)
    assert frame.columns == ["epoch", "channel", "share"]
    assert frame.rows() == [(0.5, 0, 0.25), (0.5, 1, 0.75), (1.0, 0, 0.5), (1.0, 1, 0.5)]


def test_matrix_has_weights_and_shares_and_a_channel_without_images_has_none():
    frame = charts.matrix_frame(WEIGHTS, NAMES)
    assert frame.columns == ["channel", "label", "images", "share"] and frame.height == 6
    assert frame.rows()[:3] == [(0, "cat", 3.0, 0.75), (0, "<b>dog</b>", 1.0, 0.25), (0, "7", 0.0, 0.0)]
    assert frame.filter(pl.col("channel") == 1)["share"].to_list() == [0.0, 0.0, 0.0]


def test_the_terms_chart_draws_value_over_epoch_a_panel_for_each_term_on_its_own_scale():
    made = spec(charts.terms_chart(charts.terms_frame({"live": CURVES})))
    assert made["facet"]["field"] == "term" and made["facet"]["sort"] == list(charts.TERMS.values())
    assert fields(made["spec"]["encoding"]) | {"x": "epoch", "y": "value"} == fields(made["spec"]["encoding"])
    assert made["resolve"]["scale"]["y"] == "independent" and "nats" in made["title"]["text"]
    assert len(rows(made)) == 2 * len(charts.TERMS)


def test_two_runs_share_the_panels_a_colour_each():
    made = spec(charts.terms_chart(charts.terms_frame({"live": CURVES, "saved": CURVES[:1]}), several=True))
    assert made["spec"]["encoding"]["color"]["field"] == "run"
    assert [row["run"] for row in rows(made)].count("saved") == len(charts.TERMS)
    alone = spec(charts.terms_chart(charts.terms_frame({"live": CURVES})))
    assert "field" not in alone["spec"]["encoding"]["color"]


def test_the_usage_chart_stacks_the_shares_of_all_channels():
    made = spec(charts.usage_chart(charts.usage_frame(CURVES)))
    assert fields(made["encoding"]) == {"x": "epoch", "y": "share", "color": "channel"}
    assert made["encoding"]["y"]["stack"] == "normalize"
    assert rows(made)[1] == {"epoch": 0.5, "channel": 1, "share": 0.75}


def test_the_matrix_chart_shows_the_share_on_a_fixed_scale_under_the_given_name():
    made = spec(charts.matrix_chart(charts.matrix_frame(WEIGHTS, NAMES), "tau counts, channel by label"))
    assert fields(made["encoding"]) == {"x": "label", "y": "channel", "opacity": "share"}
    assert made["encoding"]["opacity"]["scale"]["domain"] == [0, 1] and made["encoding"]["x"]["sort"] is None
    assert made["title"]["text"] == "tau counts, channel by label"


def test_names_of_labels_are_turned_where_they_would_lie_over_each_other():
    for names, angle in ((("0", "1", "10"), 0), (("Coat", "Bag", "Shirt"), -90)):
        *_, matrix = charts.of_run({"live": CURVES}, np.ones((2, 3)), names, "counts")
        assert matrix.spec["encoding"]["x"]["axis"]["labelAngle"] == angle


def test_a_long_run_is_drawn_by_some_of_its_rows_and_the_newest():
    curves = [CURVES[0] | {"epoch": float(i)} for i in range(1000)]
    epochs = charts.usage_frame(curves)["epoch"].unique(maintain_order=True).to_list()
    assert len(epochs) <= charts.MOMENTS and epochs[-1] == 999 and len({b - a for a, b in pairwise(epochs)}) == 1
    assert charts.terms_frame({"live": curves})["epoch"].unique().to_list() == sorted(epochs)


def test_the_charts_of_a_run_have_no_limit_of_rows():
    wide = [row | {"usage": np.full(100, 0.01)} for row in CURVES] * 100
    drawn = charts.of_run({"live": wide, "saved": CURVES}, np.ones((100, 60)), tuple(map(str, range(60))), "counts")
    sizes = [len(rows(chart.spec)) for chart in drawn]
    assert sizes == [202 * len(charts.TERMS), 200 * 100, 6000] and drawn[2].spec["title"]["text"] == "counts"


@pytest.mark.parametrize(
    "chart",
    [
        lambda: charts.terms_chart(charts.terms_frame({})),
        lambda: charts.usage_chart(charts.usage_frame([])),
        lambda: charts.matrix_chart(charts.matrix_frame(np.zeros((2, 0)), ()), "no labels"),
    ],
    ids=["terms", "usage", "matrix"],
)
def test_before_the_first_step_a_chart_is_empty_but_whole(chart):
    made = spec(chart())
    assert rows(made) == [] and made["title"]["text"]


def test_planes_are_a_row_an_arm_and_a_plane_a_channel():
    points = pl.DataFrame(
        {
            "arm": ["b", "b", "a"],
            "channel": [1, 0, 1],
            "z1": [0.5, 1.5, 2.5],
            "z2": [-1.0, 0.0, 1.0],
            "label": [7, 3, 7],
        }
    )
    made = spec(charts.planes_chart(points, class_colours(8)))
    assert [row["title"]["text"] for row in made["vconcat"]] == ["b", "a"]
    assert {row["facet"]["field"] for row in made["vconcat"]} == {"channel"}
    drawn = [made["datasets"][row["data"]["name"]] for row in made["vconcat"]]
    assert [[point["z1"] for point in row] for row in drawn] == [[0.5, 1.5], [2.5]]
    encoding = made["vconcat"][0]["spec"]["encoding"]
    assert fields(encoding) == {"x": "z1", "y": "z2", "color": "label"}
    assert encoding["color"]["scale"] == {"domain": [*range(8)], "range": class_colours(8)}  # 7 is as in the view


@pytest.mark.parametrize(
    "chart, frame, settings",
    [
        (charts.terms_chart, charts.terms_frame({"live": CURVES}), (False,)),
        (charts.terms_chart, charts.terms_frame({"live": CURVES, "saved": CURVES[:1]}), (True,)),
        (charts.usage_chart, charts.usage_frame(CURVES), ()),
        (charts.matrix_chart, charts.matrix_frame(WEIGHTS, NAMES), ("weights",)),
        (charts.matrix_chart, charts.matrix_frame(WEIGHTS, NAMES)[:0], ("no rows",)),
    ],
)
def test_a_chart_drawn_again_is_the_chart_of_the_new_rows(chart, frame, settings):
    kind, text = charts.Redrawn(chart, frame, *settings)._mime_()
    assert f"&quot;{kind}&quot;" in marimo.as_html(chart(frame, *settings)).text
    got, whole = json.loads(text), spec(chart(frame, *settings))
    assert rows(got) == rows(whole)
    for made in (got, whole):
        del made["datasets"], made["data"]
    assert got == whole


def test_what_is_not_a_number_is_null_in_a_chart_drawn_again():
    frame = pl.DataFrame({"epoch": [1.0, float("nan")], "channel": [0, 1], "share": [None, 0.5]})
    _, text = charts.Redrawn(charts.usage_chart, frame)._mime_()
    assert rows(json.loads(text))[1] == {"epoch": None, "channel": 1, "share": 0.5}


def test_without_labels_no_chart_is_of_them():
    assert len(charts.of_run({"live": CURVES}, np.ones((2, 1)), (), "counts")) == 2
