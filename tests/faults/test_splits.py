"""The splits of a data set: what they may be called, how they are asked for, and how a source is divided into them."""

import json
import pathlib
import shutil
import subprocess
import sys

import pytest
from small_sets_of_videos import ENVIRONMENT, VIDEOS, make

from vivit_jax.cli import main
from vivit_jax.data.config import DataConfig
from vivit_jax.data.dataset import check_splits, open_dataset
from vivit_jax.data.layouts import Reading, read_layout
from vivit_jax.data.layouts.splitting import Shares, percentages
from vivit_jax.data.preparation.prepare import prepare
from vivit_jax.errors import UserError


def test_splits_have_one_reading(tmp_path, contents, capfd):
    names = [name.replace("val/", "Validation/").replace("test/", "testing/") for name in VIDEOS]
    make(tmp_path / "videos", names, contents)
    summary = prepare("folder", tmp_path / "videos", name="mine", data_dir=tmp_path, workers=1)
    assert summary.remarks == ("split Validation is stored as val", "split testing is stored as test")
    dataset = open_dataset("mine", tmp_path)
    assert dataset.splits == {"train": 3, "val": 1, "test": 1}
    for split in ("val", "valid", "validation", "dev", "VAL"):
        assert len(dataset.source(split)) == 1
        assert dataset.has(split)
    assert dataset.resolve("validation[:50%] + testing") == "val[:50%]+test"
    assert len(dataset.source("validation+testing")) == 2
    assert len(dataset.source("all")) == 5
    for split in ("vall", "train+vall", "te/st", "", "train[", "holdout[:10%]"):
        assert not dataset.has(split)
        with pytest.raises(UserError, match=r"has no split .*: known are train, val, test"):
            dataset.source(split)
    with pytest.raises(UserError, match=r"write slices as train\[:10%\]"):
        dataset.source("train[:x]")


def test_a_set_that_stores_validation_is_found_as_val(stored_before):
    """As tfds itself and the version before of `vivit prepare csv` store it."""
    (shard,) = stored_before.glob("mine-val.*")
    shard.rename(shard.with_name(shard.name.replace("-val.", "-validation.")))
    info = stored_before / "dataset_info.json"
    info.write_text(info.read_text().replace('"val"', '"validation"'))
    dataset = open_dataset("mine", stored_before.parents[1])
    assert dataset.resolve("val[:50%]+test") == "validation[:50%]+test"
    assert len(dataset.source("dev")) == 1


def test_a_split_that_is_missing_is_refused_at_the_start_and_a_default_one_told(tmp_path, contents, capfd):
    make(tmp_path / "videos", VIDEOS[:3], contents)
    prepare("folder", tmp_path / "videos", name="mine", data_dir=tmp_path, workers=1)
    dataset = open_dataset("mine", tmp_path)
    check_splits(dataset, DataConfig())
    out = capfd.readouterr().out
    assert "warning: data set mine has no split val, only train: nothing is validated" in out
    assert "warning: data set mine has no split test, only train: nothing is tested" in out
    check_splits(dataset, DataConfig(val_split=None, test_split=None))
    assert not capfd.readouterr().out
    for wrong in ({"val_split": "vall"}, {"test_split": "holdout"}, {"train_split": "trainn"}, {"val_split": "validation"}):
        with pytest.raises(UserError, match="has no split"):
            check_splits(dataset, DataConfig(**wrong))


def test_a_run_with_a_misspelt_split_makes_nothing(tmp_path, original):
    options = ["--config.data.name=mine", f"--config.data.data_dir={original / 'data'}", "--config.data.test_split=tset"]
    config = pathlib.Path(__file__).parents[2] / "configs/video_folder.py"
    command = [sys.executable, "-m", "vivit_jax", "train", f"--config={config}", f"--workdir={tmp_path / 'run'}", *options]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "data set mine has no split 'tset': known are train, val, test" in done.stderr
    assert not (tmp_path / "run/config.json").exists()


@pytest.mark.parametrize("split", ["all", "te/st", "te st", "../up", "té"])
def test_a_split_that_could_not_be_asked_for_is_refused(tmp_path, contents, split, capfd):
    make(tmp_path, ("a.mp4", "b.mp4"), contents)
    (tmp_path / "list.csv").write_text(f"path,label,split\na.mp4,run,train\nb.mp4,run,{split}\n")
    assert main(["prepare", "csv", str(tmp_path / "list.csv"), "--name", "mine", "--data_dir", str(tmp_path / "data")]) == 2
    err = capfd.readouterr().err
    assert "a split cannot be named" in err
    assert err.count("\n") == 1


def test_splits_that_differ_in_case_alone_are_refused(listed):
    with pytest.raises(UserError, match="the splits 'Fold1' and 'fold1' are probably the same"):
        listed("path,label,split\na.mp4,run,Fold1\nb.mp4,run,fold1\n")


def test_a_source_is_split_by_class_and_the_same_way_for_ever(tmp_path, contents):
    names = [f"{label}/{number}.mp4" for label in ("run", "sit") for number in range(20)]
    for number, name in enumerate(names):  # of different contents and equal size, which are never decoded here
        (tmp_path / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "videos" / name).write_bytes(b"video %2d" % number)
    shares = Shares(percentages("70,15,15"))

    def splits(shares=shares):
        return {clip.name: clip.split for clip in read_layout("folder", tmp_path / "videos", None, shares).clips}

    first = splits()
    counts = {label: [0, 0, 0] for label in ("run", "sit")}
    for name, split in first.items():
        counts[name.partition("/")[0]][("train", "val", "test").index(split)] += 1
    assert counts == {"run": [14, 3, 3], "sit": [14, 3, 3]}
    assert splits() == first
    assert splits(Shares(shares.percent, seed=1)) != first
    (tmp_path / "videos/run/new.mp4").write_bytes(b"another")
    moved = [name for name, split in splits().items() if name in first and first[name] != split]
    assert len(moved) <= 2
    (tmp_path / "videos/train/run").mkdir(parents=True)
    for label in ("run", "sit"):
        shutil.rmtree(tmp_path / "videos" / label)
    with pytest.raises(UserError, match="has the splits train already: leave --split out"):
        splits()


def test_a_split_that_each_class_is_too_small_for_gets_its_share_of_all(tmp_path):
    for number, name in enumerate(f"{label}/{number}.mp4" for label in "abcde" for number in range(4)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"video %2d" % number)
    found = read_layout("folder", tmp_path, None, Shares(percentages("70,15,15")))
    assert {split: sum(clip.split == split for clip in found.clips) for split in found.splits} == {"train": 14, "val": 3, "test": 3}
    assert {clip.label for clip in found.clips if clip.split == "train"} == {*"abcde"}
    assert all(len({clip.label for clip in found.clips if clip.split == split}) == 3 for split in ("val", "test"))


def test_so_does_one_that_each_class_has_too_few_groups_for(tmp_path):
    rows = [(f"{label}{clip}.mp4", label, f"{label}{clip // 2}") for label in "abcde" for clip in range(8)]
    for name, _, _ in rows:
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "list.csv").write_text("path,label,person\n" + "".join(",".join(row) + "\n" for row in rows))
    found = read_layout("csv", tmp_path / "list.csv", Reading(group="person"), Shares(percentages("70,15,15")))
    assert {split: sum(clip.split == split for clip in found.clips) for split in found.splits} == {"train": 28, "val": 6, "test": 6}
    assert len({(clip.group, clip.split) for clip in found.clips}) == 20
    assert {clip.label for clip in found.clips if clip.split == "train"} == {*"abcde"}


def test_groups_copies_and_segments_stay_together(tmp_path, contents, listed):
    for number in range(30):
        (tmp_path / f"{number}.mp4").write_bytes(b"%3d" % (number // 2 if number < 4 else number))
    rows = [
        f"{number}.mp4,{'run' if number % 2 else 'sit'},person{number // 3},{start},{start + 1}" for number in range(30) for start in (0, 2)
    ]
    text = "path,label,Person,start,end\n" + "\n".join(rows)
    (tmp_path / "list.csv").write_text(text)
    found = read_layout("csv", tmp_path / "list.csv", Reading(group="person"), Shares(percentages("60,20,20")))
    by_group = {clip.group: {other.split for other in found.clips if other.group == clip.group} for clip in found.clips}
    assert all(len(splits) == 1 for splits in by_group.values())
    assert {clip.split for clip in found.clips} == {"train", "val", "test"}
    assert abs(sum(clip.split == "train" for clip in found.clips) - 36) <= 6
    torn = listed("path,label,split,who\na.mp4,run,train,p1\nb.mp4,run,test,p1\n", group="who")
    assert "warning: 1 groups of column who are in several splits: p1" in torn.remarks
    with pytest.raises(UserError, match=r"has no column persn to group by: it has path, label, person, start, end"):
        listed(text, group="persn")
    subset = tmp_path / "subset.csv"
    subset.write_text("path,label,subset\na.mp4,run,train\n")
    with pytest.raises(UserError, match="has splits already, in its column subset"):
        read_layout("csv", subset, None, Shares(percentages("60,40")))


def test_prepare_splits_and_keeps_the_groups(tmp_path, contents, capfd):
    make(tmp_path, [f"{number}.mp4" for number in range(9)], contents)
    (tmp_path / "list.csv").write_text("path,label,who\n" + "".join(f"{n}.mp4,run,p{n % 3}\n" for n in range(9)))
    options = ["--name", "mine", "--data_dir", str(tmp_path / "data"), "--group", "who", "--split"]
    assert main(["prepare", "csv", str(tmp_path / "list.csv"), *options, "70,15,10"]) == 2
    assert "add up to 100" in capfd.readouterr().err
    assert main(["prepare", "csv", str(tmp_path / "list.csv"), *options, "67,33"]) == 0
    assert "split by --split, seed 0: 6 train, 3 test" in capfd.readouterr().out
    report = json.loads((tmp_path / "data/mine/1.0.0/preparation.json").read_text())
    assert report["groups"] == {f"{n}.mp4": f"p{n % 3}" for n in range(9)}
    assert open_dataset("mine", tmp_path / "data").splits == {"train": 6, "test": 3}
