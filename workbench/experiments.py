"""The experiments: which configs are compared, over how many seeds, and by which figures."""

from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

from mixvae import Config, Dataset
from mixvae.config_file import override, to_dict
from mixvae.runs import Snapshot
from workbench.details import Details, by_channel, by_epoch, gradients, placed
from workbench.presets import read_config

LABEL_FREE = (  # what fast sets to make channels into classes, beside its networks and the length of its training
    "routing.router_recon",
    "objective.beta_c",
    "objective.w_inv",
    "objective.w_mi",
    "augment.shift",
    "train.clip",
)
SCALED = {"augment.scale": 0.25}  # more than fast's, since nothing here is regrouped
SHARED = {"model.latent_layout": "shared"}
UNREGROUPED = SCALED | {  # no remedy hides what is compared
    "train.start_epochs": 2,
    "train.regroups": 0,
    "train.self_label_epochs": 0,
}
AT_ONCE = UNREGROUPED | {"train.starts": 0}
ALONE_FIRST = UNREGROUPED | {"train.starts": 1}
OBJECTIVES = {"": ("fast", ALONE_FIRST), ", plain": ("plain", {})}  # with the label-free objective, and without it
LISTED = {
    "curriculum.enabled": True,
    "curriculum.k_active_schedule": [1, 2, 5, 10],
    "curriculum.unlock_epochs": [0, 1, 3, 5],
}
PLATEAU = {
    "curriculum.unlock_epochs": None,
    "curriculum.patience": 1,
    "curriculum.cooldown": 1,
    "curriculum.min_delta": 5.0,  # nats: falls of half a nat go on beyond ten epochs
}
UNLOCKING = {
    "at once": {},
    "split": LISTED,
    "fresh": LISTED | {"curriculum.unlock_init": "fresh"},
    "split, boost": LISTED | {"curriculum.kl_boost_on_unlock": 2.0},
    "fresh, boost": LISTED | {"curriculum.unlock_init": "fresh", "curriculum.kl_boost_on_unlock": 2.0},
    "plateau": LISTED | PLATEAU,
}


class Arm(NamedTuple):
    """A preset, the settings that differ from it, and whether the label-free objective of `fast` replaces its own."""

    preset: str
    settings: dict[str, Any] = {}  # noqa: RUF012
    label_free: bool = False

    def config(self, seed: int) -> Config:
        """The run of one seed."""
        borrowed = from_fast() if self.label_free else {}
        return override(read_config(self.preset), {**borrowed, **self.settings, "train.seed": seed})


def from_fast() -> dict[str, Any]:
    """LABEL_FREE, each setting by its path."""
    fast = to_dict(read_config("fast"))
    return {f"{section}.{name}": fast[section][name] for section, name in (path.split(".") for path in LABEL_FREE)}


class Experiment(NamedTuple):
    """Arms that are compared over seeds 0, 1, ...; a document shows the mean of each figure by arm."""

    question: str
    seeds: int
    arms: dict[str, Arm]
    figures: tuple[str, ...]
    details: Callable[[Snapshot, Dataset], Details] | None = None  # more rows of every run, beside its own


EXPERIMENTS = {
    "label_free": Experiment(
        "How well do ten channels become ten classes without a label, in every seed?",
        10,
        {
            "fast": Arm("fast"),
            "router alone": Arm("fast", {"objective.w_evidence": 0.0}),
            "label_free": Arm("label_free"),
        },
        ("clustering_accuracy", "nmi", "active_channels", "accuracy_one_per_class", "accuracy_asked", "seconds"),
    ),
    "fashion": Experiment(
        "The same on Fashion-MNIST.",
        5,
        {"fashion": Arm("fashion")},
        ("clustering_accuracy", "nmi", "active_channels", "accuracy_asked"),
    ),
    "few_labels": Experiment(
        "What do 10 or 100 labels, one draw a seed, add when training sees them?",
        5,
        {
            "10 labels": Arm(
                "fast", {"data.labels": 10, "objective.use_tau_classifier": True, "objective.w_label": 500.0}
            ),
            "100 labels": Arm("few_labels"),
        },
        ("label_accuracy", "accuracy_asked", "clustering_accuracy", "active_channels"),
    ),
    "separation": Experiment(
        "Experiment 1: do planes of their own separate the digits better than one shared plane?",
        5,
        {
            "decentralized": Arm("validate_decentralized"),
            "shared": Arm("validate_decentralized", SHARED),
            "decentralized, label-free": Arm("validate_decentralized", SCALED, label_free=True),
            "shared, label-free": Arm("validate_decentralized", SHARED | SCALED, label_free=True),
        },
        (
            "plane_separation",
            "majority_purity",
            "clustering_accuracy",
            "label_accuracy",
            "active_channels",
            "nats",
            "mse",
            "kl_z",
        ),
        details=placed,
    ),
    "conditioning": Experiment(
        "Experiment 2: do FiLM and concatenation differ in reconstruction, in specialisation, in anything else?",
        5,
        {
            conditioning + words: Arm(preset, {"model.conditioning": conditioning, "train.epochs": 10} | settings)
            for words, (preset, settings) in OBJECTIVES.items()
            for conditioning in ("film", "concat", "none")
        },
        (
            "mse",
            "nats",
            "cross_decoding",
            "effective_channels",
            "accuracy_one_per_class",
            "clustering_accuracy",
            "plane_separation",
        ),
    ),
    "uncertainty": Experiment(
        "Experiment 3: is sigma calibrated, in every channel, and what does it cost the clustering?",
        5,
        {
            name: Arm("fast", ALONE_FIRST | {"train.epochs": 10, "data.validation": 5000} | settings)
            for name, settings in {
                "standard": {},
                "sigma per pixel": {"model.output": "heteroscedastic"},
                "sigma per image": {"model.output": "heteroscedastic", "model.sigma_per": "image"},
            }.items()
        },
        ("mean_z2", "ence", "spearman", "share_low", "share_high", "mse", "clustering_accuracy", "active_channels"),
        details=by_channel,
    ),
    "curriculum": Experiment(
        "Experiment 4: does unlocking channels one after another leave any of them without images?",
        5,
        {
            name + words: Arm(preset, settings | unlocking | {"train.epochs": 10})
            for words, (preset, settings) in {"": ("fast", AT_ONCE), ", plain": ("plain", {})}.items()
            for name, unlocking in UNLOCKING.items()
        },
        ("active_channels", "effective_channels", "clustering_accuracy", "nmi", "mse", "kl_z"),
        details=by_epoch,
    ),
    "estimators": Experiment(
        "How far are the routing estimators from the exact gradient, at the end of short and of longer runs?",
        3,
        {
            f"{objective}, {epochs} epoch{'s' * (epochs > 1)}": Arm(preset, settings | {"train.epochs": epochs})
            for objective, (preset, settings) in {"label-free": ("fast", AT_ONCE), "plain": ("plain", {})}.items()
            for epochs in (1, 3, 10)
        },
        ("clustering_accuracy", "effective_channels", "mse"),
        details=gradients,
    ),
    "collapse": Experiment(
        "Does any channel stay without images, whatever the conditioning and the estimator?",
        1,
        {
            f"{conditioning}, {estimator}": Arm(
                "fast", {"model.conditioning": conditioning, "routing.estimator": estimator}
            )
            for conditioning, estimator in product(("film", "concat", "none"), ("straight_through", "gumbel", "exact"))
        },
        ("active_channels", "effective_channels", "clustering_accuracy"),
    ),
}
