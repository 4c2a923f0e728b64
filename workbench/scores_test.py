"""A run is scored by what its data allow."""

from dataclasses import replace

import numpy as np

from mixvae import metrics
from mixvae.example_runs import tiny_config, tiny_dataset
from mixvae.runs import fit
from workbench.scores import scores


def test_what_there_are_too_few_images_for_is_left_out(monkeypatch):
    data = tiny_dataset()
    *_, last = fit(tiny_config(), data)
    whole = set(scores(last, data))
    none_of_class_0 = replace(data, y_train=np.maximum(data.y_train, 1))
    assert whole - set(scores(last, none_of_class_0)) == {"accuracy_one_per_class"}
    crowded = metrics.plane_separation
    monkeypatch.setattr(metrics, "plane_separation", lambda *points: crowded(*points, neighbours=len(data.x_test)))
    assert whole - set(scores(last, data)) == {"plane_separation"}
