"""Makes a model from a published ViT, ViViT, ResNet or X3D: it infers what shapes tell, and asks by name for what they cannot tell."""

import dataclasses
import os
from collections.abc import Mapping

from vivit_jax.errors import unknown_name
from vivit_jax.models.resnet3d.config import ARCHITECTURES as RESNETS
from vivit_jax.models.vivit.config import ATTENTION_ORDERS, FACTORISATIONS, POOLS, TOKENIZERS
from vivit_jax.models.x3d.config import ARCHITECTURES as X3DS
from vivit_jax.weights.config import InitConfig
from vivit_jax.weights.conversion import Conversion, ConversionOptions
from vivit_jax.weights.hub_cache import local_path
from vivit_jax.weights.model_dir import Pretrained, load_model_dir
from vivit_jax.weights.model_json import is_model_dir
from vivit_jax.weights.resnet3d import convert as resnet3d
from vivit_jax.weights.resnet3d import source as resnets
from vivit_jax.weights.tensors import read_tensors
from vivit_jax.weights.vit import convert as vit
from vivit_jax.weights.vit.own_model import is_own
from vivit_jax.weights.vit.source import FORMATS as VIT_FORMATS
from vivit_jax.weights.vit.source import OWN_FORMAT
from vivit_jax.weights.x3d import convert as x3d
from vivit_jax.weights.x3d import source as x3ds

# The sources of convolutional networks, and how each becomes a model.
CONVOLUTIONAL = ((resnets, resnet3d), (x3ds, x3d))
FORMATS = ("auto", OWN_FORMAT, *VIT_FORMATS, *(name for source_of, _ in CONVOLUTIONAL for name in source_of.FORMATS))

# What a caller may say about the model that a source becomes, and the values of each where they are few.
MODEL_OPTIONS: dict[str, tuple[str, ...] | None] = {
    "factorisation": FACTORISATIONS,
    "tubelet": None,
    "clip": None,
    "num_classes": None,
    "pool": POOLS,
    "tokenizer": TOKENIZERS,
    "sampled_frames": None,
    "attention_order": ATTENTION_ORDERS,
    "temporal_layers": None,
    "scan_layers": None,
    "dtype": None,
    "architecture": (*RESNETS, *X3DS),
}


def convert(
    source: str | os.PathLike,
    model: Mapping[str, object],
    init: InitConfig,
    options: ConversionOptions | None = None,
) -> Conversion:
    """A ViViT of any vision transformer, a ResNet over time and space of any ResNet, or an X3D of pytorchvideo's.

    Args:
      source: a file, a directory or `hf://org/name`.
      model: fields of `ViViTConfig`, `ResNet3DConfig` or `X3DConfig` among `MODEL_OPTIONS`; what is left out is the source's.
      init: how the source is read and made to fit; its `source` and `head` are not used.
      options: what else the caller asks for; None is the defaults.

    Raises:
      UserError: naming what cannot be read, what the caller must say, or what does not fit.
    """
    model = {name: value for name, value in model.items() if value is not None}
    options = options or ConversionOptions()
    path = local_path(source)
    tensors = None if is_own(path, init.format) else read_tensors(path)
    for source_of, family in CONVOLUTIONAL:
        if init.format in source_of.FORMATS or (init.format == "auto" and tensors is not None and source_of.format_of(tensors)):
            return family.convert(tensors, model, init, options)
    return vit.convert(path, tensors, model, init, options)


def from_pretrained(source: str | os.PathLike, **options: object) -> Pretrained:
    """A model with its weights, from our model directory or any other source of a ViViT or a video CNN.

    >>> pretrained = from_pretrained("runs/motion_digits/model")
    >>> pretrained = from_pretrained("hf://google/vivit-b-16x2-kinetics400")
    >>> pretrained = from_pretrained("checkpoint_200000", clip=(32, 224, 224), attention_order="time_space")
    >>> pretrained = from_pretrained("r3d_18.pth")

    Args:
      source: a file, a directory or `hf://org/name`.
      **options: what the source's files cannot say: fields of `ViViTConfig` (such as `clip`, `factorisation`, `attention_order`) and of
        `InitConfig` (such as `num_heads`, `mean`, `std`).

    Raises:
      UserError: if the source cannot be read, or is an image model.
    """
    path = local_path(source)
    if not options and is_model_dir(path):
        return load_model_dir(path)
    init_options = [field.name for field in dataclasses.fields(InitConfig) if field.name not in ("source", "tubelet", "head")]
    for name in options:
        if name not in MODEL_OPTIONS and name not in init_options:
            raise unknown_name("option of from_pretrained", name, (*MODEL_OPTIONS, *init_options))
    model = {name: value for name, value in options.items() if name in MODEL_OPTIONS}
    init = InitConfig(**{name: value for name, value in options.items() if name in init_options})
    return convert(path, model, init, ConversionOptions(image_models=False)).pretrained
