"""Arguments that several commands share."""

import argparse
import re
from collections.abc import Callable

from vivit_jax.data.layouts import times
from vivit_jax.errors import UserError
from vivit_jax.preprocess import Views


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


def add_model(parser: argparse.ArgumentParser) -> None:
    """Adds `--model`."""
    parser.add_argument("--model", metavar="DIR", required=True, help="model directory, such as a run's model/")


def add_views(parser: argparse.ArgumentParser, default: Views | None = (4, 3), otherwise: str = "4x3", over: str = "logits") -> None:
    """Adds `--views`.

    Args:
      parser: of the command.
      default: (temporal, spatial); None lets the command decide.
      otherwise: the default, as the help names it.
      over: what is averaged over the views, as the help names it.
    """
    parser.add_argument(
        "--views",
        type=views,
        default=default,
        metavar="TxS",
        help=f"temporal clips x spatial crops whose {over} are averaged (default {otherwise})",
    )


def add_dataset(parser: argparse.ArgumentParser) -> None:
    """Adds `--name` and `--data_dir`."""
    parser.add_argument("--name", help="data set, as named by `vivit prepare --name`")
    parser.add_argument("--data_dir", metavar="DIR", help="folder of prepared data sets (default $TFDS_DATA_DIR or ~/tensorflow_datasets)")
