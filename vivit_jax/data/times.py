"""Times within a video as people write them: on command lines, in lists of clips, and in what is printed."""

import re

from vivit_jax.errors import UserError

TIME = re.compile(r"(?:(?:(\d+):)?(\d{1,2}):(?=\d{1,2}(?:\.|$)))?(\d+(?:\.\d*)?|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
UNITS = {"": 1.0, "s": 1.0, "ms": 0.001, "min": 60.0, "h": 3600.0}
DURATION = re.compile(r"([\d:.]+?)\s*(ms|s|min|h|)")


def plain_number(value: float) -> str:
    """Seconds or the number of a frame as text for a clip's name."""
    return f"{value:.15g}"


def duration(text: str) -> float:
    """A duration in seconds: `2s`, `500ms`, `1.5min`, `1h`, `0:30` or `1:02:30`, or plain seconds.

    Raises:
      UserError: for anything else, or a duration of 0.
    """
    found = moment(text)
    if not found:
        raise UserError(f"must be a duration above 0, such as 2s, 500ms or 0:30, got {text!r}")
    return found


def moment(text: str) -> float:
    """A time in a video, in seconds from its first frame, written as a `duration`; it may be 0.

    Raises:
      UserError: for anything else.
    """
    match = DURATION.fullmatch(text.strip())
    try:
        return seconds("", "", match[1]) * UNITS[match[2]]
    except (TypeError, UserError):
        raise UserError(f"must be a time such as 2s, 500ms, 0:30 or 1:02:30, got {text!r}") from None


def clock(seconds: float) -> str:
    """A time as people read it: `1:23`, `1:02:03.5`; fractions to the hundredth, where there are any."""
    hundredths = round(seconds * 100)
    minutes, rest = divmod(hundredths, 6000)
    tail = f"{rest // 100:02d}" + (f".{rest % 100:02d}".rstrip("0") if rest % 100 else "")
    return f"{minutes // 60}:{minutes % 60:02d}:{tail}" if minutes >= 60 else f"{minutes}:{tail}"


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
