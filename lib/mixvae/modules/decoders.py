"""Decoder = Conditioner + Backbone + Head.

Three orthogonal parts and no branch for any combination of them: a string becomes a part in one table, and `Decoder`
puts each part in its place.
"""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
from jaxtyping import Array, Float

from mixvae.modules.backbones import ConvBackbone, DenseBackbone, unconditioned
from mixvae.modules.conditioning import CONDITIONERS
from mixvae.modules.layers import TransposedConvolution
from mixvae.modules.outputs import LIKELIHOODS, SIGMA_PER, HeteroscedasticHead, StandardHead
from mixvae.settings import nearest

MIN_SIDE = 8  # pixels
HEADS = {
    "standard": lambda d, project: StandardHead(d.channels, d.likelihood, d.sigma, project),
    "heteroscedastic": lambda d, project: HeteroscedasticHead(
        d.channels, d.sigma_min, d.sigma_max, d.sigma_per, project=project
    ),
}


class Decoder(nn.Module):
    """x ~ p(x | z, e): condition while rendering, then score.

    `conditioner` is a class, since one that stands at every block needs fresh parameters at each.
    """

    conditioner: type[nn.Module]
    backbone: nn.Module
    head: nn.Module

    @nn.compact
    def features(self, z: Float[Array, "*b d"], e: Float[Array, "*b e"] | None) -> Array:
        """The backbone's features for the latents `z`, conditioned on the embeddings `e`."""
        placement = self.conditioner.placement
        if e is None and placement != "anywhere":
            raise ValueError(
                f"{self.conditioner.__name__} needs component_embedding with the leading axes of z, "
                f"{z.shape[:-1]} + (E,), and got None; pass it, or set conditioning_method='none'"
            )
        if placement == "block":
            return self.backbone(z, lambda h: self.conditioner()(h, e))
        return self.backbone(self.conditioner()(z, e), unconditioned)

    def __call__(self, z: Float[Array, "*b d"], e: Float[Array, "*b e"] | None = None):
        """The mean image [*b, H, W, C], or (mean, sigma) from a head that gives both."""
        return self.head(self.features(z, e))

    def nll(self, z: Float[Array, "*b d"], e: Float[Array, "*b e"] | None, x: Array) -> Float[Array, "*b"]:
        """-log p(x | z, e) in nats, by the head's own likelihood; `x` broadcasts against [*b, H, W, C]."""
        return self.head.nll(self.features(z, e), x)


class DensePixels(nn.Module):
    """One dense layer from a feature vector to `features` numbers for each of H x W pixels."""

    features: int
    output_hw: tuple[int, int]

    @nn.compact
    def __call__(self, h: Float[Array, "*b f"]) -> Float[Array, "*b h w c"]:
        height, width = self.output_hw
        return nn.Dense(height * width * self.features)(h).reshape(*h.shape[:-1], height, width, self.features)


class ModularDecoder(nn.Module):
    """The constructor that names parts by strings; a subclass gives `backbone()` and `project()`.

    Raises ValueError for a name that does not exist, H or W below 8, sigma bounds out of order, and for latents or
    embeddings of another size than announced.
    """

    conditioning_method: str = "film"
    output_type: str = "standard"
    latent_dim: int = 2
    output_hw: tuple[int, int] = (28, 28)
    component_embedding_dim: int = 16
    sigma_min: float = 0.05
    sigma_max: float = 0.5
    channels: int = 1
    likelihood: str = "bernoulli"
    sigma_per: str = "pixel"
    sigma: float = 1.0
    parts: tuple[type, Callable] | None = None  # what the names stand for now, so that a part made anew compiles anew

    def __post_init__(self):
        object.__setattr__(self, "output_hw", tuple(self.output_hw))  # a list would have no hash
        for name, valid in dict(
            conditioning_method=CONDITIONERS,
            output_type=HEADS,
            likelihood=LIKELIHOODS,
            sigma_per=SIGMA_PER,
        ).items():
            if getattr(self, name) not in valid:
                raise ValueError(nearest(f"{name}={getattr(self, name)!r}", getattr(self, name), valid))
        if min(self.output_hw) < MIN_SIDE:
            raise ValueError(f"output_hw={self.output_hw}: height and width must be at least {MIN_SIDE} pixels")
        if not 0 < self.sigma_min < self.sigma_max:
            raise ValueError(f"sigma_min={self.sigma_min} must be above 0 and below sigma_max={self.sigma_max}")
        if self.parts is None:
            object.__setattr__(self, "parts", (CONDITIONERS[self.conditioning_method], HEADS[self.output_type]))
        super().__post_init__()

    def setup(self):
        conditioner, head = self.parts
        self.decoder = Decoder(conditioner, self.backbone(), head(self, self.project()))

    def __call__(self, z: Float[Array, "*b d"], component_embedding: Float[Array, "*b e"] | None = None):
        """The mean image [*b, H, W, C] in [0, 1]; with the heteroscedastic head (mean, sigma)."""
        self.check(z, component_embedding)
        return self.decoder(z, component_embedding)

    def nll(self, z: Array, component_embedding: Array | None, x: Array) -> Float[Array, "*b"]:
        """-log p(x | z, e) in nats, summed over the pixels; see `outputs.py` for the constants left out."""
        self.check(z, component_embedding)
        return self.decoder.nll(z, component_embedding, x)

    def check(self, z: Array, e: Array | None):
        """Raise ValueError where sizes differ from those announced to the constructor."""
        if z.shape[-1] != self.latent_dim:
            raise ValueError(f"z has shape {z.shape}; expected [..., latent_dim={self.latent_dim}]")
        if e is not None and e.shape != (*z.shape[:-1], self.component_embedding_dim):
            expected = (*z.shape[:-1], self.component_embedding_dim)
            raise ValueError(f"component_embedding has shape {e.shape}; expected {expected}, z's leading axes and E")


class ModularConvDecoder(ModularDecoder):
    """Images from transposed convolutions; `width` features before the last one, `hidden` in the first layer."""

    width: int = 16
    hidden: int = 256

    def backbone(self) -> nn.Module:
        """z -> [*b, H/2, W/2, width]."""
        return ConvBackbone(self.output_hw, self.width, self.hidden)

    def project(self) -> Callable[[int], nn.Module]:
        """The last transposed convolution, cropped to the image."""
        return partial(TransposedConvolution, output_hw=self.output_hw)


class ModularDenseDecoder(ModularDecoder):
    """Images from a multilayer perceptron."""

    hidden_dims: tuple[int, ...] = (128, 512)

    def __post_init__(self):
        object.__setattr__(self, "hidden_dims", tuple(self.hidden_dims))
        if not self.hidden_dims:
            raise ValueError("hidden_dims=() leaves nothing to condition; give at least one layer, as in (128, 512)")
        super().__post_init__()

    def backbone(self) -> nn.Module:
        """z -> [*b, hidden_dims[-1]]."""
        return DenseBackbone(self.hidden_dims)

    def project(self) -> Callable[[int], nn.Module]:
        """One dense layer to all pixels."""
        return partial(DensePixels, output_hw=self.output_hw)


DECODERS = {"conv": ModularConvDecoder, "dense": ModularDenseDecoder}
