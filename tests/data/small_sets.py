"""Each data set of a shipped config in small: a few real videos with all classes of the whole set, laid out as published."""

import json
import pathlib

import films
import numpy as np

from vivit_jax.data import motion_digits
from vivit_jax.data.preparation.prepare import prepare

EPIC_HEADER = (
    "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,start_frame,stop_frame,narration,verb,"
    "verb_class,noun,noun_class,all_nouns,all_noun_classes\n"
)


def video(path: pathlib.Path, seed: int, frames: int = 12) -> None:
    """A video of its own; the suffix says which container."""
    path.parent.mkdir(parents=True, exist_ok=True)
    codec = {".webm": "libvpx-vp9", ".avi": "mpeg4"}.get(path.suffix, "libx264")
    films.write(path, films.scene(frames, 32, 40, seed), codec=codec)


def kinetics(root: pathlib.Path, classes: int) -> pathlib.Path:
    """One clip of each of the first classes is there; of the others only what the list says."""
    for split, listed, count in (("train", classes, 6), ("val", 3, 2)):
        rows = [f"action {number},{split:_<6}{number:05d},{number},{number + 10},{split}" for number in range(listed)]
        root.mkdir(exist_ok=True)
        (root / f"{split}.csv").write_text("\n".join(["label,youtube_id,time_start,time_end,split", *rows, ""]))
        for number in range(count):
            video(root / split / f"action {number}/{split:_<6}{number:05d}_{number:06d}_{number + 10:06d}.mp4", number + len(split))
    return root


def moments(root: pathlib.Path) -> pathlib.Path:
    root.mkdir()
    (root / "moments_categories.txt").write_text("".join(f"class{number},{number}\n" for number in range(339)))
    for split, name, count in (("training", "trainingSet.csv", 4), ("validation", "validationSet.csv", 2)):
        (root / name).write_text("".join(f"class{n}/yt-{split}_{n}.mp4,class{n},3,0\n" for n in range(count)))
        for number in range(count):
            video(root / split / f"class{number}/yt-{split}_{number}.mp4", number + len(split))
    return root


def ssv2(root: pathlib.Path) -> pathlib.Path:
    names = [f"Doing {number} to something" for number in range(174)]
    (root / "labels").mkdir(parents=True)
    prefix = "labels/something-something-v2"
    (root / f"{prefix}-labels.json").write_text(json.dumps({name: str(number) for number, name in enumerate(names)}))
    for split, numbers in (("train", range(4)), ("validation", range(4, 6))):
        entries = [{"id": str(n), "template": names[n % 3].replace("something", "[something]"), "placeholders": ["cup"]} for n in numbers]
        (root / f"{prefix}-{split}.json").write_text(json.dumps(entries))
    for number in range(6):
        video(root / f"20bn-something-something-v2/{number}.webm", number)
    return root


def epic(root: pathlib.Path) -> pathlib.Path:
    root.mkdir()
    for head, count in (("verb", 97), ("noun", 300)):
        rows = "".join(f"{number},{head}-{number},\"['x']\",some\n" for number in range(count))
        (root / f"EPIC_100_{head}_classes.csv").write_text("id,key,instances,category\n" + rows)
    for split, kitchen, count in (("train", "P01", 4), ("validation", "P02", 2)):
        rows = [
            f"{kitchen}_01_{n},{kitchen},{kitchen}_01,00:00:00.000,00:00:0{n}.10,00:00:0{n}.90,0,9,x,x,{n},x,{n},['x'],[{n}]\n"
            for n in range(count)
        ]
        (root / f"EPIC_100_{split}.csv").write_text(EPIC_HEADER + "".join(rows))
        video(root / f"{kitchen}/videos/{kitchen}_01.mp4", len(split), frames=110)
    return root


def ucf101(root: pathlib.Path) -> pathlib.Path:
    names = [f"Class{number}" for number in range(101)]
    root.mkdir()
    (root / "classInd.txt").write_text("".join(f"{number} {name}\n" for number, name in enumerate(names, start=1)))
    for split, groups in (("train", (8, 9)), ("test", (1,))):
        clips = [(number, f"Class{number}/v_Class{number}_g{group:02d}_c01.avi") for number in range(3) for group in groups]
        numbers = {"train": " {}", "test": ""}[split]
        (root / f"{split}list01.txt").write_text("".join(f"{clip}{numbers.format(number + 1)}\n" for number, clip in clips))
        for number, (_, clip) in enumerate(clips):
            video(root / clip, number + 10 * len(split))
    return root


def sports1m(root: pathlib.Path) -> pathlib.Path:
    root.mkdir()
    (root / "labels.txt").write_text("".join(f"sport {number}\n" for number in range(487)))
    for split, count in (("train", 4), ("test", 2)):
        clips = [(f"{split}{number:07d}", f"{number},{number + 3}") for number in range(count)]
        (root / f"{split}_partition.txt").write_text(
            "".join(f"https://www.youtube.com/watch?v={clip} {numbers}\n" for clip, numbers in clips)
        )
        for number, (clip, _) in enumerate(clips):
            video(root / f"{clip}.mp4", number + 10 * len(split))
    return root


def drone_ir(root: pathlib.Path) -> pathlib.Path:
    """A list like the real one, whose columns beside file, label and split are told and left aside."""
    rows = []
    for number in range(8):
        split, label = ("train", "train", "val", "test")[number % 4], ("airplane", "bird")[number // 4]
        video(root / f"clips/IR_{number}.mp4", number, frames=64)
        rows.append(f"clips/IR_{number}.mp4,{label},IR_{number},0,0,64,48.1,{split}\n")
    (root / "index.csv").write_text("file,label,video,block,start_frame,frames,crop_side_px,split\n" + "".join(rows))
    return root / "index.csv"


def folder(root: pathlib.Path) -> pathlib.Path:
    for number, split in enumerate(("train", "train", "train", "val", "test")):
        for label in ("run", "sit"):
            video(root / split / label / f"{number}.mp4", 2 * number + (label == "sit"))
    return root


def medmnist3d(root: pathlib.Path, name: str, classes: int) -> pathlib.Path:
    root.mkdir()
    generator = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 2 * classes), ("val", classes), ("test", classes)):
        arrays[f"{split}_images"] = generator.integers(0, 256, (count, 28, 28, 28), dtype=np.uint8)
        arrays[f"{split}_labels"] = (np.arange(count) % classes).astype(np.uint8)[:, None]
    np.savez_compressed(root / f"{name}.npz", **arrays)
    return root / f"{name}.npz"


def digits(data_dir: pathlib.Path, counts: dict[str, int] | None = None) -> None:
    """The embedded data set with so many videos of each split, prepared where a command finds it made."""
    splits, motion_digits.SPLITS = motion_digits.SPLITS, counts or {"train": 16, "val": 8, "test": 8}
    try:
        prepare("motion_digits", None, name="motion_digits", data_dir=data_dir, workers=1)
    finally:
        motion_digits.SPLITS = splits
