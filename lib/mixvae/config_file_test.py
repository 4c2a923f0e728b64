"""YAML in both forms: what it means, what is refused and in whose words, and that nothing else can happen."""

import types
from pathlib import Path
from typing import get_args, get_origin

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mixvae.config import FIELDS, SECTIONS, Config
from mixvae.config_file import dump_config, from_flat, load_config, override, parse_config
from mixvae.flat_flags import FLAT, WRITTEN

CONFIGS = Path(__file__).resolve().parents[2] / "data" / "configs"
TEXTS = ["1e5", "1e-3x", "yes", "null", "~", "0x1f", "12:30", "2020-01-01", "a: b", "", " x", "\n", "\x85", "\ufeff"]


def flat(**flags):
    return parse_config(yaml.safe_dump(flags))


def values(f, hint):
    """Every value that a setting can have by itself."""
    low, high = f.metadata["low"], f.metadata["high"]
    if isinstance(hint, types.UnionType):
        return st.none() | values(f, get_args(hint)[0])
    if f.metadata["valid"]:
        return st.sampled_from(tuple(f.metadata["valid"]))
    if get_origin(hint) is tuple:
        return st.lists(st.integers(low, high or 10**6), min_size=1, max_size=4)
    of_type = {
        int: lambda: st.integers(low, 10**6 if high is None else high),
        float: lambda: st.floats(low, 1e300 if high is None else high),
        bool: st.booleans,
        str: lambda: st.text() | st.sampled_from(TEXTS),
    }
    return of_type[hint]()


def mend(tree):
    """The same settings without their contradictions."""
    sections = ("data", "model", "routing", "objective", "curriculum")
    data, model, routing, objective, plan = (tree[section] for section in sections)
    k = model.setdefault("num_components", 10)
    if k == 1:
        model["conditioning"] = "none"
    model["sigma_max"] = max(model.get("sigma_max", 0.5), 0.01)
    model["sigma_min"] = min(model.get("sigma_min", 0.05), 0.9 * model["sigma_max"])
    routing["tau_end"] = min(routing.get("tau_end", 0.1), routing.get("tau", 1.0))
    plan["k_active_schedule"] = sorted({1, *(min(k, stage) for stage in plan.get("k_active_schedule", []))})
    if plan.get("unlock_epochs", []) is not None:
        plan["unlock_epochs"] = [7 * i for i in range(len(plan["k_active_schedule"]))]
    if plan.get("enabled"):
        routing["k_active"] = None
        tree["train"] = tree.get("train", {}) | {"epochs": 100, "starts": 0, "regroups": 0, "self_label_epochs": 0}
    elif routing.get("k_active"):
        routing["k_active"] = min(k, routing["k_active"])
    train = tree.setdefault("train", {})
    if not (objective.get("w_inv") or objective.get("w_mi")):
        train["starts"] = 0
    if not objective.get("w_inv"):
        train["self_label_epochs"] = 0
    if not train.get("starts"):
        train["regroups"] = 0
    train["start_epochs"] = min(train.get("start_epochs", 2), 40)
    train["self_label_epochs"] = min(train.get("self_label_epochs", 0), 10_000)
    alone = (train.get("starts", 0) + train.get("regroups", 0)) * train["start_epochs"]
    train["epochs"] = max(train.get("epochs", 50), alone + train["self_label_epochs"] + 1)
    if not (objective.get("beta_warmup_epochs") or objective.get("beta_ramp_epochs")):
        objective["beta_start"] = 1.0
    if plan.get("boost_epochs") == 0:
        plan["kl_boost_on_unlock"] = 1.0
    if not data.get("labels"):
        objective |= {"use_tau_classifier": False, "w_label": 0.0}
    elif objective.get("label_target", "tau") == "tau":
        objective["use_tau_classifier"] = True
    return tree


def trees():
    """Sections of any settings, some left out."""
    optional = {section: {} for section in SECTIONS}
    for path, (f, hint) in FIELDS.items():
        optional[path.split(".")[0]][f.name] = values(f, hint)
    return st.fixed_dictionaries({s: st.fixed_dictionaries({}, optional=fs) for s, fs in optional.items()}).map(mend)


@settings(max_examples=60, deadline=None)
@given(trees())
def test_a_config_survives_its_file(tree):
    config = Config(**{section: cls(**tree[section]) for section, cls in SECTIONS.items()})
    assert parse_config(dump_config(config)) == config


@settings(max_examples=30, deadline=None)
@given(trees())
def test_override_is_the_same_as_writing_it(tree):
    paths = {f"{section}.{key}": value for section, values in tree.items() for key, value in values.items()}
    assert override(Config(), paths) == Config(**{section: cls(**tree[section]) for section, cls in SECTIONS.items()})


NAMES = (*SECTIONS, *WRITTEN, *(path.split(".")[1] for path in FIELDS), "<<", "no such key")
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates() | st.just(10**400),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)
TOKENS = [
    *(
        "\n",
        "\n  ",
        ": ",
        ", ",
        "- ",
        "? ",
        "{",
        "}",
        "[",
        "]",
        "&a ",
        "*a",
        "<<",
        "|",
        '"',
        "'",
        "%",
        "---",
        "#",
        "\t",
    ),
    *("!!int ", "!!float ", "!!bool ", "!!timestamp ", "!!binary ", "!!set ", "!!omap ", "!!pairs ", "!!python/none "),
    *(
        "model",
        "num_components",
        "use_film_decoder",
        "prior_type",
        "1e3",
        "0b_",
        "1:30",
        "2020-13-45",
        ".nan",
        "~",
        "é",
    ),
]


@settings(max_examples=400, deadline=None)
@given(TREES.map(yaml.safe_dump) | st.lists(st.sampled_from(TOKENS), max_size=8).map("".join) | st.text(max_size=20))
def test_any_text_is_a_config_or_a_value_error(text):
    try:
        assert isinstance(parse_config(text), Config)
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize(
    "text", ["!!int ''", "!!timestamp x", "!!bool x", "!!float x", "a: [", "1:" * 999 + "1.0", "[" * 9999, "? [a]: b"]
)
def test_what_is_not_yaml_is_a_value_error(text):
    with pytest.raises(ValueError):
        parse_config(text)


@pytest.mark.parametrize("text", ["", "{}", "# nothing but a comment", "model: {}"])
def test_what_is_left_out_has_its_default(text):
    assert parse_config(text) == Config()


def test_only_the_written_setting_changes():
    assert parse_config("train:\n  learning_rate: 1e-3\n") == override(Config(), {"train.learning_rate": 0.001})
    assert parse_config("train: {learning_rate: +2E-2}").train.learning_rate == 0.02
    assert parse_config("data: {name: 1e3-images}").data.name == "1e3-images"


REFUSED = [
    ("model: {latent_dims: 3}", "model.latent_dims does not exist; did you mean 'latent_dim'"),
    ("modle: {latent_dim: 3}", "section 'modle' does not exist; did you mean 'model'"),
    ("modle: {latent_dim: 3}\ntrain: {epochs: 3}", "section 'modle' does not exist; did you mean 'model'"),
    ("model: 3", "model=3 must be a section"),
    ("model:", "model=None must be a section"),
    ("- model", "a mapping of names to settings, not list"),
    ("3: 4", "a mapping of names"),
    ("model: {num_components: '5'}", "model.num_components='5' must be a whole number, not text"),
    ("model: {num_components: 5.0}", "model.num_components=5.0 must be a whole number"),
    ("model: {num_components: true}", "model.num_components=True must be a whole number, not true or false"),
    ("objective: {use_tau_classifier: 1}", "objective.use_tau_classifier=1 must be a true or false"),
    ("model: {conditioning: filme}", "model.conditioning='filme' does not exist; did you mean 'film'"),
    ("routing: {tau: 0.05}", "routing.tau=0.05 is out of range: it must be between 0.1 and 5"),
    ("routing: {tau: .nan}", "routing.tau=nan is out of range"),
    ("train: {warmup_epochs: -1}", "train.warmup_epochs=-1.0 is out of range: it must be finite and at least 0"),
    ("curriculum: {unlock_epochs: [0, x]}", r"curriculum.unlock_epochs\[1\]='x' must be a whole number"),
    ("routing: {k_active: 11}", "routing.k_active=11 is above model.num_components=10"),
    ("objective: {use_tau_classifier: true}", "objective.use_tau_classifier=True needs labels; set data.labels"),
    ("model: {width: 3, width: 4}", "'width' is set twice"),
    ("train: {}\nmodel: {}\ntrain: {}", "'train' is set twice"),
    ("num_components: 5\nnum_components: 6", "'num_components' is set twice"),
    ("model: {width: 3}\nnum_components: 5", "'num_components' stands beside the section 'model'"),
    ("num_components: 5\nmodel: {width: 3}", "'num_components' stands beside the section 'model'"),
]


@pytest.mark.parametrize("text, message", REFUSED, ids=[text.replace("\n", "; ") for text, _ in REFUSED])
def test_refusals_name_the_key_and_the_nearest(text, message):
    with pytest.raises(ValueError, match=message):
        parse_config(text)


REFUSED_FLAT = [
    (dict(num_component=5), "num_component does not exist; did you mean 'num_components'"),
    (dict(kactive_schedule=[1]), "kactive_schedule does not exist; did you mean 'k_active_schedule'"),
    (dict(num_components="5"), "^num_components='5' must be a whole number"),
    (dict(num_components={"a": 1}), "^num_components={'a': 1} must be a whole number"),
    (dict(gumbel_temperature=9), "^gumbel_temperature=9.0 is out of range: it must be between 0.1 and 5"),
    (
        dict(latent_layout="decentralised"),
        "^latent_layout='decentralised' does not exist; did you mean 'decentralized'",
    ),
    (dict(use_film_decoder="yes"), "^use_film_decoder='yes' must be true or false"),
    (dict(use_film_decoder=None), "^use_film_decoder=None must be true or false"),
    (dict(reconstruction_loss="bcee"), "^reconstruction_loss='bcee' does not exist; did you mean 'bce'"),
    (
        dict(use_film_decoder=True, use_component_aware_decoder=True),
        "^use_film_decoder and use_component_aware_decoder",
    ),
    (
        dict(use_gumbel_softmax=False, use_straight_through_gumbel=True),
        "^use_straight_through_gumbel=True .*gumbel_softmax",
    ),
    (dict(prior_type="standard", use_film_decoder=True), "^prior_type='standard' .*use_film_decoder"),
    (
        dict(prior_type="standard", use_component_aware_decoder=True),
        "^prior_type='standard' .*use_component_aware_decoder",
    ),
    (dict(prior_type="standard", num_components=10), "^prior_type='standard' has one channel and num_components=10"),
    (dict(prior_type="vamp"), r"^prior_type='vamp' does not exist \(valid: mixture, standard\)"),
    (dict(prior_type="geometric_mog"), "^prior_type='geometric_mog' does not exist"),
    (dict(prior_type=["mixture"]), "^prior_type=.*does not exist"),
    (dict(use_tau_classifier=True), "^use_tau_classifier=True needs labels; set num_labels above 0"),
    (dict(label_weight=2.0), "^label_weight=2.0 needs labels; set num_labels above 0"),
    (dict(sigma_min=0.5), "^sigma_min=0.5 must be below sigma_max=0.5"),
    (
        dict(gumbel_temperature=0.1, gumbel_temperature_min=0.2, gumbel_temperature_decay=1),
        "^gumbel_temperature_min=0.2 .* gumbel_temperature=0.1",
    ),
    (
        dict(curriculum_enabled=True, num_components=5),
        r"^k_active_schedule=\[1, 2, 5, 10\] ends above num_components=5",
    ),
    (dict(k_active_schedule=[1, 10]), r"^unlock_epochs=.* 4 stages and k_active_schedule=\[1, 10\] has 2"),
    (dict(use_film_decoder=True, num_components=1), "^use_film_decoder=True needs num_components > 1"),
    (
        dict(use_component_aware_decoder=True, num_components=1),
        "^use_component_aware_decoder=True needs num_components > 1",
    ),
]


@pytest.mark.parametrize("flags, message", REFUSED_FLAT, ids=[str(flags) for flags, _ in REFUSED_FLAT])
def test_flat_refusals_name_the_flags_as_written(flags, message):
    with pytest.raises(ValueError, match=message) as refusal:
        flat(**flags)
    assert not any(path in str(refusal.value) for path in FIELDS)


@pytest.mark.parametrize(
    "flags, settings",
    [
        (dict(use_film_decoder=True), {"model.conditioning": "film"}),
        (dict(use_film_decoder=True, use_component_aware_decoder=False), {"model.conditioning": "film"}),
        (dict(use_component_aware_decoder=True), {"model.conditioning": "concat"}),
        (dict(use_film_decoder=False, use_component_aware_decoder=True), {"model.conditioning": "concat"}),
        (dict(use_film_decoder=False), {"model.conditioning": "none"}),
        (dict(use_heteroscedastic_decoder=True), {"model.output": "heteroscedastic"}),
        (dict(use_heteroscedastic_decoder=False), {"model.output": "standard"}),
        (
            dict(use_film_decoder=True, use_heteroscedastic_decoder=True),
            {"model.conditioning": "film", "model.output": "heteroscedastic"},
        ),
        (dict(use_gumbel_softmax=False), {"routing.estimator": "exact"}),
        (dict(use_gumbel_softmax=False, use_straight_through_gumbel=False), {"routing.estimator": "exact"}),
        (dict(use_straight_through_gumbel=False), {"routing.estimator": "gumbel"}),
        (dict(use_gumbel_softmax=True, use_straight_through_gumbel=False), {"routing.estimator": "gumbel"}),
        (dict(use_gumbel_softmax=True), {"routing.estimator": "straight_through"}),
        (dict(use_straight_through_gumbel=True), {"routing.estimator": "straight_through"}),
        (dict(prior_type="mixture"), {}),
        (dict(prior_type="standard"), {"model.num_components": 1, "model.conditioning": "none"}),
        (dict(prior_type="standard", num_components=1), {"model.num_components": 1, "model.conditioning": "none"}),
        (dict(reconstruction_loss="mse"), {"model.likelihood": "gaussian"}),
        (dict(reconstruction_loss="bce"), {"model.likelihood": "bernoulli"}),
        (dict(use_tau_classifier=True, num_labels=9), {"objective.use_tau_classifier": True, "data.labels": 9}),
        (dict(unlock_epochs=None), {"curriculum.unlock_epochs": None}),
    ],
    ids=str,
)
def test_what_a_flag_means(flags, settings):
    assert flat(**flags) == override(Config(), settings)


@settings(max_examples=30, deadline=None)
@given(trees())
def test_every_other_flag_is_one_setting(tree):
    written = {f"{section}.{key}": value for section, values in tree.items() for key, value in values.items()}
    flags = {flag: written[path] for flag, path in FLAT.items() if path in written}
    expected = {path: written[path] for path in FLAT.values() if path in written}
    if flags["num_components"] == 1:
        flags, expected = flags | {"use_film_decoder": False}, expected | {"model.conditioning": "none"}
    if flags.get("num_labels"):  # there is no flag for another label_target
        flags, expected = flags | {"use_tau_classifier": True}, expected | {"objective.use_tau_classifier": True}
    assert from_flat(flags) == override(Config(), expected)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_every_config_of_the_project_loads_and_says_what_it_is(path):
    assert isinstance(load_config(path), Config)
    assert path.read_text().startswith("# ")


DECENTRALIZED = {
    "data.labels": 100,
    "objective.use_tau_classifier": True,
    "train.epochs": 50,
}
ULTIMATE = {"model.output": "heteroscedastic", "curriculum.enabled": True, "curriculum.kl_boost_on_unlock": 2.0}


@pytest.mark.parametrize(
    "name, settings",
    [("validate_decentralized", DECENTRALIZED), ("ultimate_decoder", DECENTRALIZED | ULTIMATE)],
)
def test_the_original_experiments_mean_what_their_flags_say(name, settings):
    assert load_config(CONFIGS / f"{name}.yaml") == override(Config(), settings)
    assert set(yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())) <= {*WRITTEN}


def test_a_refusal_names_the_file_too(tmp_path):
    path = tmp_path / "run.yaml"
    with pytest.raises(FileNotFoundError, match=r"run\.yaml"):
        load_config(path)
    for content, message in [(b"model: {widht: 3}", "model.widht"), (b"\xff\xfe", "utf-8"), (b"a: [", "YAML")]:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"run\.yaml: .*{message}"):
            load_config(path)


@pytest.mark.parametrize(
    "path, nearest", [("model.widht", "model.width"), ("width", "model.width"), ("modle.width", "model.width")]
)
def test_override_names_the_nearest_path(path, nearest):
    with pytest.raises(ValueError, match=f"^{path} does not exist; did you mean '{nearest}'"):
        override(Config(), {path: 3})
