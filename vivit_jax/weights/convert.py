"""Make a model directory of any ViT or ViViT.

The source is a file, a directory or hf://org/name: Google's or big_vision's .npz, Hugging Face, timm, the original ViViT's checkpoints, or
a model directory of ours (to change its clip, factorisation or classes). What its shapes tell is inferred; what they cannot tell (frames,
and image sizes that are not square) is asked for by name. Ends with a table of where each group of parameters came from.

Example:
  vivit convert vit_b16.npz --to models/vivit_b --factorisation factorised_encoder --clip 32,224,224 --num_classes 400
  vivit convert hf://google/vivit-b-16x2-kinetics400 --to models/vivit_k400
  vivit convert checkpoint_200000 --to models/vivit_fe --labels kinetics400.txt
"""

import argparse
import dataclasses
import math
import os
import pathlib
from collections.abc import Mapping

import jax
from rich import box
from rich.console import Console
from rich.table import Table

from vivit_jax.errors import UserError, unknown_name
from vivit_jax.models.families import build
from vivit_jax.models.vivit.config import ACTIVATIONS, ATTENTION_ORDERS, FACTORISATIONS, POOLS, TOKENIZERS
from vivit_jax.preprocess import Preprocess
from vivit_jax.weights import config as choices
from vivit_jax.weights.config import InitConfig
from vivit_jax.weights.groups import Group
from vivit_jax.weights.layers import flatten
from vivit_jax.weights.model_dir import Labels, Pretrained, default_labels, is_model_dir, load_model_dir, save_pretrained
from vivit_jax.weights.vit.backbone import SourceOptions
from vivit_jax.weights.vit.initialise import initialise_from
from vivit_jax.weights.vit.source import FORMATS, OWN_FORMAT, local_path, read_source
from vivit_jax.weights.vit.target import same_classes, target_model

STRIDE = 2
# The original resizes to a short side of 256 for crops of 224.
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
    """A ViViT of any source.

    Args:
      source: a file, a directory or `hf://org/name`.
      model: fields of `ViViTConfig` among `MODEL_OPTIONS`; what is left out is the source's.
      init: how the source is read and made to fit; its `source` and `head` are not used.
      head: `keep` or `fresh`; None keeps a ViViT's if the classes are the same.
      stride: source frames between two frames of a clip; None is the source's, or 2.
      resize: short side in pixels before the crop; None is the source's, or 8/7 of the crop's.
      labels: class names; None takes the source's if its head is kept.
      seed: of what is random.
      image_models: whether the source may be an image model.

    Raises:
      UserError: naming what cannot be read, told or made to fit.
    """
    model = {name: value for name, value in model.items() if value is not None}
    backbone = read_source(source, _source_options(model, init))
    if backbone.is_image and not image_models:
        raise UserError(
            f"{backbone.name} is an image model: make a ViViT of it with `vivit convert` (or, of sampled frames, give tokenizer)"
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
    )
    labels = labels or (backbone.labels if kept == "keep" and not isinstance(config.num_classes, Mapping) else None)
    multi_label = kept == "keep" and backbone.multi_label
    pretrained = Pretrained(build(started.model), started.variables, preprocess, labels or default_labels(started.model), multi_label)
    return Conversion(pretrained, started.report)


def from_pretrained(source: str | os.PathLike, **options: object) -> Pretrained:
    """A ViViT with its weights, from a model directory of ours or any other source of a ViViT.

    >>> pretrained = from_pretrained("runs/motion_digits/model")
    >>> pretrained = from_pretrained("hf://google/vivit-b-16x2-kinetics400")
    >>> pretrained = from_pretrained("checkpoint_200000", clip=(32, 224, 224), attention_order="time_space")

    Args:
      source: a file, a directory or `hf://org/name`.
      **options: what the source's files cannot say: fields of `ViViTConfig` (as `clip`, `factorisation`, `attention_order`, `pool`) and
        of `InitConfig` (as `num_heads`, `mean`, `std`).

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("source", metavar="SOURCE", help="file, directory or hf://org/name[@revision]")
    parser.add_argument("--to", required=True, metavar="DIR", type=pathlib.Path, help="the model directory to write")
    parser.add_argument("--format", default="auto", choices=("auto", OWN_FORMAT, *FORMATS), help="of the source (default: recognised)")
    model = parser.add_argument_group("the model, where it is not the source's")
    model.add_argument("--factorisation", choices=FACTORISATIONS)
    model.add_argument("--tubelet", type=_extents, metavar="T,H,W", help="frames and pixels (default of an image model: 2 frames)")
    model.add_argument("--clip", type=_extents, metavar="T,H,W", help="frames and pixels of the input")
    model.add_argument("--num_classes", type=_classes, metavar="N", help="or, for several heads, verb=97,noun=300")
    model.add_argument("--pool", choices=POOLS)
    model.add_argument("--tokenizer", choices=TOKENIZERS)
    model.add_argument("--sampled_frames", type=int, metavar="N", help="with --tokenizer frames, where it is not clip over tubelet")
    model.add_argument("--attention_order", choices=ATTENTION_ORDERS, help="of factorised_self_attention")
    model.add_argument("--temporal_layers", type=int, metavar="N", help="of factorised_encoder (default of an image model: 4)")
    init = parser.add_argument_group("how the source is made to fit")
    init.add_argument("--tubelet_init", choices=choices.TUBELET_INITS, default="central_frame")
    init.add_argument("--temporal_attention", choices=choices.TEMPORAL_ATTENTION_INITS, default="zero_output")
    init.add_argument("--position_resize", choices=choices.POSITION_RESIZES, help="default: as the source's own code")
    init.add_argument("--head", choices=choices.HEAD_INITS, help="default: a ViViT's is kept if the classes are the same")
    init.add_argument("--seed", type=int, default=0, help="of what is random")
    source = parser.add_argument_group("the source, where its files do not say")
    source.add_argument("--source_clip", type=_extents, metavar="T,H,W", help="that a ViViT's positions are for")
    source.add_argument("--image_size", type=_size, metavar="H,W", help="that an image model's positions are for")
    source.add_argument("--num_heads", type=int, metavar="N")
    source.add_argument("--activation", choices=ACTIVATIONS)
    source.add_argument("--norm_eps", type=float, metavar="X")
    source.add_argument("--mean", type=_triple, metavar="R,G,B", help="of pixels in [0, 1]")
    source.add_argument("--std", type=_triple, metavar="R,G,B", help="of pixels in [0, 1]")
    source.add_argument("--labels", type=pathlib.Path, metavar="FILE", help="class names, one a line")
    source.add_argument("--stride", type=int, metavar="N", help=f"source frames between two frames of a clip (default: {STRIDE})")
    source.add_argument("--resize", type=int, metavar="N", help="short side before the crop (default: 8/7 of the crop's)")


def run(arguments: argparse.Namespace) -> None:
    """Converts, writes the model directory and prints the table."""
    init = InitConfig(
        format=arguments.format,
        tubelet=arguments.tubelet_init,
        **{
            name: getattr(arguments, name)
            for name in (
                "temporal_attention",
                "position_resize",
                "source_clip",
                "image_size",
                "num_heads",
                "activation",
                "norm_eps",
                "mean",
                "std",
            )
        },
    )
    conversion = convert(
        arguments.source,
        {name: getattr(arguments, name, None) for name in MODEL_OPTIONS},
        init,
        head=arguments.head,
        stride=arguments.stride,
        resize=arguments.resize,
        labels=_read_labels(arguments.labels),
        seed=arguments.seed,
    )
    done = conversion.pretrained
    save_pretrained(arguments.to, done.model.config, done.variables, done.preprocess, done.labels or None, multi_label=done.multi_label)
    print_report(conversion, arguments.source, arguments.to)


def print_report(conversion: Conversion, source: str, target: pathlib.Path) -> None:
    """A table: each group of parameters, where it came from, what was done to it."""
    table = Table("parameters", "from", "what was done", title=f"{source} -> {target}", title_justify="left", box=box.SIMPLE_HEAD)
    for group in conversion.report:
        table.add_row(group.name, group.source, group.done)
    config = conversion.pretrained.model.config
    count = sum(math.prod(leaf.shape) for leaf in flatten(conversion.pretrained.variables["params"]).values())
    console = Console(width=None if Console().is_terminal else 160)
    with console.capture() as printed:
        console.print(table)
    print("\n".join(line.rstrip() for line in printed.get().splitlines()))
    classes = " + ".join(f"{number} {name}".strip() for name, number in config.heads.items()) or "no"
    console.print(
        f"{config.factorisation}, {count / 1e6:.3f} M parameters, clip {_by(config.clip)}, tubelet {_by(config.tubelet)}, {classes} classes"
    )


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


def _read_labels(path: pathlib.Path | None) -> tuple[str, ...] | None:
    if path is None:
        return None
    try:
        return tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as class names, one a line: {error}") from None


def _by(extents: tuple[int, ...]) -> str:
    return "x".join(map(str, extents))


def _extents(text: str) -> tuple[int, ...]:
    return _numbers(text, int, 3)


def _size(text: str) -> tuple[int, ...]:
    return _numbers(text, int, 2)


def _triple(text: str) -> tuple[float, ...]:
    return _numbers(text, float, 3)


def _numbers(text: str, kind: type, count: int) -> tuple:
    try:
        values = tuple(kind(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != count:
        raise argparse.ArgumentTypeError(f"must be {count} numbers with commas between them, got {text!r}")
    return values


def _classes(text: str) -> int | dict[str, int]:
    try:
        if "=" not in text:
            return int(text)
        return {name: int(count) for name, count in (part.split("=") for part in text.split(","))}
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, or numbers by head as verb=97,noun=300, got {text!r}") from None
