"""Reads config files for every command: `FILE.py` or `FILE.py:ARG`, with values by key that override the file's."""

import ast
import difflib
import importlib.util
import os
import pathlib
import re
import traceback
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from vivit_jax.config import Experiment, base_config, hint_of, resolve, value_of
from vivit_jax.errors import UserError
from vivit_jax.models.families import DEFAULT
from vivit_jax.places import described

# How ml_collections names the unknown key in its errors.
NAMED = re.compile(r"Key \"(\w+)\" does not exist|instead of \"(\w+)\"|'(\w+)'")
WORDS = {"true": True, "yes": True, "false": False, "no": False, "none": None}


def read_config(argument: str, overrides: Mapping[str, str]) -> Experiment:
    """Reads an experiment.

    Args:
      argument: `FILE.py`, or `FILE.py:ARG` where its `get_config` is given an argument.
      overrides: values by dotted key, as text.

    Raises:
      UserError: for a file that cannot be read, an unknown key (with its line in the file), or values that make no experiment.
    """
    path, _, option = argument.partition(":")
    _check_path(pathlib.Path(path))
    config = _config_of(path, [option] if option else [])
    family = config.model.family if overrides and "model" in config and "family" in config.model else DEFAULT
    for key, text in overrides.items():
        hint_of(key, family=family)  # refuses an unknown one by its own name
        try:
            _override(config, key, value_of(key, _readings(text), family=family))
        except UserError as error:
            raise UserError(f"--config.{key}={text}: {error}") from None
    return resolve(config)


def _check_path(path: pathlib.Path) -> None:
    """Refuses what is no file of Python."""
    if not path.exists():
        beside = path.parent if path.parent.is_dir() else pathlib.Path()
        files = {file.stem: file for folder in (pathlib.Path("configs"), beside) for file in folder.glob("*.py")}
        nearest = difflib.get_close_matches(path.stem, files, n=1)
        hint = f"; there is {files[nearest[0]]}" if nearest else "; the recipes are in configs/ of a clone of the repository"
        raise UserError(f"config {path} does not exist (looked for in {pathlib.Path.cwd()}){hint}")
    if not path.is_file():
        raise UserError(f"config {path} is a folder, not a .py file: {described(path) or 'give a file, such as configs/video_folder.py'}")
    if path.suffix != ".py":
        recorded = "; a run's config.json records its config, and the .py file makes it" if path.name == "config.json" else ""
        raise UserError(f"config {path} is not a .py file{recorded}")


def _config_of(path: str, options: list[str]) -> Any:
    spec = importlib.util.spec_from_file_location("experiment_config", path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        return module.get_config(*options)
    except UserError:
        raise
    except Exception as error:  # whatever the file's own code raises
        _explain_key(error, path)
        raise UserError(
            f"config {':'.join([path, *options])} cannot be read: {type(error).__name__}: {' '.join(str(error).split())}"
        ) from None


def _explain_key(error: Exception, path: str) -> None:
    """If the error is a misspelt key, raises the message that the command line gives for one, with its line in the file."""
    named = NAMED.search(str(error))
    frame = _frame(error, path)
    if not isinstance(error, AttributeError | KeyError) or not named or frame is None:
        return
    name = next(group for group in named.groups() if group)
    sections = [[], *(_deepest_section(used.split(".")[1:]) for used in re.findall(r"\w+((?:\.\w+)+)", frame.line or ""))]
    section = max(sections, key=lambda names: _likeness(name, names))
    try:
        hint_of(".".join([*section, name]), root="config")
    except UserError as unknown:
        raise UserError(f"{path} line {frame.lineno}: {unknown}") from None


def _likeness(name: str, section: list[str]) -> float:
    """How similar `name` is to the most similar key of a section, from 0 to 1."""
    config = base_config()
    for part in section:
        config = config[part]
    return max(difflib.SequenceMatcher(None, name, key).ratio() for key in config)


def _deepest_section(names: list[str]) -> list[str]:
    section, found = base_config(), []
    for name in names:
        if name not in section or not isinstance(section[name], ConfigDict):
            break
        section = section[name]
        found.append(name)
    return found


def _frame(error: Exception, path: str) -> traceback.FrameSummary | None:
    """The innermost line of the file that the error passed through; `importlib` names a file by its whole path."""
    whole = os.path.abspath(path)  # noqa: PTH100 (which leaves links as they are, as importlib does)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == whole]
    return frames[-1] if frames else None


def _override(config: ConfigDict, key: str, value: object) -> None:
    *sections, name = key.split(".")
    for section in sections:
        config = config[section]
    with config.ignore_type():  # ml_collections would refuse a key that is None; `value_of` has checked the type
        config[name] = value


def _readings(text: str) -> list[object]:
    """The possible meanings of a text, the likeliest first: a Python literal or a word such as `true`, else the text itself."""
    try:
        return [ast.literal_eval(text), text]
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return [WORDS.get(text.lower(), text), text]
