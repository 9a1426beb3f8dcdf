"""Published sets as people have them: half downloaded, broken here and there, rearranged, extracted to frames, listed by other tools."""

import json

import films
import numpy as np
import pytest
from PIL import Image
from published_sets import lay, refused, remark, told
from test_layout_epic import EPIC_HEADER

from vivit_jax.data.dataset import open_dataset
from vivit_jax.data.layouts import Reading, read_layout
from vivit_jax.data.preparation.prepare import prepare
from vivit_jax.data.video.reader import decode_frames

KINETICS_HEADER = "label,youtube_id,time_start,time_end,split\n"


def sources(found, root):
    return {(clip.split, clip.name): clip.source.relative_to(root).as_posix() for clip in found.clips}


def test_a_replacement_goes_before_the_broken_video_that_it_replaces(tmp_path, film):
    lists = {"annotations/train.csv": KINETICS_HEADER + "zumba,ccccccccccc,3,13,train\nyoga,ddddddddddd,0,10,train\n"}
    names = ["replacement/replacement_for_corrupted_k400/ccccccccccc_000003_000013.mp4", "train/ddddddddddd_000000_000010.MP4"]
    lay(tmp_path, film, names, **lists, **{"k400_train_path.txt": "https://s3.amazonaws.com/kinetics/400/train/part_0.tar.gz\n"})
    (tmp_path / "train/ccccccccccc_000003_000013.mp4").write_bytes(b"")
    found = read_layout("kinetics", tmp_path)
    assert sorted(sources(found, tmp_path).values()) == names
    assert remark(found, "1 videos are those in the publisher's folder replacement_for_corrupted")
    assert remark(found, "lists of addresses are left aside", "k400_train_path.txt")


def test_a_video_of_another_class_or_split_is_not_taken_for_a_missing_one(tmp_path, film):
    """Of names that are not unique, as in own sets listed as SlowFast does, and of Moments in Time, where a video may be in two classes."""
    lists = {
        "train.csv": "run/001.mp4 0\nair drumming/001.mp4 1\nrun/002.mp4 0\nhop/004.mp4 2\nwalk/004.mp4 3\n",
        "val.csv": "run/001.mp4 0\n",
    }
    lay(tmp_path, film, ["train/run/001.mp4", "train/air_drumming/001.mp4", "train/run/002.mp4", "004.mp4"], **lists)
    found = read_layout("kinetics", tmp_path)
    assert sources(found, tmp_path) == {
        ("train", "run/001.mp4"): "train/run/001.mp4",
        ("train", "air drumming/001.mp4"): "train/air_drumming/001.mp4",
        ("train", "run/002.mp4"): "train/run/002.mp4",
    }
    assert set(found.missing) == {("val", "run/001.mp4"), ("train", "hop/004.mp4"), ("train", "walk/004.mp4")}
    moments = tmp_path / "moments"
    lists = {
        "moments_categories.txt": "clapping,0\nsinging,1\n",
        "trainingSet.csv": "clapping/yt-a_3.mp4,clapping,3,0\nsinging/yt-a_3.mp4,singing,3,0\n",
    }
    lay(moments, film, ["training/clapping/yt-a_3.mp4"], **lists)
    assert told(read_layout("moments", moments)) == {("train", "clapping/yt-a_3.mp4", "clapping")}


@pytest.mark.parametrize("mark", [" ", "\t", ",", ";"])
def test_lists_are_separated_in_any_usual_way(tmp_path, film, mark):
    lists = {
        "train.csv": f"air drumming/a.mp4{mark}1\r\nabseiling/b 300{mark}0\r\n",
        "test.csv": f"abseiling/c.mp4{mark}-1\n",
        "kinetics_classnames.json": {'"abseiling"': 0, '"air drumming"': 1},
    }
    lay(tmp_path, film, ["videos/air drumming/a.mp4", "videos/abseiling/b.mp4", "videos/abseiling/c.mp4"], **lists)
    found = read_layout("kinetics", tmp_path)
    names = {("train", "air drumming/a.mp4", "air drumming"), ("train", "abseiling/b", "abseiling"), ("test", "abseiling/c.mp4", None)}
    assert told(found) == names
    assert (found.labels, found.unlabelled) == (("abseiling", "air drumming"), ("test",))


def test_videos_elsewhere_links_that_lead_nowhere_and_a_test_list_of_names(tmp_path, film):
    film(tmp_path / "disk/a.mp4", 0)
    film(tmp_path / "set/c.mp4", 1)
    (tmp_path / "set/gone.mp4").symlink_to("/nowhere/gone.mp4")
    (tmp_path / "set/train.txt").write_text(f"{tmp_path}/disk/a.mp4 0\ngone.mp4 1\n")
    (tmp_path / "set/test.txt").write_text("c.mp4\n")
    found = read_layout("kinetics", tmp_path / "set")
    assert [(clip.split, clip.label, clip.source.name) for clip in found.clips] == [("train", "0", "a.mp4"), ("test", None, "c.mp4")]
    assert found.missing == (("train", "gone.mp4"),)
    refused("kinetics", tmp_path / "set", "leads out of", within=tmp_path / "set")
    (tmp_path / "set/train.txt").unlink()
    refused("kinetics", tmp_path / "set", "name no classes: give those of a split with labels too")
    (tmp_path / "set/train.csv").write_text(KINETICS_HEADER + ",ccccccccccc,0,10,train\n")
    refused("kinetics", tmp_path / "set", r"train\.csv line 2: the label is empty")


def test_a_list_of_archives_to_download_is_no_list_of_videos(tmp_path, film):
    lists = {
        "kinetics400_train_list_videos.txt": "a.mp4 0\n",
        "k400_train_path.txt": "https://s3.amazonaws.com/kinetics/400/train/part_0.tar.gz\n",
    }
    lay(tmp_path, film, ["a.mp4"], **lists)
    assert told(read_layout("kinetics", tmp_path)) == {("train", "a.mp4", "0")}
    film(tmp_path / "aaaaaaaaaaa_000001_000011.mp4", 1)
    (tmp_path / "train.csv").write_text(KINETICS_HEADER + "air drumming,aaaaaaaaaaa,1,11,train\n")
    found = read_layout("kinetics", tmp_path)
    assert told(found) == {("train", "aaaaaaaaaaa_000001_000011", "air drumming")}
    assert remark(found, "lists without a header are left aside", "kinetics400_train_list_videos.txt")


def test_lists_from_windows_in_another_order_of_columns(tmp_path, film):
    text = "split;is_cc;time_end;time_start;youtube_id;label\ntrain;0;11;1;aaaaaaaaaaa;air drumming\n"
    film(tmp_path / "aaaaaaaaaaa_1_11.mp4", 0)
    (tmp_path / "train.csv").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert told(read_layout("kinetics", tmp_path)) == {("train", "aaaaaaaaaaa_000001_000011", "air drumming")}


def test_frames_in_folders_are_videos_at_the_rate_that_the_publisher_or_the_user_tells(tmp_path):
    """The frames that are cut out of folders are those that are cut out of the video file."""
    frames = films.scene(60, 32, 48, 1)
    of_file, of_frames = tmp_path / "file", tmp_path / "frames"
    for root in (of_file, of_frames):
        root.mkdir()
        rows = "P01_01_0,P01,P01_01,0,00:00:00.30,00:00:01.41,8,36,open door,open,3,door,3,['door'],[3]\n"
        rows += "P01_01_1,P01,P01_01,0,00:00:02.00,00:00:03.00,51,76,open door,open,3,door,3,['door'],[3]\n"
        (root / "EPIC_100_train.csv").write_text(EPIC_HEADER + rows)
    films.write(of_file / "P01_01.MP4", frames)
    folder = of_frames / "P01/rgb_frames/P01_01"
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, start=1):
        Image.fromarray(frame).save(folder / f"frame_{number:010d}.png")
        Image.fromarray(frame[::-1]).save(folder / f"flow_x_{number:05d}.png")
    refused("epic", of_frames, "none of the 2 listed videos.*folders of image files there.*--fps")
    (of_frames / "EPIC_100_video_info.csv").write_text("video_id,duration,fps,resolution\nP01_01,2.4,25.0,48x32\n")
    stored = {}
    for root in (of_file, of_frames):
        summary = prepare("epic", root, name="epic", data_dir=root / "data", workers=1)
        assert [(name, what) for _, name, what in summary.changed] == [("P01_01_1", "the video ends 0.60 s before the segment")]
        stored[root] = {record["name"]: record for record in open_dataset("epic", root / "data").any_source("train")}
    for name, count in (("P01_01_0", 28), ("P01_01_1", 10)):
        records = [stored[root][name] for root in (of_file, of_frames)]
        assert [(record["frames"], record["fps"]) for record in records] == [(count, 25), (count, 25)]
        shown = [decode_frames(record["video"], range(count), stored=True).astype(float) for record in records]
        distances = np.abs(shown[0][:, None] - shown[1][None]).mean(axis=(2, 3, 4))
        assert distances.argmin(axis=1).tolist() == list(range(count))
    late = of_frames / "EPIC_100_train.csv"
    late.write_text(late.read_text().replace("00:00:02.00,00:00:03.00", "00:00:03.00,00:00:04.00"))
    summary = prepare("epic", of_frames, name="late", data_dir=of_frames / "data", workers=1, tolerate=1)
    assert summary.refused == [("train", "P01_01_1", "it ends at 2.40 s, and from 3 s to 4 s it has 0 frames")]
    report = json.loads((of_frames / "data/epic/1.0.0/preparation.json").read_text())
    assert report["groups"] == {"P01_01_0": "P01", "P01_01_1": "P01"}


def test_folders_of_frames_of_other_sets_and_what_asks_for_their_rate(tmp_path):
    for name, seed in (("abseiling/0wR5_000417_000427", 0), ("zumba/b_000000_000010", 1)):
        folder = tmp_path / "rawframes_train" / name
        folder.mkdir(parents=True)
        for number, frame in enumerate(films.scene(6, 32, 48, seed), start=1):
            Image.fromarray(frame).save(folder / f"img_{number:05d}.jpg")
    (tmp_path / "kinetics400_train_list_rawframes.txt").write_text("abseiling/0wR5_000417_000427 6 0\nzumba/b_000000_000010 6 1\n")
    refused("kinetics", tmp_path, "none of the 2 listed videos.*folders of image files there.*--fps")
    found = read_layout("kinetics", tmp_path, Reading(fps=30.0))
    assert told(found) == {("train", "abseiling/0wR5_000417_000427", "0"), ("train", "zumba/b_000000_000010", "1")}
    for seed, clip in enumerate(found.clips):
        frames, fps = clip.source()
        assert fps == 30
        assert np.abs(np.stack(list(frames)).astype(float) - films.scene(6, 32, 48, seed)).mean() < 5


def test_hmdb_tells_how_many_videos_are_in_neither_half(tmp_path, film):
    lists = {"run_test_split1.txt": "a_run_0.avi 1 \nb_run_0.avi 2 \nc_run_0.avi 0 \n"}
    lay(tmp_path, film, [f"run/{name}_run_0.avi" for name in "abc"], **lists)
    assert remark(read_layout("hmdb51", tmp_path), "1 videos are in neither half of split 1, as published")
    refused("hmdb51", tmp_path, "--fps is for videos that are folders of image files", fps=25.0)
