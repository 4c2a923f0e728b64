"""Compiled code kept between processes."""

import os
from pathlib import Path

import jax


def use_compilation_cache():
    """Keep what JAX compiles in the user's cache folder, so that a second start compiles nothing."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    jax.config.update("jax_compilation_cache_dir", str(home / "mixvae" / "jax"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # thirty small ones take seconds together
