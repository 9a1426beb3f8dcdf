"""`vivit`: one command, its sub-commands each a module that is imported when it is chosen.

A command's module offers `add_arguments(parser)` and `run(arguments)`; its docstring's first line and `Example:` block are its help. To add
a command, write the module and add its line to `COMMANDS`.
"""

import argparse
import difflib
import importlib
import inspect
import signal
import sys
from collections.abc import Sequence

import vivit_jax
from vivit_jax import process
from vivit_jax.errors import EXIT_BAD_INPUT, UserError, in_one_line, unknown_name
from vivit_jax.quiet import silence_libraries

EXIT_FAILURE = 1

TRAINING = "vivit_jax.runs.train"

# Each command's module, and what it does.
COMMANDS = {
    "prepare": ("vivit_jax.data.preparation.prepare", "make a data set of videos, once, to train and evaluate on"),
    "train": (TRAINING, "train a classifier by a config (the same as train.py)"),
    "evaluate": ("vivit_jax.inference.evaluate", "score a model on a split of a data set"),
    "predict": ("vivit_jax.inference.predict", "classify video files"),
    "explain": ("vivit_jax.inference.explain", "show where in a video a model looks"),
    "inspect": ("vivit_jax.commands.inspect", "describe a config, a model or a data set"),
    "bench": ("vivit_jax.commands.bench", "measure the speed of a step, or of reading a data set"),
    "convert": ("vivit_jax.weights.convert", "make a model of weights in another format, or of an image model"),
    "export": ("vivit_jax.weights.export", "write a model for Hugging Face, or as a StableHLO program"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
      argv: the arguments after the program's name; None takes the process's own.

    Returns:
      The exit code: 0 on success, 1 where the system failed us (a full disk), 2 for bad input, 130 on Ctrl-C, 143 on SIGTERM.
    """
    if argv is None:
        process.begin("vivit")
    silence_libraries()
    try:
        code = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except UserError as error:
        return _fail(error, EXIT_BAD_INPUT)
    except KeyboardInterrupt:
        return process.ended_by(signal.SIGINT)
    except process.Terminated:
        return process.ended_by(signal.SIGTERM)
    except BrokenPipeError:  # the reader of our output went away, as `vivit ... | head` does
        process.flush_output()
        return EXIT_FAILURE
    except OSError as error:
        process.flush_output()
        return _fail(error, EXIT_FAILURE)
    return code


def _run(argv: list[str]) -> int:
    name = argv[0] if argv else "--help"
    if not name.startswith("-") and name not in COMMANDS:
        raise unknown_name("command", name, COMMANDS)
    if name not in COMMANDS:
        _parsed(_overview(), [name])
        return 0
    module = importlib.import_module(COMMANDS[name][0])
    if COMMANDS[name][0] == TRAINING:  # its options are keys of the config, read by absl
        return module.main(argv[1:])
    parser = _Parser(
        prog=f"vivit {name}",
        description=inspect.getdoc(module),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    arguments = _parsed(parser, argv[1:])
    with process.interruptible():
        module.run(arguments)
    return 0


def _parsed(parser: argparse.ArgumentParser, argv: list[str]) -> argparse.Namespace:
    """The arguments; where it ends with help, which argparse prints without a look at whether that works, an OSError if it does not."""
    try:
        return parser.parse_args(argv)
    except SystemExit:
        sys.stdout.flush()
        raise


def _overview() -> argparse.ArgumentParser:
    parser = _Parser(prog="vivit", description="Video classification with ViViT.", formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action=_PrintVersion, nargs=0, help="print the version and exit")
    width = max(map(len, COMMANDS))
    lines = "\n".join(f"  {name:{width}}  {summary}" for name, (_, summary) in COMMANDS.items())
    parser.usage = "vivit COMMAND ..."
    parser.epilog = f"commands:\n{lines}\n\n`vivit COMMAND --help` explains one, with an example."
    return parser


class _PrintVersion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"vivit_jax {vivit_jax.__version__}")
        parser.exit()


class _Parser(argparse.ArgumentParser):
    """An `ArgumentParser` whose errors are one line and name the option that was meant."""

    def __init__(self, **options: object) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> None:
        """Raises what argparse would print below a usage of many lines."""
        raise UserError(f"{message}{self._meant(message)} (see {self.prog} --help)")

    def _meant(self, message: str) -> str:
        _, unrecognised, rest = message.partition("unrecognized arguments: ")
        if not unrecognised:
            return ""
        options = [option for action in self._actions for option in action.option_strings]
        nearest = difflib.get_close_matches(rest.split()[0].split("=")[0], options, n=1)
        return f": did you mean {nearest[0]}?" if nearest else ""


def _fail(error: object, code: int) -> int:
    print(f"vivit: {in_one_line(error)}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
