"""Prints code for your shell, so that the Tab key completes the commands, options, files and config keys of `vivit`.

Example:
  eval "$(vivit completion bash)"                                        # in ~/.bashrc
  eval "$(vivit completion zsh)"                                         # in ~/.zshrc, after compinit
  vivit completion fish > ~/.config/fish/completions/vivit.fish

It needs the extra `completion`.
"""

import argparse
import importlib.util

from vivit_jax import extras
from vivit_jax.errors import UserError

SHELLS = ("bash", "zsh", "fish")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `vivit completion`."""
    parser.add_argument("shell", choices=SHELLS, help="the shell to print it for")


def run(arguments: argparse.Namespace) -> None:
    """Prints the shell's code.

    Raises:
      UserError: if the extra is not installed.
    """
    if importlib.util.find_spec("argcomplete") is None:
        raise UserError(f"vivit completion needs the extra completion (argcomplete): {extras.install('completion')}")
    import argcomplete

    print(argcomplete.shellcode(["vivit"], shell=arguments.shell).strip())
