"""`SOURCE/{train,val,test}/CLASS/*.mp4`: a folder a split, in it a folder a class, in it the videos."""

import pathlib

from vivit_jax.data.layouts.base import SPLITS, Annotations, Clip, inside, is_utf8, sorted_labels
from vivit_jax.data.video import SUFFIXES
from vivit_jax.errors import UserError


def read(source: pathlib.Path) -> Annotations:
    """Lists the videos below `source`; `val` and `test` may be missing. Hidden files are none of ours, other files are remarked upon.

    Raises:
      UserError: naming what is missing, empty or unexpected.
    """
    if not source.is_dir():
        raise UserError(f"{source}: no such folder")
    folders = _folders(source)
    unexpected = [folder.name for folder in folders if folder.name not in SPLITS]
    if unexpected or not folders:
        found = ", ".join(unexpected[:5]) or "nothing"
        raise UserError(
            f"{source}: expected the folders train, val and test (val and test optional), each with a folder a class; found {found}"
        )
    clips, aside = [], []
    for split in sorted(folders, key=lambda folder: SPLITS.index(folder.name)):
        classes = _folders(split)
        if not classes:
            raise UserError(f"{split}: the split is empty; expected a folder for each class")
        for folder in classes:
            clips += _class_clips(source, folder, aside)
    remarks = (f"{len(aside)} files left aside, not videos by their name: {', '.join(sorted(aside)[:10])}",) if aside else ()
    return Annotations(clips, sorted_labels({str(clip.label) for clip in clips}), remarks)


def _folders(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _class_clips(source: pathlib.Path, folder: pathlib.Path, aside: list[str]) -> list[Clip]:
    if not is_utf8(folder.name):
        raise UserError(f"{str(folder.relative_to(source))!r}: the name is not UTF-8; rename the folder")
    clips = []
    for path in sorted(folder.iterdir()):
        name = path.relative_to(source)
        if path.name.startswith("."):
            continue
        if path.is_dir() and any(inner.suffix.lower() in SUFFIXES for inner in path.rglob("*")):
            raise UserError(f"{path}: a folder of videos inside a class; move them up into {folder.name}, or out of {source}")
        if path.suffix.lower() in SUFFIXES:
            clips.append(Clip(name.as_posix(), folder.parent.name, folder.name, inside(source, name)))
        else:
            aside.append(repr(str(name)) if not is_utf8(str(name)) else str(name))
    if not clips:
        raise UserError(f"{folder}: the class is empty; expected videos ({', '.join(SUFFIXES[:6])}, ...)")
    return clips
