"""`clips.csv` against what the files themselves say, and `vivit inspect` against what befalls them."""

import csv
import hashlib
import json

import films
import pytest

from vivit_jax.cli import main
from vivit_jax.data import manifest
from vivit_jax.data.dataset import open_dataset
from vivit_jax.data.layouts import Reading
from vivit_jax.data.preparation.prepare import prepare
from vivit_jax.data.summary import refused_clips


@pytest.fixture
def made(tmp_path):
    """Three videos, two segments of one, one that cannot be read: the list's rows, as they came out."""
    videos = tmp_path / "videos"
    for number, name in enumerate(("a/one.mp4", "b/two.mkv")):
        (videos / name).parent.mkdir(parents=True)
        options = {"codec": "ffv1", "pixels": "bgr0"} if number else {}
        films.write(videos / name, films.scene(8 + number, 30 + number, 40, number), **options)
    films.write(videos / "long.mp4", films.scene(50, 16, 16, 7))
    (videos / "broken.mp4").write_bytes(b"no video")
    rows = ["path,label,split,start,end,person", "a/one.mp4,x,train,,,ann", "b/two.mkv,y,train,,,bob", "long.mp4,x,test,0,1,cat"]
    (videos / "list.csv").write_text("\n".join([*rows, "long.mp4,y,test,1,2,cat", "broken.mp4,y,test,,,dan", ""]))
    prepare("csv", videos / "list.csv", name="mine", data_dir=tmp_path / "data", workers=1, tolerate=1, reading=Reading(group="person"))
    with (tmp_path / "data/mine/1.0.0/clips.csv").open(newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def test_each_clip_is_listed_with_its_origin(made, tmp_path):
    dataset = open_dataset("mine", tmp_path / "data")
    records = {record["name"]: record for split in dataset.splits for record in dataset.source(split)}
    assert len(made) == 5
    for name, row in made.items():
        original = tmp_path / "videos" / row["source"]
        if row["refused"]:
            assert (row["source"], row["sha256"], row["frames"]) == ("broken.mp4", "", "")
            assert "cannot be read as a video" in row["refused"]
            continue
        assert row["sha256"] == hashlib.sha256(original.read_bytes()).hexdigest()
        for field in ("frames", "width", "height"):
            assert int(row[field]) == records[name][field]
        assert float(row["duration"]) == pytest.approx(records[name]["duration"], rel=1e-5)
        assert int(row["bytes"]) == len(records[name]["video"])
    assert made["b/two.mkv"]["changed"] == "cropped to even sides"
    assert {row["group"] for row in made.values()} == {"ann", "bob", "cat", "dan"}
    assert sorted((row["start"], row["end"]) for row in made.values() if row["source"] == "long.mp4") == [("", "1.0"), ("1.0", "2.0")]
    assert (refused_clips(dataset, "test"), refused_clips(dataset, "train"), refused_clips(dataset, "train+test[:50%]")) == (1, 0, 1)


def inspected(tmp_path, capfd, *more):
    code = main(["inspect", "--name", "mine", "--data_dir", str(tmp_path / "data"), "--sheet", str(tmp_path / "s.png"), *more])
    return code, capfd.readouterr()


def test_inspect_verifies_a_set_and_its_originals(made, tmp_path, capfd):
    code, told = inspected(tmp_path, capfd, "--originals", str(tmp_path / "videos"))
    assert code == 0
    assert "4 records are whole, each with the SHA-256 of the manifest" in told.out
    assert "clips.csv lists 4 clips, and 1 that were refused" in told.out
    assert "4 of 4 clips have the original" in told.out
    one = tmp_path / "videos/a/one.mp4"
    one.write_bytes(one.read_bytes() + b"\0")
    (tmp_path / "videos/b/two.mkv").unlink()
    code, told = inspected(tmp_path, capfd, "--originals", str(tmp_path / "videos"))
    assert code == 2
    assert "2 of 4 clips have the original" in told.out
    assert "a/one.mp4: the original has changed" in told.err
    assert "b/two.mkv: the original is gone" in told.err
    assert told.err.count("\n") == 1


def test_a_list_that_is_not_that_of_the_records_is_told(made, tmp_path, capfd):
    folder = tmp_path / "data/mine/1.0.0"
    text = (folder / "clips.csv").read_text()
    (folder / "clips.csv").write_text(text.replace("a/one.mp4", "a/won.mp4"))
    code, told = inspected(tmp_path, capfd)
    assert code == 2
    assert "clips.csv is damaged" in told.err
    listed = json.loads((folder / "manifest.json").read_text())
    listed["contents"]["files"]["clips.csv"][1] = hashlib.sha256((folder / "clips.csv").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(listed | {"sha256": manifest._digest(listed["contents"])}))
    code, told = inspected(tmp_path, capfd)
    assert code == 2
    assert "train/a/one.mp4: 8 frames stored, none listed" in told.err


def test_a_set_without_a_list_has_no_originals_to_compare(made, tmp_path, capfd):
    folder = tmp_path / "data/mine/1.0.0"
    (folder / "clips.csv").unlink()
    listed = json.loads((folder / "manifest.json").read_text())
    del listed["contents"]["files"]["clips.csv"]
    (folder / "manifest.json").write_text(json.dumps(listed | {"sha256": manifest._digest(listed["contents"])}))
    assert inspected(tmp_path, capfd)[0] == 0
    code, told = inspected(tmp_path, capfd, "--originals", str(tmp_path / "videos"))
    assert (code, told.err.count("\n")) == (2, 1)
    assert "nothing to compare" in told.err
