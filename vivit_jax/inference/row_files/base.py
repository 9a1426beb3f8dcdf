"""The interface of a file of rows, whatever its format."""

import abc
import pathlib
import typing
from collections.abc import Mapping, Sequence

from vivit_jax.inference.rows import Row

Made = Mapping[str, object]
"""How the rows come to be, as plain JSON values."""


class RowFile(abc.ABC):
    """A file of rows. A context manager, which closes it.

    Attributes:
      path: where it is.
    """

    path: pathlib.Path

    @abc.abstractmethod
    def add(self, rows: Sequence[Row]) -> None:
        """Adds all rows of one or more windows of a video."""

    @abc.abstractmethod
    def end(self, video: str, error: str | None = None) -> None:
        """Says that there are no more rows of a video, and if so why it was not read to its end."""

    @abc.abstractmethod
    def first(self, video: str) -> int | None:
        """The number of a video's first window whose rows are not there yet; None if there are no more to come."""

    def __enter__(self) -> typing.Self:
        return self

    @abc.abstractmethod
    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Closes the file; `kind` is that of the exception that ends the work before it is done."""
