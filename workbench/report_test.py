"""The page of a run holds all that it shows, escapes what came from outside, and stays small."""

import base64
import gzip
import json
import re

import pytest

from mixvae.config_file import dump_config
from mixvae.example_runs import tiny_config, tiny_dataset
from mixvae.runs import Snapshot, fit
from workbench.film import Film, Moment
from workbench.report import in_script, report


@pytest.fixture(scope="module")
def run() -> Snapshot:
    *_, last = fit(tiny_config(), tiny_dataset())
    return last


def test_the_page_is_one_small_file_with_the_planes_the_pictures_and_the_numbers(run):
    film = Film([Moment(0.5, "", b"half"), Moment(3.0, "K_active 2 to 5", b"whole")])
    page = report(run, tiny_dataset(), film, "<i>mine</i> & yours")
    assert len(page.encode()) < 6 * 2**20
    assert "&lt;i&gt;mine&lt;/i&gt; &amp; yours" in page and "<i>mine" not in page
    assert dump_config(run.trainer.config).splitlines()[-1] in page
    for words in ("clustering accuracy", "active channels", "hash", "seed", "commit", "jax"):
        assert f"<th>{words}<td>" in page
    assert "same numbers again on the same machine" in page
    assert page.index("Page made with") < page.index("<th>commit") < page.index("<h2>Config") < page.index("<th>hash")
    sent, _ = json.JSONDecoder().raw_decode(page, page.index("const sent = ") + len("const sent = "))
    state, told = sent["state"], {name: base64.b64decode(text) for name, text in sent["bytes"].items()}
    assert [moment["event"] for moment in state["moments"]] == ["", "K_active 2 to 5"] and not state["kernel"]
    assert gzip.decompress(told["film"]) == b"\x04\0\0\0half\x05\0\0\0whole"
    for message in (told["frame"], gzip.decompress(told["atlas"])):
        header = json.loads(message[4 : 4 + int.from_bytes(message[:4], "little")])
        assert header["shape"][0] == run.trainer.config.model.num_components
    assert len(json.loads(re.search(r"of (\[.*\])\.entries\(\)", page)[1])) == 3 == page.count('<div id="chart')


def test_nothing_is_fetched(run):
    page = report(run, tiny_dataset(), Film(), "run")
    markup = re.sub(r"(?s)<script[^>]*>.*?</script>", "", page)
    assert not re.search(r"(src|href)=|@import|url\(", markup) and "<script src" not in page


def test_words_in_a_script_cannot_end_it():
    assert "</script>" not in in_script({"name": "</script><b>"})
    assert json.loads(in_script({"name": "</script>"})) == {"name": "</script>"}
