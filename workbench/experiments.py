"""The experiments: which configs are compared, over how many seeds, and by which figures."""

from itertools import product
from typing import Any, NamedTuple

from mixvae import Config
from mixvae.config_file import override, to_dict
from workbench.presets import read_config

LABEL_FREE = (  # what fast sets to make channels into classes, beside its networks and the length of its training
    "routing.router_recon",
    "objective.beta_c",
    "objective.w_inv",
    "objective.w_mi",
    "augment.shift",
    "augment.scale",
    "train.clip",
)
SHARED = {"model.latent_layout": "shared"}


class Arm(NamedTuple):
    """A preset, the settings that differ from it, and whether the label-free objective of `fast` replaces its own."""

    preset: str
    settings: dict[str, Any] = {}  # noqa: RUF012
    label_free: bool = False

    def config(self, seed: int) -> Config:
        """The run of one seed."""
        fast = to_dict(read_config("fast"))
        borrowed = {path: fast[path.split(".")[0]][path.split(".")[1]] for path in LABEL_FREE if self.label_free}
        return override(read_config(self.preset), {**borrowed, **self.settings, "train.seed": seed})


class Experiment(NamedTuple):
    """Arms that are compared over seeds 0, 1, ...; a document shows the mean of each figure by arm."""

    question: str
    seeds: int
    arms: dict[str, Arm]
    figures: tuple[str, ...]
    planes: bool = False  # keep where seed 0 of every arm puts some test images


EXPERIMENTS = {
    "label_free": Experiment(
        "How well do ten channels become ten classes without a label, in every seed?",
        10,
        {"fast": Arm("fast"), "label_free": Arm("label_free")},
        ("clustering_accuracy", "nmi", "active_channels", "accuracy_one_per_class", "accuracy_asked", "seconds"),
    ),
    "fashion": Experiment(
        "The same on Fashion-MNIST.",
        5,
        {"fashion": Arm("fashion")},
        ("clustering_accuracy", "nmi", "active_channels", "accuracy_asked", "seconds"),
    ),
    "few_labels": Experiment(
        "What do 10 or 100 labels, one draw a seed, add when training sees them?",
        5,
        {
            "10 labels": Arm("few_labels", {"data.labels": 10, "objective.label_target": "tau"}),
            "100 labels": Arm("few_labels"),
        },
        ("label_accuracy", "clustering_accuracy", "active_channels", "seconds"),
    ),
    "separation": Experiment(
        "Experiment 1: do planes of their own separate the digits better than one shared plane?",
        5,
        {
            "decentralized": Arm("validate_decentralized"),
            "shared": Arm("validate_decentralized", SHARED),
            "decentralized, label-free": Arm("validate_decentralized", label_free=True),
            "shared, label-free": Arm("validate_decentralized", SHARED, label_free=True),
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
        planes=True,
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
        ("active_channels", "effective_channels", "clustering_accuracy", "seconds"),
    ),
}
