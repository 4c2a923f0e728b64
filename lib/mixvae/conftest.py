"""One run for the tests of runs and checkpoints: all its epochs, and a folder of two of them."""

import shutil

import pytest

from mixvae.checkpoint import save
from mixvae.example_runs import STAGES, tiny_config, tiny_dataset
from mixvae.runs import fit


@pytest.fixture(scope="module")
def dataset():
    return tiny_dataset()


@pytest.fixture(scope="module")
def config():
    return tiny_config(**STAGES)


@pytest.fixture(scope="module")
def snapshots(config, dataset):
    """All three epochs of a run that was never stopped."""
    return list(fit(config, dataset))


@pytest.fixture(scope="module")
def two_epochs(config, snapshots, tmp_path_factory):
    """A folder with the first epoch as the previous checkpoint, the second as the newest."""
    folder = tmp_path_factory.mktemp("run")
    for snapshot in snapshots[:2]:
        save(folder, *snapshot)
    return folder


@pytest.fixture
def folder(two_epochs, tmp_path):
    return shutil.copytree(two_epochs, tmp_path / "run")
