"""What modularity costs: the same numbers as a decoder written in one piece, for the same arithmetic."""

from itertools import product

import jax
import numpy as np
import pytest

from mixvae import ModularConvDecoder
from monolith import monolith

SIX = list(product(("film", "concat", "none"), ("standard", "heteroscedastic")))
BATCH = 7


@pytest.mark.parametrize("conditioning, output", SIX)
def test_the_modular_form_gives_the_numbers_of_one_piece_within_1_percent_of_its_arithmetic(conditioning, output):
    random = np.random.default_rng(3)
    z, e, x = (random.random((BATCH, *shape), np.float32) for shape in ((2,), (16,), (28, 28, 1)))
    module = ModularConvDecoder(conditioning, output)
    shapes = jax.eval_shape(module.init, jax.random.key(0), z, e)
    params = jax.tree.map(lambda leaf: random.normal(0, 0.1, leaf.shape).astype(np.float32), shapes)

    def of_modules(p, z, e, x):
        return module.apply(p, z, e, x, method="nll")

    costs, found = [], []
    for nll in (of_modules, monolith(conditioning, output)):
        step = jax.jit(jax.value_and_grad(lambda p, nll=nll: nll(p, z, e, x).mean())).lower(params).compile()
        costs.append(step.cost_analysis())
        found.append(step(params))
    for one, other in zip(*map(jax.tree.leaves, found), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-4)
    for measure in ("flops", "bytes accessed"):
        assert abs(costs[0][measure] / costs[1][measure] - 1) < 0.01, measure
