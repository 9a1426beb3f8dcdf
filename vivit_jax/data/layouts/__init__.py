"""One reader for each annotation layout: what lies in a folder, as a list of labelled clips.

A new layout is a module of its name with a `read(source, reading) -> Annotations`, imported when it is asked for, and a line in `LAYOUTS`.
"""

import dataclasses
import importlib
import pathlib
import shlex

from vivit_jax.data.layouts.base import Annotations, Clip, Reading
from vivit_jax.data.layouts.checks import check
from vivit_jax.data.layouts.splitting import Shares, assign
from vivit_jax.errors import UserError, unknown_name

__all__ = ["LAYOUTS", "Annotations", "Clip", "Layout", "Reading", "read_layout"]


@dataclasses.dataclass(frozen=True)
class Layout:
    """A way in which labelled videos lie on disk.

    Attributes:
      source: describes the source, for `--help`; None for a layout that makes its videos and has no source.
      takes: the fields of `Reading` that it uses; any other field that is set is refused.
    """

    source: str | None
    takes: tuple[str, ...] = ()


# Fields of `Reading` whose option of `vivit prepare` has another name.
OPTIONS = {"shared_videos": "allow_shared_videos"}

PUBLISHED = ("root", "within", "annotations", "fps")

LAYOUTS = {
    "folder": Layout("a folder SOURCE/{train,val,test}/CLASS/*.mp4, or SOURCE/CLASS/*.mp4 with --split", ("within", "split")),
    "csv": Layout(
        "a file with a header (path|file,label|labels[,split,start,end]) or lines `path label`",
        ("root", "within", "split", "group", "heads", "shared_videos", "first_frame", "stop_frame_included", "tolerate"),
    ),
    "kinetics": Layout("train.csv, validate.csv, test.csv and clips ID_SSSSSS_EEEEEE.mp4", (*PUBLISHED, "shared_videos")),
    "ssv2": Layout("something-something-v2-*.json and videos ID.webm", PUBLISHED),
    "epic": Layout("EPIC_100_*.csv and videos P01_01.MP4", (*PUBLISHED, "shared_videos")),
    "ucf101": Layout("classInd.txt, trainlist01.txt, testlist01.txt and CLASS/*.avi", (*PUBLISHED, "split_number")),
    "hmdb51": Layout("CLASS_test_split1.txt and CLASS/*.avi", (*PUBLISHED, "split_number")),
    "moments": Layout("trainingSet.csv, validationSet.csv, moments_categories.txt and videos", PUBLISHED),
    "sports1m": Layout("labels.txt, {train,test}_partition.txt or sports1m_{train,test}.json, and videos ID.mp4", PUBLISHED),
    "frames": Layout(
        "folders of image files SOURCE/{train,val,test}/CLASS/VIDEO/*.jpg, or SOURCE/CLASS/VIDEO/*.jpg with --split",
        ("fps", "within", "split"),
    ),
    "medmnist3d": Layout("an official file such as adrenalmnist3d.npz or organmnist3d_64.npz, or its folder"),
    "tfds": Layout("the name or folder of a data set that TensorFlow Datasets has prepared, such as ucf101", ("fps", "heads")),
    "motion_digits": Layout(None),
}


def read_layout(
    layout: str, source: str | pathlib.Path | None = None, reading: Reading | None = None, shares: Shares | None = None
) -> Annotations:
    """Lists the labelled clips of `source` and checks them.

    Args:
      layout: one of `LAYOUTS`.
      source: the file or folder that the layout reads; None for a layout that makes its videos.
      reading: how to read it; None is the defaults.
      shares: how to assign clips to splits; None if the source has splits.

    Raises:
      UserError: for an unknown layout, or naming what is wrong in the source.
    """
    check_layout(layout, source)
    reading = dataclasses.replace(reading or Reading(), split=shares is not None)
    _check_taken(layout, reading)
    annotations = importlib.import_module(f"{__name__}.{layout}").read(None if source is None else pathlib.Path(source), reading)
    try:
        if shares is not None:
            annotations = assign(annotations, shares)
        remarks = check(annotations, shared_videos=reading.shared_videos)
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    return dataclasses.replace(annotations, remarks=(*annotations.remarks, *remarks))


def check_layout(layout: str, source: str | pathlib.Path | None) -> None:
    """Refuses an unknown layout, and one without the source it needs.

    Raises:
      UserError: naming the layout.
    """
    if layout not in LAYOUTS:
        path = pathlib.Path(layout)
        if source is None and path.exists():
            likely = "folder" if path.is_dir() else "csv"
            raise UserError(
                f"the layout comes before the source: vivit prepare {likely} {shlex.quote(layout)} (known: {', '.join(LAYOUTS)})"
            )
        raise unknown_name("layout", layout, LAYOUTS)
    entry = LAYOUTS[layout]
    if (source is None) != (entry.source is None):
        raise UserError(
            f"layout {layout} needs a source: {entry.source}" if entry.source else f"layout {layout} takes no source, got {source}"
        )


def _check_taken(layout: str, reading: Reading) -> None:
    """Refuses an option that the layout does not use."""
    takes = LAYOUTS[layout].takes
    asked = [field.name for field in dataclasses.fields(Reading) if getattr(reading, field.name) != field.default]
    unknown = [name for name in asked if name not in takes]
    if unknown:
        known = " and ".join(f"--{OPTIONS.get(name, name)}" for name in takes) or "no options of this kind"
        others = [name for name, other in LAYOUTS.items() if unknown[0] in other.takes]
        its = f"; layouts that do are {', '.join(others)}" if len(others) > 1 else f"; layout {others[0]} does"
        raise UserError(f"layout {layout} takes no --{OPTIONS.get(unknown[0], unknown[0])}: it takes {known}{its}")
