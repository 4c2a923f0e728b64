"""A frame for tests, with unequal sizes."""

import numpy as np

from workbench.frame import Frame

K, N, H, W, C = 5, 7, 20, 30, 3
LOW, HIGH = 0.05, 0.5


def make_frame(**changes) -> Frame:
    rng = np.random.default_rng(0)
    frame = Frame(
        step=np.int64(12),
        epoch=0.4,
        epochs=30,
        tau=np.float32(0.5),
        k_active=3,
        z=rng.uniform(-2.9, 2.9, (K, N, 2)).astype(np.float32),
        opacity=rng.random((K, N), np.float32),
        channel=np.arange(N) % 3,
        claim=rng.random(N, np.float32),
        certainty=rng.random(N, np.float32),
        error=rng.uniform(80, 300, N).astype(np.float32),
        mean=rng.random((K, H, W, C), np.float32),
        sigma=rng.uniform(LOW, HIGH, (K, H, W, C)).astype(np.float32),
        sigma_range=(LOW, HIGH),
        usage=np.full(K, 1 / K, np.float32),
        images_per_second=2000.0,
        titles=('"7"', "mostly 4", "", "", "Zürich, 東"),
        status="training",
        sentence="3 of 5 channels active",
    )
    return frame._replace(**changes)
