"""What a person may have meant by a list that cannot be taken as it stands: comments, and hints that follow an error."""

import difflib
import os
import pathlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence

from vivit_jax.console import counted, first_of
from vivit_jax.data.layouts.base import is_utf8
from vivit_jax.data.video.reader import SUFFIXES

QUOTES = "'\"`´‘’‚‛“”„«»"  # noqa: RUF001 (they are meant)
OF_EXCEL = re.compile(r"\s*sep=.\s*", re.IGNORECASE)  # the line by which Excel is told what separates the cells
WORDS = re.compile(r"[\s,;|]+")


def without_comments(text: str) -> tuple[str, list[str]]:
    """The text with comments made blank lines, so that line numbers stay, and a remark that names them.

    A comment begins with # and names no video: published lists have videos such as `#122_smile.avi`.
    """
    lines = text.split("\n")
    comments = [number for number, line in enumerate(lines) if line.lstrip().startswith("#") and not _names_video(line)]
    first = next((number for number, line in enumerate(lines) if line.strip()), None)
    blank = [*comments, *([first] if first is not None and OF_EXCEL.fullmatch(lines[first]) else [])]
    for number in blank:
        lines[number] = ""
    where = first_of([str(number + 1) for number in comments])
    remark = (
        f"{counted(len(comments), 'line')} left out as {'a comment' if len(comments) == 1 else 'comments'}, beginning with #: line {where}"
    )
    return "\n".join(lines) if blank else text, [remark] if comments else []


def _names_video(line: str) -> bool:
    return any(word.strip(QUOTES).lower().endswith(SUFFIXES) for word in WORDS.split(line))


def of_header(header: Sequence[str], known: Mapping[str, Iterable[str]], lacking: Iterable[str]) -> str:
    """Why a first line may be no header: another separator, or a misspelt name.

    Args:
      header: its cells, in lower case.
      known: what each column may be called.
      lacking: the columns that were not found, keys of `known`.
    """
    lacking = [*lacking]
    words = {word for cell in header for word in WORDS.split(cell)}
    if lacking and len(header) < 3 and all(words & {*known[what]} for what in lacking):
        return "; cells must be separated by commas, semicolons or tabs"
    for what in lacking:
        meant = next((cell for cell in header if difflib.get_close_matches(cell, known[what], n=1, cutoff=0.75)), None)
        if meant:
            return f"; is {meant!r} meant to be {what}?"
    return ""


def of_row(columns: Sequence[str], row: Sequence[str], *, commas: bool) -> str:
    """Why a row may have more or fewer cells than there are columns; `commas` tells whether commas separate them."""
    if any("\n" in cell for cell in row):
        return "; is a quote left open?"
    return "; a cell that holds a comma must stand in double quotes" if commas and len(row) > len(columns) else ""


def of_file(root: pathlib.Path, path: str) -> str:
    """What may be meant by a path that leads to no file; empty if nothing is like it."""
    if "://" in path:
        return "; it is an address, and only files that this machine has are read"
    if path.startswith("~"):
        return "; ~ stands for a home folder in a shell only: write the path out"
    if path.startswith("#"):
        return "; a line with # is a comment only if it names no video"
    if path.strip(QUOTES) != path:
        return '; only double quotes, ", may stand around a cell'
    meant = _like(root / path)
    return f"; there is {meant}" if meant else ""


def _like(path: pathlib.Path) -> str | None:
    """A name beside `path` that differs in case, accents or suffix alone; None for a path that is there, such as a folder."""
    if os.path.lexists(path):
        return None
    try:
        names = sorted(name for name in os.listdir(path.parent) if is_utf8(name))  # noqa: PTH208 (names alone)
    except (OSError, ValueError):
        return None
    wanted = _plain(path.name)
    same = (name for name in names if _plain(name) == wanted)
    videos = (name for name in names if name.lower().endswith(SUFFIXES) and _plain(pathlib.Path(name).stem) in (wanted, _plain(path.stem)))
    return next(same, None) or next(videos, None)


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def spellings(path: str) -> Iterator[str]:
    """Other ways to write a path that lists have: slashes for backslashes, and accents as one character or as two."""
    for text in dict.fromkeys((path, path.replace("\\", "/"))):
        yield from (form for form in (text, *(unicodedata.normalize(kind, text) for kind in ("NFC", "NFD"))) if form != path)
