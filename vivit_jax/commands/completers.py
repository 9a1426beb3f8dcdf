"""What the Tab key offers: commands, options and choices as the parsers have them, and files, data sets and labels by an argument's name.

After `vivit completion` was switched on, the shell runs `vivit` at every Tab with `_ARGCOMPLETE` in its environment and the line in
`COMP_LINE`, and `argcomplete` (extra `completion`) answers on a file descriptor of its own. No file of the user's is executed for that.
"""

import argparse
import json
import os
import pathlib
import re
from collections.abc import Callable, Iterable

KEYS = "--config."
PLACEHOLDER = "--config.KEY"
ANY = ("",)  # every name ends in this

Completer = Callable[..., Iterable[str]]


def words() -> tuple[list[str], str]:
    """The words before the one that the cursor is in, the program among them, and that word as far as it is typed."""
    import argcomplete

    _, word, _, before, _ = argcomplete.split_line(os.environ["COMP_LINE"], int(os.environ["COMP_POINT"]))
    return before, word


def answer(parser: argparse.ArgumentParser) -> None:
    """Writes the completions for the shell and ends the process.

    Args:
      parser: the parser of the whole command line, with the arguments of the command that is chosen; see `prepare`.
    """
    import argcomplete

    argcomplete.autocomplete(parser, always_complete_options=False, exclude=[PLACEHOLDER] if _at_a_key() else None)


def prepare(parser: argparse.ArgumentParser, *, takes_config: bool) -> None:
    """Gives the arguments of a command their completers, and adds the keys of its config while one is being typed."""
    if takes_config and _at_a_key():
        _add_keys(parser)
    for action in parser._actions:
        if not action.choices:
            action.completer = completer_of(action)  # where argcomplete looks for it


def _at_a_key() -> bool:
    """Whether a config key is being typed, or its value as the next word."""
    before, word = words()
    return any(typed.startswith(KEYS) for typed in (before[-1], word))


def completer_of(action: argparse.Action) -> Completer:
    """What completes the value of an option or a positional argument, by its name or by what its help calls the value."""
    if action.dest in NAMED:
        return NAMED[action.dest]
    called = action.metavar if isinstance(action.metavar, str) else " ".join(action.metavar or ())
    if called in ("DIR", "MODEL_DIR"):
        return _files()
    if suffix := re.search(r"\bFILE(\.\w+)|^CONFIG(\.py)", called):
        return _files(suffix[1] or suffix[2])
    if called in ("RUN", "SOURCE", "VIDEO", "OUT") or "FILE" in called:
        return _files(*ANY)
    return lambda **_: ("true", "false") if called == "true|false" else ()


def _files(*suffixes: str) -> Completer:
    """Completes folders, and files whose names end in one of `suffixes`; hidden ones only after a dot."""

    def complete(prefix: str, **_: object) -> list[str]:
        folder, start = os.path.split(prefix)
        try:
            entries = sorted(os.scandir(os.path.expanduser(folder) or "."), key=lambda entry: entry.name)  # noqa: PTH111 (a Path loses "./")
        except OSError:
            return []
        named = [entry for entry in entries if entry.name.startswith(start) and (start or not entry.name.startswith("."))]
        typed = prefix[: len(prefix) - len(start)]
        folders = [f"{typed}{entry.name}/" for entry in named if entry.is_dir()]
        return folders + [typed + entry.name for entry in named if entry.name.endswith(suffixes) and not entry.is_dir()]

    return complete


def _data_sets(parsed_args: argparse.Namespace, **_: object) -> list[str]:
    from vivit_jax.data.dataset import data_folder

    folder = pathlib.Path(data_folder(getattr(parsed_args, "data_dir", None)))
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []


def _labels(parsed_args: argparse.Namespace, **_: object) -> list[str]:
    try:
        config = json.loads((pathlib.Path(parsed_args.model) / "config.json").read_text(encoding="utf-8"))
        return [str(label) for label in config["id2label"].values()]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):  # a Tab is no place for an error
        return []


def _layouts(**_: object) -> list[str]:
    from vivit_jax.data.layouts import LAYOUTS

    return list(LAYOUTS)


# By an argument's name, whatever its help calls the value.
NAMED = {"name": _data_sets, "label": _labels, "layout": _layouts}


def _add_keys(parser: argparse.ArgumentParser) -> None:
    """Adds the keys of all families; importing these takes a second."""
    from vivit_jax.keys import experiment_keys
    from vivit_jax.models.families import FAMILIES

    keys = {key.name: key for family in FAMILIES for key in experiment_keys(family=family)}
    for key in keys.values():
        parser.add_argument(
            f"--config.{key.name}",
            choices=("true", "false") if key.type == "bool" else None,
            metavar="VALUE",
            help=key.meaning.replace("%", "%%"),
        )
