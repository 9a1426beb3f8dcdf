"""Finds the videos that a person names by files, folders, patterns, and lists of these."""

import contextlib
import dataclasses
import glob
import os
import pathlib
import sys
from collections.abc import Iterator, Sequence

from vivit_jax.console import counted, first_of
from vivit_jax.data.video.reader import SUFFIXES
from vivit_jax.data.video.streaming import STANDARD_INPUT
from vivit_jax.errors import UserError
from vivit_jax.files import read_list, writing
from vivit_jax.scratch import scratch_folder

PATTERN = frozenset("*?[")

LARGEST_INPUT = 8 << 30  # bytes of standard input that are kept to be read as a file

Path = str | os.PathLike


@dataclasses.dataclass(frozen=True)
class Found:
    """The videos that were found.

    Attributes:
      videos: their paths, in the order named; those of a folder or pattern sorted.
      aside: files of folders and patterns that are no videos by their suffix, and links to folders, which are not followed.
    """

    videos: tuple[str, ...]
    aside: tuple[str, ...]

    @property
    def remark(self) -> str:
        """One line about what was left aside; empty if nothing was."""
        links = [path for path in self.aside if pathlib.Path(path).is_dir()]
        files = [path for path in self.aside if path not in links]
        told = {f"{counted(len(files), 'file')} left aside, not videos by their name": files}
        told |= {f"{counted(len(links), 'link')} to folders not followed": links}
        return "; ".join(f"{what}: {first_of(sorted(map(os.path.basename, paths)))}" for what, paths in told.items() if paths)


def find_videos(sources: Sequence[Path], lists: Sequence[Path] = ()) -> Found:
    """Finds the videos that are named.

    A file is taken whatever its suffix, and whether or not it exists; whoever reads it tells. Of a folder, at any depth, and of a pattern
    such as `clips/**/*.mp4`, the files with a video's suffix are taken, each once; hidden files and folders are passed over. So are links
    to folders, in a folder, which are told; a link to nothing is taken for the file it should lead to, so that whoever reads it tells.

    Args:
      sources: files, folders, patterns, or `-` for standard input.
      lists: text files with a source a line, relative to the working directory; empty lines count for nothing.

    Raises:
      UserError: for a folder or pattern without videos, or a list that cannot be read or is empty.
    """
    videos, aside, known = [], [], set()
    for source in [*map(os.fspath, sources), *(line for path in lists for line in _lines(pathlib.Path(path)))]:
        expanded = _expanded(source)
        if expanded is None:
            videos.append(source)
            known.add(source)
            continue
        found = [path for path in expanded if pathlib.PurePath(path).suffix.lower() in SUFFIXES and not pathlib.Path(path).is_dir()]
        if not found:
            what = "no videos in this folder" if pathlib.Path(source).is_dir() else "no video matches this pattern"
            raise UserError(f"{source}: {what} (known suffixes: {', '.join(SUFFIXES[:6])}, ...)")
        aside += sorted(set(expanded) - set(found))
        videos += [path for path in found if path not in known]
        known.update(found)
    return Found(tuple(videos), tuple(dict.fromkeys(aside)))


@contextlib.contextmanager
def standard_input_as_file() -> Iterator[str]:
    """Reads standard input to its end into a temporary file, and yields the file's path.

    Raises:
      UserError: if it is a terminal, or does not end in good time.
    """
    check_standard_input()
    with scratch_folder("stdin") as folder, (folder / "video").open("wb", buffering=0) as file:
        size = 0
        while block := sys.stdin.buffer.read(1 << 20):
            size += len(block)
            with writing(folder):
                while block:
                    block = block[file.write(block) :]
            if size > LARGEST_INPUT:
                raise UserError(f"standard input: more than {LARGEST_INPUT >> 30} GiB, and no end yet: give --window for a live video")
        yield file.name


def check_standard_input() -> None:
    """Raises `UserError` if nothing is piped into standard input."""
    if sys.stdin.isatty():
        raise UserError("- reads a video from standard input, which is a terminal here: pipe one into it")


def _expanded(source: str) -> list[str] | None:
    """The files in a folder or of a pattern, sorted, without hidden ones; None for what is neither."""
    path = pathlib.Path(source)
    if source == STANDARD_INPUT or path.is_file() or not (path.is_dir() or PATTERN & set(source)):
        return None
    matches = [path] if path.is_dir() else map(pathlib.Path, glob.glob(source, recursive=True))  # noqa: PTH207 (of absolute patterns too)
    files = {inner for match in matches for inner in _shown(match)}
    return [str(file) for file in sorted(files)]


def _shown(match: pathlib.Path) -> Iterator[pathlib.Path]:
    """A file, or the files in a folder at any depth and its links to folders, without hidden ones and those in folders hidden in it."""
    for path in (match, *match.rglob("*")) if match.is_dir() else (match,):
        hidden = any(part.startswith(".") for part in (path.name, *path.relative_to(match).parts))
        link = path.is_symlink() and (path != match or not path.exists())
        if not hidden and (path.is_file() or link):
            yield path


def _lines(path: pathlib.Path) -> list[str]:
    try:
        lines = read_list(path).split("\n")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text file in UTF-8; give a file with a path a line") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}: give a file with a path a line") from None
    if not any(line.strip() for line in lines):
        raise UserError(f"{path}: the list is empty: give a file with a path a line")
    lines = [line for line in lines if line.strip()]
    if not any(line == STANDARD_INPUT or PATTERN & set(line) or os.path.lexists(line) for line in lines):
        raise UserError(
            f"{path}: none of its {counted(len(lines), 'line')} is a path that is there, from {pathlib.Path.cwd()}: "
            f"expected a path alone on each, got {lines[0][:100]!r}"
        )
    return lines
