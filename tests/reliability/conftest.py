"""Tests run small programs once: compiling them fast matters more than running them fast."""

import jax

jax.config.update("jax_disable_most_optimizations", True)
