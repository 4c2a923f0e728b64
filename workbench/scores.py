"""What a run reached, on test images whose labels score and choose nothing."""

from contextlib import suppress

import numpy as np
from jaxtyping import Float, Int

from mixvae import Dataset, predict
from mixvae import metrics as m
from mixvae import tau_classifier as tau
from mixvae.data import draw_labels, sample
from mixvae.inference import Prediction, chosen_latents, chosen_losses, cross_decoding, responsibilities, router_logits
from mixvae.losses import kl_latents, kl_normal
from mixvae.runs import Snapshot
from mixvae.trainer import Trainer

CROSSED = 1000  # test images that are decoded by every channel
MEANINGS = {  # what each score says; of test images, but for the first
    "label_free": "w_inv inv - w_mi (2 H - h) of training images, nats; lower is better, and seeds are ranked by it",
    "test_images": "how many were scored",
    "active_channels": "with more than 1 % of the images",
    "effective_channels": "exp of the entropy of the channels' shares",
    "mse": "squared error of the chosen channel's picture, a pixel",
    "nats": "-log p(x|z, e) of the chosen channel at its mean latent, an image",
    "kl_z": "KL of the latents to the prior, over all channels, nats",
    "cross_decoding": "nats that another channel's embedding adds: how far the decoder specialises",
    "mean_z2": "of ((x - mean) / sigma)^2 where sigma is free; 1 is calibrated, above 1 too sure",
    "share_low": "of the pixels have sigma at its lower bound",
    "rms_low": "error of those, to be compared with the bound",
    "share_high": "of the pixels have sigma at its upper bound",
    "rms_high": "error of those",
    "ence": "calibration error of the free sigmas; 0 is calibrated",
    "spearman": "rank correlation of sigma and error",
    "clustering_accuracy": "channels as classes, the best one-to-one naming",
    "nmi": "normalised mutual information of channel and label",
    "ari": "adjusted Rand index of channel and label",
    "majority_purity": "channels as classes, each named by its majority",
    "plane_separation": "share whose nearest neighbours in their plane have their label",
    "label_accuracy": "by the labels that the run was trained with",
    "accuracy_asked": "by one label a channel, asked for after training",
    "accuracy_one_per_class": "by one label a class, drawn after training",
}


def scores(snapshot: Snapshot, dataset: Dataset) -> dict[str, float]:
    """Every figure of a result row, by the averaged weights of the final epoch; nats are an image's, MSE a pixel's.

    `label_free` is by training images, and what seeds are ranked by. Where the test images have labels:
    `label_accuracy` is by the run's own labels, `accuracy_one_per_class` and `accuracy_asked` by one label a class
    drawn with the run's seed and by one label a channel asked for, both given after training. Left out is what there
    are too few images for, or no training image of some class.
    """
    trainer, state = snapshot.trainer, snapshot.state
    prediction = predict(trainer.model, state, dataset.x_test)
    some = dataset.x_test[sample(len(dataset.x_test), CROSSED)]
    crossed = cross_decoding(trainer.model, state.average, some, state.knobs.k_active)
    usage = np.bincount(prediction.channel, minlength=trainer.config.model.num_components) / len(dataset.x_test)
    pixels = dataset.x_test / np.float32(255)
    result = {
        "label_free": trainer.label_free_loss(state),
        "test_images": len(pixels),
        "active_channels": m.active_channels(usage),
        "effective_channels": m.effective_channels(usage),
        "mse": float(np.mean(np.square(prediction.mean - pixels))),
        **evidence(snapshot, prediction, dataset),
        "cross_decoding": float(crossed.mean()),
    }
    if prediction.sigma is not None and len(pixels) >= m.MINIMUM:
        bounds = trainer.config.model.sigma_min, trainer.config.model.sigma_max
        result |= m.calibration(pixels, prediction.mean, prediction.sigma, *bounds)._asdict()
    known = dataset.y_test >= 0
    if known.sum() < m.MINIMUM:
        return result
    channel, labels = prediction.channel[known], dataset.y_test[known]
    for name in ("clustering_accuracy", "nmi", "ari", "majority_purity"):
        result[name] = getattr(m, name)(channel, labels)
    with suppress(m.TooFew):  # in planes of few images each
        result["plane_separation"] = m.plane_separation(chosen_latents(prediction)[known], channel, labels)
    return result | named(snapshot, dataset, prediction.responsibilities[known], labels)


def evidence(snapshot: Snapshot, prediction: Prediction, dataset: Dataset) -> dict[str, float]:
    """`nats` = -log p(x|z, e) of the chosen channel at its mean latent; `kl_z` over all channels, once where shared."""
    trainer, state = snapshot.trainer, snapshot.state
    kl = np.asarray(kl_normal(prediction.z_mean_per_component, prediction.z_log_var_per_component))
    _, loss = chosen_losses(trainer.model, state.average, dataset.x_test, state.knobs.k_active)
    latents = kl[:, :1] if trainer.config.model.latent_layout == "shared" else kl
    return {
        "nats": float((loss - kl[np.arange(len(kl)), prediction.channel]).mean(dtype=np.float64)),
        "kl_z": float(np.mean(kl_latents(latents, prediction.responsibilities, "all"))),
    }


def named(
    snapshot: Snapshot, dataset: Dataset, q: Float[np.ndarray, "n k"], labels: Int[np.ndarray, "n"]
) -> dict[str, float]:
    """Accuracies of the tau-classifier on test images with responsibilities `q` and these `labels`."""
    trainer, state = snapshot.trainer, snapshot.state
    result = {}
    if trainer.counts_labels:
        result["label_accuracy"] = accuracy(q, labels, state.tau_counts)
    if (dataset.y_train < 0).any():
        return result
    seed, classes = trainer.config.train.seed, trainer.num_classes
    spent = {"accuracy_asked": asked(trainer, state)}
    if np.bincount(dataset.y_train, minlength=classes).all():
        spent["accuracy_one_per_class"] = np.flatnonzero(draw_labels(dataset.y_train, classes, classes, seed) >= 0)
    for name, images in spent.items():
        claims = responsibilities(trainer.model, state.average, dataset.x_train[images], state.knobs.k_active)
        counts = tau.count(claims, dataset.y_train[images], classes, trainer.config.objective.alpha0)
        result[name] = accuracy(q, labels, counts)
    return result


def asked(trainer: Trainer, state) -> Int[np.ndarray, "k"]:
    """The training images whose labels say most: of every unlocked channel the one it is surest of."""
    logits = router_logits(trainer.model, state.average, trainer.x_train)
    return tau.surest(logits[:, : int(state.knobs.k_active)])


def accuracy(q: Float[np.ndarray, "n k"], labels: Int[np.ndarray, "n"], counts: Float[np.ndarray, "k y"]) -> float:
    """Share of images whose most probable label by the tau table is theirs."""
    return float(np.mean(np.argmax(tau.predict(q, tau.channel_labels(counts)), 1) == labels))
