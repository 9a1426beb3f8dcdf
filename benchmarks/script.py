"""What the scripts of this folder share: a command line whose help is the script's docstring, and a JSON file for the figures."""

import argparse
import json
import pathlib
from typing import Any


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser that prints the description as it is written."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Adds `--json FILE`."""
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the figures here")


def write_json(path: pathlib.Path | None, figures: Any) -> None:
    """Writes the figures, if there is a path."""
    if path:
        path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
