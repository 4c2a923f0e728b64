"""Metrics against hand-made cases with known values; N is at least MINIMUM, K and the number of labels differ."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixvae.metrics import (
    MINIMUM,
    active_channels,
    ari,
    calibration,
    clustering_accuracy,
    effective_channels,
    estimator_bias,
    majority_purity,
    nmi,
    plane_separation,
)

N, K, Y, D, H, W = 210, 5, 3, 2, 20, 30
CLUSTERING = [clustering_accuracy, majority_purity, nmi, ari]
LOW, HIGH = 0.05, 0.5


def labels():
    return np.arange(N) % Y


def heteroscedastic(n=MINIMUM, seed=0):
    """Images whose residual is truly N(0, sigma^2), sigma inside its bounds."""
    rng = np.random.default_rng(seed)
    mean, sigma = rng.random((n, H, W, 1), np.float32), rng.uniform(0.06, 0.4, (n, H, W, 1)).astype(np.float32)
    return mean + sigma * rng.standard_normal(sigma.shape).astype(np.float32), mean, sigma


@pytest.mark.parametrize("metric", CLUSTERING)
def test_renamed_labels_are_a_perfect_clustering(metric):
    assert metric(np.array([7, 2, 4])[labels()], labels()) == pytest.approx(1)


def test_chance_and_one_channel():
    channels = np.arange(N) // Y % 2  # independent of the label
    assert clustering_accuracy(channels, labels()) == pytest.approx(1 / 3)
    assert nmi(channels, labels()) == pytest.approx(0, abs=1e-9)
    assert abs(ari(channels, labels())) < 0.02
    for metric in (clustering_accuracy, majority_purity):
        assert metric(np.zeros(N, int), labels()) == pytest.approx(1 / 3)


def test_more_channels_than_labels():
    channels = 2 * labels() + (np.arange(N) // Y) % 2  # six channels, two a label
    assert clustering_accuracy(channels, labels()) == pytest.approx(0.5)
    assert majority_purity(channels, labels()) == 1
    assert nmi(channels, labels()) == pytest.approx(2 * np.log(3) / (np.log(3) + np.log(6)))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.permutations(range(K)))
def test_the_names_of_channels_do_not_matter(seed, names):
    channels = np.random.default_rng(seed).integers(0, K, N)
    for metric in CLUSTERING:
        assert metric(np.array(names)[channels], labels()) == pytest.approx(metric(channels, labels()), abs=1e-12)
    assert clustering_accuracy(channels, labels()) <= majority_purity(channels, labels())


@pytest.mark.parametrize("metric", CLUSTERING)
def test_unlabelled_images_are_left_out_and_few_images_refused(metric):
    channels, known = np.arange(N) % K, np.arange(N) < MINIMUM
    assert metric(channels, np.where(known, labels(), -1)) == pytest.approx(metric(channels[known], labels()[known]))
    with pytest.raises(ValueError, match=f"{MINIMUM - 1} images.*at least {MINIMUM}"):
        metric(channels, np.where(np.arange(N) < MINIMUM - 1, labels(), -1))
    with pytest.raises(ValueError, match=r"\(210,\), \(209,\)"):
        metric(channels, labels()[1:])


def test_effective_and_active_channels():
    assert effective_channels(np.full(K, 1 / K)) == pytest.approx(K)
    assert effective_channels(np.array([0, 1.0, 0])) == 1
    assert effective_channels(np.array([0.5, 0.25, 0.25, 0])) == pytest.approx(2**1.5)
    assert active_channels(np.array([0.5, 0.48, 0.01, 0.01])) == 2
    assert active_channels(np.full(100, 0.01)) == 100 and active_channels(np.array([0.9996, *[0.0001] * 4])) == 1


@pytest.mark.parametrize("usage", [[0.5, 0.6], [1.5, -0.5], [np.nan, 1.0], [[0.5, 0.5]], [50.0, 50.0]])
@pytest.mark.parametrize("metric", [effective_channels, active_channels])
def test_usage_that_is_none_is_refused(metric, usage):
    with pytest.raises(ValueError, match="non-negative, and sum to 1"):
        metric(np.array(usage))


def test_plane_separation_looks_inside_each_channel():
    rng, channels = np.random.default_rng(0), np.arange(N) // Y % 2
    apart = labels()[:, None] * 10 + rng.standard_normal((N, D)) * 0.1
    assert plane_separation(apart, channels, labels()) == 1
    mirrored = np.where(channels[:, None] == 1, -apart, apart)  # each plane has coordinates of its own
    assert plane_separation(mirrored, channels, labels()) == 1
    assert abs(plane_separation(rng.standard_normal((N, D)), channels, labels()) - 1 / 3) < 0.12


def test_plane_separation_leaves_the_image_itself_out():
    z = np.repeat(np.arange(N / 2), 2)[:, None] * [1.0, 0.0]
    alternating = np.arange(N) % 2  # the nearest image, and it alone, lies on top of another label
    assert plane_separation(z, np.zeros(N, int), alternating, neighbours=1) == 0


def test_plane_separation_weighs_by_usage_and_drops_tiny_channels():
    """Channel 0: 150 images, all right. Channel 1: 54, all wrong: each spot holds 3 of one label and 3 of another."""
    image = np.arange(N)
    channels = np.select([image < 150, image < 204, image < 207], [0, 1, 2], 3)
    alternating = image // 3 % 2
    z = np.where(channels == 0, alternating, image // 6)[:, None] * [10.0, 0.0]
    assert plane_separation(z, channels, alternating) == pytest.approx(150 / 204)
    with pytest.raises(ValueError, match="no channel holds 6 of the 210 images"):
        plane_separation(z, image // 5, alternating)


def test_true_sigmas_are_calibrated():
    found = calibration(*heteroscedastic(), LOW, HIGH)
    assert found.mean_z2 == pytest.approx(1, abs=0.02) and found.ence < 0.02 and found.spearman > 0.4
    assert found.share_low == found.share_high == 0 and np.isnan(found.rms_low) and np.isnan(found.rms_high)


def test_sigmas_half_as_large_are_four_times_too_sure():
    x, mean, sigma = heteroscedastic()
    found = calibration(x, mean, sigma / 2, LOW / 2, HIGH / 2)
    assert found.mean_z2 == pytest.approx(4, abs=0.08) and found.ence == pytest.approx(1, abs=0.03)


def test_a_sigma_that_is_too_large_here_and_too_small_there_is_not_calibrated():
    """Half of the errors are twice their sigma, half are half of it: bins of sigma tell, whatever the pixels' order."""
    sigma = np.random.default_rng(0).permutation(np.linspace(0.1, 0.4, MINIMUM * H * W)).reshape(MINIMUM, H, W)
    error = sigma * np.where(sigma < np.median(sigma), 2, 0.5)
    found = calibration(error, np.zeros_like(error), sigma, LOW, HIGH)
    assert found.mean_z2 == pytest.approx((4 + 1 / 4) / 2, rel=1e-3)
    assert found.ence == pytest.approx((1 + 1 / 2) / 2, abs=0.05)


def test_pixels_at_the_bounds_are_counted_apart():
    x, mean, sigma = heteroscedastic()
    sigma[:, :5], sigma[:, 5:7] = LOW, HIGH
    x[:, :5], x[:, 5:7] = mean[:, :5] + 0.2, mean[:, 5:7] - 0.1
    found = calibration(x, mean, sigma, LOW, HIGH)
    np.testing.assert_allclose(found[1:5], [0.25, 0.2, 0.1, 0.1], rtol=1e-5)
    assert found.mean_z2 == pytest.approx(1, abs=0.02) and found.ence < 0.02
    nowhere = calibration(x, mean, np.full_like(sigma, LOW), LOW, HIGH)
    assert nowhere.share_low == 1 and np.isnan(nowhere.mean_z2) and np.isnan(nowhere.ence)


def test_one_sigma_an_image_and_constant_sigma():
    x, mean, _ = heteroscedastic()
    per_image = np.linspace(0.1, 0.4, MINIMUM).reshape(-1, 1, 1, 1)
    found = calibration(x, mean, per_image, LOW, HIGH)
    assert found == calibration(x, mean, np.broadcast_to(per_image, x.shape), LOW, HIGH)
    assert np.isnan(calibration(x, mean, np.full((MINIMUM, 1, 1, 1), 0.2), LOW, HIGH).spearman)


def test_a_subsample_visits_every_position():
    """Sigma differs between positions only: a stride that divides the image would see a constant."""
    n = 3400  # 2.04 million pixels: a stride of 3 divides 600
    sigma = np.broadcast_to(np.linspace(0.06, 0.4, H * W, dtype=np.float32).reshape(H, W, 1), (n, H, W, 1)).copy()
    sigma[:, :, ::3] = 0.06
    error = sigma * np.abs(np.random.default_rng(0).standard_normal(sigma.shape, np.float32))
    assert calibration(error, np.zeros_like(error), sigma, LOW, HIGH).spearman > 0.5


def test_estimator_bias():
    rng = np.random.default_rng(0)
    exact = rng.standard_normal((MINIMUM, K))
    length = np.linalg.norm(exact)
    draws = exact + rng.standard_normal((400, MINIMUM, K))
    relative, error, cosine, noise = estimator_bias(draws, exact)
    assert noise == pytest.approx(np.sqrt(exact.size) / length, rel=0.01) and error == pytest.approx(noise / 20)
    assert relative < error and cosine == pytest.approx(1, abs=1e-3)
    relative, error, cosine, _ = estimator_bias(0.5 * draws, exact)
    assert relative == pytest.approx(0.5, abs=2 * error) and cosine == pytest.approx(1, abs=2e-3)
    for factor in (2, -1, 0):
        found = estimator_bias(np.stack([factor * exact] * 3), exact)
        expected = [abs(factor - 1), 0, np.sign(factor) if factor else np.nan, 0]
        np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("bias", [0.0, 0.7])
def test_the_square_of_the_bias_is_free_of_the_draws_noise(bias):
    """Mean over many meters of 4 draws each; uncorrected it would be bias^2 + 1/4."""
    rng = np.random.default_rng(1)
    exact = np.eye(MINIMUM, K)[:, :1] * np.ones(K) / np.sqrt(K)
    off = bias * np.roll(exact, 1, 0)
    scale = 1 / np.sqrt(exact.size)
    meters = [estimator_bias(exact + off + scale * rng.standard_normal((4, MINIMUM, K)), exact) for _ in range(300)]
    if bias:
        assert np.mean([m.relative**2 for m in meters]) == pytest.approx(bias**2, abs=0.02)
    else:  # half of the squares are below 0, and shown as 0
        shown = np.mean([m.relative == 0 for m in meters])
        assert 0.4 < shown < 0.65 and np.mean([m.relative**2 for m in meters]) < 0.02
    assert np.mean([m.noise**2 for m in meters]) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: calibration(*heteroscedastic(n=3), LOW, HIGH), "from 3 images"),
        (lambda: calibration(*heteroscedastic(), HIGH, LOW), "sigma_min < sigma_max"),
        (lambda: calibration(np.zeros((N, H)), np.zeros((N, W)), np.ones((N, H)), LOW, HIGH), "different images"),
        (lambda: calibration(np.zeros((N, H, W)), np.zeros((N, H, W)), np.ones(N), LOW, HIGH), r"\(210,\)"),
        (lambda: plane_separation(np.zeros((9, D)), np.zeros(9, int), np.zeros(9, int)), "from 9 images"),
        (lambda: estimator_bias(np.ones((2, 3, K)), np.ones((3, K))), "from 3 images"),
        (lambda: estimator_bias(np.ones((N, K)), np.ones((N, K))), r"\[S, B, K\]"),
        (lambda: estimator_bias(np.ones((1, N, K)), np.ones((N, K))), "1 draws do not tell"),
        (lambda: estimator_bias(np.ones((2, N, K)), np.zeros((N, K))), "0 everywhere"),
    ],
)
def test_refusals_say_what_was_found(call, message):
    with pytest.raises(ValueError, match=message):
        call()
