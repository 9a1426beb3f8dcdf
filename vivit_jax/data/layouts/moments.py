"""Moments in Time (Monfort et al. 2019): `trainingSet.csv`, `validationSet.csv` and `moments_categories.txt` beside the videos.

The videos lie in `training/` and `validation/`, in a folder of their class. A line of a list is the video, its class, and how many people
agreed and disagreed; a line of `moments_categories.txt` is a class, in some versions with its number:

    adult+female+singing/yt-0BrVEG9SJyU_3.mp4,adult+female+singing,3,0        adult+female+singing,0
    adult+female+singing/yt-1wNPKM7Qmck_42.mp4,adult+female+singing,3,0       adult+female+speaking,1
"""

import pathlib

from vivit_jax.data.layouts.base import Annotations, Reading
from vivit_jax.data.layouts.clip_collector import ClipCollector
from vivit_jax.data.layouts.lists import cells_of, in_order, known_class, whole_number
from vivit_jax.data.layouts.published import Publication
from vivit_jax.errors import UserError

LISTS = {"train": ("trainingSet.csv",), "val": ("validationSet.csv",)}


def read(source: pathlib.Path, reading: Reading) -> Annotations:
    """Lists the videos of the training and validation split.

    Raises:
      UserError: naming the file and line.
    """
    publication = Publication(source, reading)
    labels = _labels(publication.needed("moments_categories.txt", "category_moments*.txt"))
    publication.needed(*(name for names in LISTS.values() for name in names))
    collector = ClipCollector(publication)
    for split, path in publication.by_split(LISTS):
        for where, cells in cells_of(path):
            if len(cells) < 2:
                raise UserError(f"{where}: expected CLASS/VIDEO,CLASS, got {','.join(cells)[:100]!r}")
            collector.add(cells[0], split, known_class(where, cells[1], labels), publication.video(cells[0], split=split))
    return collector.annotations(labels)


def _labels(path: pathlib.Path) -> tuple[str, ...]:
    """The classes in the order of their numbers, or of the lines if they have no numbers."""
    numbers = {}
    for where, cells in cells_of(path):
        numbers[cells[0]] = whole_number(where, "the class", cells[1]) if len(cells) > 1 else len(numbers)
    return in_order(path, numbers)
