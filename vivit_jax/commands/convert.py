"""Makes a model directory from a published ViT, ViViT, ResNet or X3D.

The source is a file, a directory or hf://org/name: Google's or big_vision's .npz, Hugging Face, timm, Scenic's ViViT checkpoints,
torchvision's R3D-18, MC3-18 and R(2+1)D-18, torchvision's or timm's ResNet-18 and ResNet-50 (which become video models), pytorchvideo's
X3D, or a ViViT's model directory of this package (to change its clip, factorisation or classes). The command infers all
that it can from the files. If they do not say something, such as the number of frames, an error names the option for it. The command ends
with a table of where each group of parameters came from.

Example:
  vivit convert vit_b16.npz --to models/vivit_b --factorisation factorised_encoder --clip 32,224,224 --num_classes 400
  vivit convert hf://google/vivit-b-16x2-kinetics400 --to models/vivit_k400
  vivit convert checkpoint_200000 --to models/vivit_fe --labels kinetics400.txt
  vivit convert r3d_18-b3b3357e.pth --to models/r3d_18 --labels kinetics400.txt
  vivit convert X3D_M.pyth --to models/x3d_m --architecture x3d_m --labels kinetics400.txt
  vivit convert resnet50.pth --to models/i3d_50 --architecture i3d_50 --clip 16,224,224 --num_classes 400
"""

import argparse
import math
import pathlib

from rich import box
from rich.table import Table

from vivit_jax import console
from vivit_jax.commands.arguments import check_model_place, is_given, output, positive, whole
from vivit_jax.errors import UserError
from vivit_jax.files import read_list
from vivit_jax.models.families import family_of
from vivit_jax.weights import config as choices
from vivit_jax.weights.config import InitConfig
from vivit_jax.weights.conversion import Conversion, ConversionOptions
from vivit_jax.weights.convert import FORMATS, MODEL_OPTIONS, convert
from vivit_jax.weights.layers import flatten
from vivit_jax.weights.vit.convert import STRIDE

ONLY_OF = {"factorised_encoder": ("temporal_layers",), "factorised_self_attention": ("attention_order", "temporal_attention")}
# Fields of `InitConfig` that are options of the same name.
INIT_OPTIONS = (
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
FILE_WIDTH = 160  # of the table in a log file: it names files and tells what was done


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `vivit convert`."""
    parser.add_argument("source", metavar="SOURCE", help="file, directory or hf://org/name[@revision]")
    parser.add_argument("--to", required=True, metavar="DIR", type=output, help="the model directory to write")
    parser.add_argument(
        "--format",
        default="auto",
        choices=FORMATS,
        help="format of the source (default: recognised)",
    )
    _add_model(parser.add_argument_group("the model, where it differs from the source"))
    _add_init(parser.add_argument_group("how the source is made to fit"))
    _add_source(parser.add_argument_group("the source, if its files do not say"))


def _add_model(model: argparse._ArgumentGroup) -> None:
    model.add_argument("--factorisation", choices=MODEL_OPTIONS["factorisation"], help="Model 1, 2, 3 or 4 of the paper, in this order")
    model.add_argument(
        "--tubelet",
        type=_extents,
        metavar="T,H,W",
        help="size of a token's block of pixels, in frames and pixels (default: the source's, or 2 frames for an image model)",
    )
    model.add_argument("--clip", type=_extents, metavar="T,H,W", help="size of the input in frames and pixels")
    model.add_argument("--num_classes", type=_classes, metavar="N", help="number of classes; for several heads, such as verb=97,noun=300")
    model.add_argument("--pool", choices=MODEL_OPTIONS["pool"], help="what the head sees: the cls token, or the tokens pooled")
    model.add_argument("--tokenizer", choices=MODEL_OPTIONS["tokenizer"], help="tubelets of several frames, or patches of sampled frames")
    model.add_argument(
        "--sampled_frames",
        type=positive,
        metavar="N",
        help="with --tokenizer frames: frames to sample, if not clip frames / tubelet frames",
    )
    model.add_argument(
        "--attention_order",
        choices=MODEL_OPTIONS["attention_order"],
        help="whether factorised_self_attention attends over space or time first",
    )
    model.add_argument(
        "--temporal_layers", type=whole, metavar="N", help="layers over time of factorised_encoder (default for an image model: 4)"
    )
    model.add_argument(
        "--architecture", choices=MODEL_OPTIONS["architecture"], help="the C2D or I3D that an image ResNet becomes, or which X3D"
    )


def _add_init(init: argparse._ArgumentGroup) -> None:
    init.add_argument(
        "--tubelet_init",
        choices=choices.TUBELET_INITS,
        default="central_frame",
        help="where an image model's patch kernel goes in a tubelet's: into its central frame, an equal share into each, or nowhere "
        "(default: central_frame)",
    )
    init.add_argument(
        "--temporal_attention",
        choices=choices.TEMPORAL_ATTENTION_INITS,
        default="zero_output",
        help="how the attention over time of factorised_self_attention starts: with a zero output, with all zeros, or as a copy of that "
        "over space (default: zero_output)",
    )
    init.add_argument(
        "--position_resize",
        choices=choices.POSITION_RESIZES,
        help="how positions are fitted to another grid (default: as the source's own code does)",
    )
    init.add_argument(
        "--head",
        choices=("fresh", "keep"),
        help="draw the head anew, or keep the source's (default: a video model's is kept if the classes are the same)",
    )
    init.add_argument("--seed", type=whole, default=0, metavar="N", help="seed of the parameters that the source lacks (default: 0)")


def _add_source(source: argparse._ArgumentGroup) -> None:
    source.add_argument(
        "--source_clip", type=_extents, metavar="T,H,W", help="the clip that the source ViViT was trained on, if no file says so"
    )
    source.add_argument(
        "--image_size", type=_size, metavar="H,W", help="the image size that the source image model was trained on, if no file says so"
    )
    source.add_argument("--num_heads", type=positive, metavar="N", help="attention heads")
    source.add_argument("--activation", choices=choices.ACTIVATIONS, help="the GELU it was trained with: by tanh, or exact")
    source.add_argument("--norm_eps", type=_above_zero, metavar="X", help="epsilon of LayerNorm, such as 1e-6")
    source.add_argument("--mean", type=_triple, metavar="R,G,B", help="mean of pixels in [0, 1]")
    source.add_argument("--std", type=_triple, metavar="R,G,B", help="standard deviation of pixels in [0, 1]")
    source.add_argument("--labels", type=pathlib.Path, metavar="FILE", help="class names, one a line")
    source.add_argument("--stride", type=positive, metavar="N", help=f"source frames between two frames of a clip (default: {STRIDE})")
    source.add_argument("--resize", type=positive, metavar="N", help="short side in pixels before the crop (default: 8/7 of the crop's)")


def run(arguments: argparse.Namespace) -> None:
    """Converts, writes the model directory and prints the table."""
    check_model_place(arguments.to)
    conversion = convert(
        arguments.source,
        {name: getattr(arguments, name, None) for name in MODEL_OPTIONS},
        InitConfig(format=arguments.format, tubelet=arguments.tubelet_init, **{name: getattr(arguments, name) for name in INIT_OPTIONS}),
        ConversionOptions(arguments.head, arguments.stride, arguments.resize, _read_labels(arguments.labels), arguments.seed),
    )
    done = conversion.pretrained
    _warn_of_unused(arguments, getattr(done.model.config, "factorisation", None))
    done.save(arguments.to)
    print_report(conversion, arguments.source, arguments.to)


def _warn_of_unused(arguments: argparse.Namespace, factorisation: str | None) -> None:
    """Warns of options that another factorisation alone has a use for: a list of models may be made with the same options."""
    for only, options in ONLY_OF.items():
        if factorisation not in (None, only):
            for option in (option for option in options if is_given(arguments, option)):
                console.warn(f"--{option} is not used: it is for {only}, and this model is {factorisation}")


def print_report(conversion: Conversion, source: str, target: pathlib.Path) -> None:
    """Prints a table: each group of parameters, where it came from, what was done to it."""
    title = console.verbatim(f"{source} -> {target}")
    table = Table("parameters", "from", "what was done", title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for group in conversion.report:
        table.add_row(*map(console.verbatim, (group.name, group.source, group.done)))
    config = conversion.pretrained.model.config
    count = sum(math.prod(leaf.shape) for leaf in flatten(conversion.pretrained.variables["params"]).values())
    console.show(table, file_width=FILE_WIDTH)
    classes = " + ".join(f"{number} {name}".strip() for name, number in config.heads.items()) or "no"
    family = family_of(config)
    console.say(
        f"{family.describe(config)}, {count / 1e6:.3f} M parameters, clip {_by(config.clip)}, "
        f"{_by(family.cells(config).shape)} {family.features}, {classes} classes"
    )


def _read_labels(path: pathlib.Path | None) -> tuple[str, ...] | None:
    if path is None:
        return None
    try:
        names = tuple(line.strip() for line in read_list(path).splitlines() if line.strip())
    except OSError as error:
        raise UserError(f"--labels {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"--labels {path} is not UTF-8 at byte {error.start}: write class names, one a line") from None
    if not names:
        raise UserError(f"--labels {path} holds no class names: write one a line, or leave --labels out")
    return names


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


def _above_zero(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise argparse.ArgumentTypeError(f"must be a number above 0, got {text!r}")
    return value


def _classes(text: str) -> int | dict[str, int]:
    try:
        if "=" not in text:
            return int(text)
        return {name: int(count) for name, count in (part.split("=") for part in text.split(","))}
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, or numbers by head as verb=97,noun=300, got {text!r}") from None
