"""Fits a head to the frozen features of a model, and writes backbone and head as a new model. Takes minutes on a CPU.

Example:
  vivit probe --model models/vit_frames --name my_videos --data_dir data --to models/probe
  vivit probe --model models/vit_frames --name my_videos --data_dir data --to models/probe --groups '^[^_]+_\\d+'
  vivit probe --model models/vit_frames --name my_videos --data_dir data --to models/probe --time mean,deviation
  vivit probe --model models/vit_frames --name my_videos --data_dir data --to models/probe --kind attentive
  vivit evaluate --model models/probe --name my_videos --data_dir data --views 1x1

The backbone may be any model directory, with or without a head; `vivit features --help` makes one of an image ViT. The head `linear`
is a logistic regression. The head `knn` keeps the training features, and the nearest neighbours of a video decide its class. The head
`attentive` learns a query that attends to the tokens of all frames; a temporary file holds these as float16.

Settings are chosen on the split val, or by cross-validation within train if there is no val. The head is then fitted to train and val
together, so do not score it on these two.
"""

import argparse
import typing

from rich.table import Table

from vivit_jax import console
from vivit_jax.accelerators import tell_of_unused_gpu
from vivit_jax.commands.arguments import add_dataset, add_model, add_outputs, add_views, check_model_place, output, positive, whole
from vivit_jax.console import counted
from vivit_jax.errors import UserError

if typing.TYPE_CHECKING:
    from vivit_jax.data.dataset import VideoDataset
    from vivit_jax.inference.probe import Probed

KINDS = ("linear", "attentive", "knn")
PATCHES = 4
SHOWN = 5
FEW = 20  # videos, of which one more or less right moves top-1 by 0.05 or more


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `vivit probe`."""
    add_model(parser)
    add_dataset(parser)
    parser.add_argument("--to", required=True, metavar="DIR", type=output, help="the model directory to write")
    parser.add_argument("--kind", choices=KINDS, default="linear", help="kind of head (default: linear)")
    add_outputs(parser)
    parser.add_argument(
        "--patches",
        type=whole,
        metavar="N",
        help=f"for --kind attentive: average the patches of each frame to N x N; 0 keeps them all (default: {PATCHES})",
    )
    parser.add_argument("--queries", type=positive, metavar="N", help="for --kind attentive: learned queries (default: 1)")
    parser.add_argument("--mlp_dim", type=whole, metavar="N", help="for --kind attentive: hidden units of an MLP (default: 0, none)")
    parser.add_argument("--train_split", default="train", metavar="SPLIT", help="split to fit the head to (default: train)")
    parser.add_argument(
        "--val_split", metavar="SPLIT", help="split to choose its setting on; none means cross-validation (default: val, if there is one)"
    )
    parser.add_argument("--train_only", action="store_true", help="do not fit to the val split as well once the setting is chosen")
    parser.add_argument(
        "--groups",
        metavar="REGEX",
        help="for cross-validation: the part of a video's name that a group of videos shares (default: the groups that the data set was "
        "prepared with, and the segments of one video)",
    )
    add_views(parser, default=(1, 1), otherwise="1x1, the middle clip", over="features")
    parser.add_argument("--batch_size", type=positive, default=8, metavar="N", help="videos at once (default: 8)")


def run(arguments: argparse.Namespace) -> None:
    """Fits, writes the model directory and tells what was chosen.

    Raises:
      UserError: for a model, data set or split that does not exist or does not fit.
    """
    from vivit_jax.data.dataset import ensure_dataset
    from vivit_jax.inference.probe import AttentiveSize, HeadConfig, probe
    from vivit_jax.inference.split_pass import SplitPass
    from vivit_jax.training.devices.compilation import use_usual_cache
    from vivit_jax.weights import from_pretrained

    if not arguments.name:
        raise UserError("a probe needs --name, the data set to fit to (and --data_dir, the folder it is in)")
    sizes = {name: value for name in ("patches", "queries", "mlp_dim") if (value := getattr(arguments, name)) is not None}
    head = HeadConfig(arguments.kind, arguments.time, arguments.layers, AttentiveSize(**sizes) if sizes else None)
    tell_of_unused_gpu()
    use_usual_cache()
    check_model_place(arguments.to)
    pretrained, dataset = from_pretrained(arguments.model), ensure_dataset(arguments.name, arguments.data_dir)
    val_split = _val_split(arguments.val_split, dataset)
    if arguments.groups and val_split:
        console.warn(f"--groups is for cross-validation, and settings are chosen on {val_split}: to cross-validate give --val_split none")
    if val_split and 0 < (held_out := len(dataset.source(val_split))) < FEW:
        console.warn(
            f"{val_split} has only {counted(held_out, 'video')} to choose a setting on: --val_split none cross-validates within train"
        )
    split_pass = SplitPass(pretrained, dataset, arguments.train_split, arguments.views, batch_size=arguments.batch_size)
    done = probe(split_pass, head, val_split=val_split, refit=not arguments.train_only, groups=arguments.groups)
    done.pretrained.save(arguments.to)
    _tell(done, arguments, val_split)


def _val_split(given: str | None, dataset: "VideoDataset") -> str | None:
    if given is None:
        return "val" if dataset.has("val") else None
    return None if given == "none" else given


def _tell(done: "Probed", arguments: argparse.Namespace, val_split: str | None) -> None:
    from vivit_jax.training.probes.settings import at_an_end

    metric = "mAP" if done.pretrained.multi_label else "top-1"
    few = f"; it may be chance if the videos of {val_split} come from few sources: --val_split none cross-validates"
    instead = few if val_split else ""
    for name, fitted in done.heads.items():
        settings = list(fitted.tried[0].setting)
        table = Table(*settings, "loss", metric, title=console.verbatim(name) or None, box=None)
        for one in fitted.tried[:SHOWN]:
            table.add_row(*(f"{one.setting[key]:g}" for key in settings), f"{one.loss:.4f}", f"{one.top1:.4f}")
        console.show(table)
        best = fitted.tried[0]
        chosen = ", ".join(f"{key} {value:g}" for key, value in best.setting.items())
        console.say(f"{f'{name}: ' if name else ''}{chosen}: loss {best.loss:.4f}, {metric} {best.top1:.4f} on {fitted.chosen_on}")
        for end in at_an_end(fitted.tried):
            console.say(f"{end} {best.setting[end]:g} is the largest or smallest that was tried: a better one may lie beyond{instead}")
    count = next(iter(done.heads.values())).fitted_to
    console.say(
        f"the head is fitted to {counted(count, 'video')} of {' and '.join(done.fitted_on)}: do not score it on these", style="bold"
    )
    console.say(f"model written to {arguments.to}")
