"""The ten old decoder names, each one row of a table: a deprecated call that builds the modular form.

from mixvae.legacy import FiLMConvDecoder
FiLMConvDecoder(latent_dim=2)       # ModularConvDecoder(conditioning_method='film', ..., latent_dim=2), and a warning
"""

import warnings
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import Any

from mixvae.modules.decoders import ModularConvDecoder, ModularDecoder, ModularDenseDecoder
from mixvae.settings import nearest

FORMS = {
    "DenseDecoder": (ModularDenseDecoder, "none", "standard"),
    "ConvDecoder": (ModularConvDecoder, "none", "standard"),
    "HeteroscedasticDenseDecoder": (ModularDenseDecoder, "none", "heteroscedastic"),
    "HeteroscedasticConvDecoder": (ModularConvDecoder, "none", "heteroscedastic"),
    "ComponentAwareDenseDecoder": (ModularDenseDecoder, "concat", "standard"),
    "ComponentAwareConvDecoder": (ModularConvDecoder, "concat", "standard"),
    "ComponentAwareHeteroscedasticDenseDecoder": (ModularDenseDecoder, "concat", "heteroscedastic"),
    "ComponentAwareHeteroscedasticConvDecoder": (ModularConvDecoder, "concat", "heteroscedastic"),
    "FiLMDenseDecoder": (ModularDenseDecoder, "film", "standard"),
    "FiLMConvDecoder": (ModularConvDecoder, "film", "standard"),
}
ARGUMENTS = ("latent_dim", "output_hw", "hidden_dims", "component_embedding_dim", "sigma_min", "sigma_max", "name")
DROPPED = {"num_components": "the model owns the table [K, E] of embeddings, and a decoder is given `e`"}


def build(name: str, **arguments: Any) -> ModularDecoder:
    """The modular form of an old decoder's call, with a DeprecationWarning that shows both.

    Raises TypeError for an argument that the old decoder did not have.
    """
    decoder, conditioning, output = FORMS[name]
    valid = [a for a in ARGUMENTS if a in {f.name for f in fields(decoder)}] + [*DROPPED]
    for argument in arguments:
        if argument not in valid:
            raise TypeError(f"{name}: " + nearest(f"argument {argument!r}", argument, valid))
    kept = {key: value for key, value in arguments.items() if key not in DROPPED}
    kept = {"conditioning_method": conditioning, "output_type": output} | kept
    lost = "".join(f"; {key} is left out: {why}" for key, why in DROPPED.items() if key in arguments)
    message = f"{call(name, arguments)} is deprecated; write {call(decoder.__name__, kept)}{lost}"
    warnings.warn(message, DeprecationWarning, stacklevel=2)
    return decoder(**kept)


def call(name: str, arguments: dict[str, Any]) -> str:
    """A call as it is written."""
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"


def __getattr__(name: str) -> Callable[..., ModularDecoder]:
    if name not in FORMS:
        raise AttributeError(nearest(f"mixvae.legacy.{name}", name, FORMS))
    return partial(build, name)
