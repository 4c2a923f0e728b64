"""What an experiment keeps of every run beside its row: points, epochs, channels, gradients; one dict a detail."""

from typing import Any

import numpy as np

from mixvae import Dataset, estimators, predict
from mixvae.data import sample
from mixvae.inference import Prediction, chosen_latents, plane
from mixvae.metrics import MINIMUM, calibration, effective_channels
from mixvae.runs import Snapshot

Details = list[dict[str, Any]]
PLACED = 1000  # test images
TEMPERATURES = (0.5, 1.0, 2.0)
MEASURED, DRAWS = 250, 1000  # test images, and draws of the choice


def placed(snapshot: Snapshot, dataset: Dataset) -> Details:
    """Of seed 0, PLACED test images: `channel`, `z1` and `z2` in its plane, and the `label` that colours them."""
    if snapshot.trainer.config.train.seed:
        return []
    some = sample(len(dataset.x_test), PLACED)
    prediction = predict(snapshot.trainer.model, snapshot.state, dataset.x_test[some])
    z = plane(chosen_latents(prediction))
    return [
        {"channel": int(c), "z1": float(z1), "z2": float(z2), "label": int(y)}
        for c, (z1, z2), y in zip(prediction.channel, z, dataset.y_test[some], strict=True)
    ]


def by_epoch(snapshot: Snapshot, dataset: Dataset) -> Details:
    """Of every epoch: the channels unlocked at its end, and those in effective use in its mean."""
    return [
        {
            "epoch": round(row["epoch"]),
            "k_active": int(row["k_active"]),
            "effective_channels": effective_channels(row["usage"]),
            "recon": float(row["recon"]),
        }
        for row in snapshot.history
    ]


def by_channel(snapshot: Snapshot, dataset: Dataset) -> Details:
    """Of every channel with enough test images: mean sigma and calibration, as trained and with sigma times a scalar.

    The scalar is the root of mean z^2 over the validation images. Nothing of a head without a sigma.
    """
    trainer, state = snapshot.trainer, snapshot.state
    test = predict(trainer.model, state, dataset.x_test)
    if test.sigma is None:
        return []
    bounds = np.array([trainer.config.model.sigma_min, trainer.config.model.sigma_max])
    held_out = predict(trainer.model, state, dataset.x_val)
    fitted = calibrated(held_out, dataset.x_val, slice(None), bounds, 1.0)["mean_z2"] ** 0.5
    return [
        {
            "channel": channel,
            "images": int((test.channel == channel).sum()),
            "scalar": scalar,
            **calibrated(test, dataset.x_test, test.channel == channel, bounds, scalar),
        }
        for scalar in (1.0, fitted)
        for channel in range(trainer.config.model.num_components)
        if (test.channel == channel).sum() >= MINIMUM
    ]


def calibrated(prediction: Prediction, x: np.ndarray, chosen: Any, bounds: np.ndarray, scalar: float) -> dict:
    """Mean sigma of the chosen images, and their calibration with every sigma and its bounds times a scalar."""
    pixels, mean, sigma = x[chosen] / np.float32(255), prediction.mean[chosen], prediction.sigma[chosen]
    return {"sigma": float(sigma.mean())} | calibration(pixels, mean, scalar * sigma, *(scalar * bounds))._asdict()


def gradients(snapshot: Snapshot, dataset: Dataset) -> Details:
    """Every estimator's bias, cosine and noise at TEMPERATURES, of the final epoch's decoder on test images."""
    trainer, state = snapshot.trainer, snapshot.state
    x = dataset.x_test[sample(len(dataset.x_test), MEASURED)] / np.float32(255)
    about = dict(k_active=int(state.knobs.k_active), draws=DRAWS)
    return [
        {"tau": tau, "estimator": name, **bias._asdict()}
        for tau in TEMPERATURES
        for name, bias in estimators.measure(trainer.objective, state.average, x, tau=tau, **about).items()
    ]
