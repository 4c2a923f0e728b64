"""A run is scored by what its data allow."""

from dataclasses import replace

import numpy as np
import pytest

from mixvae import metrics, predict
from mixvae.example_runs import tiny_config, tiny_dataset
from mixvae.runs import fit
from workbench.scores import scores


@pytest.mark.parametrize("layout, latents", [("decentralized", 5), ("shared", 1)])
def test_a_runs_figures_are_those_of_their_formulas(layout, latents):
    data = tiny_dataset()
    *_, last = fit(tiny_config(**{"model.latent_layout": layout, "train.epochs": 1}), data)
    found, p, x = scores(last, data), predict(last.trainer.model, last.state, data.x_test), data.x_test / 255
    assert found["mse"] == pytest.approx(np.mean((p.mean - x) ** 2), rel=1e-4)
    likelihood = x * np.log(p.mean) + (1 - x) * np.log1p(-p.mean)  # at the chosen channel's mean latent
    assert found["nats"] == pytest.approx(-likelihood.sum((1, 2, 3)).mean(), rel=1e-4)
    mean, log_var = (a[:, :latents] for a in (p.z_mean_per_component, p.z_log_var_per_component))
    kl = (mean**2 + np.exp(log_var) - 1 - log_var) / 2
    assert found["kl_z"] == pytest.approx(kl.sum((1, 2)).mean(), rel=1e-4)


def test_what_there_are_too_few_images_for_is_left_out(monkeypatch):
    data = tiny_dataset()
    *_, last = fit(tiny_config(), data)
    whole = set(scores(last, data))
    none_of_class_0 = replace(data, y_train=np.maximum(data.y_train, 1))
    assert whole - set(scores(last, none_of_class_0)) == {"accuracy_one_per_class"}
    crowded = metrics.plane_separation
    monkeypatch.setattr(metrics, "plane_separation", lambda *points: crowded(*points, neighbours=len(data.x_test)))
    assert whole - set(scores(last, data)) == {"plane_separation"}
