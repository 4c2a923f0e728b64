"""The library's weights and random numbers as `by_hand.py` has them, so that one batch gives both the same loss."""

from typing import Any

import jax
import numpy as np
import torch
from by_hand import Draws

from mixvae.config import ModelConfig

THERE_IS = {  # the settings that `by_hand.py` knows
    "model.encoder": "conv",
    "model.decoder": "conv",
    "model.conditioning": "film",
    "model.output": "standard",
    "model.likelihood": "bernoulli",
    "model.latent_layout": "decentralized",
    "routing.estimator": "straight_through",
    "routing.k_active": None,
    "objective.kl_scope": "all",
    "objective.usage_alpha": 1.0,
    "data.labels": 0,
    "curriculum.enabled": False,
}


def weights(params: Any) -> dict[str, torch.Tensor]:
    """The library's weights, or their gradients, as `Net` names them; of a kernel's four biases the mean."""
    encoder, decoder = params["encoder"], params["decoder"]["decoder"]
    backbone = decoder["backbone"]
    dense = {"mix": encoder["Dense_0"], "gather": encoder["Dense_2"], **encoder["posterior"]}
    dense |= {"lift": backbone["Dense_0"], "spread": backbone["Dense_1"]}
    dense |= {f"films.{i}": backbone[f"FiLMLayer_{i}"]["Dense_0"] for i in range(3)}
    found = {name: (layer["kernel"].T, layer["bias"]) for name, layer in dense.items()}
    for i in range(4):
        norm = encoder[f"Normed_{i}"]["LayerNorm_0"]
        found[f"norms.{i}"] = norm["scale"], norm["bias"]
    patches, halve = encoder["Convolution_0"]["Dense_0"], encoder["Dense_1"]
    f = len(patches["bias"])
    kernel = patches["kernel"].reshape(2, 2, 4, 4, f).transpose(4, 0, 2, 1, 3)
    found["patches"] = kernel.reshape(f, 1, 8, 8), patches["bias"]
    f = len(halve["bias"])
    found["halve"] = halve["kernel"].reshape(2, 2, -1, f).transpose(3, 2, 0, 1), halve["bias"]
    for name, layer in (("enlarge", backbone["TransposedConvolution_0"]), ("pixels", decoder["head"]["pixels"])):
        kernel, bias = layer["Dense_0"]["kernel"], layer["Dense_0"]["bias"].reshape(4, -1)
        c, f = len(kernel) // 4, bias.shape[1]
        kernel = kernel.reshape(2, 2, c, 2, 2, f)[::-1, ::-1].transpose(2, 5, 0, 3, 1, 4).reshape(c, f, 4, 4)
        found[name] = kernel, bias.mean(0)
    pairs = {
        f"{name}.{part}": a for name, two in found.items() for part, a in zip(("weight", "bias"), two, strict=True)
    }
    return {name: torch.tensor(np.array(a)) for name, a in {"embeddings": params["embeddings"], **pairs}.items()}


def one_bias(params: Any) -> Any:
    """Weights whose transposed convolutions have one bias a feature, as PyTorch's do, for all four phases."""

    def tied(path: tuple, leaf: jax.Array) -> jax.Array:
        names = {part.key for part in path}
        phases = "bias" in names and names & {"TransposedConvolution_0", "pixels"}
        return np.tile(leaf.reshape(4, -1).mean(0), 4) if phases else leaf

    return jax.tree_util.tree_map_with_path(tied, params)


def drawn(key: jax.Array, count: int, model: ModelConfig) -> Draws:
    """The random numbers that the library's objective draws from a key."""
    recon, inv, _ = jax.random.split(key, 3)
    latent, gumbel = jax.random.split(recon)
    k, d = model.num_components, model.latent_dim
    numbers = (
        jax.random.normal(latent, (count, k, d)),
        jax.random.gumbel(gumbel, (count, k)),
        jax.random.uniform(inv, (6, count), minval=-1, maxval=1),
    )
    return Draws(*(torch.tensor(np.array(a)) for a in numbers))
