"""Lists of videos as any program writes them, and class names as people write them: read as they are meant, or refused in one line."""

import unicodedata

import films
import pytest
from small_sets_of_videos import make, one_line

from vivit_jax.data.dataset import open_dataset
from vivit_jax.data.layouts import Reading, read_layout
from vivit_jax.data.preparation.prepare import prepare
from vivit_jax.errors import UserError


@pytest.mark.parametrize(
    ("start", "end"), [("start", "end"), ("time_start", "time_end"), ("start_time", "end_time"), ("Start_Sec", "end_seconds")]
)
def test_segments_by_any_usual_name(listed, start, end):
    found = listed(f"path,label,{start},{end},fps\na.mp4,run,1.5,2.25,30\nb.mp4,run,0:01.5,00:00:02.25,30\nc.mp4,run,,,30\n")
    assert [(clip.start, clip.end) for clip in found.clips] == [(1.5, 2.25), (1.5, 2.25), (0, None)]
    assert "columns not used: fps" in found.remarks
    assert (f"columns taken: {start.lower()} as start, {end.lower()} as end" in found.remarks) == (start != "start")


@pytest.mark.parametrize(("start", "stop"), [("start_frame", "stop_frame"), ("Start_Frame", "end_frame"), ("first_frame", "last_frame")])
def test_segments_by_frames_say_how_they_are_counted(listed, start, stop):
    lines = f"path,label,{start},{stop}\na.mp4,run,8,202\nb.mp4,run,,20\nc.mp4,run,5,\nd.mp4,run,,\n"
    found = listed(lines)
    assert [(clip.start, clip.end, clip.by_frames) for clip in found.clips] == [
        (8, 202, True),
        (0, 20, True),
        (5, None, True),
        (0, None, True),
    ]
    assert [clip.name for clip in found.clips] == ["a.mp4@frame8-202", "b.mp4@frame0-20", "c.mp4@frame5-", "d.mp4"]
    assert any("taken to count from 0" in remark for remark in found.remarks)
    found = listed(lines, first_frame=1, stop_frame_included=True)
    assert [(clip.start, clip.end) for clip in found.clips] == [(7, 202), (0, 20), (4, None), (0, None)]
    assert not any("count" in remark for remark in found.remarks)


def test_segments_by_frames_are_read_only_where_nothing_else_says_so(listed):
    found = listed("path,label,start_frame,frames\na.mp4,run,64,64\n")
    assert (found.clips[0].start, found.clips[0].end) == (0, None)
    assert "columns not used: start_frame, frames" in found.remarks
    found = listed("path,label,start_timestamp,stop_timestamp,start_frame,stop_frame\na.mp4,run,00:00:00.14,00:00:03.37,8,202\n")
    assert (found.clips[0].start, found.clips[0].end, found.clips[0].by_frames) == (0.14, 3.37, False)
    assert "columns not used: start_frame, stop_frame" in found.remarks
    for header, told, options in (
        ("path,label\na.mp4,run", "no segments by frame numbers", {"first_frame": 1}),
        ("path,label,start_frame,stop_frame\na.mp4,run,9,9", "stop_frame 9 is not after start_frame 9", {}),
        (
            "path,label,start_frame,stop_frame\na.mp4,run,0,9",
            "start_frame 0 comes before the first frame, which is number 1",
            {"first_frame": 1},
        ),
        ("path,label,start_frame,stop_frame\na.mp4,run,1.5,9", "start_frame must be the number of a frame, got '1.5'", {}),
        ("path,label,start_frame,stop_frame\na.mp4,run,-1,9", "start_frame must be the number of a frame, got '-1'", {}),
    ):
        with pytest.raises(UserError, match=told):
            listed(header + "\n", **options)


@pytest.mark.parametrize(
    ("header", "rivals"),
    [
        ("path,label,class", "label: label, class"),
        ("path,label,split,subset", "split: split, subset"),
        ("path,label,end,start_time,time_start", "start: start_time, time_start"),
    ],
)
def test_several_columns_for_one_thing_are_refused_by_name(listed, header, rivals):
    with pytest.raises(UserError, match=rf"list\.csv line 1: several columns may be the {rivals}; leave one of them"):
        listed(f"{header}\na.mp4,run,{'1,2,3'[: 2 * header.count(',') - 3]}\nb.mp4,run,{'4,5,6'[: 2 * header.count(',') - 3]}\n")


@pytest.mark.parametrize(("header", "rivals"), [("path,label,video", "path, video"), ("filename,label,file_path", "file_path, filename")])
def test_two_columns_of_files_are_refused_and_one_of_names_is_not_used(listed, header, rivals):
    with pytest.raises(UserError, match=f"several columns may be the path: {rivals}; leave one of them"):
        listed(f"{header}\na.mp4,run,b.mp4\n")
    found = listed("file,label,video\na.mp4,run,IR_001\n")
    assert (found.clips[0].name, "columns not used: video" in found.remarks) == ("a.mp4", True)


def test_a_number_and_a_word_for_each_class_are_one_label(listed):
    found = listed("path,label,class_name\na.mp4,0,run\nb.mp4,1,sit\nc.mp4,0,run\n")
    assert [clip.label for clip in found.clips] == ["0", "1", "0"]
    assert "columns not used: class_name" in found.remarks


@pytest.mark.parametrize("options", [{"heads": ("verb",)}, {"group": "verb"}])
def test_a_column_that_is_asked_for_and_there_twice_is_refused(listed, options):
    with pytest.raises(UserError, match="the header names verb twice"):
        listed("path,label,verb,verb\na.mp4,run,take,put\n", **options)


@pytest.mark.parametrize("time", ["soon", "-1", "nan", "inf", "1e999", "1:75", "1:2:3:4", "1_000", "1:99:00"])
def test_a_time_that_is_none_is_refused(listed, time):
    with pytest.raises(UserError, match="line 2: end must be seconds of at least 0, or"):
        listed(f"path,label,end\na.mp4,run,{time}\n")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp1252"])
def test_a_list_of_any_program_is_read(listed, delimiter, encoding):
    bom = "\ufeff" if encoding == "utf-16-be" else ""
    text = f"{bom}path,label,split\r\na.mp4,größer,train\r\nb.mp4,run,train\r\n".replace(",", delimiter)
    found = listed(text.encode(encoding))
    assert [(clip.name, clip.label) for clip in found.clips] == [("a.mp4", "größer"), ("b.mp4", "run")]
    told = {
        "cp1252": f"list.csv is not UTF-8 (at byte {text.index('ö')}) and was read as Windows-1252: check the names",
        "utf-16": "list.csv was read as UTF-16",
    }
    assert found.remarks == ((told[encoding.removesuffix("-be")],) if encoding.removesuffix("-be") in told else ())


def test_a_semicolon_list_may_have_decimal_commas(listed):
    assert listed("path;label;start;end\na.mp4;run;1,5;2,5\n").clips[0].start == 1.5


def test_backslashes_are_taken_or_explained(listed):
    (clip,) = listed("path,label\ntrain\\run\\e.mp4,run\n").clips
    assert clip.name == "train/run/e.mp4"
    with pytest.raises(UserError, match=r"line 2: train\\run\\gone\.mp4: no such file in .*; nor is there train/run/gone\.mp4"):
        listed("path,label\ntrain\\run\\gone.mp4,run\n")


def test_two_labels_on_two_lines_are_explained(listed):
    with pytest.raises(UserError, match=r"listed twice with other labels; .* name the column `labels` and write 'run;wave' on one line"):
        listed("path,label\na.mp4,run\na.mp4,wave\n")


@pytest.mark.parametrize(
    "text",
    [
        f"path,label\na.mp4,{'x' * 200_000}\n",
        'path,label\na.mp4,"never closed\n' + "b.mp4,run\n" * 20_000,
        b"path,label\na.mp4,ru\0n\n",
        "path,label,label\na.mp4,run,sit\n",
        "path,label\n" + "x" * 5000 + ".mp4,run\n",
        b"\xff\xfea",
        bytes(range(256)),
    ],
)
def test_a_list_that_is_none_is_one_line(listed, text):
    with pytest.raises(UserError) as error:
        listed(text)
    one_line(error, "list.csv")


def test_segments_that_are_close_have_names_of_their_own(listed, tmp_path):
    films.write(tmp_path / "a.mp4", films.scene(100, 16, 16, 3))
    listed("path,label,start,end\na.mp4,run,1.001,2.001\na.mp4,run,1.0010004,2.0010004\n")
    summary = prepare("csv", tmp_path / "list.csv", name="mine", data_dir=tmp_path / "data", workers=1)
    assert summary.clips == 2
    found = listed("path,label,start,end\na.mp4,run,1000.001,1010.001\na.mp4,run,1000.004,1010.004\n")
    assert [clip.name for clip in found.clips] == ["a.mp4@1000.001-1010.001", "a.mp4@1000.004-1010.004"]


@pytest.mark.parametrize("pair", [("01", "1"), ("Run", "run"), ("e\u0301", "\u00e9"), (" run", "run")])
def test_class_names_that_are_likely_one_are_refused(tmp_path, contents, pair):
    make(tmp_path / "videos", [f"train/{label}/a.mp4" for label in pair], contents)
    with pytest.raises(UserError, match="are probably the same"):
        read_layout("folder", tmp_path / "videos")


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "a\x1b[2J", "a\u2028b", " "])
def test_class_names_that_would_be_torn_are_refused(tmp_path, contents, name):
    make(tmp_path / "videos", [f"train/{label}/a.mp4" for label in (name, "c", "d")], contents)
    with pytest.raises(UserError, match="a class is named"):
        read_layout("folder", tmp_path / "videos")


def test_class_names_come_back_as_they_are(tmp_path, contents):
    names = [" a", "$\\foo$", "b ", "c;d", "ünï", "\u00a0x", "[red]", "日本"]
    make(tmp_path / "videos", [f"train/{label}/v.mp4" for label in names], contents)
    prepare("folder", tmp_path / "videos", name="mine", data_dir=tmp_path, workers=1)
    dataset = open_dataset("mine", tmp_path)
    assert sorted(dataset.labels) == sorted(names)
    assert {record["name"]: dataset.labels[record["label"]] for record in dataset.source("train")} == {
        f"train/{label}/v.mp4": label for label in names
    }


def test_a_header_of_a_million_columns_is_a_short_line(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text(",".join(f"c{i}" for i in range(1_000_000)) + "\n")
    with pytest.raises(UserError, match=r"c19 and 999,980 more$"):
        read_layout("csv", path, Reading())


def test_a_test_split_without_labels_is_to_be_predicted(listed, tmp_path):
    """As the publishers' lists of Kinetics and Something-Something are."""
    rows = "path,label,verb,noun,split\na.mp4,run,take,cup,train\nb.mp4,sit,put,pan,train\n"
    found = listed(f"{rows}c.mp4,,put,,test\nd.mp4, ,,,test\n")
    assert [(clip.split, clip.label) for clip in found.clips[2:]] == [("test", None), ("test", None)]
    assert (found.unlabelled, found.labels) == (("test",), ("run", "sit"))
    assert any("list.csv has no labels: split test is to be predicted" in line for line in found.remarks)
    prepare("csv", tmp_path / "list.csv", name="mine", data_dir=tmp_path, workers=1)
    dataset = open_dataset("mine", tmp_path)
    assert [(record["name"], record["label"]) for record in dataset.any_source("test")] == [("c.mp4", -1), ("d.mp4", -1)]
    with pytest.raises(UserError, match="split test of data set mine has no labels"):
        dataset.source("test")
    both = listed(f"{rows}c.mp4,run,put,,test\n", heads=("verb", "noun"))
    assert both.clips[2].label == {"verb": "put", "noun": None}
    assert both.labels == {"verb": ("put", "take"), "noun": ("cup", "pan")}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a.mp4,run,train\nb.mp4,,train\nc.mp4,,test\n", r"line 3: the label is empty$"),
        ("a.mp4,run,train\nb.mp4,,validation\n", r"line 3: the label is empty$"),
        ("a.mp4,run,train\nb.mp4,run,test\nc.mp4,,test\n", "line 4: the label is empty, as on 1 of 2 lines of test"),
        ("a.mp4,,test\n", "no video has a label"),
    ],
)
def test_an_empty_label_elsewhere_is_refused_in_one_line(listed, rows, message):
    with pytest.raises(UserError, match=message) as error:
        listed(f"path,label,split\n{rows}")
    one_line(error, "list.csv")


LIST = "path,label,split\na.mp4,run,train\nb.mp4,walk,train\nc.mp4,run,test\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"# from, my, archive\n{LIST}", ("1 line left out as a comment, beginning with #: line 1",)),
        (LIST.replace("b.mp4", "#  then\n\n # the rest\nb.mp4"), ("2 lines left out as comments, beginning with #: line 3, 5",)),
        (f"sep=;\n{LIST.replace(',', ';')}", ()),
    ],
)
def test_comments_are_left_out_and_named(listed, text, told):
    found = listed(text)
    assert [(clip.name, clip.label, clip.split) for clip in found.clips] == [
        ("a.mp4", "run", "train"),
        ("b.mp4", "walk", "train"),
        ("c.mp4", "run", "test"),
    ]
    assert found.remarks == told


def test_a_video_whose_name_begins_with_a_number_sign_is_no_comment(listed, tmp_path):
    films.write(tmp_path / "#1 smile.avi", films.scene(4), codec="mpeg4")
    for text in ("#1 smile.avi,run\n", "#1 smile.avi run\n", "path,label\n#1 smile.avi,run\n"):
        assert [clip.name for clip in listed(text).clips] == ["#1 smile.avi"]
    with pytest.raises(UserError, match=r"#2\.avi: no such file in .*; a line with # is a comment only if it names no video"):
        listed("path,label\n#2.avi,run\n")


@pytest.mark.fault(
    promise="A list that cannot be read is refused in one line that suggests what was meant",
    provoked="titles above the header, the header twice, a misspelt column, other separators, open and other quotes, commas in names, "
    "paths in another case, without or with another suffix, addresses, and ~",
    seen="the file, the line, and what to write instead; exit code 2",
    trials=15,
)
@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"My videos\n\n{LIST}", "line 3: the header is here, below other lines: put it first"),
        (f"My videos,,\n{LIST}", "line 2: the header is here"),
        (LIST + "Path, Label,Split\n", "line 5: this line repeats the header"),
        (LIST.replace("label", "lable"), r"is 'lable' meant to be label\?"),
        (LIST.replace(",", "|"), "cells must be separated by commas, semicolons or tabs"),
        (LIST.replace(",", " "), "cells must be separated by commas, semicolons or tabs"),
        (LIST.replace("a.mp4", '"a.mp4'), r"expected 3 columns .* is a quote left open\?"),
        (LIST.replace("a.mp4", "a, too.mp4"), "got 4; a cell that holds a comma must stand in double quotes"),
        (LIST.replace("a.mp4", "'a.mp4'"), "no such file in .*; only double quotes"),
        (LIST.replace("a.mp4", "“a.mp4”"), "no such file in .*; only double quotes"),
        (LIST.replace("a.mp4", "A.MP4"), "no such file in .*; there is a.mp4"),
        (LIST.replace("a.mp4", "a"), "no such file in .*; there is a.mp4"),
        (LIST.replace("a.mp4", "a.avi"), "no such file in .*; there is a.mp4"),
        (LIST.replace("a.mp4", "https://example.org/a.mp4"), "it is an address"),
        (LIST.replace("a.mp4", "~/a.mp4"), "write the path out"),
    ],
)
def test_an_error_in_a_list_says_what_may_be_meant(listed, text, told):
    with pytest.raises(UserError, match=told) as error:
        listed(text)
    one_line(error, "list.csv")


@pytest.mark.parametrize(
    ("name", "told"), [("list.xlsx", "a spreadsheet; save its table as CSV"), ("list.json", "JSON"), ("list.parquet", "a binary table")]
)
def test_a_file_that_is_no_list_by_its_name_says_what_to_make_of_it(tmp_path, name, told):
    (tmp_path / name).write_bytes(b"PK\x03\x04")
    with pytest.raises(UserError, match=f"{name}: {told}"):
        read_layout("csv", tmp_path / name)


def test_accents_as_two_characters_are_taken_for_those_of_one(listed, tmp_path):
    films.write(tmp_path / "übung.mp4", films.scene(4))
    for form in ("NFC", "NFD"):
        found = listed(f"path,label\n{unicodedata.normalize(form, 'übung.mp4')},run\n")
        assert [clip.source for clip in found.clips] == [tmp_path / "übung.mp4"]


def test_a_set_without_train_and_splits_that_are_misspelt_are_remarked(listed):
    assert "warning: there is no split train to learn from, only val, test" in listed(LIST.replace("train", "val")).remarks
    found = listed(LIST.replace("test", "tset") + "d.mp4,run,holdout\n")
    assert [remark for remark in found.remarks if "split" in remark] == ["warning: split tset is one of its own: is test meant?"]
    found = listed(LIST.replace("test", "validaton"))
    assert "warning: split validaton is one of its own: is val meant?" in found.remarks


def test_copies_with_other_labels_are_warned_of_and_links_to_one_file_refused(listed, tmp_path):
    content = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "copy.mp4").write_bytes(content)
    found = listed("path,label\na.mp4,run\ncopy.mp4,walk\n")
    assert "warning: 1 video is a copy of another, with other labels: a.mp4 and copy.mp4" in found.remarks
    assert not any("copy" in remark for remark in listed("path,label\na.mp4,run\ncopy.mp4,run\nb.mp4,walk\n").remarks)
    (tmp_path / "link.mp4").symlink_to(tmp_path / "a.mp4")
    with pytest.raises(UserError, match=r"a\.mp4 and link\.mp4 are one file, by a link or another spelling, with other labels"):
        listed("path,label\na.mp4,run\nlink.mp4,walk\n")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("label,youtube_id,time_strat,time_end,split\n", r"found no time_start; is 'time_strat' meant to be time_start\?"),
        (
            "label,youtube_id,time_start,time_end,split\nrun,a, b,0,1,train\n",
            "got 6; a cell that holds a comma must stand in double quotes",
        ),
        ('label,youtube_id,time_start,time_end,split\n"run,a,0,1,train\nb,c\n', r"is a quote left open\?"),
        ("label,youtube_id,time_start,time_end,split\nrün,a,0,1,train\n".encode("cp1252"), "not UTF-8 at byte .*; save the list as UTF-8"),
    ],
)
def test_published_lists_have_the_same_hints(tmp_path, text, told):
    (tmp_path / "train.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=told) as error:
        read_layout("kinetics", tmp_path)
    one_line(error, str(tmp_path))
