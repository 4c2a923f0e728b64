"""The command line: `main` as the shell calls it."""

import re
import sys

import pytest

from mixvae.checkpoint import CHECKPOINT, CONFIG, PREVIOUS
from workbench import __main__ as command
from workbench.__main__ import main
from workbench.film import FILE, load_film
from workbench.presets import CONFIGS

SMALL = {
    "data.name": "digits",
    "model.num_components": "3",
    "model.encoder": "dense",
    "model.decoder": "dense",
    "model.hidden_dims": "[6]",
    "objective.w_inv": "0",
    "objective.w_mi": "0",
    "train.epochs": "2",
    "train.starts": "0",
    "train.regroups": "0",
    "train.self_label_epochs": "0",
    "train.learning_rate": "1e-3",
}
SCORES = {
    "label_free",
    "test_images",
    "active_channels",
    "effective_channels",
    "mse",
    "clustering_accuracy",
    "nmi",
    "ari",
    "majority_purity",
    "plane_separation",
    "nats",
    "kl_z",
    "cross_decoding",
    "accuracy_one_per_class",
    "accuracy_asked",
}


def train(*arguments: str, **settings: str) -> list[str]:
    """The arguments of a small training on digits."""
    pairs = (SMALL | settings).items()
    return ["train", "fast", *arguments, *(part for pair in pairs for part in ("--set", "=".join(pair)))]


def scores(text: str) -> dict[str, float]:
    return {name: float(value) for name, value in re.findall(r"^  (\w+) +(-?[\d.]+)$", text, re.MULTILINE)}


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(autouse=True)
def cached(monkeypatch) -> list:
    """Keep the tests' compiled code out of the user's cache; what was asked for, in a list."""
    calls = []
    monkeypatch.setattr(command, "use_compilation_cache", lambda: calls.append(True))
    return calls


def test_training_prints_its_scores(capsys, cached):
    assert main(train()) == 0
    out, err = capsys.readouterr()
    got = scores(out)
    assert set(got) == SCORES and got["test_images"] == 360 and 0 < got["mse"] < 1
    assert 1 <= got["effective_channels"] <= 3 and 0 <= got["clustering_accuracy"] <= 1
    assert "digits: 1437 training images, 360 test images; K = 3" in out and re.search(r"^2 epochs, \d+ s", out, re.M)
    assert "22/22 [" in err and "effective_channels=" in err and cached == [True]


def test_the_bar_moves_within_an_epoch_and_ends_full(capsys, monkeypatch):
    heard, real = [], command.fit

    def listening(config, dataset, folder, progress, resumed):
        return real(config, dataset, folder, lambda steps: [heard.append(steps), progress(steps)], resumed)

    monkeypatch.setattr(command, "fit", listening)
    assert main(train()) == 0
    assert heard == [1] * 22 and "22/22 [" in capsys.readouterr().err


def test_more_channels_than_a_view_shows_are_trained_without_a_film(tmp_path, capsys):
    folder, many = tmp_path / "many", {"model.num_components": "300", "train.epochs": "1"}
    assert main(train("--out", str(folder), **many)) == 0
    assert "a view shows 256 channels at most, so no moments are kept" in capsys.readouterr().out
    assert main(["report", str(folder), "-o", str(tmp_path / "page.html")]) == 1
    assert "a view shows 256 channels at most, found 300" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["many"] and not (folder / FILE).exists()


def test_an_argument_that_names_nothing_is_refused(capsys):
    for argument in ("--out", "--hosts"):
        with pytest.raises(SystemExit, match="2"):
            main(train(argument, ""))
        assert f"argument {argument}: expected a name, found ''" in capsys.readouterr().err


def test_a_run_that_was_interrupted_goes_on_and_ends_with_the_same_scores(tmp_path, capsys, monkeypatch):
    assert main(train()) == 0
    whole = scores(capsys.readouterr().out)

    def interrupted(*arguments):
        yield next(real(*arguments))
        raise KeyboardInterrupt

    real, folder = command.fit, str(tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(command, "fit", interrupted)
        assert main(train("--out", folder)) == 130
    out, err = capsys.readouterr()
    assert scores(out) == {} and err.splitlines()[-1].startswith("interrupted; with --out, the same command goes on")
    assert (tmp_path / "run" / CHECKPOINT).exists()
    assert main(train("--out", folder)) == 0
    out, err = capsys.readouterr()
    assert scores(out) == whole and "22/22 [" in err and f"{folder}: goes on after epoch 1 of 2\n" in out


def test_the_film_of_a_run_that_was_killed_before_its_planes_were_kept_has_every_epoch(tmp_path, monkeypatch):
    def killed(recorder, snapshot):
        raise KeyboardInterrupt

    stages = {"curriculum.enabled": "true", "curriculum.k_active_schedule": "[2, 3]"}
    stages |= {"curriculum.unlock_epochs": "[0, 2]", "train.epochs": "3"}
    arguments = train("--out", str(tmp_path), **stages)
    with monkeypatch.context() as patch:
        patch.setattr(command.Recorder, "record", killed)
        assert main(arguments) == 130
    assert set(contents(tmp_path)) == {CONFIG, CHECKPOINT}
    assert main(arguments) == 0
    moments = load_film(tmp_path).moments
    assert [(moment.epoch, moment.event) for moment in moments] == [(1.0, ""), (2.0, "K_active 2 to 3"), (3.0, "")]


def test_a_run_at_its_last_epoch_prints_its_scores_and_stays_as_it_is(tmp_path, capsys):
    assert main(train("--out", str(tmp_path))) == 0
    before, whole = contents(tmp_path), scores(capsys.readouterr().out)
    assert main(train("--out", str(tmp_path))) == 0
    out = capsys.readouterr().out
    assert f"{tmp_path} is at its last epoch already; nothing was trained" in out and "2 epochs" not in out
    assert "goes on" not in out
    assert scores(out) == whole and set(whole) == SCORES and contents(tmp_path) == before


def test_light_keeps_a_small_run_that_has_ended(tmp_path, capsys):
    assert main(train("--out", str(tmp_path), "--light")) == 0
    assert set(contents(tmp_path)) == {CONFIG, CHECKPOINT, FILE}
    assert main(train("--out", str(tmp_path))) == 0
    assert "nothing was trained" in capsys.readouterr().out


def test_light_shrinks_a_run_that_had_ended_before(tmp_path, capsys):
    assert main(train("--out", str(tmp_path))) == 0
    large, whole = contents(tmp_path), scores(capsys.readouterr().out)
    assert set(large) == {CONFIG, CHECKPOINT, PREVIOUS, FILE}
    assert main(train("--out", str(tmp_path), "--light")) == 0
    light, out = contents(tmp_path), capsys.readouterr().out
    assert set(light) == {CONFIG, CHECKPOINT, FILE} and len(light[CHECKPOINT]) < len(large[CHECKPOINT]) / 4
    assert "nothing was trained" in out and scores(out) == whole
    assert main(train("--out", str(tmp_path), "--light")) == 0
    assert contents(tmp_path) == light and scores(capsys.readouterr().out) == pytest.approx(whole, abs=0.02)


FAULTS = {
    "unknown key": (["--set", "model.widht=3"], "model.widht does not exist; did you mean 'model.width'?"),
    "bad value": (["--set", "model.width=wide"], "model.width='wide' must be a whole number"),
    "out of range": (["--set", "train.epochs=0"], "train.epochs=0 is out of range"),
    "contradiction": (["--set", "model.num_components=1"], "needs model.num_components > 1"),
    "no equals sign": (["--set", "model.width"], "--set model.width: expected SECTION.KEY=VALUE"),
    "not YAML": (["--set", "model.hidden_dims=[1, 2"], "--set: "),
    "a key twice": (["--set", "train.seed=1", "--set", "train.seed=2"], "--set train.seed: given more than once"),
    "light of nothing": (["--light"], "--light says what --out keeps of a run"),
    "unknown data": (["--set", "data.name=digitz"], "unknown data set 'digitz'; did you mean 'digits'?"),
    "missing data": (["--set", "data.name=no/such.npz"], "no/such.npz: no such file or folder"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line_that_names_it(fault, capsys):
    arguments, words = FAULTS[fault]
    assert main(["train", "fast", *arguments]) == 1
    line = capsys.readouterr().err
    assert line.startswith("error: ") and words in line and line.endswith("\n") and len(line.splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("model:\n  width: [1\n", "this is not YAML"),
        ("model:\n  widht: 3\n", "did you mean 'width'?"),
    ],
    ids=["not YAML", "unknown key"],
)
def test_a_fault_in_a_config_file_names_the_file(content, words, tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    assert main(["train", str(path)]) == 1
    line = capsys.readouterr().err
    assert line.startswith(f"error: {path}: ") and words in line and len(line.splitlines()) == 1


def test_a_config_that_is_neither_file_nor_preset_is_named_beside_the_presets(tmp_path, capsys):
    path = str(tmp_path / "mine.yaml")
    assert main(["train", path]) == 1
    line = capsys.readouterr().err
    assert line.startswith(f"error: the file or preset {path!r} does not exist") and len(line.splitlines()) == 1
    assert all(preset.stem in line for preset in CONFIGS.glob("*.yaml"))
    assert main(["train", "fsat"]) == 1
    assert "error: the file or preset 'fsat' does not exist; did you mean 'fast'?" in capsys.readouterr().err


def test_a_folder_with_another_run_is_a_fault_that_leaves_it_alone(tmp_path, capsys):
    assert main(train("--out", str(tmp_path), **{"train.epochs": "1"})) == 0
    before = (tmp_path / CHECKPOINT).read_bytes()
    capsys.readouterr()
    assert main(train("--out", str(tmp_path))) == 1
    assert "error: " in (line := capsys.readouterr().err) and "train.epochs=1 where 2 was asked for" in line
    assert "Traceback" not in line and (tmp_path / CHECKPOINT).read_bytes() == before


def test_a_run_becomes_a_page_beside_its_folder(tmp_path, capsys):
    assert main(train("--out", str(tmp_path / "rate_0.1"), **{"train.epochs": "1"})) == 0
    assert main(["report", str(tmp_path / "rate_0.1")]) == 0
    assert "<h1>rate_0.1</h1>" in (tmp_path / "rate_0.1.html").read_text(encoding="utf-8")
    assert str(tmp_path / "rate_0.1.html") in capsys.readouterr().out


def test_a_page_of_no_run_is_a_fault(tmp_path, capsys):
    assert main(["report", str(tmp_path / "none")]) == 1
    line = capsys.readouterr().err
    assert line.startswith("error: ") and "none" in line and len(line.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_tables_are_filled_whole_or_a_line_names_the_document(tmp_path, capsys):
    document = tmp_path / "notes.md"
    document.write_text("<!-- results: fashion -->\n<!-- end -->\n", encoding="utf-8")
    assert main(["tables", str(document)]) == 0 and "notes.md: 1 table" in capsys.readouterr().out
    document.write_text(broken := "<!-- results: fashion -->\n", encoding="utf-8")
    assert main(["tables", str(document)]) == 1 and document.read_text(encoding="utf-8") == broken
    assert f"error: {document}: the table of fashion has no end" in capsys.readouterr().err


def test_what_cannot_be_trained_ends_with_a_line_that_says_so(capsys):
    assert main(["train", "fast", "--set", "data.name=digits", "--set", "train.batch_size=5000"]) == 1
    err = capsys.readouterr().err
    expected = "error: train.batch_size=5000 is larger than the 1437 training images; lower it"
    assert err.splitlines()[-1] == expected and "Traceback" not in err


def test_help_names_every_preset(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["train", "--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0 and all(path.stem in text for path in CONFIGS.glob("*.yaml"))


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "http://127.0.0.1:8786"])
def test_an_address_where_no_scheduler_answers_is_a_line_that_names_it(address, capsys):
    dask = pytest.importorskip("dask", reason="Dask is not installed: pip install -e '.[cluster]'")
    with dask.config.set({"distributed.comm.timeouts.connect": "0.5s"}):
        assert main(["sweep", "label_free", "--scheduler", address]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: no Dask scheduler answers at {address!r} (") and "start one with `dask" in line


def test_without_the_extra_a_line_names_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["sweep", "label_free", "--scheduler", "127.0.0.1:1"]) == 1
    assert capsys.readouterr().err == "error: --scheduler needs the extra 'cluster': pip install -e '.[cluster]'\n"
