"""Makes a model from pytorchvideo's X3D: the same network."""

import dataclasses
from collections.abc import Mapping

from vivit_jax.errors import UserError
from vivit_jax.models.x3d.config import X3DConfig
from vivit_jax.preprocess import Preprocess
from vivit_jax.weights.config import InitConfig
from vivit_jax.weights.conversion import Conversion, ConversionOptions
from vivit_jax.weights.convolutional.convert import conversion_of, preprocess_of
from vivit_jax.weights.convolutional.options import check_init_options, check_model_options
from vivit_jax.weights.convolutional.source import Source
from vivit_jax.weights.report import ReportLine
from vivit_jax.weights.tensor_files import Tensors
from vivit_jax.weights.x3d.initialise import initialise_from
from vivit_jax.weights.x3d.source import FORMATS, read

# The clip, the stride of 30 frames a second and the short side of each published network (pytorchvideo's model zoo; its tests see the whole
# short side, its training these crops of it).
SAMPLING = {
    "x3d_xs": ((4, 160, 160), 12, 182),
    "x3d_s": ((13, 160, 160), 6, 182),
    "x3d_m": ((16, 224, 224), 5, 256),
    "x3d_l": ((16, 312, 312), 5, 356),
}


def convert(tensors: Tensors, model: Mapping[str, object], init: InitConfig, options: ConversionOptions) -> Conversion:
    """The X3D and its report.

    Args:
      tensors: the source's tensors.
      model: the fields of `X3DConfig` that are asked for.
      init: how the source is read.
      options: what else the caller asks for.

    Raises:
      UserError: naming what cannot be read or does not fit.
    """
    check_model_options(model, tensors, "an X3D")
    check_init_options(init, FORMATS)
    source = read(tensors, init.format)
    config = _target(source, model)
    clip, stride, resize = SAMPLING[config.architecture]
    head = options.head or ("keep" if source.classes is not None and config.heads == {"": source.classes} else "fresh")
    started = initialise_from(source, config, dataclasses.replace(init, head=head), options.seed)
    resize = round(min(config.clip[1:]) * resize / min(clip[1:]))
    preprocess = preprocess_of(started, options, stride=stride, resize=resize)
    facts = [_sampling(preprocess, config.architecture, source, given="architecture" in model)]
    return conversion_of(started, preprocess, options, facts, keeps_head=head == "keep")


def _target(source: Source, model: Mapping[str, object]) -> X3DConfig:
    """The model that is asked for, filled in with what the source says."""
    architecture = model.get("architecture", source.architectures[0])
    if architecture not in source.architectures:
        raise UserError(f"{source.name} can become {' or '.join(source.architectures)}, not {architecture}")
    classes = {} if source.classes is None else {"num_classes": source.classes}
    return X3DConfig(width=source.width, **({"architecture": architecture, "clip": SAMPLING[architecture][0]} | classes | dict(model)))


def _sampling(preprocess: Preprocess, architecture: str, source: Source, *, given: bool) -> ReportLine:
    """The line on stride and resizing, which the architecture tells, and the file does not where several have the same tensors."""
    one_of_several = "" if len(source.architectures) == 1 else "; XS, S and M are one network"
    fact = f"{architecture}: stride {preprocess.stride}, resize {preprocess.resize}{one_of_several}"
    return ReportLine("(config)", "given" if given else "assumed", fact)
