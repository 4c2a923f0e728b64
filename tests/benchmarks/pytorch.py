"""Steps of training beside the same steps by hand in PyTorch, on the same threads.

    pip install -e '.[benchmarks]'
    python tests/benchmarks/pytorch.py [PRESET] [--set SECTION.KEY=VALUE] [--steps 20] [--rounds 15]

The nets, views, objective, AdamW, clip and average are those of `by_hand.py`. Loss and gradients of one batch are
compared first, with the same weights and random numbers. Then steps of both alternate, where there is a C++ compiler
those of torch.compile too; medians, and the ratio to PyTorch, with quartiles of rounds. Where a preset trains routers
alone at first, their steps stand there as well.
"""

import math
import os
import shutil
from collections.abc import Callable
from functools import partial

import by_hand
import jax
import numpy as np
import torch
from carried import THERE_IS, drawn, one_bias, weights
from measure import alternated, command, configured, machine, quartiles
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mixvae import Knobs, State, Trainer, load_dataset
from mixvae.config_file import differences, override
from mixvae.runs import build_trainer
from mixvae.step import draw
from workbench.presets import WHOLE

WARMED = 20  # steps before the two are compared: gradients of fresh weights have many zeros


def compared(trainer: Trainer, state: State) -> str:
    """Both losses of a batch, and how far kernels' gradients are apart; raises AssertionError where that is far."""
    params = one_bias(state.params)
    net = by_hand.Net(trainer.config.model)
    net.load_state_dict(weights(params))
    batch, config = draw(trainer.coming(state).data, 0), trainer.config
    mine, grads = jax.jit(jax.value_and_grad(trainer.objective, has_aux=True))(params, state.key, batch, state.knobs)
    x = torch.tensor(np.array(batch.x)).permute(0, 3, 1, 2)
    draws, knobs = drawn(state.key, len(x), config.model), Knobs(*map(float, state.knobs))
    its = by_hand.objective(net, x, draws, knobs, config.augment)
    its.backward()
    kernels = {name: grad for name, grad in weights(grads).items() if grad.ndim > 1 and grad.any()}
    apart = max(float((net.get_parameter(name).grad - grad).norm() / grad.norm()) for name, grad in kernels.items())
    losses = float(mine[0]), its.item()
    said = "loss of a batch {:.4f} and {:.4f}, gradients of kernels apart by {:.0e}".format(*losses, apart)
    if not math.isclose(*losses, rel_tol=1e-4) or apart > 1e-3:
        raise AssertionError(said)
    return said


def training(trainer: Trainer, state: State, objective: Callable, steps: int) -> Callable[[], None]:
    """`steps` steps by hand, from the state's weights, by its knobs, on the trainer's batches."""
    config, knobs = trainer.config, Knobs(*map(float, state.knobs))
    images, order = (torch.tensor(np.array(a)) for a in (trainer.x_train, trainer.coming(state).data.order))
    images = images.permute(0, 3, 1, 2).contiguous()
    net = by_hand.Net(config.model)
    net.load_state_dict(weights(state.params))
    options = dict(betas=(0.9, config.train.b2), weight_decay=config.train.weight_decay, fused=True)
    optimiser = torch.optim.AdamW(net.parameters(), knobs.learning_rate, **options)
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(config.train.ema))

    def run():
        for batch in order[:steps]:
            optimiser.zero_grad()
            x = images[batch].float() / 255
            objective(net, x, by_hand.draw(config.model, len(x)), knobs, config.augment).backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), config.train.clip)
            optimiser.step()
            average.update_parameters(net)

    return run


def main():
    """Print the table."""
    cli = command(__doc__)
    cli.add_argument("--steps", type=int, default=20, help="training steps of a round")
    cli.add_argument("--rounds", type=int, default=15)
    arguments = cli.parse_args()
    config = configured(arguments)
    if missing := differences(config, override(config, THERE_IS)):
        raise ValueError("; ".join(f"{path}={a!r}, and by hand there is {b!r} alone" for path, a, b in missing))
    threads = len(os.sched_getaffinity(0))  # as many as XLA takes
    torch.set_num_threads(threads)
    dataset = load_dataset(config.data.name, validation=config.data.validation)
    objectives = {"PyTorch": by_hand.objective}
    if shutil.which(os.environ.get("CXX", "g++")):
        objectives["torch.compile"] = torch.compile(by_hand.objective)
    forms = {"router alone": config} if config.train.starts else {}
    forms["whole model"] = override(config, WHOLE)
    print(f"{arguments.preset}: {machine()}\ntorch {torch.__version__}, {threads} threads each")
    for form, config in forms.items():
        trainer = build_trainer(config, dataset)
        state, _ = trainer.advance(trainer.init(), WARMED)
        print(f"{form}: {compared(trainer, state)}")
        steps = {name: training(trainer, state, one, arguments.steps) for name, one in objectives.items()}
        mine = partial(trainer.advance, state, arguments.steps)
        taken = alternated({"this project": mine} | steps, arguments.rounds)
        print(f"{'':16}{'ms a step':>10}   {'quartiles':18}{'ratio to it':>12}   quartiles")
        for name, times in taken.items():
            low, middle, high = (1000 * value / arguments.steps for value in quartiles(times))
            ratios = quartiles([a / b for a, b in zip(taken["this project"], times, strict=True)])
            print(f"{name:16}{middle:10.1f}   {f'{low:.1f} to {high:.1f}':18}", end="")
            print(f"{ratios[1]:12.3f}   {ratios[0]:.3f} to {ratios[2]:.3f}")


if __name__ == "__main__":
    main()
