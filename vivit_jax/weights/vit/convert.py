"""Makes a ViViT of any vision transformer: it infers what the source's shapes tell, and asks by name for what they cannot tell."""

import dataclasses
import pathlib
from collections.abc import Mapping

from vivit_jax.errors import UserError
from vivit_jax.models.families import build
from vivit_jax.models.vivit.config import ViViTConfig
from vivit_jax.preprocess import Preprocess
from vivit_jax.weights.config import InitConfig
from vivit_jax.weights.conversion import Conversion, ConversionOptions
from vivit_jax.weights.initialise import Initialisation
from vivit_jax.weights.model_dir import Pretrained
from vivit_jax.weights.model_json import LOGITS, default_labels
from vivit_jax.weights.report import ReportLine
from vivit_jax.weights.tensor_files import Tensors
from vivit_jax.weights.vit.backbone import Backbone, SourceOptions
from vivit_jax.weights.vit.initialise import initialise_from
from vivit_jax.weights.vit.source import read_source
from vivit_jax.weights.vit.target import same_classes, target_model

STRIDE = 2
# Scenic resizes to a short side of 256 for crops of 224.
RESIZE_RATIO = 256 / 224


def convert(
    path: pathlib.Path, tensors: Tensors | None, model: Mapping[str, object], init: InitConfig, options: ConversionOptions
) -> Conversion:
    """The ViViT and its report.

    Args:
      path: the source.
      tensors: its tensors; None for a model directory, which is read here.
      model: the fields of `ViViTConfig` that are asked for.
      init: how the source is read and made to fit.
      options: what else the caller asks for.

    Raises:
      UserError: naming what cannot be read, what the caller must say, or what does not fit.
    """
    backbone = _read(path, tensors, model, init, options)
    config = target_model(backbone, model, init)
    head = options.head or ("keep" if same_classes(backbone, config) else "fresh")
    started = initialise_from(backbone, config, dataclasses.replace(init, head=head), options.seed)
    preprocess, sampling = _preprocess(backbone, started, options)
    labels = options.labels or (backbone.labels if head == "keep" and not isinstance(config.num_classes, Mapping) else None)
    pretrained = Pretrained(
        build(started.model),
        started.variables,
        preprocess,
        labels or default_labels(started.model),
        multi_label=head == "keep" and backbone.multi_label,
        average=backbone.average if head == "keep" else LOGITS,
    )
    return Conversion(pretrained, (*started.report, *sampling))


def _read(
    path: pathlib.Path, tensors: Tensors | None, model: Mapping[str, object], init: InitConfig, options: ConversionOptions
) -> Backbone:
    if "architecture" in model:
        raise UserError(f"architecture applies to ResNets only, and {path} is not one: leave it out")
    backbone = read_source(path, _source_options(model, init), tensors)
    if backbone.is_image and not options.image_models:
        raise UserError(
            f"{backbone.name} is an image model: make a ViViT of it with `vivit convert` (or, of a ViViT of sampled frames, give tokenizer)"
        )
    if init.source_clip and backbone.is_image:
        raise UserError(f"source_clip is for a ViViT, and {backbone.name} is an image model: give image_size, or leave it out")
    return backbone


def _source_options(model: Mapping[str, object], init: InitConfig) -> SourceOptions:
    """The facts about the source that follow from what the caller asks for."""
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


def _preprocess(backbone: Backbone, started: Initialisation, options: ConversionOptions) -> tuple[Preprocess, list[ReportLine]]:
    """How videos are prepared for the model, and where stride and resizing come from. The source's resizing is for its crop only."""
    config: ViViTConfig = started.model
    crop = config.clip[1:]
    same_crop = backbone.clip is not None and backbone.clip[1:] == crop
    sampling = {name: value for name, value in backbone.sampling.items() if name == "padding" or not options.stride}
    preprocess = Preprocess(
        frames=config.clip[0],
        stride=options.stride or backbone.stride or STRIDE,
        resize=options.resize or (same_crop and backbone.resize) or round(min(crop) * RESIZE_RATIO),
        crop=crop,
        mean=started.mean,
        std=started.std,
        **sampling,
    )
    stride_origin = _origin(options.stride, backbone.stated_in.get("stride"))
    resize_origin = _origin(options.resize, same_crop and backbone.stated_in.get("resize"))
    return preprocess, [
        ReportLine("(config)", stride_origin, _distance(preprocess)),
        ReportLine("(config)", resize_origin, f"resize {preprocess.resize}"),
    ]


def _distance(preprocess: Preprocess) -> str:
    """How far apart a clip's frames are, by the field that counts."""
    if preprocess.sampling == "segments":
        return "sampling segments"
    return f"rate {preprocess.rate:g}" if preprocess.rate else f"stride {preprocess.stride}"


def _origin(given: int | None, file: str | None) -> str:
    """The origin of a value, for the report: `given`, the file that states it, or `assumed`."""
    return "given" if given else file or "assumed"
