"""Makes a model from pytorchvideo's X3D: the same network."""

import dataclasses
from collections.abc import Mapping

import jax

from vivit_jax.errors import UserError
from vivit_jax.models.families import build
from vivit_jax.models.x3d.config import X3DConfig
from vivit_jax.preprocess import Preprocess
from vivit_jax.weights.config import InitConfig
from vivit_jax.weights.conversion import Asked, Conversion
from vivit_jax.weights.groups import Group
from vivit_jax.weights.model_dir import Pretrained
from vivit_jax.weights.model_json import default_labels
from vivit_jax.weights.resnet3d.convert import UNNAMED
from vivit_jax.weights.resnet3d.initialise import check_options
from vivit_jax.weights.tensor_files import Tensors
from vivit_jax.weights.x3d.initialise import initialise_from
from vivit_jax.weights.x3d.source import FORMATS, read

# What a caller may say about the model.
MODEL_OPTIONS = ("architecture", "clip", "num_classes", "dtype")
# The clip, the stride of 30 frames a second and the short side of each published network (pytorchvideo's model zoo; its tests see the whole
# short side, its training these crops of it).
SAMPLING = {
    "x3d_xs": ((4, 160, 160), 12, 182),
    "x3d_s": ((13, 160, 160), 6, 182),
    "x3d_m": ((16, 224, 224), 5, 256),
    "x3d_l": ((16, 312, 312), 5, 356),
}


def convert(tensors: Tensors, model: Mapping[str, object], init: InitConfig, asked: Asked) -> Conversion:
    """The X3D and its report.

    Args:
      tensors: the source's.
      model: the fields of `X3DConfig` that are asked for.
      init: how the source is read.
      asked: what else is asked for.

    Raises:
      UserError: naming what cannot be read or does not fit.
    """
    for name in model:
        if name not in MODEL_OPTIONS:
            raise UserError(f"{tensors.path} is an X3D, which has no {name}: leave it out")
    check_options(init, FORMATS)
    source = read(tensors, init.format)
    architecture = model.get("architecture", source.architectures[0])
    if architecture not in source.architectures:
        raise UserError(f"{source.name} can become {' or '.join(source.architectures)}, not {architecture}")
    clip, stride, resize = SAMPLING[architecture]
    classes = {} if source.classes is None else {"num_classes": source.classes}
    config = X3DConfig(width=source.width, **({"architecture": architecture, "clip": clip} | classes | dict(model)))
    head = asked.head or ("keep" if source.classes is not None and config.heads == {"": source.classes} else "fresh")
    started = initialise_from(source, config, dataclasses.replace(init, head=head), jax.random.key(asked.seed))
    crop = config.clip[1:]
    preprocess = Preprocess(
        frames=config.clip[0],
        stride=asked.stride or stride,
        resize=asked.resize or round(min(crop) * resize / min(clip[1:])),
        crop=crop,
        mean=started.mean,
        std=started.std,
    )
    pretrained = Pretrained(build(config), started.variables, preprocess, asked.labels or default_labels(config))
    facts = [
        Group(
            "(config)",
            "given" if "architecture" in model else "assumed",
            f"{architecture}: stride {preprocess.stride}, "
            f"resize {preprocess.resize}" + ("" if len(source.architectures) == 1 else "; XS, S and M are one network"),
        )
    ]
    unnamed = [] if asked.labels or head != "keep" else [UNNAMED]
    return Conversion(pretrained, (*started.report, *facts, *unnamed))
