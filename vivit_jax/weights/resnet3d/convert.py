"""Makes a model from a ResNet's state dict: the same network from a video ResNet, the one that the caller names from an image ResNet."""

import dataclasses
from collections.abc import Mapping

from vivit_jax.errors import UserError
from vivit_jax.models.resnet3d.config import ARCHITECTURES, ResNet3DConfig
from vivit_jax.preprocess import Preprocess
from vivit_jax.weights.config import InitConfig
from vivit_jax.weights.conversion import Conversion, ConversionOptions
from vivit_jax.weights.convolutional.convert import conversion_of, preprocess_of
from vivit_jax.weights.convolutional.options import check_init_options, check_model_options
from vivit_jax.weights.convolutional.source import Source
from vivit_jax.weights.report import ReportLine
from vivit_jax.weights.resnet3d.initialise import initialise_from
from vivit_jax.weights.resnet3d.source import FORMATS, read
from vivit_jax.weights.tensor_files import Tensors

CLIP = (16, 112, 112)
STRIDE = 2  # torchvision's were trained at 15 frames a second: every second frame of 30
RESIZE_RATIO = 8 / 7  # torchvision crops 112 of 128 pixels


def convert(tensors: Tensors, model: Mapping[str, object], init: InitConfig, options: ConversionOptions) -> Conversion:
    """The ResNet over time and space and its report.

    Args:
      tensors: the source's tensors.
      model: the fields of `ResNet3DConfig` that are asked for.
      init: how the source is read and made to fit.
      options: what else the caller asks for.

    Raises:
      UserError: naming what cannot be read, what the caller must say, or what does not fit.
    """
    source = _read(tensors, model, init, options)
    config = _target(source, dict(model))
    same = source.classes is not None and config.heads == {"": source.classes} and not source.is_image
    head = options.head or ("keep" if same else "fresh")
    started = initialise_from(source, config, dataclasses.replace(init, head=head), options.seed)
    preprocess = preprocess_of(started, options, stride=STRIDE, resize=round(min(config.clip[1:]) * RESIZE_RATIO))
    return conversion_of(started, preprocess, options, _sampling(preprocess, options), keeps_head=head == "keep")


def _read(tensors: Tensors, model: Mapping[str, object], init: InitConfig, options: ConversionOptions) -> Source:
    check_model_options(model, tensors, "a ResNet")
    check_init_options(init, FORMATS)
    source = read(tensors, init.format)
    if source.is_image and not options.image_models:
        raise UserError(f"{source.name} is an image model: make a video model of it with `vivit convert`")
    return source


def _target(source: Source, fields: dict[str, object]) -> ResNet3DConfig:
    """The model that is asked for, filled in with what the source says."""
    if not source.is_image:
        fields.setdefault("clip", CLIP)
        if source.classes is not None:
            fields.setdefault("num_classes", source.classes)
    for name, what in (("clip", "the (frames, height, width) of the videos"), ("architecture", " or ".join(source.architectures))):
        if source.is_image and name not in fields:
            raise UserError(f"{source.name} is an image model: give {name}, {what}")
    architecture = fields.setdefault("architecture", source.architectures[0])
    if architecture not in ARCHITECTURES or architecture not in source.architectures:
        raise UserError(f"{source.name} can become {' or '.join(source.architectures)}, not {architecture}")
    return ResNet3DConfig(width=source.width, **fields)


def _sampling(preprocess: Preprocess, options: ConversionOptions) -> list[ReportLine]:
    """The stride and the resizing, which the file does not say, and whether they were given."""
    squeezed = ", the short side; torchvision squeezes every video to 128 x 171, which is the same for 4:3 only"
    return [
        _fact(options.stride, f"stride {preprocess.stride}", ", 15 frames a second of 30"),
        _fact(options.resize, f"resize {preprocess.resize}", squeezed),
    ]


def _fact(given: int | None, fact: str, why_assumed: str) -> ReportLine:
    return ReportLine("(config)", "given", fact) if given else ReportLine("(config)", "assumed", fact + why_assumed)
