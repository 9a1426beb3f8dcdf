"""What lies at a path: a run, a model, a data set or none of these, so that an error can name what was given in place of another."""

import pathlib
import shlex
from collections.abc import Sequence

from vivit_jax.console import first_of
from vivit_jax.files import read_json, real_path

RUN, MODEL, DATA_SET = "the work directory of a run", "a model directory", "a prepared data set"
PLURALS = {RUN: "runs", MODEL: "model directories", DATA_SET: "data sets"}
PARTS = {RUN: ("config.json", "metrics.jsonl"), MODEL: ("config.json", "preprocess.json", "model.safetensors")}
LOOKED_AT = 200  # folders in a folder
LARGEST = 1 << 26  # bytes of a config.json that is read


def kind_of(path: pathlib.Path) -> str | None:
    """`RUN`, `MODEL` or `DATA_SET`, or None for anything else."""
    if data_set_versions(path):
        return DATA_SET
    try:
        if (path / "config.json").stat().st_size > LARGEST:
            return None
        config = read_json(path / "config.json")
    except (OSError, ValueError):
        return None
    if not isinstance(config, dict):
        return None
    return MODEL if "architecture" in config else RUN if "config" in config else None


def part_of(file: pathlib.Path) -> str | None:
    """`RUN`, `MODEL` or `DATA_SET` for a file that is there and without which that is lost, or None for any other."""
    folder = real_path(file).parent
    if not file.is_file():
        return None
    if (folder / "dataset_info.json").is_file():
        return DATA_SET
    kind = kind_of(folder)
    return kind if file.name in PARTS.get(kind, ()) else None


def data_set_versions(path: pathlib.Path) -> list[pathlib.Path]:
    """The finished versions of a data set, oldest first; none if the folder is no data set."""
    found = [info.parent for info in path.glob("[0-9]*/dataset_info.json") if info.parent.name.replace(".", "").isdecimal()]
    return sorted(found, key=lambda version: [int(part) for part in version.name.split(".")])


def described(path: pathlib.Path) -> str | None:
    """A sentence's second half on what `path` is, with what to do about it; None if there is nothing to tell.

    It follows a colon or a semicolon: `it is a model directory, which --model takes`.
    """
    if not path.exists():
        return "it does not exist"
    if not path.is_dir():
        return "it is a file"
    kind = kind_of(path)
    if kind == RUN:
        model = path / "model"
        return f"it is {RUN}: its model is {model}" if model.is_dir() else f"it is {RUN}, which has no model yet"
    if kind == MODEL:
        return f"it is {MODEL}, which --model takes"
    if kind == DATA_SET:
        return f"it is {DATA_SET}: --name {path.absolute().name} --data_dir {shlex.quote(str(path.parent))}"
    return _of_folders(path)


def _of_folders(path: pathlib.Path) -> str | None:
    """What the folders in a folder are, if some are runs, models or data sets."""
    found: dict[str, list[str]] = {}
    for folder in sorted(path.glob("*"))[:LOOKED_AT]:
        kind = kind_of(folder) if folder.is_dir() else None
        if kind:
            found.setdefault(kind, []).append(folder.name)
    return f"it holds {' and '.join(_named(kind, names) for kind, names in found.items())}" if found else None


def _named(kind: str, names: Sequence[str]) -> str:
    return f"{kind.replace('a ', 'the ', 1) if len(names) == 1 else 'the ' + PLURALS[kind]} {first_of(names)}"
