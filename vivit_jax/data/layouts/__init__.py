"""One reader for each annotation layout: what lies in a folder, as a list of labelled clips.

A new layout is a module with a `read(source) -> Annotations` and a line in `LAYOUTS`.
"""

import dataclasses
import pathlib
from collections.abc import Callable

from vivit_jax.data.layouts import csv, folder, motion_digits
from vivit_jax.data.layouts.base import Annotations, Clip, check
from vivit_jax.errors import UserError, unknown_name

__all__ = ["LAYOUTS", "Annotations", "Clip", "Layout", "read_layout"]


@dataclasses.dataclass(frozen=True)
class Layout:
    """A way in which labelled videos lie on disk.

    Attributes:
      read: lists the clips of a source.
      source: what the source is, for `--help`; None for a layout that makes its videos and has none.
    """

    read: Callable[[pathlib.Path | None], Annotations]
    source: str | None


LAYOUTS = {
    "folder": Layout(folder.read, "a folder SOURCE/{train,val,test}/CLASS/*.mp4"),
    "csv": Layout(csv.read, "a file with a header (path|file,label|labels[,split,start,end]) or lines `path label`"),
    "motion_digits": Layout(motion_digits.read, None),
}


def read_layout(layout: str, source: str | pathlib.Path | None = None) -> Annotations:
    """Lists the labelled clips of `source` and checks them.

    Raises:
      UserError: for an unknown layout, or naming what is wrong in the source.
    """
    if layout not in LAYOUTS:
        raise unknown_name("layout", layout, LAYOUTS)
    entry = LAYOUTS[layout]
    if (source is None) != (entry.source is None):
        raise UserError(
            f"layout {layout} needs a source: {entry.source}" if entry.source else f"layout {layout} has no source, got {source}"
        )
    annotations = entry.read(None if source is None else pathlib.Path(source))
    try:
        check(annotations)
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    return annotations
