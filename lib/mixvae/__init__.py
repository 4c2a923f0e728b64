"""A mixture of K small VAEs, each with its own latent plane, that divide a data set among themselves."""

from mixvae.config import Config, Knobs
from mixvae.config_file import load_config
from mixvae.data import Dataset, load_dataset
from mixvae.inference import Prediction, predict
from mixvae.model import MixVAE, build_decoder, build_model
from mixvae.modules.backbones import ConvBackbone, DenseBackbone
from mixvae.modules.conditioning import ConcatConditioner, FiLMLayer, NoopConditioner
from mixvae.modules.decoders import Decoder, ModularConvDecoder, ModularDenseDecoder
from mixvae.modules.outputs import HeteroscedasticHead, StandardHead
from mixvae.runs import build_trainer, fit
from mixvae.state import State
from mixvae.trainer import Trainer

__all__ = [
    "ConcatConditioner",
    "Config",
    "ConvBackbone",
    "Dataset",
    "Decoder",
    "DenseBackbone",
    "FiLMLayer",
    "HeteroscedasticHead",
    "Knobs",
    "MixVAE",
    "ModularConvDecoder",
    "ModularDenseDecoder",
    "NoopConditioner",
    "Prediction",
    "StandardHead",
    "State",
    "Trainer",
    "build_decoder",
    "build_model",
    "build_trainer",
    "fit",
    "load_config",
    "load_dataset",
    "predict",
]
