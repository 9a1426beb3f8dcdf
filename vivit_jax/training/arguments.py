"""The command line of training: a config file, overrides of its keys, and a work directory."""

import dataclasses
import re
import shlex
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import ml_collections
from absl import flags
from ml_collections import config_flags

from vivit_jax.config import Experiment, base_config, resolve
from vivit_jax.errors import UserError, unknown_name

HELP = """\
Train a video classifier.

  python train.py --config=configs/NAME.py[:ARG] --workdir=DIR [--config.KEY=VALUE ...]

  --config=FILE[:ARG]   the experiment; ARG goes to its get_config
  --workdir=DIR         where everything is written; the same one goes on where it was interrupted
  --restart             puts aside what an earlier run left in the work directory, and begins again
  --config.KEY=VALUE    overrides a key, such as --config.optimizer.learning_rate=3e-4
  --coordinator=HOST:PORT --processes=N --process=I
                        joins N processes on several hosts; not needed under Slurm or Open MPI 4 (one process a GPU), in an
                        indexed job of Kubernetes or on a TPU slice. --processes=1 runs alone there
  --help                prints this

Example:
  python train.py --config=configs/motion_digits.py --workdir=runs/digits --config.training.epochs=5

Exit codes: 0 done, 1 stopped for the reason printed, 2 bad input, 143 interrupted with everything saved: by SIGTERM,
SIGINT, SIGHUP or SIGUSR1, or since nobody reads the output any more. A second signal ends at once, with the newest checkpoint kept.
"""


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What the command line says.

    Attributes:
      experiment: checked.
      workdir: as given.
      restart: whether to put aside what is there and begin again.
      coordinator: address of the first process, or None.
      processes: how many there are, or None.
      process: which of them this is, or None.
      command: the command line itself, for a person to repeat.
    """

    experiment: Experiment
    workdir: str
    restart: bool
    coordinator: str | None
    processes: int | None
    process: int | None
    command: str


def parse(argv: list[str]) -> Arguments | None:
    """Reads the command line; None where it asked for help, which is printed.

    Raises:
      UserError: for anything that is not right, with the nearest right name.
    """
    if {"--help", "-h", "-help"} & set(argv):
        print(HELP, end="")
        return None
    for argument in argv:
        if (given := re.match(r"--?config=([^:]*)", argument)) and not Path(given.group(1)).is_file():
            raise UserError(f"--config: there is no file {given.group(1)!r} here ({Path.cwd()})")
    line = [sys.argv[0], *argv]
    values = _flags(line)
    try:
        rest = values(line)[1:]
        config = values.config
    except UserError:
        raise
    except Exception as error:  # of the config file's own code, or one of the many that the flag libraries raise
        raise UserError(_explained(error, argv)) from None
    if rest:
        raise UserError(f"unexpected argument {rest[0]!r} (see --help)")
    for name in ("config", "workdir"):
        if not values[name].value:
            raise UserError(f"--{name} is missing (see --help)")
    return Arguments(
        experiment=resolve(config),
        workdir=values.workdir,
        restart=values.restart,
        coordinator=values.coordinator,
        processes=values.processes,
        process=values.process,
        command=as_typed(argv),
    )


def as_typed(argv: list[str]) -> str:
    """The command line for a person to repeat, without what is to be done once."""
    typed = sys.orig_argv
    if typed[len(typed) - len(argv) :] != argv:  # called from Python
        return shlex.join(["python", "train.py", *_repeated(argv)])
    python, *rest = typed[: len(typed) - len(argv)]
    program = Path(rest[0]).name if rest else ""
    if program and shutil.which(program) and Path(shutil.which(program)).resolve() == Path(rest[0]).resolve():
        return shlex.join([program, *rest[1:], *_repeated(argv)])  # a script that is found by its name
    return shlex.join([Path(python).name, *rest, *_repeated(argv)])


def _repeated(argv: list[str]) -> list[str]:
    return [argument for argument in argv if argument not in ("--restart", "-restart", "--restart=true")]


def _flags(line: list[str]) -> flags.FlagValues:
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", None, "the experiment", flag_values=values, sys_argv=line)
    flags.DEFINE_string("workdir", None, "where everything is written", flag_values=values)
    flags.DEFINE_boolean("restart", False, "begin again", flag_values=values)
    flags.DEFINE_string("coordinator", None, "HOST:PORT of the first process", flag_values=values)
    flags.DEFINE_integer("processes", None, "how many processes", flag_values=values)
    flags.DEFINE_integer("process", None, "which of them this is", flag_values=values)
    return values


def _explained(error: Exception, argv: Iterable[str]) -> str:
    """One line for a person of an error in parsing."""
    for argument in argv:
        if override := re.match(r"--?config\.([\w.]+)(=|$)", argument):
            _check_key(override.group(1))
    text = " ".join(str(error).split())
    if "Traceback (most recent call last)" in text:  # ml_collections puts it into its message: what was raised stands after the frames
        _, _, raised = str(error).rpartition("\n  ")
        said = " ".join(raised.splitlines()[1:])
        own = f"{UserError.__module__}.{UserError.__name__}: "
        return f"--config: {said.removeprefix(own)}" if said.startswith(own) else f"--config cannot be read: {said}"
    return text if isinstance(error, flags.Error) else f"--config cannot be read: {type(error).__name__}: {text}"


def _check_key(key: str) -> None:
    """Refuses a key that no experiment has, with the nearest one of its section."""
    section, path = base_config(), "--config"
    for name in key.split("."):
        if not isinstance(section, ml_collections.ConfigDict) or name not in section:
            raise unknown_name(f"key in {path}", name, section if isinstance(section, ml_collections.ConfigDict) else ())
        section, path = section[name], f"{path}.{name}"
