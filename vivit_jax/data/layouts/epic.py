"""Epic-Kitchens-100 (Damen et al. 2022): segments of long videos `P01_01.MP4`, each with a verb and a noun.

`EPIC_100_train.csv` and `EPIC_100_validation.csv` begin so; the times are hours, minutes, seconds and hundredths:

    narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,start_frame,stop_frame,narration,verb,...
    P01_01_0,P01,P01_01,00:00:01.089,00:00:00.14,00:00:03.37,8,202,open door,open,3,door,3,['door'],[3]

`EPIC_100_verb_classes.csv` and `EPIC_100_noun_classes.csv` name the 97 and 300 classes:

    id,key,instances,category
    0,take,"['collect-from', 'collect-into', 'draw', 'fetch', ...

The list of the test split, `EPIC_100_test_timestamps.csv`, has no labels: the challenge's server scores what is sent to it.

    narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,start_frame,stop_frame
    P01_11_0,P01,P01_11,00:00:00.740,00:00:00.00,00:00:01.89,1,113

In place of videos there may be their frames, `P01/rgb_frames/P01_01/frame_0000000001.jpg`. Their rate is in `EPIC_100_video_info.csv`
(`video_id,duration,fps,resolution`), or given by `--fps`.
"""

import pathlib
from collections.abc import Mapping
from fractions import Fraction

from vivit_jax.data.layouts.base import Annotations, Reading
from vivit_jax.data.layouts.clip_collector import ClipCollector
from vivit_jax.data.layouts.image_sequences import rate
from vivit_jax.data.layouts.lists import header_of, rows_of, whole_number
from vivit_jax.data.layouts.published import UNSCORED, Publication
from vivit_jax.data.times import seconds
from vivit_jax.errors import UserError

LISTS = {"train": ("EPIC_100_train.csv",), "val": ("EPIC_100_validation.csv",)}
INFO = "EPIC_100_video_info.csv"
TEST = "EPIC_100_test_*timestamps.csv"
HEADS = {"verb": 97, "noun": 300}
COLUMNS = ("narration_id", "participant_id", "video_id", "start_timestamp", "stop_timestamp")


def read(source: pathlib.Path, reading: Reading) -> Annotations:
    """Lists the segments of the training, validation and test split, with the heads `verb` and `noun`, which the test split does not tell.

    Raises:
      UserError: naming the file and line.
    """
    publication = Publication(source, reading)
    publication.needed(*(name for names in LISTS.values() for name in names), TEST)
    labels, collector = {head: _labels(publication, head) for head in HEADS}, ClipCollector(publication)
    rates = _rates(publication) if publication.has_unread_frames else {}
    publication.takes_frames |= bool(rates)
    remarks = [
        f"EPIC_100_{head}_classes.csv is not there: classes are called by their numbers"
        for head in HEADS
        if not publication.file(f"EPIC_100_{head}_classes*.csv")
    ]
    for split, path in publication.by_split(LISTS):
        for where, row in rows_of(path, *COLUMNS, *(f"{head}_class" for head in HEADS)):
            label = {head: names[whole_number(where, f"{head}_class", row[f"{head}_class"], len(names))] for head, names in labels.items()}
            collector.add(row["narration_id"], split, label, **_segment(publication, where, row, split, rates))
    for split, path in publication.by_split({"test": (TEST,)}):
        if unread := [column for column in COLUMNS if column not in header_of(path)]:
            remarks.append(f"{path.name} has no labels and no {unread[0]}, and is left aside")
            continue
        remarks.append(UNSCORED.format(path.name, split))
        for where, row in rows_of(path, *COLUMNS):
            collector.add(row["narration_id"], split, dict.fromkeys(HEADS), **_segment(publication, where, row, split, rates))
    return collector.annotations(labels, *remarks)


def _segment(publication: Publication, where: str, row: Mapping[str, str], split: str, rates: Mapping[str, Fraction]) -> dict[str, object]:
    """The video of a row, and which part of it is meant, as `ClipCollector.add` takes them."""
    start, end = (seconds(where, column, row[column]) for column in ("start_timestamp", "stop_timestamp"))
    if start is None or end is None or end <= start:
        raise UserError(f"{where}: stop_timestamp {row['stop_timestamp']!r} is not after start_timestamp {row['start_timestamp']!r}")
    video = publication.video(row["video_id"], split=split)
    fps = rates.get(row["video_id"])
    if rates and fps is None and video is not None and video.is_dir():
        raise UserError(f"{where}: {INFO} does not say how many frames a second {row['video_id']} has: write its fps there")
    return {"video": video, "start": start, "end": end, "group": row["participant_id"], "fps": fps}


def _rates(publication: Publication) -> dict[str, Fraction]:
    """Frames a second of each video of which the publisher's list tells it; without that list, none."""
    path = publication.file(INFO)
    rows = rows_of(path, "video_id", "fps") if path else ()
    return {row["video_id"]: _rate(where, row["fps"]) for where, row in rows if row["fps"]}


def _rate(where: str, cell: str) -> Fraction:
    try:
        return rate(float(cell))
    except ValueError:  # a UserError too
        raise UserError(f"{where}: fps must be frames a second, above 0 and at most 1000, got {cell[:50]!r}") from None


def _labels(publication: Publication, head: str) -> tuple[str, ...]:
    path = publication.file(f"EPIC_100_{head}_classes*.csv")
    if path is None:
        return tuple(map(str, range(HEADS[head])))
    names = {whole_number(where, "id", row["id"]): row["key"] for where, row in rows_of(path, "id", "key")}
    if sorted(names) != list(range(len(names))):
        raise UserError(f"{path}: the classes must be numbered from 0 to {len(names) - 1}")
    return tuple(names[number] for number in range(len(names)))
