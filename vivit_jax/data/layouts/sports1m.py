"""Sports-1M (Karpathy et al. 2014): lists of YouTube videos with one or several of 487 sports, and videos `ID.mp4`.

`original/train_partition.txt` and `original/test_partition.txt`, which come as `.txt.gz`, have the address and the numbers of the
classes, counted from 0, on each line; `labels.txt` has the classes' names, one a line:

    https://www.youtube.com/watch?v=Rzyb0ClmcB0 110                         aquabike
    https://www.youtube.com/watch?v=GtSMxi0kJMM 110,131                     aquathlon (ancient)

The JSON release says the same: `sports1m_train.json` and `sports1m_test.json` are lists of
`{"id": "Rzyb0ClmcB0", "source487": "train", "label487": [110], ...}`.
"""

import pathlib
import re
from collections.abc import Iterator

from vivit_jax.data.layouts.base import Annotations, Reading
from vivit_jax.data.layouts.clip_collector import ClipCollector
from vivit_jax.data.layouts.lists import PACKED, entries_of, lines_of, whole_number
from vivit_jax.data.layouts.published import Publication
from vivit_jax.errors import UserError

LISTS = {
    "train": ("sports1m_train.json", "train_partition.txt"),
    "test": ("sports1m_test.json", "test_partition.txt"),
}
ADDRESS = re.compile(r"(?:.*[?&]v=|.*youtu\.be/)?([\w-]+)")


def read(source: pathlib.Path, reading: Reading) -> Annotations:
    """Lists the videos of both splits, each with all of its classes.

    Raises:
      UserError: naming the file and line.
    """
    publication = Publication(source, reading)
    labels = tuple(line for _, line in lines_of(publication.needed("labels.txt", "sports1m_labels.txt")))
    publication.needed(*(name for names in LISTS.values() for name in names))
    collector = ClipCollector(publication)
    for split, path in publication.by_split(LISTS):
        for where, video, numbers in _listed(path):
            classes = {labels[whole_number(where, "the class", number, len(labels))] for number in numbers}
            collector.add(video, split, tuple(sorted(classes)), publication.video(video, split=split))
    return collector.annotations(labels)


def _listed(path: pathlib.Path) -> Iterator[tuple[str, str, list]]:
    """Where each video is listed, its ID, and the numbers of its classes."""
    if path.name.lower().removesuffix(PACKED).endswith(".json"):
        for where, entry in entries_of(path, "id", "label487"):
            if not isinstance(entry["label487"], list):
                raise UserError(f"{where}: label487 must be a list, got {str(entry['label487'])[:50]!r}")
            yield where, str(entry["id"]), entry["label487"]
        return
    for where, line in lines_of(path):
        cells = line.split()
        address = ADDRESS.fullmatch(cells[0])
        if len(cells) != 2 or not address:
            raise UserError(f"{where}: expected ADDRESS NUMBER,NUMBER, got {line[:100]!r}")
        yield where, address[1], cells[1].split(",")
