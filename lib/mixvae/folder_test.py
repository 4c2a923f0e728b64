"""One writer a folder: who comes second is refused or waits, and a killed one leaves nothing behind."""

import os

import pytest

from mixvae import folder
from mixvae.checkpoint import CHECKPOINT
from mixvae.folder import locked, partial_name, sweep_partials, write_atomically


def test_a_second_writer_is_refused_until_the_first_has_ended(tmp_path):
    with locked(tmp_path / "run"):
        with pytest.raises(ValueError, match=r"run is being written into already; wait until that ends, or choose"):
            locked(tmp_path / "run").__enter__()
        with locked(tmp_path / "other"):
            pass
    with locked(tmp_path / "run"):
        assert not list((tmp_path / "run").iterdir())


def test_where_folders_have_no_locks_a_warning_says_so(tmp_path, monkeypatch):
    def unsupported(descriptor, operation):
        raise OSError("no locks available")

    monkeypatch.setattr(folder.fcntl, "flock", unsupported)
    with pytest.warns(UserWarning, match=r"cannot be locked \(no locks available\); let one process"), locked(tmp_path):
        pass
    monkeypatch.setattr(folder, "fcntl", None)
    with pytest.warns(UserWarning, match=r"cannot be locked \(this system has no flock\)"), locked(tmp_path):
        pass


def test_a_folder_that_may_not_be_written_is_named_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(folder.os, "access", lambda folder, mode: False)
    with pytest.raises(PermissionError, match="nothing can be written there") as caught, locked(tmp_path):
        pass
    assert caught.value.filename == str(tmp_path)


def test_what_a_killed_process_left_half_written_is_deleted_and_nothing_else(tmp_path):
    partial_name(tmp_path / CHECKPOINT).write_bytes(b"half")
    for name in (CHECKPOINT, ".hidden", "mine.partial"):
        (tmp_path / name).write_bytes(b"whole")
    sweep_partials(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {CHECKPOINT, ".hidden", "mine.partial"}


def test_what_cannot_be_written_is_named(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_atomically(tmp_path / "x.csv", b"1")
    assert caught.value.filename == str(tmp_path / "x.csv") and not list(tmp_path.iterdir())
