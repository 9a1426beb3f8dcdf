"""Writes the features of videos that a model gives to its head, for search, clustering, plots and heads of your own.

Example:
  vivit features --model runs/digits/model --name motion_digits --data_dir data --split train --out train.npz
  vivit features --model models/vit_frames --views 4x3 --out mine.npz clip.mp4 folder_of_videos
  vivit features --model models/vit_frames --time mean,deviation --layers=-1,-4 --out mine.npz clip.mp4

The .npz holds `features` (n, d) float32, `labels` (class numbers; -1 for files), `names` of the videos and `label_names` of the classes.
With several statistics or layers, the features lie side by side: all statistics of the first layer, then those of the next.
Any model directory will do, with or without a head. This makes one that embeds each frame with an image ViT and averages over time:

  vivit convert vit.npz --to models/vit_frames --factorisation factorised_encoder --temporal_layers 0 \\
      --tokenizer frames --tubelet 1,16,16 --clip 8,224,224

If a file cannot be read, or its features are not finite, the command names it, still writes the others, and exits with code 2.
"""

import argparse
import pathlib
import sys
import typing

from vivit_jax import console
from vivit_jax.accelerators import tell_of_unused_gpu
from vivit_jax.commands.arguments import add_dataset, add_model, add_outputs, add_views, output_file, positive, refuse_unused
from vivit_jax.errors import UserError, in_one_line

if typing.TYPE_CHECKING:
    from vivit_jax.inference.features import Features


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `vivit features`."""
    add_model(parser)
    add_dataset(parser)
    parser.add_argument("--split", default="test", help="split of the data set (default: test)")
    parser.add_argument(
        "videos", nargs="*", metavar="VIDEO", help="instead of a data set: video files, folders of them, or patterns in quotes"
    )
    parser.add_argument("--out", type=output_file, required=True, metavar="FILE.npz", help="file to write the features to")
    add_views(parser, default=(1, 1), otherwise="1x1, the middle clip", over="features")
    add_outputs(parser)
    parser.add_argument("--per_view", action="store_true", help="keep the features of each view, as (n, views, d)")
    parser.add_argument("--batch_size", type=positive, default=8, metavar="N", help="videos of a data set at once (default: 8)")


def run(arguments: argparse.Namespace) -> None:
    """Writes the features.

    Raises:
      UserError: for a model, data set or file that does not exist or does not fit; after all files, if one of them has none.
    """
    if bool(arguments.name) == bool(arguments.videos):
        raise UserError("give either a data set, --name NAME, or video files")
    if arguments.videos:
        refuse_unused(arguments, ("split",), "for video files, without a data set --name")
    if arguments.out.suffix.lower() != ".npz":
        raise UserError(f"--out must end in .npz, got {arguments.out}")
    from vivit_jax.data.sources import find_videos
    from vivit_jax.inference.features import features, features_of_files
    from vivit_jax.training.devices.compilation import use_usual_cache
    from vivit_jax.weights import from_pretrained

    tell_of_unused_gpu()
    use_usual_cache()
    pretrained = from_pretrained(arguments.model)
    options = {name: getattr(arguments, name) for name in ("views", "per_view", "time", "layers")}
    if arguments.name:
        name, batch_size = arguments.name, arguments.batch_size
        found = features(pretrained, name, arguments.split, data_dir=arguments.data_dir, batch_size=batch_size, **options)
        _write(found, arguments.out)
        return
    sources = find_videos(arguments.videos)
    videos = sources.videos
    if sources.remark:
        console.say(sources.remark)
    found, errors = features_of_files(pretrained, videos, **options)
    _write(found, arguments.out)
    for error in errors:
        print(f"vivit: {in_one_line(error)}", file=sys.stderr)
    if errors:
        raise UserError(f"{len(errors)} of {len(videos)} videos have no features; the others are in {arguments.out}")


def _write(found: "Features", out: pathlib.Path) -> None:
    found.save(out)
    shape = " x ".join(map(str, found.features.shape))
    console.say(f"features {shape} ({found.views[0]}x{found.views[1]} views) written to {out}")
