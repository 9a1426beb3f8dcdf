"""Makes a model from any ViT, ViViT or ResNet: it infers what the source's shapes tell, and asks by name for what they cannot tell."""

import dataclasses
import os
from collections.abc import Mapping

import jax

from vivit_jax.errors import UserError, unknown_name
from vivit_jax.models.families import build
from vivit_jax.preprocess import Preprocess
from vivit_jax.weights.config import InitConfig
from vivit_jax.weights.groups import Group
from vivit_jax.weights.model_dir import Labels, Pretrained, default_labels, is_model_dir, load_model_dir
from vivit_jax.weights.resnet3d import convert as resnet3d
from vivit_jax.weights.resnet3d import source as resnets
from vivit_jax.weights.tensors import read_tensors
from vivit_jax.weights.vit.backbone import SourceOptions
from vivit_jax.weights.vit.initialise import initialise_from
from vivit_jax.weights.vit.source import OWN_FORMAT, local_path, read_source
from vivit_jax.weights.vit.target import same_classes, target_model

STRIDE = 2
# Scenic resizes to a short side of 256 for crops of 224.
RESIZE_RATIO = 256 / 224

# What a caller may say about the model that a source becomes.
MODEL_OPTIONS = (
    "factorisation",
    "tubelet",
    "clip",
    "num_classes",
    "pool",
    "tokenizer",
    "sampled_frames",
    "attention_order",
    "temporal_layers",
    "scan_layers",
    "dtype",
    "architecture",
)


@dataclasses.dataclass(frozen=True)
class Conversion:
    """A converted model and, for each group of its parameters, where it came from and what was done to it."""

    pretrained: Pretrained
    report: tuple[Group, ...]


def convert(
    source: str | os.PathLike,
    model: Mapping[str, object],
    init: InitConfig,
    *,
    head: str | None = None,
    stride: int | None = None,
    resize: int | None = None,
    labels: Labels | None = None,
    seed: int = 0,
    image_models: bool = True,
) -> Conversion:
    """A ViViT of any vision transformer, or a ResNet over time and space of any ResNet.

    Args:
      source: a file, a directory or `hf://org/name`.
      model: fields of `ViViTConfig` or `ResNet3DConfig` among `MODEL_OPTIONS`; what is left out is the source's.
      init: how the source is read and made to fit; its `source` and `head` are not used.
      head: `keep` or `fresh`; None keeps a video model's if the classes are the same.
      stride: source frames between two frames of a clip; None is the source's, or 2.
      resize: short side in pixels before the crop; None is the source's, or 8/7 of the crop's.
      labels: class names; None takes the source's if its head is kept.
      seed: seeds the weights that the source lacks.
      image_models: whether the source may be an image model.

    Raises:
      UserError: naming what cannot be read, what the caller must say, or what does not fit.
    """
    model = {name: value for name, value in model.items() if value is not None}
    path = local_path(source)
    tensors = None if init.format == OWN_FORMAT or is_model_dir(path) else read_tensors(path)
    if init.format in resnets.FORMATS or (init.format == "auto" and tensors is not None and resnets.format_of(tensors)):
        options = {"head": head, "stride": stride, "resize": resize, "labels": labels, "seed": seed, "image_models": image_models}
        return Conversion(*resnet3d.convert(tensors, model, init, **options))
    if "architecture" in model:
        raise UserError(f"architecture applies to ResNets only, and {path} is not one: leave it out")
    backbone = read_source(path, _source_options(model, init), tensors)
    if backbone.is_image and not image_models:
        raise UserError(
            f"{backbone.name} is an image model: make a ViViT of it with `vivit convert` (or give tokenizer for one of sampled frames)"
        )
    config = target_model(backbone, model, init)
    kept = head or ("keep" if same_classes(backbone, config) else "fresh")
    started = initialise_from(backbone, config, dataclasses.replace(init, head=kept), jax.random.key(seed))
    crop = config.clip[1:]
    same_crop = backbone.clip is not None and backbone.clip[1:] == crop
    preprocess = Preprocess(
        frames=config.clip[0],
        stride=stride or backbone.stride or STRIDE,
        resize=resize or (same_crop and backbone.resize) or round(min(crop) * RESIZE_RATIO),
        crop=crop,
        mean=started.mean,
        std=started.std,
        **({} if stride else backbone.sampling),
    )
    labels = labels or (backbone.labels if kept == "keep" and not isinstance(config.num_classes, Mapping) else None)
    multi_label = kept == "keep" and backbone.multi_label
    pretrained = Pretrained(build(started.model), started.variables, preprocess, labels or default_labels(started.model), multi_label)
    origins = {"stride": _origin(stride, backbone.said.get("stride")), "resize": _origin(resize, same_crop and backbone.said.get("resize"))}
    sampling = [Group("(config)", origin, f"{name} {getattr(preprocess, name)}") for name, origin in origins.items()]
    return Conversion(pretrained, (*started.report, *sampling))


def from_pretrained(source: str | os.PathLike, **options: object) -> Pretrained:
    """A model with its weights, from our model directory or any other source of a ViViT or a video ResNet.

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
    return convert(path, model, init, image_models=False).pretrained


def _origin(given: int | None, said: str | None) -> str:
    """Where a value in the report comes from."""
    return "given" if given else said or "assumed"


def _source_options(model: Mapping[str, object], init: InitConfig) -> SourceOptions:
    clip = model.get("clip")
    return SourceOptions(
        format=init.format,
        num_heads=init.num_heads,
        image_size=init.image_size,
        clip=init.source_clip,
        target_clip=tuple(clip) if clip else None,
        factorisation=model.get("factorisation"),
        frames=model.get("tokenizer") == "frames",
        sampled_frames=model.get("sampled_frames"),
        attention_order=model.get("attention_order"),
        pool=model.get("pool"),
    )
