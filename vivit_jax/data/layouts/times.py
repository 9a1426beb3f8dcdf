"""Times within a video, as lists write them."""

import re

from vivit_jax.errors import UserError

TIME = re.compile(r"(?:(?:(\d+):)?(\d{1,2}):(?=\d{1,2}(?:\.|$)))?(\d+(?:\.\d*)?|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


def number(seconds: float) -> str:
    """Seconds as text for a clip's name."""
    return f"{seconds:.15g}"


def seconds(where: str, column: str, cell: str | None, *, comma: bool = False) -> float | None:
    """Seconds, or hours, minutes and seconds, as a number of seconds; None for an empty cell.

    Args:
      where: the file and line, for the error.
      column: what the cell is, for the error.
      cell: the text.
      comma: whether a comma may stand for the decimal point.

    Raises:
      UserError: if the cell is neither, or is more than 1e9 seconds.
    """
    if not cell:
        return None
    match = TIME.fullmatch(cell.replace(",", ".") if comma else cell)
    if not match or (match[2] and float(match[3]) >= 60) or (match[1] and int(match[2]) >= 60):
        raise UserError(f"{where}: {column} must be seconds of at least 0, or [hh:]mm:ss, got {cell!r}")
    total = int(match[1] or 0) * 3600 + int(match[2] or 0) * 60 + float(match[3] + (match[4] or ""))
    if total > 1e9:
        raise UserError(f"{where}: {column} must be seconds of at least 0, or [hh:]mm:ss, got {cell!r}")
    return total
