import argparse
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from fractions import Fraction

import films
import numpy as np
import pytest
import tensorflow_datasets as tfds

from vivit_jax.commands import prepare as command
from vivit_jax.data.dataset import ensure_dataset, open_dataset
from vivit_jax.data.layouts import motion_digits
from vivit_jax.data.layouts.base import Annotations, Clip
from vivit_jax.data.preparation.making import jobs_of
from vivit_jax.data.preparation.prepare import RefusedError, prepare
from vivit_jax.data.preparation.transcode import frames_at_constant_rate, transcode
from vivit_jax.data.video.reader import decode_frames, probe, stream_frames
from vivit_jax.errors import UserError


def make_folder(root, counts=((("train", "a"), 3), (("train", "b"), 2), (("test", "a"), 1), (("test", "b"), 1))):
    seed = 0
    for (split, label), count in counts:
        folder = root / split / label
        folder.mkdir(parents=True)
        for number in range(count):
            seed += 1
            films.write(folder / f"{number}.mp4", films.scene(12 + seed, 32, 40, seed))
    return root


def clip(path, **options):
    return Clip(path.name, "train", "a", path, **options)


def fingerprint(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_real_clips_survive_the_round_trip(tmp_path, shared_data):
    source = tmp_path / "originals"
    for number, original in enumerate(sorted((shared_data / "drone_ir_original").glob("*.mp4"))):
        label = original.name.split("_")[1].lower()
        folder = source / ("test" if number % 3 == 2 else "train") / label
        folder.mkdir(parents=True, exist_ok=True)
        (folder / original.name).symlink_to(original)
    summary = prepare("folder", source, name="ir", data_dir=tmp_path / "data", short_side=64, workers=2)

    assert summary.clips == 12
    assert not summary.refused
    dataset = open_dataset("ir", tmp_path / "data")
    assert dataset.labels == ("airplane", "bird", "drone", "helicopter")
    assert dataset.splits == {"train": 8, "test": 4}
    for split in dataset.splits:
        for record in dataset.source(split):
            original = source / record["name"]
            info = probe(original)
            assert dataset.labels[record["label"]] == original.parent.name
            assert (record["frames"], record["height"], record["width"]) == (info.frames, 64, 80)
            assert record["fps"] == pytest.approx(float(info.fps))
            assert probe(record["video"]).frames == info.frames
    stored = decode_frames(record["video"], [0, 150, 299])
    theirs = decode_frames(original, [0, 150, 299])
    pooled = theirs.reshape(3, 64, 4, 80, 4, 3).mean((2, 4))
    assert np.abs(stored - pooled).mean() < 2


def test_the_result_is_an_ordinary_tfds_data_set(tmp_path):
    prepare("folder", make_folder(tmp_path / "videos"), name="plain", data_dir=tmp_path, workers=1)
    builder = tfds.builder_from_directory(str(tmp_path / "plain" / "1.0.0"))
    assert builder.info.features["label"].names == ["a", "b"]
    records = builder.as_data_source("train[:2]")
    assert len(records) == 2
    assert probe(records[0]["video"]).frames == records[0]["frames"]
    assert "tensorflow" not in sys.modules


def test_no_temporary_folder_is_left_behind(tmp_path, monkeypatch):
    """tfds leaves one each time."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    prepare("folder", make_folder(tmp_path / "videos"), name="clean", data_dir=tmp_path, workers=1)
    assert not list(folder.iterdir())


def test_bytes_do_not_depend_on_the_number_of_workers(tmp_path):
    source = make_folder(tmp_path / "videos")
    for workers in (1, 3):
        prepare("folder", source, name="same", data_dir=tmp_path / str(workers), workers=workers)
    assert fingerprint(tmp_path / "1") == fingerprint(tmp_path / "3")


def test_smaller_videos_are_not_enlarged_and_larger_ones_keep_their_shape(tmp_path):
    path = films.write(tmp_path / "a.mp4", films.scene(4, 90, 160))
    for short_side, size in ((256, (90, 160)), (90, (90, 160)), (60, (60, 106)), (32, (32, 56))):
        stored = transcode(clip(path), short_side)
        assert (stored.facts.height, stored.facts.width) == size
        assert (probe(stored.video).height, probe(stored.video).width) == size


@pytest.mark.fault(
    promise="Odd, rotated and wide videos are stored as a player shows them",
    provoked="a video of each kind",
    seen="each is named with what was changed",
    trials=3,
)
def test_odd_rotated_and_wide_videos_are_mended_and_named(tmp_path):
    cases = {
        "odd.mkv": (
            films.write(tmp_path / "odd.mkv", films.scene(4, 47, 63), codec="ffv1", pixels="bgr0"),
            (46, 62),
            "cropped to even sides",
        ),
        "phone.mp4": (films.rotated(tmp_path / "phone.mp4", films.scene(4)), (64, 48), "rotated"),
        "wide.mp4": (films.write(tmp_path / "wide.mp4", films.scene(4), aspect=Fraction(3, 2)), (48, 96), "made square in pixels"),
    }
    for path, size, change in cases.values():
        stored = transcode(clip(path), 256)
        assert (stored.facts.height, stored.facts.width) == size
        assert change in stored.facts.changes


def test_sound_is_dropped(tmp_path):
    import av

    stored = transcode(clip(films.write(tmp_path / "a.mp4", films.scene(), audio=20)), 256)
    saved = tmp_path / "saved.mp4"
    saved.write_bytes(stored.video)
    with av.open(str(saved)) as container:
        assert [stream.type for stream in container.streams] == ["video"]


@pytest.mark.fault(
    promise="A variable frame rate becomes constant",
    provoked="frames at uneven times",
    seen="each moment in its place",
    trials=1,
)
def test_a_variable_rate_becomes_constant_with_each_moment_in_its_place(tmp_path):
    """Ten frames at 25 fps, a pause of a second, ten more: the pause is as long as before, and shows its last and next frame."""
    times = [40 * number for number in range(10)] + [1400 + 40 * number for number in range(10)]
    path = films.write(tmp_path / "a.mkv", films.scene(20), times=times)
    stored = transcode(clip(path), 256)
    assert stored.facts.changes == ("made constant in rate",)
    assert stored.facts.frames / float(stored.facts.fps) == pytest.approx(1.8, abs=0.1)
    originals = np.stack(list(stream_frames(path))).astype(int)
    shown = decode_frames(stored.video, range(stored.facts.frames)).astype(int)
    nearest = [int(np.abs(originals - frame).mean((1, 2, 3)).argmin()) for frame in shown]
    for number, frame in enumerate(nearest):
        assert abs(times[frame] / 1000 - number / float(stored.facts.fps)) <= 0.55


def test_constant_rate_shows_the_nearest_frame():
    numbers, constant = frames_at_constant_rate(np.arange(5) * 0.1, Fraction(10))
    assert (numbers.tolist(), constant) == ([0, 1, 2, 3, 4], True)
    numbers, constant = frames_at_constant_rate(np.array([0, 0.1, 0.2, 0.9, 1.0]), Fraction(5))
    assert (numbers.tolist(), constant) == ([0, 2, 2, 3, 3, 4], False)
    numbers, _ = frames_at_constant_rate(np.arange(100) * 0.04, Fraction(25), start=0.4, end=0.8)
    assert numbers.tolist() == list(range(10, 20))


def test_start_and_end_cut_a_clip_out(tmp_path):
    frames = films.scene(60)
    path = films.write(tmp_path / "a.mp4", frames)
    stored = transcode(clip(path, start=0.8, end=1.6), 256)
    assert stored.facts.frames == 20
    assert np.abs(decode_frames(stored.video, range(20)).astype(int) - frames[20:40]).mean() < 6
    with pytest.raises(UserError, match="it has 0 frames"):
        transcode(clip(path, start=50.0, end=60.0), 256)


@pytest.fixture(scope="module")
def bad_source(tmp_path_factory):
    source = make_folder(tmp_path_factory.mktemp("bad") / "videos")
    train, frames = source / "train/a", films.scene(40, 96, 128)
    (train / "empty.mp4").touch()
    (train / "text.mp4").write_text("not a video")
    films.only_sound(train / "sound.mp4")
    films.truncated(train / "truncated.mp4", frames)
    films.damaged(train / "damaged.mp4", frames)
    films.write(train / "photo.mp4", frames[:1])
    return source


BAD = {
    "empty.mp4": "the file is empty",
    "text.mp4": "cannot be read as a video",
    "sound.mp4": "has no video stream",
    "truncated.mp4": "cut off|cannot be read",
    "damaged.mp4": "cannot be read|damaged",
    "photo.mp4": "it has 1 frame, which is not a video",
}


@pytest.mark.fault(
    promise="Bad videos stop a preparation unless they are tolerated",
    provoked="an empty, a text, a sound, a truncated, a damaged and a one-frame file among 13 videos",
    seen="each by name with its reason, `6 of 13 videos cannot be stored`; nothing is left on the disk",
    trials=6,
)
def test_bad_videos_stop_the_preparation_are_all_named_and_nothing_is_left(tmp_path, bad_source):
    with pytest.raises(RefusedError) as error:
        prepare("folder", bad_source, name="bad", data_dir=tmp_path, workers=2)
    assert "6 of 13 videos cannot be stored, 0 tolerated" in str(error.value)
    assert "\n" not in str(error.value)
    reasons = {name.removeprefix("train/a/"): reason for _, name, reason in error.value.rows}
    assert reasons.keys() == BAD.keys()
    for name, expected in BAD.items():
        assert any(part in reasons[name] for part in expected.split("|")), (name, reasons[name])
        assert name in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.fault(
    promise="Tolerated bad videos are counted and named",
    provoked="the same six files with a tolerance of five, and of a half",
    seen="the summary and preparation.json name each",
    trials=2,
)
def test_tolerated_bad_videos_are_left_out_counted_and_named(tmp_path, bad_source):
    with pytest.raises(RefusedError):
        prepare("folder", bad_source, name="bad", data_dir=tmp_path, tolerate=5)
    summary = prepare("folder", bad_source, name="bad", data_dir=tmp_path, tolerate=0.5)
    assert summary.clips == 7
    assert {name.removeprefix("train/a/") for _, name, _ in summary.refused} == BAD.keys()
    assert open_dataset("bad", tmp_path).splits == {"train": 5, "test": 2}
    assert all(name in (tmp_path / "bad/1.0.0/preparation.json").read_text() for name in BAD)


@pytest.mark.fault(
    promise="A split that would be empty is refused",
    provoked="the only video of test is a text",
    seen="`every video of test was refused`, and the first by name",
    trials=1,
)
def test_a_split_of_which_nothing_is_left_is_refused(tmp_path):
    source = make_folder(tmp_path / "videos", ((("train", "a"), 2), (("test", "a"), 1)))
    (source / "test/a/0.mp4").write_text("not a video")
    with pytest.raises(UserError, match=r"every video of test was refused; the first, test/a/0\.mp4: cannot be read as a video"):
        prepare("folder", source, name="gone", data_dir=tmp_path / "data", tolerate=5)
    assert not list((tmp_path / "data").iterdir())


def test_a_class_of_which_no_training_video_is_left_is_told(tmp_path):
    source = make_folder(tmp_path / "videos", ((("train", "a"), 2), (("train", "b"), 1), (("test", "b"), 1)))
    (source / "train/b/0.mp4").write_text("not a video")
    summary = prepare("folder", source, name="lost", data_dir=tmp_path / "data", tolerate=1, workers=1)
    assert "warning: every training video of class b was refused, so that no model learns it" in summary.remarks


def test_a_list_with_a_missing_file_and_without_splits_by_keywords(tmp_path):
    videos = make_folder(tmp_path / "videos", ((("x", "a"), 4), (("x", "b"), 4)))
    rows = [f"x/{label}/{number}.mp4,{label},person {number}" for label in "ab" for number in range(4)]
    (videos / "list.csv").write_text("\n".join(["path,label,person", *rows, "x/a/gone.mp4,a,person 0"]))
    how = {"name": "people", "data_dir": tmp_path / "data", "workers": 1, "split": "50,25,25", "group": "person"}
    with pytest.raises(UserError, match=r"line 10: x/a/gone\.mp4: no such file in .*--tolerate 1"):
        prepare("csv", videos / "list.csv", **how)
    summary = prepare("csv", videos / "list.csv", **how, tolerate=1)
    assert summary.refused == [("train", "x/a/gone.mp4", "no such file")]
    assert open_dataset("people", tmp_path / "data").splits == {"train": 4, "val": 2, "test": 2}
    with pytest.raises(UserError, match="unknown argument 'groups': did you mean 'group'"):
        prepare("csv", videos / "list.csv", name="other", data_dir=tmp_path / "data", groups="person")


def test_rates_far_apart_are_told_with_the_key_that_mends_them(tmp_path, capsys):
    for label, fps in (("a", 15), ("b", 60)):
        folder = tmp_path / "videos" / "train" / label
        folder.mkdir(parents=True)
        films.write(folder / "0.mp4", films.scene(), fps=fps)
    command.print_summary(prepare("folder", tmp_path / "videos", name="rates", data_dir=tmp_path / "data", workers=1))
    assert "videos have 15 to 60 frames a second: " in capsys.readouterr().out


def test_an_existing_name_is_refused_or_replaced_whole(tmp_path):
    source = make_folder(tmp_path / "videos")
    prepare("folder", source, name="twice", data_dir=tmp_path / "data")
    before = fingerprint(tmp_path / "data")
    with pytest.raises(UserError, match="exists already: choose another --name, or give --overwrite"):
        prepare("folder", source, name="twice", data_dir=tmp_path / "data")
    assert fingerprint(tmp_path / "data") == before
    prepare("folder", source, name="twice", data_dir=tmp_path / "data", short_side=16, overwrite=True)
    assert open_dataset("twice", tmp_path / "data").source("train")[0]["height"] == 16
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["twice"]


@pytest.mark.fault(
    promise="A killed preparation leaves nothing that looks like a data set",
    provoked="SIGKILL while clips are written",
    seen="`no data set 'cut'`; the next preparation clears what is left",
    trials=1,
)
def test_killed_in_the_middle_it_leaves_nothing_that_looks_like_a_data_set(tmp_path):
    source, data = make_folder(tmp_path / "videos", ((("train", "a"), 60),)), tmp_path / "data"
    make = "from vivit_jax.data.preparation.prepare import prepare"
    code = f"{make}; prepare('folder', {str(source)!r}, name='cut', data_dir={str(data)!r}, workers=1)"
    process = subprocess.Popen(
        [sys.executable, "-c", code], start_new_session=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    )
    while not list(data.glob(".cut.preparing-*/cut/*")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with pytest.raises(UserError, match=r"no data set 'cut' in .*: there is none"):
        open_dataset("cut", data)
    left = list(data.iterdir())
    assert len(left) == 1
    prepare("folder", source, name="cut", data_dir=data)
    assert [path.name for path in data.iterdir()] == ["cut"]


def test_ordering_the_clips_of_a_large_data_set_takes_no_time(tmp_path):
    clips = [Clip(str(number), ("val", "train")[number % 2], "a", tmp_path / str(number)) for number in range(50_000)]
    began = time.process_time()
    jobs = jobs_of(Annotations(clips, ("a",)))
    assert time.process_time() - began < 5  # a look at all clips for each took a minute
    assert [job[0].split for job in jobs] == ["train"] * 25_000 + ["val"] * 25_000


@pytest.mark.parametrize("name", ["Upper", "with-dash", "9", "", "a/b"])
def test_names_that_tfds_does_not_take_are_refused(tmp_path, name):
    with pytest.raises(UserError, match="a data set's name must be"):
        prepare("folder", tmp_path, name=name, data_dir=tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    source = make_folder(tmp_path / "videos")
    (tmp_path / "data").mkdir(mode=0o500)
    with pytest.raises(UserError, match="cannot write to"):
        prepare("folder", source, name="ro", data_dir=tmp_path / "data")


def test_the_command_prints_counts_and_nothing_of_libraries(tmp_path, capfd):
    source = make_folder(tmp_path / "videos")
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    command.run(parser.parse_args(["folder", str(source), "--name", "told", "--data_dir", str(tmp_path / "data"), "--workers", "1"]))
    out, err = capfd.readouterr()
    assert "7 videos" in out
    assert "train" in out
    assert "Dataset" not in out + err
    assert "WARNING" not in out + err


def test_opening_what_is_not_there_says_what_is(tmp_path):
    prepare("folder", make_folder(tmp_path / "videos"), name="there", data_dir=tmp_path / "data")
    with pytest.raises(UserError, match=r"no data set 'their' in .*: there is there; make one with `vivit prepare`"):
        open_dataset("their", tmp_path / "data")
    dataset = open_dataset("there", tmp_path / "data")
    with pytest.raises(UserError, match="data set there has no split 'val': known are train, test"):
        dataset.source("val")
    assert len(dataset.source("train+test")) == 7


def test_motion_digits_is_made_when_first_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(motion_digits.motion_digits, "SPLITS", {"train": 16, "val": 8, "test": 8})
    dataset = ensure_dataset("motion_digits", tmp_path)
    assert dataset.splits == {"train": 16, "val": 8, "test": 8}
    video, label = motion_digits.motion_digits.render("train", 3)
    record = next(record for record in dataset.source("train") if record["name"] == "train/00003")
    assert record["label"] == label
    assert np.abs(decode_frames(record["video"], range(32)).astype(int) - video).mean() < 4
    before = (dataset.path / "dataset_info.json").stat().st_mtime_ns
    ensure_dataset("motion_digits", tmp_path)
    assert (dataset.path / "dataset_info.json").stat().st_mtime_ns == before


def test_a_split_that_outgrows_memory_is_shuffled_on_disk_into_the_same_set(tmp_path, monkeypatch):
    """As a split of more than 64 MB is; tfds alone needs TensorFlow from 1 GB on."""
    source = make_folder(tmp_path / "videos", ((("train", "a"), 6), (("train", "b"), 5), (("test", "a"), 3)))
    whole = prepare("folder", source, name="shuffled", data_dir=tmp_path / "memory", workers=1).path
    monkeypatch.setattr("vivit_jax.data.preparation.shuffling.MEMORY_BYTES", 2000)
    spilled = prepare("folder", source, name="shuffled", data_dir=tmp_path / "disk", workers=1).path
    files = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(spilled) for path in spilled.rglob("*") if path.is_file())
    for file in files:
        assert (spilled / file).read_bytes() == (whole / file).read_bytes(), file
