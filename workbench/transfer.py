"""A new structure keeps what it can of the old one's weights."""

from typing import Any

import jax
import jax.numpy as jnp

from mixvae import State, Trainer


def transfer(old: Trainer, state: State, new: Trainer) -> tuple[State, str]:
    """A State for `new`, and in words what was kept: all where all still fits, else the weights of what fits."""
    fresh = new.init()
    if same_shapes(state, fresh) and old.steps_per_epoch == new.steps_per_epoch:
        kept = new.set_curriculum(state._replace(held=fresh.held), new.config.curriculum.enabled)
        return new.recount(kept), "all weights were kept"
    fits = [part for part in fresh.params if same_shapes(state.params[part], fresh.params[part])]
    params, average = ({**fresh.params, **{p: a[p] for p in fits}} for a in (state.params, state.average))
    kept = new.recount(fresh._replace(params=params, average=average))
    return kept, f"kept {', '.join(fits) or 'nothing'}; the rest starts anew"


def same_shapes(a: Any, b: Any) -> bool:
    """Two trees of arrays with the same names and shapes."""
    return jax.tree.map(jnp.shape, a) == jax.tree.map(jnp.shape, b)
