"""`preparation.json`, the report that `vivit prepare` leaves beside a data set."""

import pathlib
import typing

from vivit_jax.files import read_json

REPORT = "preparation.json"

T = typing.TypeVar("T")


def reported(folder: pathlib.Path, key: str, kind: type[T]) -> T | None:
    """What the report of the data set in `folder` says under `key`; None if there is no such value of type `kind`, or no report."""
    try:
        value = read_json(folder / REPORT).get(key)
    except (OSError, ValueError, AttributeError):
        return None
    return value if isinstance(value, kind) else None
