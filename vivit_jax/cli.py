"""The command `vivit`. Each of its sub-commands is a module, imported only when it is chosen.

A command's module defines `add_arguments(parser)` and `run(arguments)`; its docstring, with an `Example:`, is its help. It sets
`TAKES_CONFIG = True` if `--config.KEY=VALUE` overrides keys of its experiment, `HANDLES_SIGNALS = True` if it acts on signals itself, and
`MAY_BE_EMPTY` to the options for which an empty text means something.
To add a command, write the module in `commands/` and add its line to `COMMANDS`.
"""

import argparse
import contextlib
import difflib
import errno
import importlib
import inspect
import itertools
import os
import pathlib
import signal
import sys
import textwrap
from collections.abc import Sequence
from types import ModuleType

import vivit_jax
from vivit_jax import process
from vivit_jax.errors import EXIT_BAD_INPUT, Stopped, UserError, check_name, in_one_line
from vivit_jax.quiet import silence_libraries

EXIT_FAILURE = 1
# Errors of the system that a path is at fault for, and not the machine.
OF_THE_PATH = (
    errno.ENOENT,
    errno.EACCES,
    errno.EPERM,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOTEMPTY,
    errno.EROFS,
)
OUTPUTS = ("to", "out", "json", "sheet", "batch", "plot", "card", "space")  # options that name what a command makes
PROSE_WIDTH = 100  # of help, in characters, on a terminal that is wider
COMPLETING = "_ARGCOMPLETE"  # in the environment of a process that a shell asks at the Tab key, see vivit_jax.commands.completers

# Each command's module, and its line in the overview.
COMMANDS = {
    "prepare": ("vivit_jax.commands.prepare", "make a data set of videos, to train and evaluate on"),
    "train": ("vivit_jax.commands.train", "train a classifier from a config (the same as train.py)"),
    "evaluate": ("vivit_jax.commands.evaluate", "score a model on a split of a data set"),
    "predict": ("vivit_jax.commands.predict", "classify video files"),
    "features": ("vivit_jax.commands.features", "write the features that a model computes of videos"),
    "probe": ("vivit_jax.commands.probe", "fit a head on frozen features, in minutes on a CPU"),
    "explain": ("vivit_jax.commands.explain", "show where in a video a model looks"),
    "serve": ("vivit_jax.commands.serve", "show models on a local page, and answer programs in JSON"),
    "inspect": ("vivit_jax.commands.inspect", "describe a config, a model or a data set"),
    "compare": ("vivit_jax.commands.compare", "compare runs on the same videos"),
    "soup": ("vivit_jax.commands.soup", "average the weights of several runs into one model"),
    "bench": ("vivit_jax.commands.bench", "measure the speed of a step, or of reading a data set"),
    "convert": ("vivit_jax.commands.convert", "make a model from weights in another format, or from an image model"),
    "export": ("vivit_jax.commands.export", "write a model for Hugging Face, torchvision, ONNX, or as a StableHLO program"),
    "push": ("vivit_jax.commands.push", "put a model on the Hugging Face hub, with a model card"),
    "completion": ("vivit_jax.commands.completion", "complete commands, options and files at the Tab key"),
}


def main(argv: Sequence[str] | None = None, *, program: str = "vivit") -> int:
    """Runs one command.

    Args:
      argv: the arguments after the program's name; None takes the process's own.
      program: what messages begin with.

    Returns:
      The exit code: 0 on success, 1 where the system fails (a full disk) or a run cannot go on, 2 for bad input, such as a path that
      may not be used, 130 on Ctrl-C, 129 where the terminal is gone (SIGHUP), 143 on SIGTERM.
    """
    if argv is None:
        process.begin(program)
        if COMPLETING in os.environ:
            _complete()
    silence_libraries()
    try:
        _run(list(sys.argv[1:] if argv is None else argv), program)
        sys.stdout.flush()
    except (UserError, Stopped) as error:
        return _fail(program, error, error.exit_code)
    except KeyboardInterrupt:
        return process.ended_by(signal.SIGINT)
    except process.Terminated as end:
        return process.ended_by(end.number)
    except BrokenPipeError:  # the reader of our output went away, as `vivit ... | head` does
        process.flush_output()
        return EXIT_FAILURE
    except MemoryError as error:
        process.flush_output()
        told = f"this machine, or the limit of this process (ulimit -v), has too little memory ({in_one_line(error) or 'out of memory'})"
        return _fail(program, f"{told}: give it more, or ask for less at once (smaller batches, fewer views)", EXIT_FAILURE)
    except RuntimeError as error:
        if "can't start new thread" not in str(error):
            raise
        process.flush_output()
        told = "the system starts no more threads for this process: raise its limit (ulimit -u) or its memory's (ulimit -v)"
        return _fail(program, told, EXIT_FAILURE)
    except OSError as error:
        process.flush_output()
        return _fail(program, error, EXIT_BAD_INPUT if error.errno in OF_THE_PATH else EXIT_FAILURE)
    return 0


def train(argv: Sequence[str] | None = None) -> int:
    """`train.py`: `vivit train` by another name."""
    try:
        return main(["train", *(sys.argv[1:] if argv is None else argv)], program="train")
    except SystemExit as end:  # after help
        return end.code or 0


def _run(argv: list[str], program: str) -> None:
    if argv[:1] == ["help"]:
        argv = [*argv[1:2], "--help"]
    name = argv[0] if argv else "--help"
    if name.startswith("-"):
        _parsed(_overview(), [name])
        return
    check_name("command", name, COMMANDS)
    _check_folder()
    module, arguments = parse(name, argv[1:], program)
    with contextlib.nullcontext() if getattr(module, "HANDLES_SIGNALS", False) else process.interruptible(), _outlasting(arguments):
        module.run(arguments)


def _outlasting(arguments: argparse.Namespace) -> contextlib.AbstractContextManager:
    """Lets a command that makes files finish them if the reader of its output goes away."""
    if not any(isinstance(getattr(arguments, option, None), pathlib.Path) for option in OUTPUTS):
        return contextlib.nullcontext()
    from vivit_jax.console import outlasting_readers  # which imports rich, that help need not wait for

    return outlasting_readers()


def _check_folder() -> None:
    """Refuses to work in a folder that is gone: each path from there would fail without a name, and libraries crash that ask for it."""
    try:
        pathlib.Path.cwd()
    except OSError as error:
        raise UserError(f"the current folder is gone, or closed to you ({error.strerror}): cd to another one") from None


def parse(name: str, argv: Sequence[str], program: str = "vivit") -> tuple[ModuleType, argparse.Namespace]:
    """Imports a command's module and parses its arguments.

    Returns:
      The module and what its `run` takes: the command's own arguments; `program`, `argv` and `given`, the options that are on the command
      line, whatever their values; and `overrides` if it takes a config.

    Raises:
      UserError: for arguments that the command does not take.
    """
    argv = [_at_home(argument) for argument in argv]
    module = importlib.import_module(COMMANDS[name][0])
    parser = _Parser(
        prog=f"vivit {name}",
        description=inspect.getdoc(module),
        formatter_class=_Help,
    )
    module.add_arguments(parser)
    parser.set_defaults(program=program, argv=tuple(argv))
    rest = list(argv)
    if getattr(module, "TAKES_CONFIG", False):
        from vivit_jax.commands.config_arguments import take_overrides

        rest, overrides = take_overrides(argv)
        parser.set_defaults(overrides=overrides)
    parser.set_defaults(given=_given(parser, rest))
    arguments = _parsed(parser, rest)
    _check_no_empty(parser, arguments, getattr(module, "MAY_BE_EMPTY", ()))
    _check_apart(arguments)
    return module, arguments


def _at_home(argument: str) -> str:
    """An argument whose path begins in a home folder, spelt out, as shells do not after `=`: else a folder `~` would be made."""
    option, equals, value = argument.partition("=") if argument.startswith("-") else ("", "", argument)
    return argument if not value.startswith("~") or os.path.lexists(value) else option + equals + os.path.expanduser(value)  # noqa: PTH111


def _check_no_empty(parser: argparse.ArgumentParser, arguments: argparse.Namespace, may_be: Sequence[str]) -> None:
    """Refuses empty texts, which would count as not given, or as this folder: in a script they are variables that are not set."""
    for action in parser._actions:
        value = getattr(arguments, action.dest, None)
        is_typed = action.dest in arguments.given or not action.option_strings
        empty = (value == "" and action.const != "") or (isinstance(value, list) and "" in value)
        if is_typed and empty and action.dest not in may_be:
            name = action.option_strings[0] if action.option_strings else action.metavar or action.dest
            raise UserError(f"{name} is empty: give a value, or leave it out (perhaps a shell variable is not set)")


def _check_apart(arguments: argparse.Namespace) -> None:
    """Refuses to write over a file that the command reads, by whatever name."""
    values = {name: value if isinstance(value, list) else [value] for name, value in vars(arguments).items() if name not in OUTPUTS}
    read = [one for several in values.values() for one in several if isinstance(one, str | pathlib.Path) and os.path.isfile(one)]  # noqa: PTH113
    for option in OUTPUTS:
        path = getattr(arguments, option, None)
        if isinstance(path, pathlib.Path) and path.is_file() and any(path.samefile(one) for one in read):
            raise UserError(f"--{option} {path} is read by this command too, and would be lost: give another file")


def _given(parser: argparse.ArgumentParser, argv: Sequence[str]) -> frozenset[str]:
    typed = {argument.partition("=")[0] for argument in itertools.takewhile(lambda argument: argument != "--", argv)}
    return frozenset(action.dest for action in parser._actions if typed.intersection(action.option_strings))


class _Help(argparse.RawDescriptionHelpFormatter):
    """Fits prose to the terminal; a paragraph with an indented line, such as an example or a list, stays as it is written."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(self._fill_paragraph(paragraph, min(width, PROSE_WIDTH)) for paragraph in text.split("\n\n"))

    def _fill_paragraph(self, text: str, width: int) -> str:
        if any(line.startswith(" ") for line in text.splitlines()):
            return text
        return textwrap.fill(" ".join(text.split()), width, break_long_words=False, break_on_hyphens=False)


def _parsed(parser: argparse.ArgumentParser, argv: list[str]) -> argparse.Namespace:
    """The arguments. argparse does not check that the help it printed was written, so that is done here: an OSError if it was not."""
    try:
        return parser.parse_args(argv)
    except SystemExit:
        sys.stdout.flush()
        raise


def _overview() -> argparse.ArgumentParser:
    parser = _Parser(prog="vivit", description="Video classification with ViViT and CNNs.", formatter_class=_Help)
    parser.add_argument("--version", action=_PrintVersion, nargs=0, help="print the version and exit")
    width = max(map(len, COMMANDS))
    lines = "\n".join(f"  {name:{width}}  {summary}" for name, (_, summary) in COMMANDS.items())
    parser.usage = "vivit COMMAND ..."
    parser.epilog = f"commands:\n{lines}\n\n`vivit COMMAND --help` explains a command, with an example."
    return parser


def _complete() -> None:
    """Answers the shell that asks what may follow on a command line, and ends the process."""
    from vivit_jax.commands import completers

    parser = _overview()
    commands = parser.add_subparsers()
    chosen = completers.words()[0][1:2]
    for name, (path, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary)
        if [name] == chosen:
            module = importlib.import_module(path)
            module.add_arguments(command)
            completers.prepare(command, takes_config=getattr(module, "TAKES_CONFIG", False))
    completers.answer(parser)


class _PrintVersion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"vivit_jax {vivit_jax.__version__}")
        parser.exit()


class _Parser(argparse.ArgumentParser):
    """An `ArgumentParser` whose errors are one line and name the option that was meant."""

    def __init__(self, **options: object) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> None:
        """Raises what argparse would print under many lines of usage."""
        raise UserError(f"{message}{self._meant(message)} (see {self.prog} --help)")

    def _meant(self, message: str) -> str:
        _, unrecognised, rest = message.partition("unrecognized arguments: ")
        if not unrecognised:
            return ""
        options = [option for action in self._actions for option in action.option_strings if option.startswith("--")]
        first = rest.split()[0]
        if first.startswith("-") and pathlib.Path(first).is_file():
            return f": for a file whose name begins with -, write ./{first}"
        if "--config" in options and first.partition(":")[0].endswith(".py"):
            return f": did you mean --config={first.removeprefix('config=')}?"
        name = first.split("=")[0]
        if "--config" in options:
            from vivit_jax.keys import experiment_keys  # not at the top: every command would wait for it

            keys = [key.name for key in experiment_keys() if key.name.rpartition(".")[2] == name.lstrip("-")]
            if keys:
                return f": did you mean {' or '.join(f'--config.{key}' for key in keys)}?"
        nearest = difflib.get_close_matches(name, options, n=1)
        return f": did you mean {nearest[0]}?" if nearest else ""


def _fail(program: str, error: object, code: int) -> int:
    with contextlib.suppress(OSError):  # where standard error is closed or full, the exit code still tells
        print(f"{program}: {in_one_line(error)}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
