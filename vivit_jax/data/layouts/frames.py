"""Videos whose frames lie as image files: `SOURCE/{train,val,test}/CLASS/VIDEO/*.jpg`, or to be split, `SOURCE/CLASS/VIDEO/*.jpg`.

Frames are in the order of the numbers in their names (`img_2.jpg` before `img_10.jpg`). Image files do not tell their
rate, so `--fps` must. Files that are no frames are named in a remark, but for hidden ones. Of 16 bits a pixel the upper 8 are kept.
"""

import functools
import pathlib

from vivit_jax.data.layouts.base import Annotations, Clip, Reading, is_utf8, locate, sorted_labels
from vivit_jax.data.layouts.folder import class_folders, counted_remark, folders_in, left_aside
from vivit_jax.data.layouts.image_sequences import FORMATS, image_sequence, images_in, rate
from vivit_jax.data.video.reader import SUFFIXES
from vivit_jax.errors import UserError


def read(source: pathlib.Path, reading: Reading) -> Annotations:
    """Lists the folders of frames below `source`; `val` and `test` may be missing.

    Raises:
      UserError: naming what is missing, empty or unexpected.
    """
    if not source.is_dir():
        raise UserError(f"{source}: not a folder; layout csv reads lists" if source.exists() else f"{source}: no such folder")
    fps = rate(reading.fps)
    if fps is None:
        raise UserError("image files have no frame rate: give one, as in --fps 30")
    of_classes = any(images_in(video) for folder in folders_in(source) for video in folders_in(folder))
    classes, remarks = class_folders(source, reading, of_classes=of_classes)
    clips, beside, among = [], [], []
    for split, folder in classes:
        beside += left_aside(source, (path for path in folder.iterdir() if not path.is_dir()))
        videos = folders_in(folder)
        if not videos:
            of_videos = any(path.suffix.lower() in SUFFIXES for path in folder.iterdir())
            hint = "; layout folder reads video files" if of_videos else ""
            raise UserError(f"{folder}: the class is empty; expected a folder of image files for each video{hint}")
        for video in videos:
            name = video.relative_to(source)
            if not is_utf8(str(name)):
                raise UserError(f"{str(name)!r}: the name is not UTF-8; rename the folder")
            images = images_in(video)
            if not images:
                raise UserError(f"{video}: no image files; expected {', '.join(FORMATS)}")
            among += left_aside(source, set(video.iterdir()) - set(images))
            files = tuple(locate(source, image.relative_to(source), reading.within) for image in images)
            clips.append(Clip(name.as_posix(), split, folder.name, functools.partial(image_sequence, files, fps)))
    if beside:
        remarks.append(counted_remark("file", "left aside, in no video's folder", beside))
    if among:
        remarks.append(counted_remark("file or folder", "left aside, no frames by their name", among, "files and folders"))
    return Annotations(clips, sorted_labels({str(clip.label) for clip in clips}), tuple(remarks))
