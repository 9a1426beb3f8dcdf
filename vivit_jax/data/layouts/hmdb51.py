"""HMDB-51 (Kuehne et al. 2011): the lists `testTrainMulti_7030_splits/`, and videos in a folder of their class.

There are three splits, each a file a class, such as `brush_hair_test_split1.txt`, with 1 for training, 2 for testing, 0 for neither:

    April_09_brush_hair_u_nm_np1_ba_goo_0.avi 1
    April_09_brush_hair_u_nm_np1_ba_goo_1.avi 1
    atheismFreeThinkersPartofMainstreamSociety_brush_hair_h_nm_np1_ba_med_0.avi 0
"""

import pathlib

from vivit_jax.data.layouts.base import Annotations, Reading
from vivit_jax.data.layouts.clip_collector import ClipCollector
from vivit_jax.data.layouts.lists import lines_of
from vivit_jax.data.layouts.published import Publication
from vivit_jax.errors import UserError

SPLITS = {"1": "train", "2": "test"}


def read(source: pathlib.Path, reading: Reading) -> Annotations:
    """Lists the videos of the split `--split_number`; there is no validation split.

    Raises:
      UserError: naming the file and line.
    """
    publication = Publication(source, reading)
    ending = f"_test_split{reading.split_number}.txt"
    publication.needed(f"*{ending}")
    labels = {path.name[: path.name.lower().rindex(ending)] for path in publication.files(f"*{ending}")}
    lists = {label: publication.needed(f"{label}{ending}") for label in labels}
    collector, neither = ClipCollector(publication), 0
    for label, path in sorted(lists.items()):
        for where, line in lines_of(path):
            cells = line.rsplit(maxsplit=1)
            if len(cells) != 2 or cells[1] not in ("0", *SPLITS):
                raise UserError(f"{where}: expected a video and 0, 1 or 2, got {line[:100]!r}")
            neither += cells[1] == "0"
            if cells[1] != "0":
                name = f"{label}/{cells[0]}"
                collector.add(name, SPLITS[cells[1]], label, publication.video(name))
    remarks = [f"{neither} videos are in neither half of split {reading.split_number}, as published"] if neither else []
    return collector.annotations(tuple(sorted(lists)), *remarks)
