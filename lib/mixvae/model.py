"""MixVAE: encode an image for every channel, decode a latent for one."""

from dataclasses import fields
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from mixvae.config import Config, ModelConfig
from mixvae.modules.decoders import DECODERS, ModularDecoder
from mixvae.modules.encoders import ENCODERS, Posterior, PosteriorHead

CENTRE = 0.13  # the mean of MNIST's pixels: images enter the encoder near zero mean


@jax.jit  # also outside of compiled code, where 1 / 255 would be rounded otherwise
def pixels(x: Num[Array, "*b h w c"]) -> Float[Array, "*b h w c"]:
    """Bytes as floats in [0, 1]; floats as they are."""
    return x.astype(jnp.float32) / 255.0 if x.dtype == jnp.uint8 else x


class MixVAE(nn.Module):
    """K channels, one encoder, one decoder, and the table [K, E] of the channels' embeddings."""

    encoder: nn.Module
    decoder: ModularDecoder
    num_components: int

    def setup(self):
        shape = (self.num_components, self.decoder.component_embedding_dim)
        self.embeddings = self.param("embeddings", nn.initializers.normal(1.0), shape)

    def __call__(self, x: Float[Array, "*b h w c"]) -> tuple[Posterior, Array | tuple[Array, Array]]:
        """The posterior, and every channel's image of its posterior mean, [*b, K, H, W, C]."""
        posterior = self.encode(x)
        mean = jnp.broadcast_to(posterior.mean, (*x.shape[:-3], self.num_components, posterior.mean.shape[-1]))
        weights = jnp.broadcast_to(jnp.eye(self.num_components), (*mean.shape[:-1], self.num_components))
        return posterior, self.decode(mean, weights)

    def encode(self, x: Float[Array, "*b h w c"]) -> Posterior:
        """q(c|x) and every q(z_k|x), for pixels in [0, 1]."""
        return self.encoder(x - CENTRE)

    def decode(self, z: Float[Array, "*b d"], w: Float[Array, "*b k"]) -> Array | tuple[Array, Array]:
        """The image, or (mean, sigma), of `z` rendered by the channels' embeddings mixed by the weights `w`."""
        return self.decoder(z, w @ self.embeddings)

    def nll(self, z: Float[Array, "*b d"], w: Float[Array, "*b k"], x: Array) -> Float[Array, "*b"]:
        """-log p(x | z, sum_k w_k e_k) in nats."""
        return self.decoder.nll(z, w @ self.embeddings, x)


def build_model(config: Config, image_shape: tuple[int, int, int] = (28, 28, 1)) -> MixVAE:
    """The model that a config asks for, for images of shape (H, W, C); H, W >= 8."""
    return MixVAE(
        encoder=build_encoder(config.model),
        decoder=build_decoder(config.model, image_shape),
        num_components=config.model.num_components,
    )


def build_encoder(model: ModelConfig) -> nn.Module:
    """The encoder that a config asks for."""
    num_latents = 1 if model.latent_layout == "shared" else model.num_components
    posterior = PosteriorHead(model.num_components, model.latent_dim, num_latents)
    kind = ENCODERS[model.encoder]
    return kind(posterior, **of_its_own(kind, model))


def build_decoder(model: ModelConfig, image_shape: tuple[int, int, int]) -> ModularDecoder:
    """The decoder that a config asks for, for images of shape (H, W, C)."""
    height, width, channels = image_shape
    kind = DECODERS[model.decoder]
    return kind(
        conditioning_method=model.conditioning,
        output_type=model.output,
        output_hw=(height, width),
        channels=channels,
        **of_its_own(kind, model),
    )


def of_its_own(kind: type[nn.Module], model: ModelConfig) -> dict[str, Any]:
    """The settings that a module has under the same name."""
    return {f.name: getattr(model, f.name) for f in fields(kind) if hasattr(model, f.name)}
