"""`vivit prepare` killed and started again: what is done is not done again, and the result is that of an undisturbed one, bit for bit."""

import errno
import functools
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction

import films
import listed_films
import pytest
from PIL import Image
from system_limits import largest_file

from vivit_jax.data.dataset import open_dataset
from vivit_jax.data.preparation import place
from vivit_jax.data.preparation.prepare import prepare
from vivit_jax.errors import UserError

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "JAX_PLATFORMS": "cpu"}


def hashes(folder):
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Forty videos, a damaged one, and one of which a list takes three segments."""
    splits = ["test" if number % 6 == 5 else "train" for number in range(40)]
    return listed_films.with_segments(tmp_path_factory.mktemp("videos"), splits, (50, 96, 128), long=(120, 96, 96), split="train")


def command(source, data):
    arguments = ["csv", str(source), "--name", "mine", "--data_dir", str(data), "--tolerate", "1", "--workers", "1"]
    return [sys.executable, "-m", "vivit_jax", "prepare", *arguments]


@pytest.mark.fault(
    promise="A killed preparation goes on where it was, and ends with the same bytes",
    provoked="SIGKILL at three random moments of `vivit prepare`, while clips are made and while the set is written",
    seen="each start takes up what the ones before had finished; every file equals that of an undisturbed preparation",
    trials=3,
)
def test_killed_three_times_the_result_is_that_of_an_undisturbed_one(source, tmp_path):
    prepare("csv", source, name="mine", data_dir=tmp_path / "whole", tolerate=1, workers=2)
    data, draw, done = tmp_path / "data", random.Random(), [0]
    for _ in range(3):
        process = subprocess.Popen(command(source, data), env=ENVIRONMENT, stdout=subprocess.DEVNULL)
        goal = draw.randint(done[-1] + 1, done[-1] + 5)
        while finished(data) < goal:
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.wait()
        done.append(finished(data))
        with pytest.raises(UserError, match="no data set 'mine'"):
            open_dataset("mine", data)
    assert done == sorted(done)
    last = subprocess.run(command(source, data), env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert last.returncode == 0, last.stderr
    assert int(re.search(r"(\d+) of them were finished", last.stdout)[1]) >= done[-1]
    assert hashes(data) == hashes(tmp_path / "whole")


def finished(data):
    """Clips in the journal, counted without its code: each has one `origin` in the lines of JSON."""
    return sum(path.read_bytes().count(b'"origin"') for path in data.glob(".mine.preparing-*/done"))


def interrupted(source, data, clips=5):
    """The journal of a preparation that was killed after some clips."""
    process = subprocess.Popen(command(source, data), env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    while finished(data) < clips:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    return next(data.glob(".mine.preparing-*/done"))


@pytest.mark.slow
def test_what_a_crash_damaged_or_the_source_changed_is_made_again(source, tmp_path):
    journal = interrupted(source, tmp_path / "data")
    whole = bytearray(journal.read_bytes())
    first = whole.index(b"ftyp")
    whole[first + 2000] ^= 1
    journal.write_bytes(bytes(whole[:-100]))  # a flipped bit in the first video, and the last cut off
    os.utime(source.parent / "1.mp4", (1, 1))
    summary = prepare("csv", source, name="mine", data_dir=tmp_path / "data", tolerate=1, workers=1)
    assert 1 <= summary.resumed < summary.clips
    prepare("csv", source, name="mine", data_dir=tmp_path / "whole", tolerate=1, workers=1)
    assert hashes(tmp_path / "data") == hashes(tmp_path / "whole")


@pytest.mark.slow
def test_videos_of_other_settings_are_not_taken(source, tmp_path):
    interrupted(source, tmp_path / "data")
    summary = prepare("csv", source, name="mine", data_dir=tmp_path / "data", tolerate=1, workers=1, short_side=32)
    assert summary.resumed == 0
    assert {record["height"] for record in open_dataset("mine", tmp_path / "data").source("train")} == {32}


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_done(source, tmp_path):
    data = tmp_path / "data"
    process = subprocess.Popen(command(source, data), env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while finished(data) < 3:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    (left,) = data.iterdir()
    assert [path.name for path in left.iterdir()] == ["done"]
    summary = prepare("csv", source, name="mine", data_dir=data, tolerate=1, workers=1)
    assert summary.resumed >= 3
    assert [path.name for path in data.iterdir()] == ["mine"]


@pytest.mark.fault(
    promise="A terminal that is closed ends a command as its signal says, and costs no work",
    provoked="the terminal goes away under `vivit prepare` and its progress bar",
    seen="exit code 129; the same command goes on",
    trials=1,
)
def test_a_closed_terminal_keeps_what_is_done(source, tmp_path):
    data, (ours, theirs) = tmp_path / "data", os.openpty()
    on_terminal = ["sh", "-c", 'exec "$@" <>"$0" >&0 2>&0', os.ttyname(theirs), *command(source, data)]  # a new session's first is its own
    process = subprocess.Popen(on_terminal, env=ENVIRONMENT, start_new_session=True)
    os.close(theirs)
    while finished(data) < 3:
        assert process.poll() is None
        time.sleep(0.01)
    os.close(ours)
    assert process.wait() == 129
    (left,) = data.iterdir()
    assert [path.name for path in left.iterdir()] == ["done"]


def test_an_error_does_not_throw_away_the_work_of_hours(tmp_path, monkeypatch):
    for name in ("train/a/one.mp4", "train/b/two.mp4"):
        (tmp_path / "videos" / name).parent.mkdir(parents=True)
        films.write(tmp_path / "videos" / name, films.scene(6, 16, 16, len(name)))
    (tmp_path / "videos/train/a/broken.mp4").write_bytes(b"no video")
    make = functools.partial(prepare, "folder", tmp_path / "videos", name="mine", data_dir=tmp_path / "data", workers=1)
    monkeypatch.setattr(place, "WORTH_KEEPING", 0)  # seconds
    with pytest.raises(UserError, match="1 of 3 videos cannot be stored"):
        make()
    (left,) = (tmp_path / "data").iterdir()
    assert [path.name for path in left.iterdir()] == ["done"]
    assert make(tolerate=1).resumed == 2
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["mine"]


@pytest.fixture
def several(tmp_path):
    """Six videos, of some 3 kB each when they are stored."""
    for number in range(6):
        path = tmp_path / f"videos/train/{'ab'[number % 2]}/{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        films.write(path, films.scene(6, 32, 32, number))
    return tmp_path / "videos"


@pytest.mark.fault(
    promise="An error of the disk during a preparation is reported as such, and costs no work",
    provoked="a file that the system does not let grow, first the journal's and then the set's; a tmpfs that is full",
    seen="one line with the system's reason, and what to do; the same command goes on from what is done",
    trials=3,
)
@pytest.mark.parametrize("most", [6_000, 20_000], ids=["journal", "set"])
def test_an_error_of_the_disk_is_told_and_the_journal_kept(several, tmp_path, monkeypatch, most):
    monkeypatch.setattr(place, "WORTH_KEEPING", 0)  # seconds
    make = functools.partial(prepare, "folder", several, name="mine", data_dir=tmp_path / "data", workers=1)
    with largest_file(most), pytest.raises(OSError, match=r"File too large; .*; what is done is kept, and the same command") as error:
        make()
    assert error.value.errno == errno.EFBIG
    assert error.value.filename == str(tmp_path / "data/mine")
    assert [path.name for left in (tmp_path / "data").iterdir() for path in left.iterdir()] == ["done"]
    assert make().resumed > 0
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["mine"]


def test_a_full_disk_keeps_what_is_done(several, small_disk, monkeypatch):
    monkeypatch.setattr(place, "WORTH_KEEPING", 0)  # seconds
    disk = small_disk
    (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free - (24 << 10)))
    make = functools.partial(prepare, "folder", several, name="mine", data_dir=disk, workers=1)
    with pytest.raises(OSError, match="No space left on device; free some space; what is done is kept") as error:
        make()
    assert error.value.errno == errno.ENOSPC
    (disk / "filler").unlink()
    assert make().resumed > 0


def test_a_link_in_place_of_a_journal_is_not_followed(tmp_path):
    (tmp_path / "videos/train/a").mkdir(parents=True)
    films.write(tmp_path / "videos/train/a/one.mp4", films.scene(6, 16, 16))
    (tmp_path / "thesis").write_bytes(b"a thesis" * 1000)
    (tmp_path / "data/.mine.preparing-planted").mkdir(parents=True)
    (tmp_path / "data/.mine.preparing-planted/done").symlink_to(tmp_path / "thesis")
    prepare("folder", tmp_path / "videos", name="mine", data_dir=tmp_path / "data", workers=1)
    assert (tmp_path / "thesis").read_bytes() == b"a thesis" * 1000
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["mine"]


def test_the_journal_does_not_take_what_it_cannot_know_again(tmp_path):
    from vivit_jax.data.layouts.base import Clip
    from vivit_jax.data.preparation.journal import Journal
    from vivit_jax.data.preparation.transcode import transcode

    path = films.write(tmp_path / "a.mp4", films.scene(6, 16, 16))
    clip = Clip("a", "train", "x", path)
    made = [transcode(clip, 64)]
    nameless = Clip("b", "train", "x", lambda: None)
    partial = Clip("c", "train", "x", functools.partial(films.write, path, 3))
    with Journal(tmp_path / "done", 64) as journal:
        for each in (clip, nameless, partial):
            journal.add([each], made)
    with Journal(tmp_path / "done", 64) as journal:
        assert journal.get([clip]) == made
        assert journal.get([partial]) == made
        assert [nameless] not in journal
        assert [Clip("a", "train", "x", path, end=0.1)] not in journal
    path.write_bytes(path.read_bytes() + b"\0")
    with Journal(tmp_path / "done", 64) as journal:
        assert [clip] not in journal
        assert [partial] not in journal
    with Journal(tmp_path / "done", 32) as journal:
        assert [clip] not in journal
    assert json.loads((tmp_path / "done").read_bytes())["short_side"] == 32


def test_the_journal_knows_the_frames_of_a_folder_by_what_they_are_now(tmp_path):
    """A picture that is written over leaves the time of its folder as it was."""
    from vivit_jax.data.layouts.base import Clip
    from vivit_jax.data.layouts.image_sequences import segment
    from vivit_jax.data.preparation.journal import Journal
    from vivit_jax.data.preparation.transcode import transcode

    (tmp_path / "frames").mkdir()
    for number, frame in enumerate(films.scene(8, 16, 16)):
        Image.fromarray(frame).save(tmp_path / f"frames/{number}.png")
    first, second = (
        Clip(name, "train", "x", functools.partial(segment, tmp_path / "frames", start, start + 0.4, Fraction(10)))
        for name, start in (("first", 0.0), ("second", 0.4))
    )
    with Journal(tmp_path / "done", 64) as journal:
        for clip in (first, second):
            journal.add([clip], [transcode(clip, 64)])
    (tmp_path / "frames/5.png").write_bytes((tmp_path / "frames/1.png").read_bytes())
    with Journal(tmp_path / "done", 64) as journal:
        assert [first] in journal
        assert [second] not in journal


def test_the_journal_does_not_take_what_changed_while_it_was_read(tmp_path):
    from vivit_jax.data.layouts.base import Clip
    from vivit_jax.data.preparation.journal import Journal
    from vivit_jax.data.preparation.making import make_or_resume

    jobs = [[Clip(name, "train", "x", films.write(tmp_path / f"{name}.mp4", films.scene(6, 16, 16)))] for name in "ab"]
    with Journal(tmp_path / "done", 64) as journal:
        results = make_or_resume(jobs, 64, 1, journal)
        next(results)
        os.utime(tmp_path / "b.mp4", (0, 0))  # as a download that goes on; before the video is read or after
        assert len(list(results)) == 1
        assert jobs[0] in journal
        assert jobs[1] not in journal
