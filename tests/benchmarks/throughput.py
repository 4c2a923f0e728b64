"""Images per second of training the whole model, and its share of what the machine multiplies.

    python tests/benchmarks/throughput.py [PRESET] [--set SECTION.KEY=VALUE] [--steps 20] [--rounds 7]

The arithmetic of a step is the multiply-adds of its layers as written, forward once and backward twice; the machine's
rate is the best 2048-cubed float32 product in this process. Rounds of both alternate; medians are printed.
"""

import statistics

import jax
import jax.numpy as jnp
from measure import command, configured, machine, seconds

from mixvae import load_dataset
from mixvae.runs import build_trainer
from mixvae.step import draw
from workbench.presets import WHOLE

SIDE = 2048


def multiply_adds(jaxpr: jax.extend.core.Jaxpr) -> int:
    """The multiply-adds of every matrix product in a jaxpr, with those of the jaxprs inside it."""
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left, out = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
            size = 1
            for n in (*out, *(left[i] for i in contracted)):
                size *= n
            total += size
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda p: hasattr(p, "jaxpr")):
            if hasattr(inner, "jaxpr"):
                total += multiply_adds(inner.jaxpr)
            elif hasattr(inner, "eqns"):
                total += multiply_adds(inner)
    return total


def main():
    """Print the table."""
    cli = command(__doc__)
    cli.add_argument("--steps", type=int, default=20, help="training steps of a round")
    cli.add_argument("--rounds", type=int, default=7)
    arguments = cli.parse_args()
    config = configured(arguments, WHOLE)
    trainer = build_trainer(config, load_dataset(config.data.name, validation=config.data.validation))
    state = trainer.init()
    batch = draw(trainer.coming(state).data, 0)
    forward = jax.make_jaxpr(trainer.objective)(state.params, state.key, batch, state.knobs)
    flops = 2 * 3 * (multiply_adds(forward.jaxpr) - idle_label_term(trainer, state, batch))

    side = jax.random.normal(jax.random.key(0), (SIDE, SIDE))
    product = jax.jit(jnp.matmul)
    compile_seconds = seconds(lambda: trainer.advance(state, 1)[0].params)
    seconds(lambda: product(side, side))
    steps, products = [], []
    for _ in range(arguments.rounds):
        products += [seconds(lambda: product(side, side)) for _ in range(3)]
        steps.append(seconds(lambda: trainer.advance(state, arguments.steps)[0].params) / arguments.steps)
    step, best = statistics.median(steps), min(products)
    rate, highest = flops / step / 1e9, 2 * SIDE**3 / best / 1e9
    print(f"{arguments.preset}: {machine()}")
    print(f"  images per second      {config.train.batch_size / step:10.0f}")
    print(f"  step                   {step * 1e3:10.1f} ms   ({min(steps) * 1e3:.1f} to {max(steps) * 1e3:.1f})")
    print(f"  arithmetic of a step   {flops / 1e9:10.2f} GFLOP")
    print(f"  rate                   {rate:10.1f} GFLOP/s")
    print(f"  {SIDE}-cubed product     {highest:10.1f} GFLOP/s")
    print(f"  share                  {100 * rate / highest:10.1f} %")
    print(f"  first call, compiled   {compile_seconds:10.1f} s")


def idle_label_term(trainer, state, batch) -> int:
    """The multiply-adds of the label term where no image has a label: they are written, and never run."""
    if (trainer.labels >= 0).any():
        return 0
    label = jax.make_jaxpr(trainer.objective.label)(state.params, state.key, batch, state.knobs)
    return multiply_adds(label.jaxpr)


if __name__ == "__main__":
    main()
