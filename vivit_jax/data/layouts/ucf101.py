"""UCF-101 (Soomro et al. 2012): the lists `ucfTrainTestlist/`, and videos `CLASS/v_CLASS_gNN_cNN.avi`.

There are three splits, `trainlist01.txt` with `testlist01.txt` to `trainlist03.txt` with `testlist03.txt`, and `classInd.txt`:

    ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1        ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi        1 ApplyEyeMakeup
    ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c02.avi 1        ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c02.avi        2 ApplyLipstick

The 25 groups of a class (such as `g01`) are clips of 25 origins, and each split keeps a group on one side.
"""

import pathlib
import re

from vivit_jax.data.layouts.base import Annotations, Reading
from vivit_jax.data.layouts.clip_collector import ClipCollector
from vivit_jax.data.layouts.lists import in_order, known_class, lines_of, whole_number
from vivit_jax.data.layouts.published import Publication
from vivit_jax.errors import UserError


def read(source: pathlib.Path, reading: Reading) -> Annotations:
    """Lists the videos of the split `--split_number`; there is no validation split.

    Raises:
      UserError: naming the file and line.
    """
    publication = Publication(source, reading)
    labels = _labels(publication.needed("classInd.txt"))
    collector = ClipCollector(publication)
    for split in ("train", "test"):
        path = publication.needed(f"{split}list{reading.split_number:02d}.txt")
        for where, line in lines_of(path):
            name = line.split()[0]
            if "/" not in name:
                raise UserError(f"{where}: expected CLASS/VIDEO, got {line[:100]!r}")
            group = re.search(r"_(g\d+)_c\d+", name)
            label = known_class(where, pathlib.PurePosixPath(name).parent.name, labels)
            collector.add(name, split, label, publication.video(name), group=f"{label} {group[1]}" if group else None)
    return collector.annotations(labels)


def _labels(path: pathlib.Path) -> tuple[str, ...]:
    numbers = {}
    for where, line in lines_of(path):
        cells = line.split(maxsplit=1)
        if len(cells) != 2:
            raise UserError(f"{where}: expected a number and a class, got {line[:100]!r}")
        numbers[cells[1]] = whole_number(where, "the class", cells[0])
    return in_order(path, numbers, first=1)
