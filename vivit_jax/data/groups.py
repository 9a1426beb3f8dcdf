"""Which videos of a prepared data set are of one origin, and so no independent evidence: by its own record, or by a list."""

import csv
import json
import pathlib
from collections.abc import Mapping

from vivit_jax.data.dataset import VideoDataset
from vivit_jax.data.preparation.place import REPORT
from vivit_jax.errors import UserError

NAMES = ("name", "path", "file", "video")  # columns that may hold the videos' names, the likeliest first
GROUP = "group"


def stored_groups(dataset: VideoDataset) -> Mapping[str, str] | None:
    """By a video's name, its group, as `vivit prepare --group COLUMN` stored them; None where the data set has none."""
    try:
        groups = json.loads((dataset.path / REPORT).read_text(encoding="utf-8")).get("groups")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    well = isinstance(groups, dict) and groups and all(isinstance(group, str) for group in groups.values())
    return groups if well else None


def listed_groups(path: pathlib.Path, column: str | None = None) -> Mapping[str, str]:
    """By a video's name, its group, of a csv file with a header.

    Args:
      path: the file; the column of the names is `name`, `path`, `file` or `video`.
      column: of the groups; None is `group`.

    Raises:
      UserError: for a file without these columns, and a video in two groups.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            header, rows = list(reader.fieldnames or ()), list(reader)
    except OSError as error:
        raise UserError(f"--groups {path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"--groups {path} is not a csv file in UTF-8 ({error})") from None
    name, group = next((title for title in NAMES if title in header and title != column), None), column or GROUP
    if name is None or group not in header:
        wanted = f"a column {group!r}" if name else f"a column of names ({', '.join(NAMES)})"
        raise UserError(f"--groups {path} has no {wanted.removeprefix('a ')}: its header is {', '.join(header) or 'empty'}")
    groups: dict[str, str] = {}
    for row in rows:
        video, of = row[name] or "", row[group] or ""
        if groups.setdefault(video, of) != of:
            raise UserError(f"--groups {path}: {video} is in two groups, {groups[video]} and {of}")
    return groups
