"""The one kind of error that is the user's to mend.

Every check on something a user gave (a key, a file, a shape) raises `UserError` with a single line that says what is wrong, what was
expected, what came, and what to do. The commands print that line without a traceback and exit with code 2; any other exception is a bug.
"""

import difflib
import numbers
from collections.abc import Collection, Iterable

EXIT_STOPPED = 1
EXIT_BAD_INPUT = 2


class UserError(ValueError):
    """Bad input, described in one line for the person who gave it: a line break that came with a quoted name or cell becomes a space."""

    exit_code = EXIT_BAD_INPUT

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))


class Stopped(Exception):  # noqa: N818 (not every end is an error)
    """Ends the command; the message is printed for the user."""

    exit_code = EXIT_STOPPED


def in_one_line(error: object) -> str:
    """An error in the one line that a command prints; of a system error, the file and the reason without the error number."""
    if isinstance(error, OSError) and error.strerror:
        return printable(f"{error.filename}: {error.strerror}" if error.filename else error.strerror)
    return printable(" ".join(str(error).split()))


def printable(text: str) -> str:
    r"""Text that is safe to print on a terminal: control characters, which a file's name may hold, are escaped.

    >>> print(printable("a\x1b[2J"))
    a\x1b[2J
    """
    return "".join(c if c.isprintable() or c in "\n\xa0" else c.encode("unicode_escape").decode() for c in text)


def check_whole(name: str, value: object, least: int = 1) -> None:
    """Refuses what is not a whole number of at least `least`.

    >>> check_whole("top_k", 5)

    Raises:
      UserError: naming it.
    """
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < least:
        raise UserError(f"{name} must be a whole number of at least {least}, got {value!r}")


def check_share(name: str, value: float) -> None:
    """Refuses what is not in [0, 1)."""
    if not 0 <= value < 1:
        raise UserError(f"{name} must be in [0, 1), got {value}")


def check_name(kind: str, value: object, known: Collection[str]) -> None:
    """Refuses what is not one of the known names; raises the error that `unknown_name` gives."""
    if not isinstance(value, str) or value not in known:
        raise unknown_name(kind, str(value), known)


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error to raise where `name` is not among `known`; it suggests the nearest right name.

    >>> str(unknown_name("layout", "flder", ["folder", "csv"]))
    "unknown layout 'flder': did you mean 'folder'? (known: csv, folder)"
    """
    known = sorted(known)
    by_lower = {other.lower(): other for other in known}
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    nearest = nearest or [by_lower[other] for other in difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)]
    hint = f": did you mean {nearest[0]!r}?" if nearest else ""
    return UserError(f"unknown {kind} {name!r}{hint} (known: {', '.join(known)})")
