"""Epic-Kitchens-100 as its publisher hands it out: two heads, and segments of long videos."""

import json

import films
import numpy as np
import pytest
from PIL import Image
from published_sets import refused

from vivit_jax.data.dataset import open_dataset
from vivit_jax.data.layouts import read_layout
from vivit_jax.data.preparation.prepare import prepare
from vivit_jax.data.video.reader import decode_frames
from vivit_jax.errors import UserError

EPIC_HEADER = (
    "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,start_frame,stop_frame,narration,verb,"
    "verb_class,noun,noun_class,all_nouns,all_noun_classes\n"
)


def epic(root, videos):
    """The annotations as published, with the videos in the folders of the downloader."""
    (root / "annotations").mkdir(parents=True)
    (root / "annotations/EPIC_100_train.csv").write_text(
        EPIC_HEADER + "P01_01_0,P01,P01_01,00:00:01.089,00:00:00.50,00:00:02.00,8,202,open door,open,3,door,3,['door'],[3]\n"
        "P01_01_1,P01,P01_01,00:00:02.629,00:00:04.37,00:00:06.17,262,370,turn on light,turn-on,6,light,114,\"['light', 'lamp']\",[114]\n"
        "P02_09_0,P02,P02_09,00:00:00.000,00:00:01.00,00:00:03.00,0,180,take cup,take,0,cup,13,['cup'],[13]\n"
        "P09_01_0,P09,P09_01,00:00:00.000,00:00:01.00,00:00:03.00,0,180,take cup,take,0,cup,13,['cup'],[13]\n"
    )
    (root / "annotations/EPIC_100_validation.csv").write_text(
        EPIC_HEADER + "P03_02_0,P03,P03_02,00:00:00.560,00:00:02.00,00:00:04.50,0,120,put cup,put,1,cup,13,['cup'],[13]\n"
    )
    (root / "annotations/EPIC_100_test_timestamps.csv").write_text("narration_id,participant_id\nP01_11_0,P01\n")
    for head, count in (("verb", 97), ("noun", 300)):
        rows = "".join(f"{number},{head}-{number},\"['{head}', 'x']\",some\n" for number in range(count))
        (root / f"annotations/EPIC_100_{head}_classes.csv").write_text("id,key,instances,category\n" + rows)
    for name, source in zip(("P01_01", "P02_09", "P03_02"), videos, strict=True):
        (root / name.partition("_")[0] / "videos").mkdir(parents=True, exist_ok=True)
        (root / name.partition("_")[0] / f"videos/{name}.MP4").symlink_to(source)
    return root


@pytest.fixture(scope="module")
def epic_source(tmp_path_factory, shared_data):
    names = ("IR_BIRD_010", "IR_DRONE_010", "IR_AIRPLANE_010")
    return epic(tmp_path_factory.mktemp("epic"), [shared_data / f"drone_ir_original/{name}.mp4" for name in names])


def test_epic_kitchens_has_two_heads_and_its_segments(tmp_path, epic_source):
    prepare("epic", epic_source, name="epic", data_dir=tmp_path, workers=1)
    dataset = open_dataset("epic", tmp_path)
    assert (len(dataset.labels["verb"]), len(dataset.labels["noun"])) == (97, 300)
    assert dataset.splits == {"train": 3, "val": 1}
    stored = {record["name"]: record for split in dataset.splits for record in dataset.source(split)}
    assert {name: (record["label"], record["frames"]) for name, record in stored.items()} == {
        "P01_01_0": ({"verb": 3, "noun": 3}, 45),
        "P01_01_1": ({"verb": 6, "noun": 114}, 54),
        "P02_09_0": ({"verb": 0, "noun": 13}, 60),
        "P03_02_0": ({"verb": 1, "noun": 13}, 75),
    }
    kept = decode_frames(stored["P01_01_1"]["video"], [0], stored=True)[0].astype(float)
    whole = decode_frames(epic_source / "P01/videos/P01_01.MP4", range(125, 140)).astype(float)
    first = 125 + np.argmin([np.abs(kept - frame).mean() for frame in whole])
    assert first == pytest.approx(4.37 * 30, abs=1)
    report = json.loads((dataset.path / "preparation.json").read_text())
    assert report["groups"]["P02_09_0"] == "P02"
    assert "1 of 4 train videos are missing, listed in missing.csv: P09_01_0" in report["remarks"]
    assert any("EPIC_100_test_timestamps.csv has no labels" in line for line in report["remarks"])


def test_the_test_list_has_segments_and_no_labels(tmp_path):
    root = tmp_path / "epic"
    for name in ("P01_01", "P02_09", "P03_02", "P01_11"):
        (tmp_path / "films").mkdir(exist_ok=True)
        films.write(tmp_path / f"films/{name}.mp4", films.scene(170, 32, 48, int(name[-1])), fps=30)
    epic(root, [tmp_path / f"films/{name}.mp4" for name in ("P01_01", "P02_09", "P03_02")])
    (root / "P01/videos/P01_11.MP4").symlink_to(tmp_path / "films/P01_11.mp4")
    (root / "annotations/EPIC_100_test_timestamps.csv").write_text(TEST_LIST)
    summary = prepare("epic", root, name="epic", data_dir=tmp_path / "data", workers=1)
    assert summary.counts["test"] == {"(no label)": 2}
    dataset = open_dataset("epic", tmp_path / "data")
    assert dataset.splits == {"train": 3, "val": 1, "test": 2}
    assert dataset.unlabelled == {"test"}
    records = {record["name"]: record for record in dataset.any_source("test")}
    assert {name: (record["label"], record["frames"]) for name, record in records.items()} == {
        "P01_11_0": ({"verb": -1, "noun": -1}, 57),
        "P01_11_1": ({"verb": -1, "noun": -1}, 50),
    }
    for split in ("test", "test[:50%]", "train+test"):
        assert not dataset.has(split)
        with pytest.raises(UserError, match="split test of data set epic has no labels"):
            dataset.source(split)
    assert dataset.resolve("all") == "train+val"
    assert len(dataset.source("all")) == 4
    assert (len(dataset.source("all@fold1of2")), len(dataset.source("all@not1of2"))) in ((1, 3), (2, 2), (3, 1))


TEST_LIST = (
    "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,start_frame,stop_frame\n"
    "P01_11_0,P01,P01_11,00:00:00.740,00:00:00.00,00:00:01.89,1,113\n"
    "P01_11_1,P01,P01_11,00:00:02.000,00:00:02.10,00:00:03.75,126,225\n"
    "P04_11_1,P04,P04_11,00:00:02.000,00:00:02.10,00:00:03.75,126,225\n"
)


def test_slips_of_epic_are_refused_by_line(tmp_path, shared_data):
    names = ("IR_BIRD_010", "IR_DRONE_010", "IR_AIRPLANE_010")
    root = epic(tmp_path / "epic", [shared_data / f"drone_ir_original/{name}.mp4" for name in names])
    path = root / "annotations/EPIC_100_validation.csv"
    whole = path.read_text()
    for before, after, message in (
        ("put,1,", "put,97,", r"line 2: verb_class must be a whole number in 0..96, got '97'"),
        ("00:00:04.50", "00:00:01.00", "line 2: stop_timestamp '00:00:01.00' is not after"),
        ("stop_timestamp", "end", "expected a header with .* found no stop_timestamp"),
    ):
        path.write_text(whole.replace(before, after))
        refused("epic", root, message)


def test_a_video_without_a_rate_in_the_list_is_refused_only_where_its_rate_is_needed(tmp_path):
    (tmp_path / "EPIC_100_train.csv").write_text(
        EPIC_HEADER + "P01_01_0,P01,P01_01,0,00:00:00.00,00:00:00.20,8,202,open door,open,3,door,3,['door'],[3]\n"
        "P01_02_0,P01,P01_02,0,00:00:00.00,00:00:00.20,8,202,open door,open,3,door,3,['door'],[3]\n"
    )
    frames = films.scene(20, 32, 48, 1)
    films.write(tmp_path / "P01_02.MP4", frames)
    (tmp_path / "P01_01").mkdir()
    for number, frame in enumerate(frames, start=1):
        Image.fromarray(frame).save(tmp_path / f"P01_01/frame_{number:010d}.jpg")
    info = tmp_path / "EPIC_100_video_info.csv"
    info.write_text("video_id,duration,fps,resolution\nP01_01,0.4,50.0,48x32\nP01_02,0.8,,48x32\n")
    found = {clip.name: clip.source for clip in read_layout("epic", tmp_path).clips}
    assert found["P01_01_0"]()[1] == 50
    assert found["P01_02_0"].name == "P01_02.MP4"
    for cell, message in (
        ("", "line 2: .*does not say how many frames a second P01_01 has"),
        ("n/a", "line 2: fps must be frames a second"),
    ):
        info.write_text(f"video_id,duration,fps,resolution\nP01_01,0.4,{cell},48x32\nP01_02,0.8,25.0,48x32\n")
        refused("epic", tmp_path, message)
