"""`SOURCE/{train,val,test}/CLASS/*.mp4`: folders of splits, in them classes, in these the videos; to be split, `SOURCE/CLASS/*.mp4`."""

import pathlib
from collections.abc import Iterable

from vivit_jax.console import counted, first_of
from vivit_jax.data.layouts.base import Annotations, Clip, Reading, is_hidden, is_utf8, locate, sorted_labels
from vivit_jax.data.splits import USUAL, canonical
from vivit_jax.data.video.reader import SUFFIXES
from vivit_jax.errors import UserError

SHOWN = 10  # names in a remark


def read(source: pathlib.Path, reading: Reading) -> Annotations:
    """Lists the videos below `source`; `val` and `test` may be missing.

    Hidden files are ignored; other files that are not videos are named in a remark.

    Raises:
      UserError: naming what is missing, empty or unexpected.
    """
    if not source.is_dir():
        raise UserError(f"{source}: not a folder; layout csv reads lists" if source.exists() else f"{source}: no such folder")
    of_classes = any(_is_video(path) for folder in folders_in(source) for path in folder.iterdir())
    classes, remarks = class_folders(source, reading, of_classes=of_classes)
    aside = []
    clips = [clip for split, folder in classes for clip in _class_clips(source, folder, split, aside, reading)]
    if not clips:
        loose = sorted(path.name for path in source.iterdir() if _is_video(path))
        held = f"; {counted(len(loose), 'video')} in {source} itself, such as {loose[0]}, with no class" if loose else ""
        way_out = ": sort them into folders, or list paths and labels for `vivit prepare csv`" if loose else ""
        raise UserError(f"{source}: expected a folder for each class, with its videos in it{held}{way_out}")
    if aside:
        remarks.append(counted_remark("file", "left aside, not videos by their name", aside))
    return Annotations(clips, sorted_labels({str(clip.label) for clip in clips}), tuple(remarks))


def class_folders(source: pathlib.Path, reading: Reading, *, of_classes: bool) -> tuple[list[tuple[str, pathlib.Path]], list[str]]:
    """The split and folder of each class, and remarks.

    Args:
      source: the folder of splits, or, if `reading.split`, of classes.
      reading: its `split` tells which of the two `source` is.
      of_classes: whether videos lie where they would if `source` were a folder of classes.

    Raises:
      UserError: naming what is missing, empty or unexpected.
    """
    folders = folders_in(source)
    parents = [source] if reading.split else [source, *folders]
    outside = left_aside(source, (path for parent in parents for path in parent.iterdir() if not path.is_dir()))
    remarks = [counted_remark("file", "left aside, in no class", outside)] if outside else []
    if reading.split:
        splits = [folder.name for folder in folders if canonical(folder.name) in USUAL]
        if splits and not of_classes:
            raise UserError(f"{source} has the splits {', '.join(splits)} already: leave --split out")
        return [("train", folder) for folder in folders], remarks
    _check_splits(source, folders, of_classes=of_classes)
    classes = []
    for folder in sorted(folders, key=lambda folder: USUAL.index(canonical(folder.name))):
        split = canonical(folder.name)
        remarks += [f"split {folder.name} is stored as {split}"] if split != folder.name else []
        inner = folders_in(folder)
        if not inner:
            videos = sum(map(_is_video, folder.iterdir()))
            found = f"{counted(videos, 'video')} in no folder" if videos else "the split is empty"
            raise UserError(f"{folder}: {found}; expected a folder for each class")
        classes += [(split, of_class) for of_class in inner]
    return classes, remarks


def _check_splits(source: pathlib.Path, folders: list[pathlib.Path], *, of_classes: bool) -> None:
    unexpected = [folder.name for folder in folders if canonical(folder.name) not in USUAL]
    if unexpected or not folders:
        videos = sum(map(_is_video, source.iterdir()))
        found = ", ".join(unexpected[:5]) or (f"{videos} videos in no folder" if videos else "nothing")
        hint = "; for folders of classes without splits give --split 70,15,15" if of_classes else ""
        raise UserError(
            f"{source}: expected the folders train, val and test (val and test optional), and in them a folder for each class; "
            f"found {found}{hint}"
        )


def left_aside(source: pathlib.Path, paths: Iterable[pathlib.Path]) -> list[str]:
    """How a remark names paths below `source`; hidden ones are left out."""
    names = (path.relative_to(source).as_posix() for path in paths if not is_hidden(path.name))
    return [name if is_utf8(name) else repr(name) for name in names]


def counted_remark(noun: str, what: str, names: list[str], plural: str | None = None) -> str:
    """A remark that counts `names` and shows the first of them."""
    return f"{counted(len(names), noun, plural)} {what}: {first_of(sorted(names), SHOWN)}"


def folders_in(folder: pathlib.Path) -> list[pathlib.Path]:
    """The folders in a folder, sorted by name, without hidden ones."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name))


def _is_video(path: pathlib.Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not is_hidden(path.name) and not path.is_dir()


def _class_clips(source: pathlib.Path, folder: pathlib.Path, split: str, aside: list[str], reading: Reading) -> list[Clip]:
    if not is_utf8(folder.name):
        raise UserError(f"{str(folder.relative_to(source))!r}: the name is not UTF-8; rename the folder")
    _check_level(source, folder)
    clips = []
    for path in sorted(folder.iterdir()):
        name = path.relative_to(source)
        if is_hidden(path.name):
            continue
        if path.suffix.lower() in SUFFIXES:
            clips.append(Clip(name.as_posix(), split, folder.name, _file(source, name, reading)))
        else:
            aside += left_aside(source, [path])
    if not clips:
        hint = "; layout frames reads folders of image files" if folders_in(folder) else ""
        raise UserError(f"{folder}: the class is empty; expected videos ({', '.join(SUFFIXES[:6])}, ...){hint}")
    return clips


def _check_level(source: pathlib.Path, folder: pathlib.Path) -> None:
    """Refuses a class that holds folders of videos: it may be a source with classes of its own."""
    inner = [path for path in folders_in(folder) if any(map(_is_video, path.rglob("*")))]
    if inner and any(map(_is_video, folder.iterdir())):
        raise UserError(f"{inner[0]}: a folder of videos inside a class; move them up into {folder.name}, or out of {source}")
    if inner:
        names = first_of([path.name for path in inner])
        raise UserError(
            f"{folder}: expected the videos of a class, found the folders {names}; if these are the classes, {folder} is the source, "
            f"otherwise move their videos up into {folder.name}"
        )


def _file(source: pathlib.Path, name: pathlib.Path, reading: Reading) -> pathlib.Path:
    """The video's file; a link that leads nowhere is an error of that video, which may be tolerated, when it is read."""
    path = source / name
    return path if path.is_symlink() and not path.exists() and reading.within is None else locate(source, name, reading.within)
