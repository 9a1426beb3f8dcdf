"""Kinetics as its publisher hands it out, as downloaders leave it, and as SlowFast and MMAction2 list it."""

import gzip

import films
import numpy as np
import pytest
from PIL import Image
from published_sets import lay, refused, remark, told

from vivit_jax import cli
from vivit_jax.data.dataset import open_dataset
from vivit_jax.data.groups import grouping
from vivit_jax.data.layouts import Reading, read_layout
from vivit_jax.data.preparation.prepare import prepare
from vivit_jax.data.video.reader import decode_frames

KINETICS = {
    "annotations__train.csv": "label,youtube_id,time_start,time_end,split\n"
    '"air drumming",--nQbRBEz2s,104,114,train\nabseiling,-3B32lodo2M,59,69,train\nabseiling,gone_video0,5,15,train\n'
    "zumba,gone_video1,0,10,train\n",
    "annotations__validate.csv": "label,youtube_id,time_start,time_end,split\ntestifying,---QUuC4vJs,84,94,validate\n",
    "annotations__test.csv": "youtube_id,time_start,time_end,split\n---v8pgm1eQ,0,10,test\n",
}
KINETICS_VIDEOS = (
    "train/air drumming/--nQbRBEz2s_000104_000114.mp4",
    "train/-3B32lodo2M_000059_000069.mkv",
    "val/---QUuC4vJs_000084_000094.mp4",
)


def test_kinetics_as_downloaded_and_what_is_missing(tmp_path, film, capsys):
    files = {name.replace("__", "/"): text for name, text in KINETICS.items()}
    lay(tmp_path / "k", film, KINETICS_VIDEOS, **files)
    found = read_layout("kinetics", tmp_path / "k")
    assert told(found) == {
        ("train", "--nQbRBEz2s_000104_000114", "air drumming"),
        ("train", "-3B32lodo2M_000059_000069", "abseiling"),
        ("val", "---QUuC4vJs_000084_000094", "testifying"),
    }
    assert all((clip.start, clip.end) == (0, None) for clip in found.clips)
    assert found.labels == ("abseiling", "air drumming", "testifying", "zumba")
    assert remark(found, "test.csv has no labels")
    assert remark(found, "2 of 4 train videos are missing, listed in missing.csv: gone_video0_000005_000015")
    assert remark(found, "2 of 4 classes have no training video here")
    options = [
        "--annotations",
        str(tmp_path / "k/annotations"),
        "--name",
        "kinetics400",
        "--data_dir",
        str(tmp_path / "data"),
        "--workers",
        "1",
    ]
    assert cli.main(["prepare", "kinetics", str(tmp_path / "k"), *options]) == 0
    assert "2 of 4 train videos are missing" in capsys.readouterr().out
    dataset = open_dataset("kinetics400", tmp_path / "data")
    assert dataset.splits == {"train": 2, "val": 1}
    assert dataset.labels == found.labels
    missing = (dataset.path / "missing.csv").read_text().splitlines()
    assert missing == [
        "split,name",
        *(f"train,gone_video{name}" for name in ("0_000005_000015", "1_000000_000010")),
        "test,---v8pgm1eQ_000000_000010",
    ]
    assert cli.main(["prepare", "kinetics", str(tmp_path / "k"), *options, "--overwrite"]) == 0


def test_kinetics_whole_videos_are_cut(tmp_path, shared_data):
    """Real videos of 10 s at 30 frames a second: seconds 2 to 4 are the frames 60 to 119."""
    (tmp_path / "videos").mkdir()
    for name, source in (("aaaaaaaaaaa", "IR_BIRD_010"), ("bbbbbbbbbbb", "IR_DRONE_010")):
        (tmp_path / f"videos/{name}.mp4").symlink_to(shared_data / f"drone_ir_original/{source}.mp4")
    header = "label,youtube_id,time_start,time_end,split,is_cc\n"
    (tmp_path / "train.csv").write_text(header + "bird,aaaaaaaaaaa,2,4,train,0\nbird,aaaaaaaaaaa,5,6,train,0\n")
    (tmp_path / "val.csv").write_text(header + "bird,bbbbbbbbbbb,0,3,val,0\n")
    reading = Reading(root=tmp_path / "videos", annotations=(tmp_path / "val.csv",))
    summary = prepare("kinetics", tmp_path / "train.csv", name="k", data_dir=tmp_path / "data", workers=1, reading=reading)
    assert summary.stored == {"train": 2, "val": 1}
    stored = {record["name"]: record for split in ("train", "val") for record in open_dataset("k", tmp_path / "data").source(split)}
    assert {name: record["frames"] for name, record in stored.items()} == {
        "aaaaaaaaaaa_000002_000004": 60,
        "aaaaaaaaaaa_000005_000006": 30,
        "bbbbbbbbbbb_000000_000003": 90,
    }
    for name, first in (("aaaaaaaaaaa_000002_000004", 60), ("aaaaaaaaaaa_000005_000006", 150)):
        kept = decode_frames(stored[name]["video"], [0, 29], stored=True).astype(float)
        whole = decode_frames(shared_data / "drone_ir_original/IR_BIRD_010.mp4", range(first - 1, first + 31)).astype(float)
        distances = [[np.abs(frame - other).mean() for other in whole] for frame in kept]
        assert np.argmin(distances, axis=1).tolist() == [1, 30]


def test_segments_of_one_video_in_two_splits_have_to_be_asked_for(tmp_path, film):
    rows = "bird,aaaaaaaaaaa,0,0.16,train\nbird,aaaaaaaaaaa,0.16,0.32,validate\n"
    lay(tmp_path, film, ["aaaaaaaaaaa.mp4"], **{"kinetics700.csv": "label,youtube_id,time_start,time_end,split\n" + rows})
    (tmp_path / "kinetics700.csv").write_text(
        "label,youtube_id,time_start,time_end,split\nbird,aaaaaaaaaaa,0,1,train\nbird,aaaaaaaaaaa,1,2,val\n"
    )
    refused("kinetics", tmp_path, r"aaaaaaaaaaa\.mp4: the same video is in train and val.*--allow_shared_videos")
    assert len(read_layout("kinetics", tmp_path, Reading(shared_videos=True)).clips) == 2


def test_segments_of_one_folder_of_frames_are_segments_of_one_video(tmp_path):
    rows = [f"bird,aaaaaaaaaa{video},{second},{second + 1},train\n" for video in range(2) for second in range(3)]
    (tmp_path / "train.csv").write_text("label,youtube_id,time_start,time_end,split\n" + "".join(rows))
    for video in range(2):
        (tmp_path / f"frames/aaaaaaaaaa{video}").mkdir(parents=True)
        for number, frame in enumerate(films.scene(15, 32, 48, video)):
            Image.fromarray(frame).save(tmp_path / f"frames/aaaaaaaaaa{video}/{number}.png")
    prepare("kinetics", tmp_path, name="of_frames", data_dir=tmp_path / "data", workers=1, fps=5)
    dataset = open_dataset("of_frames", tmp_path / "data")
    for fold in (1, 2):
        assert len({record["name"].partition("_")[0] for record in dataset.source(f"all@fold{fold}of2")}) == 1
    group_of = grouping(dataset)  # of a probe's cross-validation
    assert {(record["name"].partition("_")[0], group_of(record["name"])) for record in dataset.source("train")} == {
        (f"aaaaaaaaaa{video}", f"frames/aaaaaaaaaa{video}") for video in range(2)
    }
    (tmp_path / "val.csv").write_text("label,youtube_id,time_start,time_end,split\nbird,aaaaaaaaaa0,1,2,val\n")
    refused("kinetics", tmp_path, "aaaaaaaaaa0: the same video is in train and val.*--allow_shared_videos", fps=5.0)


def test_lists_of_slowfast_and_mmaction2(tmp_path, film):
    names = ("videos_train/abseiling/0wR5jVB-WPk_000417_000427.mp4", "videos_train/zumba/a.mp4", "videos_val/abseiling/b.mp4")
    lists = {
        "kinetics400_train_list_videos.txt": "abseiling/0wR5jVB-WPk_000417_000427.mp4 0\nzumba/a.mp4 1\nzumba/gone.mp4 1\n",
        "kinetics400_val_list_videos.txt": "abseiling/b.mp4 0\nabseiling/b.mp4 1\n",
    }
    lay(tmp_path / "mm", film, names, **lists)
    (tmp_path / "mm/label_map_k400.txt.gz").write_bytes(gzip.compress(b"abseiling\nzumba\n"))
    found = read_layout("kinetics", tmp_path / "mm")
    assert {(split, label) for split, _, label in told(found)} == {("train", "abseiling"), ("train", "zumba"), ("val", "abseiling")}
    assert len(found.missing) == 1
    assert remark(found, "warning: 1 of them with another label, of which the first counts: abseiling/b.mp4")
    folder = tmp_path / "slowfast"
    lay(folder / "videos", film, ("x.mp4", "y.mp4", "z.mp4"))
    (folder / "train.csv").write_text(f"{folder}/videos/x.mp4 0\n{folder}/videos/y.mp4 10\n")
    (folder / "val.csv").write_text(f"{folder}/videos/z.mp4, 10\n{folder}/videos/gone.mp4, 12\n")
    found = read_layout("kinetics", folder)
    assert [(clip.split, clip.label, clip.source.name) for clip in found.clips] == [
        ("train", "0", "x.mp4"),
        ("train", "10", "y.mp4"),
        ("val", "10", "z.mp4"),
    ]
    assert found.labels == tuple(map(str, range(13)))  # a class has the number that the list, and a published model, gives it
    assert remark(found, "classes are called by their numbers")


def test_lists_and_class_names_of_two_versions_are_not_mixed(tmp_path, film):
    lay(tmp_path, film, ("a.mp4", "b.mp4"))
    for version, name in (("k400", "abseiling"), ("k600", "acting")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "train.csv").write_text(f"label,youtube_id,time_start,time_end,split\n{name},a,0,10,train\n")
        (tmp_path / f"label_map_{version}.txt").write_text(f"{name}\nzumba\n")
    refused("kinetics", tmp_path, r"k400/train\.csv and .*k600/train\.csv differ: give the right one")
    for version in ("k400", "k600"):
        (tmp_path / version / "train.csv").write_text("a.mp4 0\nb.mp4 1\n")
    refused("kinetics", tmp_path, r"label_map_k400\.txt and .*label_map_k600\.txt name different classes")
    (tmp_path / "label_map_k600.txt").write_text("abseiling\nzumba\n")
    assert read_layout("kinetics", tmp_path).labels == ("abseiling", "zumba")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label,youtube_id,time_start,time_end,split\nx,abc,9,3,train\n", r"train\.csv line 2: time_end '3' is not after time_start '9'"),
        ("label,youtube_id,time_start,time_end,split\nx,abc,soon,3,train\n", r"train\.csv line 2: time_start must be seconds"),
        ("label,youtube_id,time_start,time_end,split\nx,abc,1,3,fold\n", r"line 2: the split must be train, validate"),
        ("label,youtube_id,time_start,time_end,split\nx,abc,1,3\n", r"line 2: expected 5 cells"),
        (
            "label,youtube_id,time_start,time_end,split\nx,abc,1,3,train\n",
            r"none of the 1 listed videos is below .* such as abc_000001_000003",
        ),
        ("a.mp4 zero\n", r"train\.csv line 1: the class must be a whole number in 0..99999, got 'zero'"),
    ],
)
def test_slips_of_kinetics_are_refused_by_line(tmp_path, text, message):
    (tmp_path / "train.csv").write_text(text)
    refused("kinetics", tmp_path, message)
