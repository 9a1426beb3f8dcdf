"""Kinetics-400, 600 and 700 (Kay et al. 2017; Carreira et al. 2018, 2019), by the publisher's lists or by those of SlowFast and mmaction2.

The publisher's `train.csv`, `validate.csv` (or `val.csv`) and `test.csv` begin so; `is_cc` may follow, and some lists of the test split
have no `label`:

    label,youtube_id,time_start,time_end,split
    testifying,---QUuC4vJs,84,94,validate
    washing feet,--GkrdYZ9Tc,0,10,validate

Downloaders name a trimmed clip `---QUuC4vJs_000084_000094.mp4`, flat or in a folder of its class. A file `---QUuC4vJs.mp4` is taken for the
whole video, and the clip is cut out of it.

Lists of other code bases name a file and the number of its class on each line, and tell their split by their own file names:

    abseiling/0wR5jVB-WPk_000417_000427.mp4 0
"""

import pathlib
import re

from vivit_jax.data.layouts.base import Annotations, Reading, sorted_labels
from vivit_jax.data.layouts.published import Gathered, Publication, cells_of, lines_of, rows_of, whole_number
from vivit_jax.data.layouts.times import number, seconds
from vivit_jax.data.splits import canonical
from vivit_jax.errors import UserError

COLUMNS = ("label", "youtube_id", "time_start", "time_end")
SPLIT = re.compile(r"(?<![a-z])(train|val|test)", re.IGNORECASE)


def read(source: pathlib.Path, reading: Reading) -> Annotations:
    """Lists the clips that `source` or `--annotations` names; the classes are those of the lists, whether their clips are there or not.

    Raises:
      UserError: naming the file and line.
    """
    publication = Publication(source, reading)
    official, plain, remarks = [], [], []
    patterns = [f"*{name}*.{suffix}" for suffix in ("csv", "txt") for name in ("train", "val", "test", "kinetics")]
    for path in dict.fromkeys([*publication.named, *publication.files(*patterns)]):
        _, first = next(cells_of(path), (None, []))
        if {*COLUMNS[1:]} <= set(first):
            (official if "label" in first else remarks).append(path if "label" in first else f"{path.name} has no labels and is left aside")
        elif SPLIT.search(path.stem):
            plain.append(path)
    if not official and not plain:
        publication.needed("train.csv", "validate.csv", "test.csv")
        raise UserError(f"{source}: its lists have neither the header {','.join(COLUMNS)} nor lines `path label`")
    return _official(publication, official, remarks) if official else _plain(publication, plain, remarks)


def _official(publication: Publication, lists: list[pathlib.Path], remarks: list[str]) -> Annotations:
    gathered, labels = Gathered(), set()
    for path in lists:
        for where, row in rows_of(path, *COLUMNS):
            labels.add(row["label"])
            split = _split(where, path, row.get("split", ""))
            start, end = (seconds(where, column, row[column]) for column in COLUMNS[2:])
            if start is None or end is None or end <= start:
                raise UserError(f"{where}: time_end {row['time_end']!r} is not after time_start {row['time_start']!r}")
            name = f"{row['youtube_id']}_{int(start):06d}_{int(end):06d}"
            trimmed = publication.video(name, f"{row['youtube_id']}_{number(start)}_{number(end)}", split=split)
            if trimmed:
                gathered.add(name, split, row["label"], trimmed)
            else:
                gathered.add(name, split, row["label"], publication.video(row["youtube_id"], split=split), start=start, end=end)
    return gathered.annotations(sorted_labels(labels), publication, *remarks)


def _split(where: str, path: pathlib.Path, cell: str) -> str:
    found = SPLIT.match(cell) or (SPLIT.search(path.stem) if not cell else None)
    if not found:
        raise UserError(f"{where}: the split must be train, validate (or val) or test, got {cell!r}")
    return canonical(found[1])


def _plain(publication: Publication, lists: list[pathlib.Path], remarks: list[str]) -> Annotations:
    gathered, names = Gathered(), _names(publication)
    for path in lists:
        split = canonical(SPLIT.search(path.stem)[1])
        for where, line in lines_of(path):
            cells = line.rsplit(maxsplit=1)
            if len(cells) != 2:
                raise UserError(f"{where}: expected a path and the number of its class, got {line[:100]!r}")
            label = whole_number(where, "the class", cells[1], len(names) or None)
            gathered.add(cells[0], split, names[label] if names else str(label), publication.video(cells[0], split=split))
    labels = names or sorted_labels({clip.label for clip in gathered.clips})
    if not names:
        remarks.append("no list of class names such as label_map_k400.txt is there: classes are called by their numbers")
    return gathered.annotations(labels, publication, *remarks)


def _names(publication: Publication) -> tuple[str, ...]:
    """The classes in the order of their numbers, from a file with one on each line, as mmaction2 has it; empty without such a file."""
    path = publication.file("*label_map*.txt", "*classnames*.txt")
    return tuple(line for _, line in lines_of(path)) if path else ()
