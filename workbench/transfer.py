"""A new structure keeps what it can of the old one's weights."""

from typing import Any

import jax
import jax.numpy as jnp

from mixvae import State, Trainer


def transfer(old: Trainer, state: State, new: Trainer) -> tuple[State, str]:
    """A State for `new` that keeps every part of `state` whose shape still fits, and in words what was kept."""
    fresh = new.init()
    if same_shapes(state.params, fresh.params):
        kept = new.set_curriculum(state._replace(held=fresh.held), new.config.curriculum.enabled)
        return kept, "all weights were kept"
    fits = [part for part in fresh.params if same_shapes(state.params[part], fresh.params[part])]
    params, average = ({**fresh.params, **{p: a[p] for p in fits}} for a in (state.params, state.average))
    kept = new.recount(fresh._replace(params=params, average=average))
    return kept, f"kept {', '.join(fits) or 'nothing'}; the rest starts anew"


def same_shapes(a: Any, b: Any) -> bool:
    """Two trees of arrays with the same names and shapes."""
    return jax.tree.map(jnp.shape, a) == jax.tree.map(jnp.shape, b)
