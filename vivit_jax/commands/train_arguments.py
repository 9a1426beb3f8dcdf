"""The command line of training: a config file, overrides of its keys, and a work directory."""

import dataclasses
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from vivit_jax.config import Experiment, hint_of
from vivit_jax.config_file import read_config
from vivit_jax.errors import UserError, unknown_name

OPTIONS = ("config", "workdir", "restart", "coordinator", "processes", "process")

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
    options, overrides = _read(argv)
    for name in ("config", "workdir"):
        if not options.get(name):
            raise UserError(f"--{name} is missing (see --help)")
    path = options["config"].partition(":")[0]
    if not Path(path).is_file():
        raise UserError(f"--config: there is no file {path!r} here ({Path.cwd()})")
    return Arguments(
        experiment=read_config(options["config"], overrides, called="--config"),
        workdir=options["workdir"],
        restart=_switch("restart", options.get("restart", "false")),
        coordinator=options.get("coordinator"),
        processes=_number("processes", options),
        process=_number("process", options),
        command=as_typed(argv),
    )


def _read(argv: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The options, and the overrides by key of the config, as text; of one that is given twice the last."""
    options, overrides = {}, {}
    rest = iter(argv)
    for argument in rest:
        given = re.fullmatch(r"--?([A-Za-z_][\w.-]*)(?:=(.*))?", argument, re.DOTALL)
        if not given:
            raise UserError(f"unexpected argument {argument!r} (see --help)")
        name, text = given.groups()
        name, text = _positive(name, text)
        key = name.removeprefix("config.")
        if key != name:
            switch = hint_of(key) is bool
        elif name in OPTIONS:
            switch = name == "restart"
        else:
            raise unknown_name("option", f"--{name}", [f"--{known}" for known in OPTIONS])
        if text is None:
            text = "true" if switch else next(rest, None)
        if text is None:
            raise UserError(f"--{name} needs a value (see --help)")
        (options if key == name else overrides)[key] = text
    return options, overrides


def _positive(name: str, text: str | None) -> tuple[str, str | None]:
    """`--noconfig.model.remat` and `--norestart` turn a switch off."""
    if text is None and name.startswith(("noconfig.", "norestart")):
        return name.removeprefix("no"), "false"
    return name, text


def _switch(name: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise UserError(f"--{name} is true or false, got {text!r}")
    return text.lower() == "true"


def _number(name: str, options: Mapping[str, str]) -> int | None:
    text = options.get(name)
    if text is not None and not re.fullmatch(r"\d+", text):
        raise UserError(f"--{name} must be a whole number, got {text!r}")
    return None if text is None else int(text)


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
