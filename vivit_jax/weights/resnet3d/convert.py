"""Makes a model from a ResNet's state dict: the same network from a video ResNet, the one that the caller names from an image ResNet."""

import dataclasses
from collections.abc import Mapping

import jax

from vivit_jax.errors import UserError
from vivit_jax.models.families import build
from vivit_jax.models.resnet3d.config import ARCHITECTURES, ResNet3DConfig
from vivit_jax.preprocess import Preprocess
from vivit_jax.weights.config import InitConfig
from vivit_jax.weights.conversion import Asked, Conversion
from vivit_jax.weights.groups import Group
from vivit_jax.weights.model_dir import Pretrained
from vivit_jax.weights.model_json import default_labels
from vivit_jax.weights.resnet3d.initialise import check_options, initialise_from
from vivit_jax.weights.resnet3d.source import Source, read
from vivit_jax.weights.tensor_files import Tensors

# What a caller may say about the model.
MODEL_OPTIONS = ("architecture", "clip", "num_classes", "dtype")
CLIP = (16, 112, 112)
STRIDE = 2  # torchvision's were trained at 15 frames a second: every second frame of 30
RESIZE_RATIO = 8 / 7  # torchvision crops 112 of 128 pixels
UNNAMED = Group("(labels)", "-", "the file does not name its classes: LABEL_0, LABEL_1, ...; give their names by --labels")


def convert(tensors: Tensors, model: Mapping[str, object], init: InitConfig, asked: Asked) -> Conversion:
    """The ResNet over time and space and its report.

    Args:
      tensors: the source's.
      model: the fields of `ResNet3DConfig` that are asked for.
      init: how the source is read and made to fit.
      asked: what else is asked for.

    Raises:
      UserError: naming what cannot be read, what the caller must say, or what does not fit.
    """
    source = _read(tensors, model, init, asked)
    config = _target(source, dict(model))
    same = source.classes is not None and config.heads == {"": source.classes} and not source.is_image
    head = asked.head or ("keep" if same else "fresh")
    started = initialise_from(source, config, dataclasses.replace(init, head=head), jax.random.key(asked.seed))
    crop = config.clip[1:]
    preprocess = Preprocess(
        frames=config.clip[0],
        stride=asked.stride or STRIDE,
        resize=asked.resize or round(min(crop) * RESIZE_RATIO),
        crop=crop,
        mean=started.mean,
        std=started.std,
    )
    pretrained = Pretrained(build(config), started.variables, preprocess, asked.labels or default_labels(config))
    unnamed = [] if asked.labels or head != "keep" else [UNNAMED]
    return Conversion(pretrained, (*started.report, *_sampling(preprocess, asked), *unnamed))


def _read(tensors: Tensors, model: Mapping[str, object], init: InitConfig, asked: Asked) -> Source:
    for name in model:
        if name not in MODEL_OPTIONS:
            raise UserError(f"{tensors.path} is a ResNet, which has no {name}: leave it out")
    check_options(init)
    source = read(tensors, init.format)
    if source.is_image and not asked.image_models:
        raise UserError(f"{source.name} is an image model: make a video model of it with `vivit convert`")
    return source


def _target(source: Source, asked: dict[str, object]) -> ResNet3DConfig:
    """The model that is asked for, filled in with what the source says."""
    if not source.is_image:
        asked.setdefault("clip", CLIP)
        if source.classes is not None:
            asked.setdefault("num_classes", source.classes)
    for name, what in (("clip", "the (frames, height, width) of the videos"), ("architecture", " or ".join(source.architectures))):
        if source.is_image and name not in asked:
            raise UserError(f"{source.name} is an image model: give {name}, {what}")
    architecture = asked.setdefault("architecture", source.architectures[0])
    if architecture not in ARCHITECTURES or architecture not in source.architectures:
        raise UserError(f"{source.name} can become {' or '.join(source.architectures)}, not {architecture}")
    return ResNet3DConfig(width=source.width, **asked)


def _sampling(preprocess: Preprocess, asked: Asked) -> list[Group]:
    """The stride and the resizing, which the file does not say, and whether they were given."""
    squeezed = ", the short side; torchvision squeezes every video to 128 x 171, which is the same for 4:3 only"
    return [
        _fact(asked.stride, f"stride {preprocess.stride}", ", 15 frames a second of 30"),
        _fact(asked.resize, f"resize {preprocess.resize}", squeezed),
    ]


def _fact(given: int | None, fact: str, why_assumed: str) -> Group:
    return Group("(config)", "given", fact) if given else Group("(config)", "assumed", fact + why_assumed)
