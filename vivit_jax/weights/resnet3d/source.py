"""Recognises a ResNet's state dict by its names, and its architecture by names and shapes."""

import re

from vivit_jax.console import first_of
from vivit_jax.errors import UserError
from vivit_jax.models.resnet3d.config import ARCHITECTURES, DEPTHS_18, DEPTHS_50
from vivit_jax.weights.config import Triple
from vivit_jax.weights.convolutional.source import Source
from vivit_jax.weights.model_json import CONFIG, read_json
from vivit_jax.weights.tensor_files import Tensors
from vivit_jax.weights.timm_arguments import refuse_others

VIDEO, IMAGE = "video_resnet", "image_resnet"
FORMATS = (VIDEO, IMAGE)
DEEP_STEM = "conv1.0.weight"
STEMS = ("conv1.weight", DEEP_STEM)
WRAPPERS = r"(?:module\.|model\.|backbone\.)*"

# timm's arguments that change what the same weights compute, with the values that mean a plain ResNet.
PLAIN_ARGUMENTS = {
    "act_layer": ("", "relu"),
    "aa_layer": ("",),
    "norm_layer": ("", "batchnorm", "batchnorm2d"),
    "global_pool": ("", "avg", "fast", "fastavg"),
    "output_stride": ("", 32),
}

# Pixel statistics of torchvision's weights: Kinetics-400 for videos, ImageNet for images.
MEANS: dict[str, Triple] = {VIDEO: (0.43216, 0.394666, 0.37645), IMAGE: (0.485, 0.456, 0.406)}
STDS: dict[str, Triple] = {VIDEO: (0.22803, 0.22145, 0.216989), IMAGE: (0.229, 0.224, 0.225)}


def format_of(tensors: Tensors) -> str | None:
    """The format of a file, one of `FORMATS`; None if it is neither."""
    names = {re.sub(f"^{WRAPPERS}", "", name) for name in tensors}
    if "layer1.0.conv1.0.weight" in names or "layer1.0.conv1.0.0.weight" in names:
        return VIDEO
    return IMAGE if "layer1.0.conv1.weight" in names and not names.isdisjoint(STEMS) else None


def read(tensors: Tensors, asked: str = "auto") -> Source:
    """Recognises the ResNet in a file; `asked` is the format that the caller names, or `auto`.

    Raises:
      UserError: for a ResNet of another format than asked for, or one that none of our architectures can be.
    """
    format = format_of(tensors)
    name = f"{tensors.path} ({format})"
    if format is None:
        raise UserError(f"{tensors.path}: no known ResNet has these names: {first_of(list(tensors), 4)}")
    if asked in FORMATS and asked != format:
        raise UserError(f"{tensors.path} is of format {format}, not {asked}: set format to {format} or auto")
    tensors = tensors.renamed(_bare_names(tensors, name))
    shapes = tensors.shapes
    if format == IMAGE:
        _refuse_other_networks(tensors, name)
    architectures = _image_architectures(tensors, name) if format == IMAGE else (_video_architecture(tensors, name),)
    head = shapes.get("fc.weight")
    mean, std, pixels_from = _pixels(tensors, format)
    first = "layer1.0.conv1.weight" if format == IMAGE else "layer1.0.conv2.1.weight"  # as many outputs as the first stage has channels
    if not shapes.get(first):
        raise UserError(f"{name}: {first}, which tells the width, must be a tensor of at least one axis, got {shapes.get(first, 'none')}")
    classes = head[0] if head else None
    return Source(name, architectures, shapes[first][0], classes, mean, std, pixels_from, tensors, is_image=format == IMAGE)


def _bare_names(tensors: Tensors, name: str) -> dict[str, str]:
    """torchvision's names of the tensors, {that: the one given}."""
    bare = {}
    for given in tensors:
        its = re.sub(f"^{WRAPPERS}", "", given)
        if its in bare:
            raise UserError(f"{name}: two tensors claim {its}: {bare[its]} and {given}; save the state_dict of one model alone")
        bare[its] = given
    return bare


def _video_architecture(tensors: Tensors, name: str) -> str:
    """Tells R(2+1)D by its factorised convolutions, and R3D from MC3 by the frames that a kernel of the second stage spans."""
    _check_depths(tensors, (DEPTHS_18,), name)
    if any(re.match(r"layer\d\.\d+\.conv3\.", tensor) for tensor in tensors):
        raise UserError(f"{name}: its blocks are bottlenecks, which none of {_video_names()} has")
    if "layer1.0.conv1.0.0.weight" in tensors:
        return "r2plus1d_18"
    kernel = tensors.shapes.get("layer2.0.conv1.0.weight", ())
    return "mc3_18" if kernel[2:3] == (1,) else "r3d_18"


def _image_architectures(tensors: Tensors, name: str) -> tuple[str, ...]:
    bottleneck = "layer1.0.conv3.weight" in tensors
    depths = _check_depths(tensors, (DEPTHS_50 if bottleneck else DEPTHS_18,), name)
    return tuple(key for key, plan in ARCHITECTURES.items() if plan.inflated and (plan.bottleneck, plan.depths) == (bottleneck, depths))


def _check_depths(tensors: Tensors, known: tuple[tuple[int, ...], ...], name: str) -> tuple[int, ...]:
    places = {(int(match[1]), int(match[2])) for tensor in tensors if (match := re.match(r"layer(\d+)\.(\d+)\.", tensor))}
    depths = tuple(sum(stage == at for at, _ in places) for stage in range(1, max(stage for stage, _ in places) + 1))
    if depths not in known:
        expected = " or ".join(map(str, known))
        raise UserError(f"{name}: its stages have {depths} blocks, expected {expected}: only ResNet-18 and ResNet-50 can be read")
    return depths


def _refuse_other_networks(tensors: Tensors, name: str) -> None:
    """Refuses relatives of the ResNet, some of which only timm's config.json beside the weights tells from it."""
    if DEEP_STEM in tensors:
        raise UserError(f"{name}: its stem is three convolutions (ResNet-C, -D, -S or -T), expected one of 7x7")
    stem, inner = (tensors.shapes.get(part, ()) for part in ("conv1.weight", "layer1.0.conv2.weight"))
    if len(inner) == 4 and inner[0] != inner[1]:
        raise UserError(f"{name}: its 3x3 convolutions are in {inner[0] // max(inner[1], 1)} groups (ResNeXt), expected one")
    if len(inner) == 4 and stem and inner[0] != stem[0]:
        raise UserError(f"{name}: its first stage is {inner[0]} wide and its stem {stem[0]} (a wide ResNet), expected the same")
    config = _config_beside(tensors)
    architecture, arguments = config.get("architecture"), config.get("model_args")
    if re.match(r"(resnetblur|resnetaa)", str(architecture)):
        raise UserError(f"{name}: {architecture} smooths before it strides, which a ResNet over time and space does not")
    said = {"global_pool": config.get("global_pool")} | (arguments if isinstance(arguments, dict) else {})
    refuse_others(said, PLAIN_ARGUMENTS, name, "a ResNet over time and space")


def _config_beside(tensors: Tensors) -> dict:
    """timm's config.json beside the weights, or nothing."""
    config = (tensors.path if tensors.path.is_dir() else tensors.path.parent) / CONFIG
    return read_json(config) if config.is_file() else {}


def _video_names() -> str:
    return ", ".join(key for key, plan in ARCHITECTURES.items() if not plan.inflated)


def _pixels(tensors: Tensors, format: str) -> tuple[Triple, Triple, str]:
    """Mean, std and where they come from: timm's config.json beside an image model's weights, else torchvision's values for the format."""
    recipe = _config_beside(tensors).get("pretrained_cfg") if format == IMAGE else None
    if isinstance(recipe, dict) and all(_is_triple(recipe.get(field)) for field in ("mean", "std")):
        return tuple(recipe["mean"]), tuple(recipe["std"]), CONFIG
    return MEANS[format], STDS[format], "torchvision's"


def _is_triple(value: object) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(isinstance(number, int | float) for number in value)
