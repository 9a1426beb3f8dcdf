"""Arguments that several commands share."""

import argparse
import math
import pathlib
import re
from collections.abc import Callable, Iterable

from vivit_jax import console
from vivit_jax.atomic import check_place
from vivit_jax.data import times
from vivit_jax.errors import UserError
from vivit_jax.files import at_home, is_url
from vivit_jax.places import MODEL, kind_of, part_of
from vivit_jax.preprocess import Views


def is_given(arguments: argparse.Namespace, option: str) -> bool:
    """Whether an option is on the command line, whatever its value; False where a caller has parsed the arguments on its own."""
    return option in getattr(arguments, "given", ())


def refuse_unused(arguments: argparse.Namespace, options: Iterable[str], why: str) -> None:
    """Refuses options that would change nothing: whoever gives one expects that it does. `--data_dir` names a place, and is let through.

    Args:
      arguments: the command's, as `cli.parse` makes them.
      options: those that are not used this time.
      why: the end of the sentence "--split has no effect ...".

    Raises:
      UserError: naming those of them that are on the command line.
    """
    unused = [f"--{option}" for option in options if is_given(arguments, option)]
    if unused:
        have, them = ("has", "it") if len(unused) == 1 else ("have", "them")
        raise UserError(f"{' and '.join(unused)} {have} no effect {why}: leave {them} out")


def check_model_place(folder: pathlib.Path) -> None:
    """Checks, before the work is done, that a model may be written to a folder, and says if it replaces one.

    Raises:
      UserError: if something else lies there.
    """
    from vivit_jax.weights.model_dir import check_replaceable

    check_replaceable(folder)
    if kind_of(folder) == MODEL:
        console.warn(f"{folder} holds a model, which the new one will replace")


def refuse_overrides(arguments: argparse.Namespace, why: str) -> None:
    """Refuses `--config.KEY` where no config is read, as `refuse_unused` does options."""
    if overrides := getattr(arguments, "overrides", {}):
        raise UserError(f"--config.{next(iter(overrides))} has no effect {why}: leave it out")


def views(text: str) -> Views:
    """`4x3` as (4, 3): four temporal clips, three spatial crops of each.

    Raises:
      argparse.ArgumentTypeError: for anything else.
    """
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"views must be temporal clips x spatial crops, such as 4x3, got {text!r}")
    return int(match[1]), int(match[2])


def positive(text: str) -> int:
    """A whole number of at least 1.

    Raises:
      argparse.ArgumentTypeError: for anything else.
    """
    if not re.fullmatch(r"[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def whole(text: str) -> int:
    """A whole number of at least 0.

    Raises:
      argparse.ArgumentTypeError: for anything else.
    """
    if not re.fullmatch(r"\d+", text):
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 0, got {text!r}")
    return int(text)


def number(text: str) -> float:
    """A number, neither infinite nor nan.

    Raises:
      argparse.ArgumentTypeError: for anything else.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be a number, got {text!r}")
    return value


def duration(text: str) -> float:
    """A duration in seconds, above 0; raises `argparse.ArgumentTypeError` for anything else."""
    return _time(times.duration, text)


def moment(text: str) -> float:
    """A time in a video, in seconds; raises `argparse.ArgumentTypeError` for anything else."""
    return _time(times.moment, text)


def _time(read: Callable[[str], float], text: str) -> float:
    try:
        return read(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def output(text: str) -> pathlib.Path:
    """A file or folder to write, refused before the work that it is to hold is done.

    Raises:
      argparse.ArgumentTypeError: for a URL, `~` where no home folder is known, or a place that cannot be written to.
    """
    if is_url(text):
        raise argparse.ArgumentTypeError(f"{text} is a URL, and files are written into folders: mount the bucket, and give its folder")
    try:
        path = at_home(text)
        check_place(path)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{error.filename} cannot be written to: {error.strerror}") from None
    return path


def output_file(text: str) -> pathlib.Path:
    """A file to write.

    Raises:
      argparse.ArgumentTypeError: for a folder, a file without which a run, a model or a data set is lost, and as `output` does.
    """
    path = output(text)
    if whole := part_of(path):
        raise argparse.ArgumentTypeError(f"{path} is a part of {whole}, which would be lost without it: give another file")
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text or path} is a folder: name a file in it")
    return path


def names(text: str) -> tuple[str, ...]:
    """`mean,deviation` as ("mean", "deviation")."""
    return tuple(text.split(","))


def layers(text: str) -> tuple[int, ...]:
    """`-1,-4` as (-1, -4).

    Raises:
      argparse.ArgumentTypeError: for anything else.
    """
    if not re.fullmatch(r"-[1-9]\d*(,-[1-9]\d*)*", text):
        raise argparse.ArgumentTypeError(f"layers are counted back from -1, the last, such as -1,-4, got {text!r}")
    return tuple(map(int, text.split(",")))


def add_outputs(parser: argparse.ArgumentParser) -> None:
    """Adds `--time` and `--layers`."""
    parser.add_argument(
        "--time",
        type=names,
        default=("mean",),
        metavar="NAMES",
        help="statistics over time that make the features: mean (the model's own feature), deviation, difference, or several, such as "
        "mean,deviation (default: mean)",
    )
    parser.add_argument(
        "--layers",
        type=layers,
        default=(-1,),
        metavar="LAYERS",
        help="the layers to take, counted back from the last, as --layers=-1,-4 (default: -1)",
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """Adds `--model`."""
    parser.add_argument("--model", metavar="DIR", required=True, help="model directory, such as a run's model/")


def add_views(parser: argparse.ArgumentParser, default: Views | None = (4, 3), otherwise: str = "4x3", over: str = "logits") -> None:
    """Adds `--views`.

    Args:
      parser: the command's.
      default: (temporal, spatial); None lets the command decide.
      otherwise: the default, as the help names it.
      over: what is averaged over the views, as the help names it.
    """
    parser.add_argument(
        "--views",
        type=views,
        default=default,
        metavar="TxS",
        help=f"temporal clips x spatial crops whose {over} are averaged (default: {otherwise})",
    )


def add_dataset(parser: argparse.ArgumentParser) -> None:
    """Adds `--name` and `--data_dir`."""
    parser.add_argument("--name", help="data set, as named by `vivit prepare --name`")
    parser.add_argument("--data_dir", metavar="DIR", help="folder of prepared data sets (default: $TFDS_DATA_DIR or ~/tensorflow_datasets)")
