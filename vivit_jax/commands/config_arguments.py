"""An experiment on the command line: `--config FILE.py[:ARG]`, and `--config.KEY=VALUE` for each of its keys.

A command that takes one sets `TAKES_CONFIG = True`; `vivit` then removes the keys with `take_overrides` before argparse reads the rest.
"""

import argparse
import re
import typing
from collections.abc import Sequence

from vivit_jax.errors import UserError

if typing.TYPE_CHECKING:
    from vivit_jax.config import Experiment

OVERRIDE = re.compile(r"--?(no)?config\.([\w.-]+)(?:=(.*))?", re.DOTALL)
SWITCHED = ("true", "false")


def add_config(parser: argparse.ArgumentParser) -> None:
    """Adds `--config` and the help of `--config.KEY`."""
    parser.add_argument(
        "--config", "-config", metavar="FILE.py[:ARG]", help="a config file, which describes an experiment; ARG is passed to its get_config"
    )
    parser.add_argument_group("keys of the experiment").add_argument(
        "--config.KEY",
        metavar="VALUE",
        default=argparse.SUPPRESS,
        help="override a key, such as --config.optimizer.learning_rate=3e-4; `vivit inspect --keys` lists them",
    )


def experiment_of(arguments: argparse.Namespace) -> "Experiment":
    """The experiment that the arguments of a command describe.

    Raises:
      UserError: if its file cannot be read, or it is no valid experiment.
    """
    from vivit_jax.config_file import read_config

    return read_config(arguments.config, arguments.overrides)


def take_overrides(argv: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Takes `--config.KEY=VALUE` out of arguments: returns the rest, and the text given for each key (the last, if a key is given twice).

    The value may be a separate argument. A key that is true or false may stand alone, which means true; `--noconfig.KEY` means false.

    Raises:
      UserError: for a key without its value.
    """
    rest, overrides = [], {}
    waiting = list(reversed(argv))
    while waiting:
        argument = waiting.pop()
        given = OVERRIDE.fullmatch(argument)
        if not given:
            rest.append(argument)
            continue
        no, key, text = given.groups()
        if no:
            text = "false" if text is None else text
        elif text is None and _is_switch(key):
            text = waiting.pop() if waiting and waiting[-1].lower() in SWITCHED else "true"
        elif text is None:
            text = waiting.pop() if waiting else None
        if text is None:
            raise UserError(f"--config.{key} needs a value (see --help)")
        overrides[key] = text
    return rest, overrides


def _is_switch(key: str) -> bool:
    """Whether a key is true or false in the first family that has it."""
    from vivit_jax.config import hint_of
    from vivit_jax.models.families import FAMILIES

    for family in FAMILIES:
        try:
            return hint_of(key, family=family) is bool
        except UserError:  # an unknown key is refused later, when the config is read and its family is known
            continue
    return False
