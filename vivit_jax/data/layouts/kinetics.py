"""Kinetics-400, 600 and 700 (Kay et al. 2017; Carreira et al. 2018, 2019), by the publisher's lists or by those of SlowFast and mmaction2.

The publisher's `train.csv`, `validate.csv` (or `val.csv`) and `test.csv` begin so; `is_cc` may follow, and some lists of the test split
have no `label`, so that it can be predicted and not scored:

    label,youtube_id,time_start,time_end,split
    testifying,---QUuC4vJs,84,94,validate
    washing feet,--GkrdYZ9Tc,0,10,validate

Downloaders name a trimmed clip `---QUuC4vJs_000084_000094.mp4`, flat or in a folder of its class. A file `---QUuC4vJs.mp4` is taken for the
whole video, and the clip is cut out of it.

If several videos have one name, the one in `replacement_for_corrupted_k400`, the publisher's folder of mended videos, is taken.

Lists of other code bases name a file and the number of its class on each line, after a blank, a tab, a comma or a semicolon, and tell their
split by their own file names. Lists of folders of frames have the number of frames between the two:

    abseiling/0wR5jVB-WPk_000417_000427.mp4 0
    abseiling/0wR5jVB-WPk_000417_000427 300 0

A file such as `label_map_k400.txt` (a class a line) or `kinetics_classnames.json` (`{"\"abseiling\"": 0, ...}`) names the classes. Without
it they are called by their numbers, from 0 to the largest that is listed, so that each class keeps its number.
"""

import pathlib
import re
from collections.abc import Sequence

from vivit_jax.data.layouts.base import Annotations, Clip, Reading, sorted_labels
from vivit_jax.data.layouts.clip_collector import ClipCollector
from vivit_jax.data.layouts.lists import PACKED, cells_of, in_order, json_of, lines_of, rows_of, whole_number
from vivit_jax.data.layouts.published import REPLACEMENT, UNSCORED, Publication, is_replacement
from vivit_jax.data.splits import canonical
from vivit_jax.data.times import plain_number, seconds
from vivit_jax.data.video.reader import SUFFIXES
from vivit_jax.errors import UserError

COLUMNS = ("label", "youtube_id", "time_start", "time_end")
SPLIT = re.compile(r"(?<![a-z])(train|val|test)", re.IGNORECASE)
PLAIN = re.compile(r"(.*[^,;\s])\s*[,;\s]\s*([^,;\s]+)")
COUNTED = re.compile(r"(.*[^,;\s])\s*[,;\s]\s*\d+")  # a folder of frames, and how many
NO_CLASS = "-1"
MOST_CLASSES = 100_000  # of a list that does not name them


def read(source: pathlib.Path, reading: Reading) -> Annotations:
    """Lists the clips that `source` or `--annotations` names; the classes are those of the lists, whether their clips are there or not.

    Raises:
      UserError: naming the file and line.
    """
    publication = Publication(source, reading)
    official, plain, archives, remarks = [], [], [], []
    patterns = [f"*{name}*.{suffix}" for suffix in ("csv", "txt") for name in ("train", "val", "test", "kinetics")]
    for path in dict.fromkeys([*publication.named, *publication.lists(*patterns)]):
        _, first = next(cells_of(path), (None, []))
        if len({*COLUMNS, "split"} & {*first}) > 1:
            official.append(path)
        elif SPLIT.search(path.stem):
            (archives if any("://" in cell for cell in first[:1]) else plain).append(path)  # such as k400_train_path.txt
    if not official and not plain:
        publication.needed("train.csv", "validate.csv", "test.csv")
        raise UserError(f"{source}: its lists have neither the header {','.join(COLUMNS)} nor lines `path label`")
    if official and plain:
        remarks.append(f"lists without a header are left aside beside the publisher's: {', '.join(path.name for path in plain)}")
    if archives:
        remarks.append(f"lists of addresses are left aside: {', '.join(path.name for path in archives)}")
    return _official(publication, official, remarks) if official else _plain(publication, plain, remarks)


def _official(publication: Publication, lists: list[pathlib.Path], remarks: list[str]) -> Annotations:
    collector, labels = ClipCollector(publication), set()
    for path in lists:
        unlabelled = set()
        for where, row in rows_of(path, *COLUMNS[1:]):
            label, split = row.get("label") or None, _split(where, path, row.get("split", ""))
            if label is None and "label" in row and split != "test":
                raise UserError(f"{where}: the label is empty")
            (unlabelled if label is None else labels).add(label or split)
            start, end = (seconds(where, column, row[column]) for column in COLUMNS[2:])
            if start is None or end is None or end <= start:
                raise UserError(f"{where}: time_end {row['time_end']!r} is not after time_start {row['time_start']!r}")
            name = f"{row['youtube_id']}_{int(start):06d}_{int(end):06d}"
            trimmed = publication.video(name, f"{row['youtube_id']}_{plain_number(start)}_{plain_number(end)}", split=split)
            if trimmed:
                collector.add(name, split, label, trimmed)
            else:
                collector.add(name, split, label, publication.video(row["youtube_id"], split=split), start=start, end=end)
        remarks += [UNSCORED.format(path.name, split) for split in sorted(unlabelled)]
    return collector.annotations(sorted_labels(labels), *remarks, *_replaced(collector.clips))


def _replaced(clips: Sequence[Clip]) -> list[str]:
    count = sum(isinstance(clip.source, pathlib.Path) and is_replacement(clip.source) for clip in clips)
    return [f"{count} videos are those in the publisher's folder {REPLACEMENT}..."] if count else []


def _split(where: str, path: pathlib.Path, cell: str) -> str:
    found = SPLIT.match(cell) or (SPLIT.search(path.stem) if not cell else None)
    if not found:
        raise UserError(f"{where}: the split must be train, validate (or val) or test, got {cell!r}")
    return canonical(found[1])


def _plain(publication: Publication, lists: list[pathlib.Path], remarks: list[str]) -> Annotations:
    collector, names, count = ClipCollector(publication), _names(publication), 0
    for path in lists:
        split, unlabelled = canonical(SPLIT.search(path.stem)[1]), False
        for where, line in lines_of(path):
            name, label = _cells(where, line, may_lack_class=split == "test")
            if label is not None:
                number = whole_number(where, "the class", label, len(names) or MOST_CLASSES)
                label, count = names[number] if names else str(number), max(count, number + 1)
            unlabelled |= label is None
            collector.add(name, split, label, publication.video(name, split=split))
        remarks += [UNSCORED.format(path.name, split)] * unlabelled
    if not names:
        remarks.append("no list of class names such as label_map_k400.txt is there: classes are called by their numbers")
    return collector.annotations(names or tuple(map(str, range(count))), *remarks)


def _cells(where: str, line: str, *, may_lack_class: bool) -> tuple[str, str | None]:
    """The video and the class of a line; a number of frames between the two is left out."""
    cells = PLAIN.fullmatch(line)
    if may_lack_class and pathlib.PurePosixPath(line).suffix.lower() in SUFFIXES:
        return line, None
    if not cells:
        raise UserError(f"{where}: expected a path and the number of its class, got {line[:100]!r}; layout csv reads a table with a header")
    counted = COUNTED.fullmatch(cells[1])
    of_frames = counted and pathlib.PurePosixPath(counted[1]).suffix.lower() not in SUFFIXES
    return counted[1] if of_frames else cells[1], None if may_lack_class and cells[2] == NO_CLASS else cells[2]


def _names(publication: Publication) -> tuple[str, ...]:
    """The classes in the order of their numbers, as mmaction2 or SlowFast names them; empty without such a file."""
    found = {_names_in(path): path for path in publication.lists("*label_map*.txt", "*classnames*.txt", "*classnames*.json")}
    if len(found) > 1:
        one, other, *_ = found.values()
        raise UserError(f"{one} and {other} name different classes: give the lists, and the right one of these two, by --annotations")
    return next(iter(found), ())


def _names_in(path: pathlib.Path) -> tuple[str, ...]:
    if path.name.lower().removesuffix(PACKED).endswith(".txt"):
        return tuple(line for _, line in lines_of(path))
    numbers = {
        name.strip('"'): whole_number(f"{path}: {name[:50]!r}", "its number", number) for name, number in json_of(path, dict).items()
    }
    return in_order(path, numbers)
