"""What a run keeps of its past while nobody looks."""

import numpy as np

from mixvae.example_runs import tiny_config, tiny_dataset
from mixvae.runs import fit
from workbench.saved import Recorder


def test_every_moment_of_a_film_has_its_own_scale(tmp_path, monkeypatch):
    data = tiny_dataset()
    saved = next(fit(tiny_config(), data))
    recorder = Recorder(data, tmp_path)
    recorder.record(saved)
    frame = recorder.points.frame(*saved[:2], "saved run", 0.0)
    far = frame._replace(epoch=2.0, z=np.full_like(frame.z, 8.0))
    monkeypatch.setattr(recorder.points, "frame", lambda *_: far)
    recorder.record(saved)
    assert recorder.view.scale == 8.0 and len(recorder.film.moments) == 2
