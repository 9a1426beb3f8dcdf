"""UCF-101, HMDB-51, Moments in Time and Sports-1M as their publishers hand them out, and what all published layouts share."""

import gzip

import pytest
from published_sets import UCF, UCF_VIDEOS, lay, refused, remark, told

from vivit_jax.data.layouts import Reading, read_layout


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
    refused("ucf101", tmp_path, r"trainlist01\.txt line 1: 'Swim' is not one of the 2 classes")


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


@pytest.mark.parametrize("form", ["txt", "gz", "json"])
def test_sports1m_keeps_all_labels(tmp_path, film, form):
    rows = {"train": [("Rzyb0ClmcB0", [1]), ("GtSMxi0kJMM", [0, 2])], "test": [("2WkOvqe-asM", [2])]}
    if form != "json":
        url = "https://www.youtube.com/watch?v="
        lists = {
            f"original/{split}_partition.txt": "".join(f"{url}{name} {','.join(map(str, numbers))}\n" for name, numbers in of)
            for split, of in rows.items()
        }
    else:
        lists = {
            f"sports1m_{split}.json": [{"id": name, "source487": split, "label487": numbers, "duration": 9} for name, numbers in of]
            for split, of in rows.items()
        }
    videos = [f"videos/{name}.mp4" for of in rows.values() for name, _ in of]
    lay(tmp_path, film, videos, **lists, **{"labels.txt": "aquabike\naquathlon (ancient)\nyoyo\n"})
    for path in (tmp_path / "original").glob("*.txt") if form == "gz" else ():
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    found = read_layout("sports1m", tmp_path)
    assert told(found) == {
        ("train", "Rzyb0ClmcB0", ("aquathlon (ancient)",)),
        ("train", "GtSMxi0kJMM", ("aquabike", "yoyo")),
        ("test", "2WkOvqe-asM", ("yoyo",)),
    }
    assert found.multi_label


def test_two_lists_of_one_name_that_differ_are_refused(tmp_path, film):
    """UCF-101 has other lists of the same names for another task, in a folder that comes first."""
    lay(tmp_path, film, UCF_VIDEOS, **UCF)
    other = tmp_path / "UCF101TrainTestSplits-DetectionTask/testlist01.txt"
    other.parent.mkdir()
    other.write_text("ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi\n")
    refused("ucf101", tmp_path, r"DetectionTask/testlist01\.txt and .*ucfTrainTestlist/testlist01\.txt differ: give .* by --annotations")
    assert len(read_layout("ucf101", tmp_path, Reading(annotations=(tmp_path / "ucfTrainTestlist",))).clips) == 4
    other.write_bytes(UCF["ucfTrainTestlist/testlist01.txt"].replace("\n", "\r\n").encode())
    assert len(read_layout("ucf101", tmp_path).clips) == 4
    (tmp_path / "ucfTrainTestlist/classInd.txt").unlink()
    (tmp_path / "classInd.txt.gz").write_bytes(b"no gzip")
    refused("ucf101", tmp_path, r"classInd\.txt\.gz: cannot be unpacked")


def test_a_published_copy_of_a_video_is_told_and_a_foreign_option_refused(tmp_path, film):
    lay(tmp_path, film, UCF_VIDEOS[:3], **UCF)
    film(tmp_path / UCF_VIDEOS[3], 0)
    assert remark(read_layout("ucf101", tmp_path), "warning: 1 videos are in two splits, as published")
    refused("ucf101", tmp_path, "layout ucf101 takes no --group: it takes --root and --within and --annotations and --fps and", group="x")
    refused("folder", tmp_path, "layout folder takes no --group: it takes --within and --split; layout csv does", group="x")


def test_links_that_lead_out_or_round_are_kept_in_check(tmp_path, film):
    root = lay(tmp_path / "inside", film, UCF_VIDEOS[:1], **UCF)
    (root / "loop").symlink_to(root)
    film(tmp_path / "outside/v_ApplyLipstick_g08_c01.avi", 7)
    (root / "UCF-101/ApplyLipstick").symlink_to(tmp_path / "outside")
    assert len(read_layout("ucf101", root).clips) == 2
    refused("ucf101", root, "leads out of", within=root)
