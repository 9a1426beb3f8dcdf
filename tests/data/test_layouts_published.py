"""The sets that people have, laid out as their publishers hand them out: names, headers and folders are theirs, and real videos."""

import json
import os

import av
import films
import numpy as np
import pytest

from vivit_jax import cli
from vivit_jax.data.dataset import open_dataset
from vivit_jax.data.layouts import Reading, read_layout
from vivit_jax.data.preparation.prepare import prepare
from vivit_jax.data.video.reader import decode_frames
from vivit_jax.errors import UserError

CODECS = {".avi": ("mpeg4", "yuv420p"), ".webm": ("libvpx-vp9", "yuv420p")}


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Puts a video of its own at a path, in the container and codec of its suffix; each is encoded once."""
    folder = tmp_path_factory.mktemp("films")

    def put(path, seed):
        suffix = path.suffix.lower()
        made = folder / f"{seed}{suffix}"
        if not made.exists():
            codec, pixels = CODECS.get(suffix, ("libx264", "yuv420p"))
            films.write(made, films.scene(8, 32, 48, seed), codec=codec, pixels=pixels)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(made, path)

    return put


def lay(root, film, videos, **texts):
    """Videos below `root`, and lists by name."""
    for seed, name in enumerate(videos):
        film(root / name, seed)
    for name, text in texts.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if isinstance(text, str) else json.dumps(text))
    return root


def told(found):
    return {(clip.split, clip.name, clip.label) for clip in found.clips}


def remark(found, *words):
    return any(all(word in line for word in words) for line in found.remarks)


def refused(layout, source, message, **reading):
    with pytest.raises(UserError, match=message) as error:
        read_layout(layout, source, Reading(**reading))
    assert "\n" not in str(error.value)


# Kinetics

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
    assert missing == ["split,name", "train,gone_video0_000005_000015", "train,gone_video1_000000_000010"]
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


def test_lists_of_slowfast_and_mmaction2(tmp_path, film):
    names = ("videos_train/abseiling/0wR5jVB-WPk_000417_000427.mp4", "videos_train/zumba/a.mp4", "videos_val/abseiling/b.mp4")
    lists = {
        "kinetics400_train_list_videos.txt": "abseiling/0wR5jVB-WPk_000417_000427.mp4 0\nzumba/a.mp4 1\nzumba/gone.mp4 1\n",
        "kinetics400_val_list_videos.txt": "abseiling/b.mp4 0\n",
    }
    lay(tmp_path / "mm", film, names, **lists, **{"label_map_k400.txt": "abseiling\nzumba\n"})
    found = read_layout("kinetics", tmp_path / "mm")
    assert {(split, label) for split, _, label in told(found)} == {("train", "abseiling"), ("train", "zumba"), ("val", "abseiling")}
    assert len(found.missing) == 1
    folder = tmp_path / "slowfast"
    lay(folder / "videos", film, ("x.mp4", "y.mp4", "z.mp4"))
    (folder / "train.csv").write_text(f"{folder}/videos/x.mp4 0\n{folder}/videos/y.mp4 10\n")
    (folder / "val.csv").write_text(f"{folder}/videos/z.mp4 10\n")
    found = read_layout("kinetics", folder)
    assert [(clip.split, clip.label, clip.source.name) for clip in found.clips] == [
        ("train", "0", "x.mp4"),
        ("train", "10", "y.mp4"),
        ("val", "10", "z.mp4"),
    ]
    assert found.labels == ("0", "10")
    assert remark(found, "classes are called by their numbers")


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
        ("a.mp4 zero\n", r"train\.csv line 1: the class must be a whole number, got 'zero'"),
    ],
)
def test_slips_of_kinetics_are_refused_by_line(tmp_path, text, message):
    (tmp_path / "train.csv").write_text(text)
    refused("kinetics", tmp_path, message)


# Something-Something v2

SSV2_LABELS = {
    "Holding something next to something": "0",
    "Pushing something from left to right": "1",
    "Tearing something into two pieces": "2",
}
SSV2_TRAIN = [
    {
        "id": "78687",
        "label": "holding potato next to vicks vaporub bottle",
        "template": "Holding [something] next to [something]",
        "placeholders": ["potato", "vicks vaporub bottle"],
    },
    {"id": "42326", "label": "pushing cup", "template": "Pushing [something] from left to right", "placeholders": ["cup"]},
    {"id": "100904", "label": "tearing paper", "template": "Tearing [something] into two pieces", "placeholders": ["paper"]},
]


@pytest.mark.parametrize("prefix", ["something-something-v2-", ""])
def test_ssv2(tmp_path, film, prefix):
    names = [f"20bn-something-something-v2/{number}.webm" for number in (78687, 42326, 74225, 1420)]
    lists = {"labels": SSV2_LABELS, "train": SSV2_TRAIN, "validation": [SSV2_TRAIN[1] | {"id": "74225"}], "test": [{"id": "1420"}]}
    lay(tmp_path, film, names, **{f"labels/{prefix}{name}.json": value for name, value in lists.items()})
    found = read_layout("ssv2", tmp_path / "20bn-something-something-v2", Reading(annotations=(tmp_path / "labels",)))
    assert told(found) == {
        ("train", "78687", "Holding something next to something"),
        ("train", "42326", "Pushing something from left to right"),
        ("val", "74225", "Pushing something from left to right"),
    }
    assert found.labels == tuple(SSV2_LABELS)
    assert found.missing == (("train", "100904"),)
    assert remark(found, "test.json has no labels")
    (tmp_path / "labels/test-answers.csv").write_text("1420;Tearing something into two pieces\n")
    assert ("test", "1420", "Tearing something into two pieces") in told(read_layout("ssv2", tmp_path))


def test_slips_of_ssv2_are_refused_by_entry(tmp_path, film):
    lay(tmp_path, film, ["1.webm"], **{"labels.json": SSV2_LABELS, "train.json": [{"id": "1", "template": "Eating [something]"}]})
    refused("ssv2", tmp_path, r"train\.json entry 1: 'Eating something' is none of the 3 classes")
    (tmp_path / "train.json").write_text('[{"id": "1"}]')
    refused("ssv2", tmp_path, "entry 1: expected an object with id, template, found no template")
    (tmp_path / "train.json").write_text("[")
    refused("ssv2", tmp_path, r"train\.json: not JSON")
    (tmp_path / "labels.json").write_text('{"a": "0", "b": "2"}')
    refused("ssv2", tmp_path, "must be numbered from 0 to 1")


# Epic-Kitchens-100

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


# UCF-101 and HMDB-51

UCF = {
    "ucfTrainTestlist/classInd.txt": "1 ApplyEyeMakeup\n2 ApplyLipstick\n",
    "ucfTrainTestlist/trainlist01.txt": "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\nApplyLipstick/v_ApplyLipstick_g08_c01.avi 2\n",
    "ucfTrainTestlist/testlist01.txt": "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi\nApplyLipstick/v_ApplyLipstick_g01_c01.avi\n",
    "ucfTrainTestlist/trainlist02.txt": "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi 1\nApplyLipstick/v_ApplyLipstick_g01_c01.avi 2\n",
    "ucfTrainTestlist/testlist02.txt": "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi\n",
}
UCF_VIDEOS = [f"UCF-101/{name}/v_{name}_{group}_c01.avi" for name in ("ApplyEyeMakeup", "ApplyLipstick") for group in ("g01", "g08")]


def test_ucf101_by_each_of_its_splits(tmp_path, film):
    lay(tmp_path, film, UCF_VIDEOS, **UCF)
    found = read_layout("ucf101", tmp_path)
    assert {(clip.split, clip.name, clip.label, clip.group) for clip in found.clips} == {
        ("train", "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi", "ApplyEyeMakeup", "ApplyEyeMakeup g08"),
        ("train", "ApplyLipstick/v_ApplyLipstick_g08_c01.avi", "ApplyLipstick", "ApplyLipstick g08"),
        ("test", "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi", "ApplyEyeMakeup", "ApplyEyeMakeup g01"),
        ("test", "ApplyLipstick/v_ApplyLipstick_g01_c01.avi", "ApplyLipstick", "ApplyLipstick g01"),
    }
    second = read_layout("ucf101", tmp_path / "UCF-101", Reading(annotations=(tmp_path / "ucfTrainTestlist",), split_number=2))
    assert {(clip.split, clip.group) for clip in second.clips} == {
        ("train", "ApplyEyeMakeup g01"),
        ("train", "ApplyLipstick g01"),
        ("test", "ApplyEyeMakeup g08"),
    }
    refused("ucf101", tmp_path, r"no trainlist03\.txt in .*by --annotations", split_number=3)
    (tmp_path / "ucfTrainTestlist/trainlist01.txt").write_text("Swim/v_Swim_g01_c01.avi 3\n")
    refused("ucf101", tmp_path, r"trainlist01\.txt line 1: 'Swim' is none of the 2 classes")


def test_hmdb51(tmp_path, film):
    names = ["April_09_brush_hair_u_nm_np1_ba_goo_0", "April_09_brush_hair_u_nm_np1_ba_goo_1", "#122_brush_hair_h_nm_np1_ba_med_0"]
    videos = [*(f"hmdb51_org/brush_hair/{name}.avi" for name in names), "hmdb51_org/wave/20060723_wave_f_cm_np1_ba_med_0.avi"]
    lists = {
        "testTrainMulti_7030_splits/brush_hair_test_split1.txt": f"{names[0]}.avi 1 \n{names[1]}.avi 2 \n{names[2]}.avi 0 \n",
        "testTrainMulti_7030_splits/wave_test_split1.txt": "20060723_wave_f_cm_np1_ba_med_0.avi 1 \n",
        "testTrainMulti_7030_splits/wave_test_split2.txt": "20060723_wave_f_cm_np1_ba_med_0.avi 2 \n",
    }
    lay(tmp_path, film, videos, **lists)
    found = read_layout("hmdb51", tmp_path)
    assert told(found) == {
        ("train", f"brush_hair/{names[0]}.avi", "brush_hair"),
        ("test", f"brush_hair/{names[1]}.avi", "brush_hair"),
        ("train", "wave/20060723_wave_f_cm_np1_ba_med_0.avi", "wave"),
    }
    assert found.labels == ("brush_hair", "wave")
    (tmp_path / "testTrainMulti_7030_splits/wave_test_split1.txt").write_text("x.avi 3\n")
    refused("hmdb51", tmp_path, r"wave_test_split1\.txt line 1: expected a video and 0, 1 or 2")


# Moments in Time and Sports-1M


def test_moments_takes_the_video_of_its_split(tmp_path, film):
    videos = [
        "training/adult+female+singing/yt-0BrVEG9SJyU_3.mp4",
        "training/clapping/getty-same_1.mp4",
        "validation/clapping/getty-same_1.mp4",
        "validation/adult+female+singing/flickr-1_2.mp4",
    ]
    lists = {
        "moments_categories.txt": "clapping,0\nadult+female+singing,1\n",
        "trainingSet.csv": "adult+female+singing/yt-0BrVEG9SJyU_3.mp4,adult+female+singing,3,0\nclapping/getty-same_1.mp4,clapping,4,1\n",
        "validationSet.csv": "clapping/getty-same_1.mp4,clapping,3,0\nclapping/gone_1.mp4,clapping,3,0\n",
    }
    found = read_layout("moments", lay(tmp_path, film, videos, **lists))
    assert [(clip.split, clip.name, clip.source.relative_to(tmp_path).as_posix()) for clip in found.clips] == [
        ("train", "adult+female+singing/yt-0BrVEG9SJyU_3.mp4", videos[0]),
        ("train", "clapping/getty-same_1.mp4", videos[1]),
        ("val", "clapping/getty-same_1.mp4", videos[2]),
    ]
    assert found.labels == ("clapping", "adult+female+singing")
    assert found.missing == (("val", "clapping/gone_1.mp4"),)


@pytest.mark.parametrize("form", ["txt", "json"])
def test_sports1m_keeps_all_labels(tmp_path, film, form):
    rows = {"train": [("Rzyb0ClmcB0", [1]), ("GtSMxi0kJMM", [0, 2])], "test": [("2WkOvqe-asM", [2])]}
    if form == "txt":
        url = "https://www.youtube.com/watch?v="
        lists = {
            f"cross-validation/{split}_partition.txt": "".join(f"{url}{name} {','.join(map(str, numbers))}\n" for name, numbers in of)
            for split, of in rows.items()
        }
    else:
        lists = {
            f"sports1m_{split}.json": [{"id": name, "source487": split, "label487": numbers, "duration": 9} for name, numbers in of]
            for split, of in rows.items()
        }
    videos = [f"videos/{name}.mp4" for of in rows.values() for name, _ in of]
    lay(tmp_path, film, videos, **lists, **{"labels.txt": "aquabike\naquathlon (ancient)\nyoyo\n"})
    found = read_layout("sports1m", tmp_path)
    assert told(found) == {
        ("train", "Rzyb0ClmcB0", ("aquathlon (ancient)",)),
        ("train", "GtSMxi0kJMM", ("aquabike", "yoyo")),
        ("test", "2WkOvqe-asM", ("yoyo",)),
    }
    assert found.multi_label


# What all of them share


def test_a_published_copy_of_a_video_is_told_and_a_foreign_option_refused(tmp_path, film):
    lay(tmp_path, film, UCF_VIDEOS[:3], **UCF)
    film(tmp_path / UCF_VIDEOS[3], 0)
    assert remark(read_layout("ucf101", tmp_path), "warning: 1 videos are in two splits, as published")
    refused("ucf101", tmp_path, "layout ucf101 takes no --fps: it takes --root and --within and --annotations and --split_number", fps=5.0)
    refused("folder", tmp_path, "layout folder takes no --group", group="x")


def test_links_that_lead_out_or_round_are_kept_in_check(tmp_path, film):
    root = lay(tmp_path / "inside", film, UCF_VIDEOS[:1], **UCF)
    (root / "loop").symlink_to(root)
    film(tmp_path / "outside/v_ApplyLipstick_g08_c01.avi", 7)
    (root / "UCF-101/ApplyLipstick").symlink_to(tmp_path / "outside")
    assert len(read_layout("ucf101", root).clips) == 2
    refused("ucf101", root, "leads out of", within=root)


def test_a_long_video_is_opened_once_for_its_segments(tmp_path, shared_data, monkeypatch):
    """And only what is near the segments is decoded."""
    from vivit_jax.data.layouts.base import Clip
    from vivit_jax.data.preparation import transcode
    from vivit_jax.data.video import decoder

    indexed, decoded = [], []
    read_index, packet_decode = decoder.OpenVideo._read_index, decoder.OpenVideo._decode_wanted
    monkeypatch.setattr(decoder.OpenVideo, "_read_index", lambda self: indexed.append(1) or read_index(self))

    def counted(self, wanted):
        for frame in packet_decode(self, wanted):
            decoded.append(frame.pts)
            yield frame

    monkeypatch.setattr(decoder.OpenVideo, "_decode_wanted", counted)
    path = tmp_path / "long.mp4"
    films.write(path, films.scene(500, 32, 32), options={"g": "25"})
    clips = [Clip(f"{n}", "train", "x", path, start, start + 0.4) for n, start in enumerate((1.0, 9.2, 17.6))]
    clips.append(Clip("late", "train", "x", path, 100.0, 101.0))
    (job,) = transcode.of_one_video(clips)
    results = transcode.transcode_together(job, 256)
    assert [getattr(result, "frames", None) for result in results] == [10, 10, 10, None]
    assert results[3].reason == "late: it has 0 frames, which is no video"
    assert len(indexed) == 1
    assert len(decoded) < 4 * 35
    alone = [transcode.transcode(clip, 256) for clip in clips[:3]]
    assert [result.video for result in results[:3]] == [result.video for result in alone]
    assert av.open(str(path)).streams.video[0].frames == 500
