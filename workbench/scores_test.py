"""A run is scored by what its data allow."""

from dataclasses import replace

import numpy as np
import pytest

from mixvae import metrics, predict
from mixvae.data import draw_labels
from mixvae.example_runs import tiny_config, tiny_dataset
from mixvae.inference import router_logits
from mixvae.metrics import Calibration
from mixvae.runs import fit
from workbench.scores import MEANINGS, scores


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
    assert whole | set(Calibration._fields) | {"label_accuracy"} == set(MEANINGS)
    none_of_class_0 = replace(data, y_train=np.maximum(data.y_train, 1))
    assert whole - set(scores(last, none_of_class_0)) == {"accuracy_one_per_class"}
    crowded = metrics.plane_separation
    monkeypatch.setattr(metrics, "plane_separation", lambda *points: crowded(*points, neighbours=len(data.x_test)))
    assert whole - set(scores(last, data)) == {"plane_separation"}


def test_accuracies_are_those_of_a_table_made_by_hand():
    data, open_channels = tiny_dataset(), 4
    settings = {"routing.k_active": open_channels, "train.epochs": 4, "train.learning_rate": 1e-2}
    *_, last = fit(tiny_config(**settings), data)
    trainer, state = last.trainer, last.state
    train, test = (predict(trainer.model, state, x).responsibilities for x in (data.x_train, data.x_test))

    def accuracy(images):
        counts = trainer.config.objective.alpha0 + train[images].T @ np.eye(3)[data.y_train[images]]
        return np.mean((test @ (counts / counts.sum(1, keepdims=True))).argmax(1) == data.y_test)

    logits = router_logits(trainer.model, state.average, data.x_train)[:, :open_channels]
    leads = [logits[:, k] - np.delete(logits, k, axis=1).max(1) for k in range(open_channels)]
    one_per_class = np.flatnonzero(draw_labels(data.y_train, 3, 3, seed=0) >= 0)
    assert sorted(data.y_train[one_per_class]) == [0, 1, 2]
    found = scores(last, data)
    spent = {"label_accuracy": np.flatnonzero(trainer.labels >= 0), "accuracy_asked": np.argmax(leads, 1)}
    for name, images in (spent | {"accuracy_one_per_class": one_per_class}).items():
        assert found[name] == pytest.approx(accuracy(images)), name
