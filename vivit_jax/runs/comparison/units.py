"""The units that a bootstrap draws: videos, or groups of videos that are not independent."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int

from vivit_jax.data.dataset import VideoDataset
from vivit_jax.data.groups import listed_groups, stored_groups
from vivit_jax.errors import UserError

FEW = 30  # with fewer units an interval is not reliable


@dataclasses.dataclass(frozen=True)
class Units:
    """The units of a resampling: videos, or groups of videos that are drawn together.

    Attributes:
      kind: `video` or `group`.
      number: (n,) for each video, the number of its unit.
      origin: where the groups come from, in words; empty for videos.
    """

    kind: str
    number: Int[np.ndarray, " n"]
    origin: str = ""

    @property
    def count(self) -> int:
        """How many units there are."""
        return int(self.number.max()) + 1

    def __str__(self) -> str:
        videos = f"{len(self.number):,} videos"
        return videos if self.kind == "video" else f"{self.count:,} groups of {videos} ({self.origin})"


def _by_group(videos: Sequence[str], groups: Mapping[str, str], origin: str) -> Units:
    """Makes each group of videos a unit.

    Raises:
      UserError: for videos without a group, or a single group.
    """
    missing = [video for video in videos if not groups.get(video)]
    if missing:
        raise UserError(f"{len(missing)} of the {len(videos)} videos have no group ({origin}), the first is {missing[0]}")
    _, number = np.unique([groups[video] for video in videos], return_inverse=True)
    if number.max() == 0:
        raise UserError(f"all {len(videos)} videos are in one group ({origin}), so no interval can be computed")
    return Units("group", number, origin)


def find_units(
    videos: Sequence[str], dataset: VideoDataset | None, groups: pathlib.Path | None, column: str | None, *, videos_alone: bool
) -> Units:
    """The groups of a list, or those that the data set was prepared with, or else each video by itself.

    Args:
      videos: names of the videos.
      dataset: the data set that has them; None if it cannot be opened.
      groups: a csv file of names and groups, or None.
      column: the column of the groups in that file; None is `group`.
      videos_alone: whether to ignore the data set's groups.

    Raises:
      UserError: for options that contradict each other, or groups that do not fit the videos.
    """
    if column and not groups:
        raise UserError("--group names a column of --groups FILE.csv: give that too, or prepare the data set with --group")
    if groups and videos_alone:
        raise UserError("--groups draws groups and --by_video draws videos: give one of them")
    if groups:
        return _by_group(videos, listed_groups(groups, column), f"column {column or 'group'} of {groups.name}")
    stored = None if dataset is None or videos_alone else stored_groups(dataset)
    return _by_group(videos, stored, f"those of data set {dataset.name}") if stored else Units("video", np.arange(len(videos)))
