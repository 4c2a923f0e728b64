"""Every setting, once: its default, its range, its label, and which of them are live.

Sections are frozen and check themselves, in Python as in YAML. A live knob moves during training without a recompile;
`Knobs` and the workbench's controls are made from the fields marked so. All other fields are structural.
"""

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from mixvae.modules.conditioning import CONDITIONERS
from mixvae.modules.decoders import DECODERS, HEADS
from mixvae.modules.encoders import ENCODERS, LAYOUTS
from mixvae.modules.outputs import LIKELIHOODS, SIGMA_PER
from mixvae.routing import ESTIMATORS
from mixvae.settings import Section, choice, setting, settings


@dataclass(frozen=True)
class DataConfig(Section):
    """What is divided, and how much of it comes with labels."""

    path = "data"
    name: str = setting("mnist", label="data set, or the path of your own")
    validation: int = setting(0, 0, label="training images held out for validation")
    labels: int = setting(0, 0, label="labelled training images")


@dataclass(frozen=True)
class ModelConfig(Section):
    """The networks."""

    path = "model"
    num_components: int = setting(10, 1, 4096, label="K, channels")
    latent_dim: int = setting(2, 1, 64, label="D, latent size")
    latent_layout: str = choice("decentralized", LAYOUTS, label="layout, of the latents")
    encoder: str = choice("conv", ENCODERS, label="encoder")
    decoder: str = choice("conv", DECODERS, label="decoder")
    conditioning: str = choice("film", CONDITIONERS, label="conditioning")
    output: str = choice("standard", HEADS, label="output head")
    likelihood: str = choice("bernoulli", LIKELIHOODS, label="likelihood of the standard head")
    sigma: float = setting(1.0, 1e-3, 10.0, label="sigma of the gaussian likelihood, pixel units")
    sigma_min: float = setting(0.05, 1e-3, 10.0, label="lowest sigma, pixel units")
    sigma_max: float = setting(0.5, 1e-3, 10.0, label="highest sigma, pixel units")
    sigma_per: str = choice("pixel", SIGMA_PER, label="one sigma per")
    component_embedding_dim: int = setting(16, 1, 1024, label="E, embedding size")
    width: int = setting(16, 2, 1024, label="features of the convolutions, base")  # of one, a layer norm would leave 0
    hidden: int = setting(256, 2, 8192, label="features of the dense layer beside the convolutions")
    hidden_dims: tuple[int, ...] = setting((128, 512), 2, 8192, label="dense decoder's layers; reversed, the encoder's")

    def __post_init__(self):
        super().__post_init__()
        if not self.hidden_dims:
            raise ValueError("model.hidden_dims=[] leaves no layer; give at least one, as in [128, 512]")
        if self.sigma_min >= self.sigma_max:
            raise ValueError(f"model.sigma_min={self.sigma_min} must be below model.sigma_max={self.sigma_max}")
        if CONDITIONERS[self.conditioning].placement != "anywhere" and self.num_components == 1:
            raise ValueError(
                f"model.conditioning={self.conditioning!r} needs model.num_components > 1 to tell channels apart; "
                "set model.conditioning='none'"
            )


@dataclass(frozen=True)
class RoutingConfig(Section):
    """Who takes an image."""

    path = "routing"
    estimator: str = choice("straight_through", ESTIMATORS, label="estimator")
    tau: float = setting(1.0, 0.1, 5.0, label="tau, temperature", step=0.1, live=True)
    tau_end: float = setting(0.1, 0.1, 5.0, label="lowest tau of the schedule")
    tau_rate: float = setting(0.0, 0.0, 10.0, label="decay of tau per epoch")
    k_active: int | None = setting(None, 1, 4096, label="K_active, unlocked channels", step=1, live=True)
    router_recon: float = setting(
        1.0, 0.0, 1.0, label="router_recon, reconstruction's say in routing", step=0.05, live=True
    )

    def __post_init__(self):
        super().__post_init__()
        if self.tau_rate and self.tau_end > self.tau:
            raise ValueError(f"routing.tau_end={self.tau_end} must not lie above routing.tau={self.tau}")


@dataclass(frozen=True)
class ObjectiveConfig(Section):
    """The weights of the terms."""

    path = "objective"
    beta_z: float = setting(1.0, 0.0, 10.0, label="beta_z, weight of the latents' KL", step=0.05, live=True)
    beta_c: float = setting(1.0, 0.0, 10.0, label="beta_c, weight of the channels' KL", step=0.05, live=True)
    beta_start: float = setting(1.0, 0.0, 1.0, label="share of both betas during their warm-up")
    beta_warmup_epochs: float = setting(0.0, 0.0, label="epochs at beta_start")
    beta_ramp_epochs: float = setting(0.0, 0.0, label="epochs from beta_start to the full betas")
    w_evidence: float = setting(
        1.0, 0.0, 10.0, label="w_evidence, weight of reconstruction and KLs", step=0.05, live=True
    )
    kl_scope: str = choice("all", ("all", "routed"), label="channels whose latents pay KL")
    usage_alpha: float = setting(1.0, 1.0, 1e3, label="alpha of the usage prior; 1 is off")
    w_inv: float = setting(0.0, 0.0, 5000.0, label="w_inv, weight of invariance", step=10.0, live=True)
    w_mi: float = setting(0.0, 0.0, 5000.0, label="w_mi, weight of the channels' information", step=10.0, live=True)
    w_label: float = setting(0.0, 0.0, 5000.0, label="w_label, weight of the labels", step=10.0, live=True)
    label_target: str = choice("tau", ("tau", "channel"), label="labels act through")
    use_tau_classifier: bool = setting(False, label="tau-classifier, names channels by counts of labels")
    alpha0: float = setting(1.0, 1e-6, 1e3, label="smoothing of the tau counts")

    def __post_init__(self):
        super().__post_init__()
        if self.beta_start < 1 and not (self.beta_warmup_epochs or self.beta_ramp_epochs):
            raise ValueError(
                f"objective.beta_start={self.beta_start} would last no epoch; set objective.beta_warmup_epochs or "
                "objective.beta_ramp_epochs above 0, or leave beta_start at 1"
            )


@dataclass(frozen=True)
class AugmentConfig(Section):
    """What must not change the channel of an image: random affine maps, uniform in plus or minus each bound."""

    path = "augment"
    degrees: float = setting(20.0, 0.0, 180.0, label="rotation, degrees")
    shift: float = setting(3.0, 0.0, 64.0, label="shift, pixels")
    scale: float = setting(0.15, 0.0, 0.9, label="scale, fraction")
    shear: float = setting(0.2, 0.0, 1.0, label="shear")


@dataclass(frozen=True)
class TrainConfig(Section):
    """AdamW with a linear warm-up, then a cosine to `final_rate` of the peak; an average of the weights beside it.

    First come `starts`: fresh weights, of which the router alone is trained (w_evidence 0, no curriculum) for
    `start_epochs` each. Then `regroups` times the best by the label-free objective is regrouped (`regroup.py`) and
    trained as long again; it is the better of both that stays. Its VAEs are trained in the epochs left; after every
    `self_label_epochs` of them all training images are regrouped, and their channels taught to the router from then on.
    """

    path = "train"
    epochs: int = setting(50, 1, 100_000, label="epochs")
    starts: int = setting(
        0, 0, 1000, label="routers trained alone at first; the best by the label-free objective stays"
    )
    regroups: int = setting(0, 0, 1000, label="times that the best of them is regrouped and trained on, alone")
    start_epochs: int = setting(2, 1, 100_000, label="epochs of each start, and after each regrouping")
    self_label_epochs: int = setting(0, 0, 100_000, label="epochs of the VAEs between self-labels; 0: never")
    batch_size: int = setting(125, 1, 65_536, label="batch size, images")
    learning_rate: float = setting(3e-3, 1e-5, 1e-1, label="rate, peak of the learning rate", live=True, log=True)
    warmup_epochs: float = setting(0.5, 0.0, label="epochs of warm-up")
    final_rate: float = setting(0.01, 0.0, 1.0, label="last learning rate, share of the peak")
    weight_decay: float = setting(1e-4, 0.0, 1.0, label="weight decay")
    b2: float = setting(0.99, 0.0, 0.99999, label="decay of the second moment")
    clip: float = setting(100.0, 1e-3, 1e6, label="largest norm of a gradient")
    ema: float = setting(0.998, 0.0, 0.99999, label="decay of the weights' moving average per step; 0 is off")
    seed: int = setting(0, 0, 2**31 - 1, label="seed")

    def __post_init__(self):
        super().__post_init__()
        if self.starts_end >= self.epochs:
            raise ValueError(
                f"train.starts={self.starts} and train.regroups={self.regroups} of train.start_epochs="
                f"{self.start_epochs} leave none of train.epochs={self.epochs} to the VAEs; "
                f"raise train.epochs above {self.starts_end}"
            )
        if self.regroups and not self.starts:
            raise ValueError(
                f"train.regroups={self.regroups} regroups the best of the starts, and train.starts=0; "
                "set train.starts=1, or train.regroups=0"
            )
        first = self.starts_end + self.self_label_epochs
        if self.self_label_epochs and first >= self.epochs:
            raise ValueError(
                f"train.self_label_epochs={self.self_label_epochs} leaves none of train.epochs={self.epochs} after it; "
                f"raise train.epochs above {first}, or lower train.self_label_epochs"
            )

    @property
    def starts_end(self) -> int:
        """The epoch at which the best router goes on with its VAEs."""
        return (self.starts + self.regroups) * self.start_epochs

    def self_labels_after(self, epoch: int) -> bool:
        """Whether training images get self-labels, or new ones, once so many epochs are done; not after the last."""
        trained, every = epoch - self.starts_end, self.self_label_epochs
        return 0 < every <= trained and trained % every == 0 and epoch < self.epochs


@dataclass(frozen=True)
class CurriculumConfig(Section):
    """Channels unlock one after another: at given epochs, or when the loss has stopped falling."""

    path = "curriculum"
    enabled: bool = setting(False, label="curriculum")
    k_active_schedule: tuple[int, ...] = setting((1, 2, 5, 10), 1, 4096, label="channels unlocked at each stage")
    unlock_epochs: tuple[int, ...] | None = setting(
        (0, 10, 20, 30), 0, label="epochs of the stages; null: on a plateau"
    )
    min_delta: float = setting(0.5, 0.0, label="fall of the loss that counts, nats")
    patience: int = setting(2, 1, label="epochs without such a fall")
    cooldown: int = setting(2, 0, label="epochs after an unlock before another")
    kl_boost_on_unlock: float = setting(1.0, 1.0, 100.0, label="unlock boost, of both betas", step=0.5, live=True)
    boost_epochs: int = setting(2, 0, label="epochs of the boost")
    unlock_init: str = choice("split", ("split", "fresh"), label="how a newcomer starts")

    def __post_init__(self):
        super().__post_init__()
        if self.kl_boost_on_unlock > 1 and not self.boost_epochs:
            raise ValueError(
                f"curriculum.kl_boost_on_unlock={self.kl_boost_on_unlock} would last no epoch; set "
                "curriculum.boost_epochs above 0, or leave the boost at 1"
            )
        stages, epochs = self.k_active_schedule, self.unlock_epochs
        if not stages or list(stages) != sorted(set(stages)):
            raise ValueError(f"curriculum.k_active_schedule={list(stages)} must rise from stage to stage")
        if epochs is None:
            return
        if len(epochs) != len(stages):
            raise ValueError(
                f"curriculum.unlock_epochs={list(epochs)} has {len(epochs)} stages and "
                f"curriculum.k_active_schedule={list(stages)} has {len(stages)}; give one epoch a stage"
            )
        if epochs[0] != 0 or list(epochs) != sorted(set(epochs)):
            raise ValueError(f"curriculum.unlock_epochs={list(epochs)} must start at 0 and rise")


@dataclass(frozen=True)
class Config:
    """A run, whole. Raises ValueError, naming the keys, where two settings contradict each other."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    routing: RoutingConfig = RoutingConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    augment: AugmentConfig = AugmentConfig()
    train: TrainConfig = TrainConfig()
    curriculum: CurriculumConfig = CurriculumConfig()

    def __post_init__(self):
        k, stages = self.model.num_components, self.curriculum.k_active_schedule
        if (self.routing.k_active or 1) > k:
            raise ValueError(f"routing.k_active={self.routing.k_active} is above model.num_components={k}")
        if self.curriculum.enabled and stages[-1] > k:
            raise ValueError(f"curriculum.k_active_schedule={list(stages)} ends above model.num_components={k}")
        if self.curriculum.enabled and self.routing.k_active is not None:
            raise ValueError("curriculum.enabled sets the unlocked channels; leave routing.k_active out")
        unlocks = self.curriculum.unlock_epochs
        if self.curriculum.enabled and unlocks and unlocks[-1] >= self.train.epochs:
            raise ValueError(
                f"curriculum.unlock_epochs={list(unlocks)} needs more than {unlocks[-1]} epochs of training, and "
                f"train.epochs={self.train.epochs}: the last channels would stay locked"
            )
        if self.train.starts and not (self.objective.w_inv or self.objective.w_mi):
            raise ValueError(
                f"train.starts={self.train.starts} trains routers by the label-free objective, and objective.w_inv and "
                "objective.w_mi are 0; raise them, or set train.starts=0"
            )
        if self.train.self_label_epochs and not self.objective.w_inv:
            raise ValueError(
                f"train.self_label_epochs={self.train.self_label_epochs} teaches through objective.w_inv, which is 0; "
                "raise it, or set train.self_label_epochs=0"
            )
        for key, does in (
            ("starts", "trains routers of all channels"),
            ("self_label_epochs", "settles which channel each image is in"),
        ):
            if getattr(self.train, key) and self.curriculum.enabled:
                raise ValueError(
                    f"train.{key}={getattr(self.train, key)} {does}, and curriculum.enabled begins others later; "
                    f"set train.{key}=0, or curriculum.enabled=False"
                )
        for key in ("use_tau_classifier", "w_label"):
            if getattr(self.objective, key) and not self.data.labels:
                raise ValueError(
                    f"objective.{key}={getattr(self.objective, key)} needs labels; set data.labels above 0"
                )
        if self.data.labels and self.objective.label_target == "tau" and not self.objective.use_tau_classifier:
            raise ValueError(
                f"data.labels={self.data.labels} would act through the tau table, and nothing makes one; set "
                "objective.use_tau_classifier=True, or objective.label_target='channel', or data.labels=0"
            )


SECTIONS = {f.name: f.type for f in fields(Config)}


FIELDS = {f"{name}.{f.name}": (f, hint) for name, section in SECTIONS.items() for f, hint in settings(section)}
LIVE = {f.name: (name, f) for name, section in SECTIONS.items() for f, _ in settings(section) if f.metadata["live"]}
Knobs = NamedTuple("Knobs", [(name, Any) for name in LIVE])
Knobs.__doc__ = "The live knobs of one step: traced scalars, or [steps] arrays for a chunk of steps."
