import os

import films
import pytest

from vivit_jax.data.layouts import Reading, read_layout
from vivit_jax.data.layouts.splitting import Shares
from vivit_jax.errors import UserError


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    """The bytes of a few different videos."""
    folder = tmp_path_factory.mktemp("videos")
    return [films.write(folder / f"{seed}.mp4", films.scene(4, 16, 16, seed)).read_bytes() for seed in range(6)]


@pytest.fixture
def folder(tmp_path, contents):
    for number, name in enumerate(("train/run/a.mp4", "train/run/b.MP4", "train/sit/c.mp4", "val/run/d.mp4", "test/sit/e.mp4")):
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents[number])
    return tmp_path / "videos"


def listing(folder, text, encoding="utf-8"):
    path = folder / "list.csv"
    path.write_bytes(text.encode(encoding))
    return path


def refused(layout, source, message):
    with pytest.raises(UserError, match=message) as error:
        read_layout(layout, source)
    assert "\n" not in str(error.value)


def test_folder_lists_videos_by_split_and_class(folder):
    (folder / "train/run/notes.txt").write_text("left aside")
    for hidden in (
        "train/run/.hidden.mp4",
        "train/run/@eaDir/a.mp4/thumb.jpg",
        "__MACOSX/train/run/._a.mp4",
        "train/__MACOSX/x",
        "@eaDir/x",
    ):
        (folder / hidden).parent.mkdir(parents=True, exist_ok=True)
        (folder / hidden).write_text("")
    found = read_layout("folder", folder)
    assert [(clip.split, clip.label, clip.name) for clip in found.clips] == [
        ("train", "run", "train/run/a.mp4"),
        ("train", "run", "train/run/b.MP4"),
        ("train", "sit", "train/sit/c.mp4"),
        ("val", "run", "val/run/d.mp4"),
        ("test", "sit", "test/sit/e.mp4"),
    ]
    assert found.labels == ("run", "sit")
    assert found.splits == ("train", "val", "test")
    assert found.remarks == ("1 file left aside, not videos by their name: train/run/notes.txt",)
    (folder / "train/outside.mp4").write_text("in no class")
    assert "1 file left aside, in no class: train/outside.mp4" in read_layout("folder", folder).remarks


def test_folder_needs_no_val(folder):
    (folder / "val/run/d.mp4").unlink()
    (folder / "val/run").rmdir()
    (folder / "val").rmdir()
    assert read_layout("folder", folder).splits == ("train", "test")


@pytest.mark.fault(
    promise="Mistakes in a folder of videos are refused by name",
    provoked="a missing folder, a misspelt split, an empty class, a class of test alone, an empty split",
    seen="one line that names the folder",
    trials=5,
)
def test_folder_refuses_by_name(folder, contents):
    refused("folder", folder / "nowhere", "nowhere: no such folder")
    refused("folder", listing(folder, "path,label\n"), "list.csv: not a folder; layout csv reads lists")
    refused("csv", folder, "a folder; give the list in it, or another layout")
    loose = folder / "train" / "run"
    refused("folder", loose, r"expected the folders train, val and test .*; found \d videos in no folder")
    with pytest.raises(UserError, match=r"a folder for each class, with its videos in it; \d videos in .*run itself, such as a\.mp4"):
        read_layout("folder", loose, shares=Shares({"train": 50, "test": 50}))
    (folder / "trainings").mkdir()
    refused("folder", folder, "expected the folders train, val and test.*found trainings")
    (folder / "trainings").rmdir()
    (folder / "train/walk").mkdir()
    refused("folder", folder, "walk: the class is empty")
    (folder / "train/walk").rmdir()
    (folder / "test/swim").mkdir()
    (folder / "test/swim/f.mp4").write_bytes(contents[5])
    refused("folder", folder, "no training video of class swim")
    (folder / "test/swim/f.mp4").unlink()
    (folder / "test/swim").rmdir()
    (folder / "test/sit/e.mp4").unlink()
    (folder / "test/sit").rmdir()
    refused("folder", folder, "test: the split is empty")


@pytest.mark.fault(
    promise="The same video in two splits is refused",
    provoked="one video's bytes in train and in test",
    seen="both files by name",
    trials=1,
)
def test_the_same_video_in_two_splits_is_refused(folder, contents):
    (folder / "test/sit/copy.mp4").write_bytes(contents[0])
    refused("folder", folder, r"the same video is in two splits: train/run/a\.mp4 \(train\) and test/sit/copy\.mp4 \(test\)")


@pytest.mark.fault(
    promise="No link and no `../` leads out of the folder that `--within` names",
    provoked="links out of `--within`",
    seen="one line that names the link",
    trials=1,
)
def test_links_lead_anywhere_but_out_of_a_folder_that_is_named(folder, contents):
    outside = folder.parent / "disk" / "scratch.mp4"
    outside.parent.mkdir()
    outside.write_bytes(contents[5])
    (folder / "train/sit/link.mp4").symlink_to(outside)
    assert len(read_layout("folder", folder).clips) == 6
    assert len(read_layout("folder", folder, Reading(within=folder.parent)).clips) == 6
    with pytest.raises(UserError, match=r"train/sit/link\.mp4: leads out of "):
        read_layout("folder", folder, Reading(within=folder))


def test_a_class_folder_may_be_a_link(folder, contents):
    (folder.parent / "swim").mkdir()
    (folder.parent / "swim/f.mp4").write_bytes(contents[5])
    (folder / "train/swim").symlink_to(folder.parent / "swim")
    assert read_layout("folder", folder).labels == ("run", "sit", "swim")
    with pytest.raises(UserError, match="leads out of"):
        read_layout("folder", folder, Reading(within=folder))


def test_a_list_names_files_anywhere_or_below_a_root(folder, contents):
    outside = folder.parent / "disk" / "f.mp4"
    outside.parent.mkdir()
    outside.write_bytes(contents[5])
    text = f"path,label\n{outside},run\n../disk/../disk/f.mp4,run\n"
    refused("csv", listing(folder, text), r"f\.mp4: listed twice \(as .*disk/f\.mp4 and here\); keep one line")
    for path in (str(outside), "../disk/f.mp4"):
        source = listing(folder, f"path,label\n{path},run\n")
        (clip,) = read_layout("csv", source).clips
        assert (clip.name, clip.source.samefile(outside)) == (path, True)
        with pytest.raises(UserError, match=r"line 2: .*f.mp4: leads out of .*--within"):
            read_layout("csv", source, Reading(within=folder))
    (clip,) = read_layout("csv", listing(folder, "path,label\nf.mp4,run\n"), Reading(root=outside.parent)).clips
    assert clip.source == outside


@pytest.mark.fault(
    promise="A file name that is not UTF-8 is refused",
    provoked="a file of such a name",
    seen="one line that shows it escaped",
    trials=1,
)
def test_a_name_that_is_not_utf8_is_refused(folder, contents):
    (folder / "train/sit" / os.fsdecode(b"\xff.mp4")).write_bytes(contents[5])
    refused("folder", folder, r"train/sit/.*: the name is not UTF-8")


def test_csv_with_a_header_takes_its_columns_and_ignores_others(folder):
    path = listing(
        folder,
        ",file,label,video,start_frame,frames,split,start,end\n"
        "0,train/run/a.mp4,run,v,0,4,train,,\n"
        "1,train/run/a.mp4,sit,v,0,4,train,0.04,0.12\n"
        "2,test/sit/e.mp4,sit,w,64,4,holdout,,\n",
    )
    found = read_layout("csv", path)
    assert [(clip.name, clip.label, clip.split, clip.start, clip.end) for clip in found.clips] == [
        ("train/run/a.mp4", "run", "train", 0.0, None),
        ("train/run/a.mp4@0.04-0.12", "sit", "train", 0.04, 0.12),
        ("test/sit/e.mp4", "sit", "holdout", 0.0, None),
    ]
    assert found.splits == ("train", "holdout")
    assert found.remarks == ("columns not used: (no name), video, start_frame, frames",)


def test_csv_takes_several_labels_of_a_column_of_that_name_alone(folder):
    text = "path,{}\ntrain/run/a.mp4,run; fast;run\nval/run/d.mp4,fast|sit\ntrain/sit/c.mp4,\n"
    found = read_layout("csv", listing(folder, text.format("labels")))
    assert [clip.label for clip in found.clips] == [("fast", "run"), ("fast", "sit"), ()]
    assert found.labels == ("fast", "run", "sit")
    assert found.multi_label
    single = read_layout("csv", listing(folder, text.format("label").replace("c.mp4,", "c.mp4,sit")))
    assert [clip.label for clip in single.clips] == ["run; fast;run", "fast|sit", "sit"]
    assert not single.multi_label


@pytest.mark.parametrize("text", ["train/run/a.mp4 10\ntrain/sit/c.mp4 9\n", "\ntrain/run/a.mp4,10\ntrain/sit/c.mp4,9\n"])
def test_csv_takes_lines_of_path_and_label(folder, text):
    found = read_layout("csv", listing(folder, text))
    assert [(clip.name, clip.label, clip.split) for clip in found.clips] == [
        ("train/run/a.mp4", "10", "train"),
        ("train/sit/c.mp4", "9", "train"),
    ]
    assert found.labels == ("9", "10")
    assert found.remarks == ("list.csv names no split: all 2 videos are train; --split 70,15,15 would make val and test",)


def test_classes_that_are_numbers_are_in_their_order(folder):
    """A table program writes `10.0` where a column also has empty cells."""
    rows = "train/run/a.mp4,10.0,train\ntrain/sit/c.mp4,-1.5,train\ntrain/run/b.MP4,9.0,train\ntest/sit/e.mp4,,test\n"
    assert read_layout("csv", listing(folder, f"path,label,split\n{rows}")).labels == ("-1.5", "9.0", "10.0")


def test_csv_tells_all_missing_files_at_once(folder):
    text = "path,label\ntrain/run/a.mp4,run\ngone/b.mp4,run\ngone/c.mp4,sit\n"
    refused(
        "csv", listing(folder, text), r"2 of 3 files are missing, 0 tolerated \(.*--tolerate 2\): line 3: gone/b\.mp4: .*; line 4: gone/c"
    )
    with pytest.raises(UserError, match="2 of 3 files are missing, 1 tolerated"):
        read_layout("csv", listing(folder, text), Reading(tolerate=1))
    elsewhere = "path,label\nx/a.mp4,run\nx/b.mp4,run\n"
    refused("csv", listing(folder, elsewhere), r"2 of 2 files .*relative paths begin in .*videos; --root DIR names another folder")


def test_one_class_alone_is_warned_of(folder):
    found = read_layout("csv", listing(folder, "path,label\ntrain/run/a.mp4,run\n"))
    assert found.remarks[-1] == "warning: run is the only class: a classifier has nothing to tell it from"


def test_csv_paths_may_have_spaces(folder, contents):
    (folder / "my clip.mp4").write_bytes(contents[5])
    assert read_layout("csv", listing(folder, "my clip.mp4 run\n")).clips[0].source == folder / "my clip.mp4"


@pytest.mark.fault(
    promise="Mistakes in a list are refused by line and name",
    provoked="missing files, duplicate paths, paths out of the source, invalid times and labels",
    seen="the line's number and the name",
    trials=17,
)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the list is empty"),
        (",\n", "the list is empty"),
        ("x" * 140_000 + ",run\n", r"list\.csv"),
        ("path,label\n", "there are no videos"),
        ("path,label,labels\n", "line 1: a header must name label or labels, got both"),
        ("path,labels,split\ntrain/run/a.mp4,run,train\ntest/sit/e.mp4,run;sit,test\n", "no training video of class sit"),
        (
            "path,label\nnot/there.mp4,run\n",
            r"list\.csv line 2: not/there\.mp4: no such file in .* \(correct the list, or leave it out by --tolerate 1\)$",
        ),
        ("path,label\ntrain/run,run\n", "line 2: train/run: not a file"),
        ("path,label\ntrain/run/a.mp4,run\ntrain/run/a.mp4,run\n", r"train/run/a\.mp4: listed twice"),
        ("path,label\n../gone.mp4,run\n", r"line 2: \.\./gone\.mp4: no such file in "),
        ("path,label\n/gone.mp4,run\n", r"line 2: /gone\.mp4: no such file \(correct"),
        ("path,label\ntrain/run/a.mp4,\n", "line 2: the label is empty"),
        ("path,label,split\ntrain/run/a.mp4,run,\n", "line 2: the split is empty"),
        ("path,label\ntrain/run/a.mp4\n", r"line 2: expected 2 columns \(path, label\), got 1"),
        ("path,label,start\ntrain/run/a.mp4,run,soon\n", "line 2: start must be seconds of at least 0, or .hh:.mm:ss, got 'soon'"),
        ("path,label,start,end\ntrain/run/a.mp4,run,2,1\n", "line 2: end 1 is not after start 2"),
        (
            "path,label,split,start,end\ntrain/run/a.mp4,run,train,0,1\ntrain/run/a.mp4,run,test,1,2\n",
            "a.mp4: the same video is in train and test",
        ),
    ],
)
def test_csv_refuses_by_line_and_name(folder, text, message):
    refused("csv", listing(folder, text), message)


def test_the_infrared_list_keeps_its_clips_and_splits(shared_data):
    found = read_layout("csv", shared_data / "drone_ir_crops/index.csv")
    assert {split: sum(clip.split == split for clip in found.clips) for split in found.splits} == {"train": 789, "val": 276, "test": 321}
    assert found.labels == ("airplane", "bird", "drone", "helicopter")
    assert all(clip.start == 0 and clip.end is None for clip in found.clips)


def test_layouts_and_sources_must_fit(tmp_path):
    refused("flder", tmp_path, "unknown layout 'flder': did you mean 'folder'")
    refused("csv", None, "layout csv needs a source: a file")
    refused("motion_digits", tmp_path, "layout motion_digits takes no source")


def test_videos_in_a_folder_inside_a_class_are_not_left_out(folder, contents):
    (folder / "train/run/more").mkdir()
    (folder / "train/run/more/f.mp4").write_bytes(contents[5])
    refused("folder", folder, "a folder of videos inside a class; move them up into run")


def test_a_source_named_one_folder_too_high_or_too_low_is_told_from_nested_videos(folder):
    """Moving the videos up would make one class of all."""
    shares = Shares({"train": 50, "test": 50})
    unpacked = folder.parent / "unpacked"
    unpacked.mkdir()
    (folder / "train").rename(unpacked / "clips")
    with pytest.raises(
        UserError, match=r"expected the videos of a class, found the folders run, sit; if these are the classes, .*/clips is the"
    ):
        read_layout("folder", unpacked, None, shares)
    (unpacked / "clips").rename(folder / "train")
    (folder / "tset").mkdir()
    with pytest.raises(UserError, match="has the splits test, train, val already: leave --split out"):
        read_layout("folder", folder, None, shares)


def test_csv_with_paths_and_labels_exchanged_says_so(folder):
    refused("csv", listing(folder, "path,label\nrun,train/run/a.mp4\nsit,train/run/b.mp4\n"), "exchange the columns of paths and labels")


def test_a_header_without_a_label_is_not_taken_for_a_video(folder):
    refused(
        "csv", listing(folder, "path,lable\nx.mp4,a\n"), "line 1: a header must name path .or file. and label .or labels., got path, lable"
    )
