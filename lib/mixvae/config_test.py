"""Every setting refuses what it cannot be, by name; sections refuse what contradicts itself."""

import dataclasses
import math
from typing import get_origin

import pytest

from mixvae.config import (
    LIVE,
    SECTIONS,
    Config,
    CurriculumConfig,
    DataConfig,
    Knobs,
    ModelConfig,
    ObjectiveConfig,
    RoutingConfig,
    TrainConfig,
)
from mixvae.settings import check, nearest, settings

EVERY = [(f"{section}.{f.name}", f, hint) for section, cls in SECTIONS.items() for f, hint in settings(cls)]
WRONG = {
    int: [1.5, True, "3", None, [3]],
    float: ["1e-3", True, None, [1.0], 1j],
    bool: [1, "yes", None],
    str: [3, None, True, ["mnist"]],
    tuple: [5, "12", None, {1: 2}, [1.5], [True], ["1"], [[1]]],
    "choice": ["no such thing", 3, None, ["film"], {}],
}


def kind(hint):
    """int, float, bool, str or tuple."""
    optional = [part for part in getattr(hint, "__args__", ()) if part is not type(None)]
    hint = optional[0] if type(None) in getattr(hint, "__args__", ()) else hint
    return get_origin(hint) or hint


def make(path, value):
    section, key = path.split(".")
    return getattr(SECTIONS[section](**{key: value}), key)


@pytest.mark.parametrize("path, f, hint", EVERY, ids=[path for path, *_ in EVERY])
def test_every_setting_refuses_values_of_another_type(path, f, hint):
    optional = type(None) in getattr(hint, "__args__", ())
    for value in WRONG["choice" if f.metadata["valid"] else kind(hint)]:
        if not (optional and value is None):
            with pytest.raises(ValueError, match=rf"^{path}(\[0\])?="):
                make(path, value)


BOUNDED = [(path, f.metadata, kind(hint)) for path, f, hint in EVERY if f.metadata["low"] is not None]


@pytest.mark.parametrize("path, bounds, type_", BOUNDED, ids=[path for path, *_ in BOUNDED])
def test_every_number_ends_at_its_bounds(path, bounds, type_):
    def shaped(value):
        return [value] if type_ is tuple else value

    for end, beyond in (("low", -math.inf), ("high", math.inf)):
        if (bound := bounds[end]) is None:
            continue
        outside = math.nextafter(bound, beyond) if type_ is float else bound + (1 if end == "high" else -1)
        with pytest.raises(ValueError, match=rf"^{path}(\[0\])?=.* is out of range: it must be "):
            make(path, shaped(outside))
        hint = {tuple: tuple[int, ...]}.get(type_, type_)
        assert check(path, shaped(bound), hint, bounds) == (type_((bound,)) if type_ is tuple else bound)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 10**400, -(10**400)])
@pytest.mark.parametrize("path", [path for path, _, type_ in BOUNDED if type_ is float])
def test_no_number_is_infinite(path, value):
    with pytest.raises(ValueError, match=f"^{path}=.* is out of range"):
        make(path, value)


def test_a_whole_number_will_do_where_a_number_is_asked():
    assert type(ObjectiveConfig(beta_z=2).beta_z) is float
    assert ObjectiveConfig(beta_z=2) == ObjectiveConfig(beta_z=2.0)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: ModelConfig(sigma_min=0.5), r"model\.sigma_min=0\.5 must be below model\.sigma_max=0\.5"),
        (lambda: ModelConfig(num_components=1), r"model\.conditioning='film' needs model\.num_components > 1"),
        (lambda: RoutingConfig(tau=0.5, tau_end=0.6, tau_rate=0.1), r"routing\.tau_end=0\.6 .* routing\.tau=0\.5"),
        (lambda: CurriculumConfig(k_active_schedule=[]), r"k_active_schedule=\[\] must rise"),
        (lambda: CurriculumConfig(k_active_schedule=[1, 5, 5, 9]), r"k_active_schedule=\[1, 5, 5, 9\] must rise"),
        (lambda: CurriculumConfig(k_active_schedule=[1, 5]), r"unlock_epochs=.* 4 stages .* has 2"),
        (lambda: CurriculumConfig(unlock_epochs=[1, 10, 20, 30]), r"unlock_epochs=.* must start at 0"),
        (lambda: CurriculumConfig(unlock_epochs=[0, 20, 10, 30]), r"unlock_epochs=.* rise"),
        (lambda: Config(routing=RoutingConfig(k_active=11)), r"routing\.k_active=11 .* model\.num_components=10"),
        (
            lambda: Config(model=ModelConfig(num_components=5), curriculum=CurriculumConfig(enabled=True)),
            r"curriculum\.k_active_schedule=\[1, 2, 5, 10\] ends above model\.num_components=5",
        ),
        (
            lambda: Config(routing=RoutingConfig(k_active=3), curriculum=CurriculumConfig(enabled=True)),
            r"curriculum\.enabled .* routing\.k_active",
        ),
        (
            lambda: Config(objective=ObjectiveConfig(use_tau_classifier=True)),
            r"objective\.use_tau_classifier=True needs labels; set data\.labels",
        ),
        (
            lambda: TrainConfig(starts=2, start_epochs=3, epochs=6),
            r"train\.starts=2 and train\.regroups=0 of .*=3 leave none .*=6 to .* above 6",
        ),
        (lambda: ObjectiveConfig(beta_start=0.2), r"objective\.beta_start=0\.2 .* objective\.beta_warmup_epochs or"),
        (
            lambda: CurriculumConfig(kl_boost_on_unlock=2.0, boost_epochs=0),
            r"kl_boost_on_unlock=2\.0 .* curriculum\.boost_epochs above 0",
        ),
        (
            lambda: TrainConfig(starts=1, start_epochs=2, self_label_epochs=3, epochs=5),
            r"train\.self_label_epochs=3 leaves none of train\.epochs=5 .* above 5, or lower",
        ),
        (
            lambda: Config(train=TrainConfig(self_label_epochs=3)),
            r"train\.self_label_epochs=3 .* objective\.w_inv, which is 0; raise",
        ),
        (
            lambda: Config(
                train=TrainConfig(self_label_epochs=3),
                objective=ObjectiveConfig(w_inv=1),
                curriculum=CurriculumConfig(enabled=True),
            ),
            r"train\.self_label_epochs=3 .* curriculum\.enabled",
        ),
        (lambda: TrainConfig(regroups=1), r"train\.regroups=1 .* train\.starts=0; set train\.starts=1"),
        (
            lambda: Config(train=TrainConfig(starts=2)),
            r"train\.starts=2 .* objective\.w_inv and objective\.w_mi are 0",
        ),
        (
            lambda: Config(
                train=TrainConfig(starts=1),
                objective=ObjectiveConfig(w_inv=1),
                curriculum=CurriculumConfig(enabled=True),
            ),
            r"train\.starts=1 trains routers of all channels, .* set train\.starts=0, or curriculum\.enabled",
        ),
        (
            lambda: Config(train=TrainConfig(epochs=30), curriculum=CurriculumConfig(enabled=True)),
            r"unlock_epochs=\[0, 10, 20, 30\] .* train\.epochs=30: the last channels",
        ),
        (lambda: Config(objective=ObjectiveConfig(w_label=1)), r"objective\.w_label=1\.0 needs labels"),
        (lambda: Config(data=DataConfig(labels=6)), r"data\.labels=6 would .* objective\.use_tau_classifier=True"),
    ],
)
def test_contradictions_name_both_keys(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_what_looks_like_a_contradiction_and_is_none():
    Config(model=ModelConfig(num_components=1, conditioning="none"))
    Config(model=ModelConfig(num_components=5))  # the default stages end at 10 and are off
    RoutingConfig(tau=0.1, tau_end=0.6)  # no rate: tau stays
    CurriculumConfig(k_active_schedule=[2], unlock_epochs=None)
    Config(data=DataConfig(labels=1), objective=ObjectiveConfig(use_tau_classifier=True, w_label=1.0))


def test_a_name_that_does_not_exist_brings_the_nearest():
    with pytest.raises(ValueError, match=r"^model\.encoder='cnv' does not exist; did you mean 'conv'"):
        ModelConfig(encoder="cnv")
    assert nearest("x", "nothing like it", ["a", "b"]) == "x does not exist (valid: a, b)"


def test_configs_are_values():
    assert Config() == Config() and hash(Config()) == hash(Config())
    assert Config(train=TrainConfig(seed=1)) != Config()
    listed = ModelConfig(hidden_dims=[6, 8])
    assert listed == ModelConfig(hidden_dims=(6, 8)) and hash(listed) == hash(ModelConfig(hidden_dims=(6, 8)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().model.latent_dim = 3


def test_the_knobs_are_the_live_settings_and_every_setting_has_a_label():
    assert Knobs._fields == tuple(LIVE) == tuple(f.name for _, f, _ in EVERY if f.metadata["live"])
    assert set(LIVE) >= {"tau", "k_active", "router_recon", "beta_z", "beta_c", "learning_rate", "kl_boost_on_unlock"}
    assert all(f.metadata["label"] for _, f, _ in EVERY)
