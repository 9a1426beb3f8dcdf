"""Makes a model from a ResNet's state dict: the same network from a video ResNet, the one that the caller names from an image ResNet."""

import dataclasses
from collections.abc import Mapping

import jax

from vivit_jax.errors import UserError
from vivit_jax.heads import Labels
from vivit_jax.models.families import build
from vivit_jax.models.resnet3d.config import ARCHITECTURES, ResNet3DConfig
from vivit_jax.preprocess import Preprocess
from vivit_jax.weights.config import InitConfig
from vivit_jax.weights.groups import Group
from vivit_jax.weights.model_dir import Pretrained, default_labels
from vivit_jax.weights.resnet3d.initialise import check_options, initialise_from
from vivit_jax.weights.resnet3d.source import Source, read
from vivit_jax.weights.tensors import Tensors

# What a caller may say about the model.
MODEL_OPTIONS = ("architecture", "clip", "num_classes", "dtype")
CLIP = (16, 112, 112)
STRIDE = 2  # torchvision's were trained at 15 frames a second: every second frame of 30
RESIZE_RATIO = 8 / 7  # torchvision crops 112 of 128 pixels


def convert(
    tensors: Tensors,
    model: Mapping[str, object],
    init: InitConfig,
    *,
    head: str | None,
    stride: int | None,
    resize: int | None,
    labels: Labels | None,
    seed: int,
    image_models: bool,
) -> tuple[Pretrained, tuple[Group, ...]]:
    """The model and its report; arguments are those of `vivit_jax.weights.convert.convert`.

    Raises:
      UserError: naming what cannot be read, what the caller must say, or what does not fit.
    """
    for name in model:
        if name not in MODEL_OPTIONS:
            raise UserError(f"{tensors.path} is a ResNet, which has no {name}: leave it out")
    check_options(init)
    source = read(tensors, init.format)
    if source.is_image and not image_models:
        raise UserError(f"{source.name} is an image model: make a video model of it with `vivit convert`")
    config = _target(source, dict(model))
    same = source.classes is not None and config.heads == {"": source.classes} and not source.is_image
    kept = head or ("keep" if same else "fresh")
    started = initialise_from(source, config, dataclasses.replace(init, head=kept), jax.random.key(seed))
    crop = config.clip[1:]
    preprocess = Preprocess(
        frames=config.clip[0],
        stride=stride or STRIDE,
        resize=resize or round(min(crop) * RESIZE_RATIO),
        crop=crop,
        mean=started.mean,
        std=started.std,
    )
    pretrained = Pretrained(build(config), started.variables, preprocess, labels or default_labels(config))
    return pretrained, (*started.report, *_facts(preprocess, stride, resize, named=bool(labels) or kept != "keep"))


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


def _facts(preprocess: Preprocess, stride: int | None, resize: int | None, *, named: bool) -> list[Group]:
    """The preprocessing and labels that the file does not say, and where each was taken from."""
    squeezed = ", the short side; torchvision squeezes every video to 128 x 171, which is the same for 4:3 only"
    facts = [
        Group("(config)", "given" if stride else "assumed", f"stride {preprocess.stride}{'' if stride else ', 15 frames a second of 30'}"),
        Group("(config)", "given" if resize else "assumed", f"resize {preprocess.resize}{'' if resize else squeezed}"),
    ]
    if not named:
        facts.append(Group("(labels)", "-", "the file does not name its classes: LABEL_0, LABEL_1, ...; give their names by --labels"))
    return facts
