"""Groups videos of a common origin, which are not independent evidence, as `vivit prepare` stored them or as a list says."""

import csv
import io
import pathlib
import re
from collections import Counter
from collections.abc import Callable, Mapping

from vivit_jax.data.dataset import VideoDataset
from vivit_jax.data.preparation import listing
from vivit_jax.data.preparation_report import reported
from vivit_jax.errors import UserError
from vivit_jax.files import read_list

NAMES = ("name", "path", "file", "video")  # columns that may hold the videos' names, the likeliest first
GROUP = "group"

# How the name of a segment ends in a data set of layout csv, such as `@1.5-4` or `@frame8-202`.
SEGMENT = re.compile(r"@(?:frame)?[\d.]+-[\d.]*$")


def grouping(dataset: VideoDataset, pattern: str | None = None) -> Callable[[str], str]:
    """A function from a video's name to its group: by a regular expression, or as the data set was prepared.

    Args:
      dataset: the data set of the videos.
      pattern: finds the group in a name, as its first group or as all it matches; None takes the stored groups. A video that has none is
        of its own group, with its other segments.

    Raises:
      UserError: for a pattern that is not a regular expression. So does the function, for a name that it does not match.
    """
    if pattern is None:
        stored, cut = stored_groups(dataset) or {}, _videos_of_segments(dataset)
        return lambda name: stored.get(name) or cut.get(name) or without_segment(name)

    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UserError(f"--groups {pattern!r} is not a regular expression: {error}") from None

    def matched(name: str) -> str:
        match = expression.search(name)
        if match is None:
            raise UserError(f"--groups {pattern!r} matches no part of the name {name!r}: it must find the group in every video's name")
        return match.group(1) if match.re.groups else match.group()

    return matched


def listed_names(dataset: VideoDataset, split: str) -> list[str]:
    """The names of the videos of a split, read from the data set's list alone; empty for a slice or fold, and without a list."""
    parts = dataset.resolve(split).split("+")
    return [row["name"] for row in listing.read(dataset.path) if row["split"] in parts and not row["refused"]]


def _videos_of_segments(dataset: VideoDataset) -> Mapping[str, str]:
    """Maps the name of each clip that is one of several of a video to that video, as the list of clips has it."""
    rows = list(listing.read(dataset.path))
    clips = Counter(row["source"] for row in rows)
    return {row["name"]: row["source"] for row in rows if row["source"] and clips[row["source"]] > 1}


def without_segment(name: str) -> str:
    """The name of the video that a segment is of: `film.mp4@1.5-4` is of `film.mp4`."""
    return SEGMENT.sub("", name)


def stored_groups(dataset: VideoDataset) -> Mapping[str, str] | None:
    """Maps the name of each video to its group, as `vivit prepare` stored them; None if the data set has no groups."""
    groups = reported(dataset.path, "groups", dict)
    return groups if groups and all(isinstance(group, str) for group in groups.values()) else None


def listed_groups(path: pathlib.Path, column: str | None = None) -> Mapping[str, str]:
    """Maps the name of each video to its group, as a csv file with a header lists them.

    Args:
      path: the file; its column `name`, `path`, `file` or `video` holds the names.
      column: the column that holds the groups; None is `group`.

    Raises:
      UserError: if the file cannot be read or lacks one of these columns, or a video is in two groups.
    """
    try:
        reader = csv.DictReader(io.StringIO(read_list(path), newline=""))
        header, rows = list(reader.fieldnames or ()), list(reader)
    except OSError as error:
        raise UserError(f"--groups {path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"--groups {path} is not a csv file in UTF-8 ({error})") from None
    name, group = next((title for title in NAMES if title in header and title != column), None), column or GROUP
    if name is None or group not in header:
        wanted = f"column {group!r}" if name else f"column of names ({', '.join(NAMES)})"
        raise UserError(f"--groups {path} has no {wanted}: its header is {', '.join(header) or 'empty'}")
    groups: dict[str, str] = {}
    for row in rows:
        video, origin = row[name] or "", row[group] or ""
        if groups.setdefault(video, origin) != origin:
            raise UserError(f"--groups {path}: {video} is in two groups, {groups[video]} and {origin}")
    return groups
