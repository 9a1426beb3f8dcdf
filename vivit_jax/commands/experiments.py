"""Config files on the command line of a command: `--config FILE.py[:ARG]`, and `--config.KEY VALUE` for each key of an experiment."""

import argparse
import pathlib
from collections.abc import Iterator, Mapping

from ml_collections import ConfigDict

from vivit_jax.config import Experiment, base_config
from vivit_jax.config_file import read_config
from vivit_jax.errors import UserError

Overrides = Mapping[str, str]


def read_experiment(argument: str, overrides: Overrides | None = None) -> Experiment:
    """The experiment of `FILE.py` or `FILE.py:ARG`, as `train.py --config` reads it.

    Args:
      argument: the file, and what its `get_config` is given.
      overrides: values by dotted key, as text.

    Raises:
      UserError: if it cannot be read or holds no valid experiment.
    """
    path = argument.partition(":")[0]
    if not pathlib.Path(path).is_file():
        raise UserError(f"config {path} does not exist")
    return read_config(argument, overrides or {}, called=f"config {argument}", given="--config.{key} {text}")


def add_config(parser: argparse.ArgumentParser) -> None:
    """`--config`, and an option for each key of an experiment; `overrides_of` gives what was given of these."""
    parser.add_argument("--config", metavar="FILE.py[:ARG]", help="an experiment; --config.KEY VALUE overrides a key of it")
    for key in _keys(base_config()):
        parser.add_argument(f"--config.{key}", metavar="VALUE", help=argparse.SUPPRESS)


def overrides_of(arguments: argparse.Namespace) -> dict[str, str]:
    """The given `--config.KEY` by key."""
    return {
        name.removeprefix("config."): value for name, value in vars(arguments).items() if name.startswith("config.") and value is not None
    }


def _keys(config: ConfigDict, prefix: str = "") -> Iterator[str]:
    for name in config:
        if isinstance(config[name], ConfigDict):
            yield from _keys(config[name], f"{prefix}{name}.")
        else:
            yield prefix + name
