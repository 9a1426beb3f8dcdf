"""Videos as Kinetics stores them, 300 frames of 340x256 pixels, made of one real video, and a data set of them."""

import pathlib

import numpy as np

from vivit_jax.data.preparation.prepare import prepare
from vivit_jax.data.video.geometry import resize
from vivit_jax.data.video.reader import encode, stream_frames

HEIGHT, WIDTH, LENGTH, RATE = 256, 340, 300, 25
CLASSES = 16


def write_videos(source: pathlib.Path, folder: pathlib.Path, count: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Writes `count` videos, the source scaled, cropped and looped from different frames on, and `list.csv` of them.

    Returns:
      The frames of the source, uint8 (HEIGHT, WIDTH, 3), and for each video the numbers of those that it shows, in order.
    """
    frames = []
    for frame in stream_frames(source):
        height, width = frame.shape[:2]
        scale = max(HEIGHT / height, WIDTH / width)
        frame = resize(frame, max(HEIGHT, round(height * scale)), max(WIDTH, round(width * scale)))
        top, left = (frame.shape[0] - HEIGHT) // 2, (frame.shape[1] - WIDTH) // 2
        frames.append(frame[top : top + HEIGHT, left : left + WIDTH])
    (folder / "videos").mkdir()
    orders = [(np.arange(LENGTH) + number * len(frames) // count) % len(frames) for number in range(count)]
    for number, order in enumerate(orders):
        (folder / f"videos/{number:04}.mp4").write_bytes(encode([frames[i] for i in order], RATE))
    (folder / "list.csv").write_text("path,label\n" + "".join(f"videos/{number:04}.mp4,{number % CLASSES}\n" for number in range(count)))
    return frames, orders


def make_dataset(source: pathlib.Path, folder: pathlib.Path, count: int) -> dict[str, str]:
    """Prepares `count` such videos; returns the keys of a config that name the data set."""
    write_videos(source, folder, count)
    prepare("csv", folder / "list.csv", name="videos", data_dir=folder / "data")
    return {"data.name": "videos", "data.data_dir": str(folder / "data"), "data.train_split": "train"}
