"""What `vivit prepare` must never lose, whatever it is told to replace and whenever it is killed."""

import hashlib
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import films
import pytest
from system_limits import mounted_disk

from vivit_jax.cli import main
from vivit_jax.data.dataset import open_dataset
from vivit_jax.data.preparation.prepare import prepare

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "JAX_PLATFORMS": "cpu"}


def hashes(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def make_videos(root, frames=6):
    for number, name in enumerate(("train/run/a.mp4", "train/sit/b.mp4", "test/run/c.mp4")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        films.write(root / name, films.scene(frames, 16, 16, number))
    return root


@pytest.fixture
def videos(tmp_path):
    return make_videos(tmp_path / "videos")


def refused(capfd, *arguments):
    """Runs a command that must be refused; its one line."""
    assert main(["prepare", *map(str, arguments)]) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1), (out, err)
    return err


@pytest.mark.fault(
    promise="The videos that a data set is made of are never deleted",
    provoked="--overwrite with a name and folder where the source, what holds it, or a link to it lies",
    seen="one line that says what is in the way; exit code 2; every file as it was",
    trials=6,
)
@pytest.mark.parametrize(
    ("name", "data_dir"),
    [("videos", "."), ("train", "videos"), ("run", "videos/train"), ("link", "."), ("holder", ".."), ("list", ".")],
)
@pytest.mark.parametrize("flag", [[], ["--overwrite"]])
def test_the_source_is_never_replaced(tmp_path, capfd, name, data_dir, flag):
    home = tmp_path / "holder"
    make_videos(home / "videos")
    (home / "link").symlink_to(home / "videos")
    (home / "list").write_text("path,label\nvideos/train/run/a.mp4,run\n")
    before = hashes(home)
    layout = ["csv", home / "list"] if name == "list" else ["folder", home / "videos"]
    error = refused(capfd, *layout, "--name", name, "--data_dir", home / data_dir, *flag)
    assert "is in the way and is never replaced" in error
    assert "--overwrite" not in error
    assert hashes(home) == before
    assert not list(home.rglob(".*"))


@pytest.mark.parametrize("what", ["file", "folder", "empty", "another set", "set with notes", "link to nothing"])
def test_nothing_but_a_data_set_of_ours_is_replaced(tmp_path, videos, capfd, what):
    target = tmp_path / "data/mine"
    target.parent.mkdir()
    if what == "file":
        target.write_text("a thesis")
    elif what == "link to nothing":
        target.symlink_to(tmp_path / "nowhere")
    elif what == "set with notes":
        prepare("folder", videos, name="mine", data_dir=target.parent, workers=1)
        (target / "1.0.0/notes.txt").write_text("do not lose")
    else:
        (target / "1.0.0").mkdir(parents=True)
        if what == "folder":
            (target / "thesis.txt").write_text("a thesis")
        elif what == "another set":  # as tfds itself writes it
            (target / "1.0.0/dataset_info.json").write_text("{}")
            (target / "1.0.0/mnist-train.array_record-00000-of-00001").write_text("digits")
    before = hashes(target.parent)
    for flag in ([], ["--overwrite"]):
        error = refused(capfd, "folder", videos, "--name", "mine", "--data_dir", target.parent, *flag)
        assert "never replaced" in error
        assert "--overwrite" not in error
        assert hashes(target.parent) == before


def test_a_list_of_videos_that_lie_in_the_data_set_is_refused(tmp_path, videos, capfd):
    prepare("folder", videos, name="mine", data_dir=tmp_path, workers=1)
    (shard,) = (tmp_path / "mine/1.0.0").glob("mine-train.*")
    (tmp_path / "link").symlink_to(shard)
    (tmp_path / "list.csv").write_text("path,label\nlink,run\n")
    before = hashes(tmp_path / "mine")
    error = refused(capfd, "csv", tmp_path / "list.csv", "--name", "mine", "--data_dir", tmp_path, "--overwrite")
    assert f"never replaced: {tmp_path / 'link'}, of which it is made, lies in it" in error
    assert hashes(tmp_path / "mine") == before


def test_a_damaged_set_and_one_of_the_version_before_are_replaced(tmp_path, videos):
    for damage in (("manifest.json", "records.sha256"), ("features.json",)):
        prepare("folder", videos, name="mine", data_dir=tmp_path / "data", workers=1, overwrite=True)
        for name in damage:
            (tmp_path / "data/mine/1.0.0" / name).unlink()
        prepare("folder", videos, name="mine", data_dir=tmp_path / "data", workers=1, overwrite=True)
        assert open_dataset("mine", tmp_path / "data").splits == {"train": 2, "test": 1}


def test_a_link_to_a_data_set_is_replaced_and_the_set_itself_is_left(tmp_path, videos):
    prepare("folder", videos, name="mine", data_dir=tmp_path / "disk", workers=1)
    before = hashes(tmp_path / "disk")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/mine").symlink_to(tmp_path / "disk/mine")
    prepare("folder", videos, name="mine", data_dir=tmp_path / "data", workers=1, overwrite=True, short_side=8)
    assert hashes(tmp_path / "disk") == before
    assert open_dataset("mine", tmp_path / "data").source("train")[0]["height"] == 8


CHILD = """
import os, pathlib, signal, sys
import vivit_jax.data.preparation.place as place
from vivit_jax.data.preparation.prepare import prepare
source, data, point = sys.argv[1:]
rename, calls = pathlib.Path.rename, 0
def kill(self, target):
    global calls
    calls += 1
    if point == f"before rename {calls}":
        os.kill(os.getpid(), signal.SIGKILL)
    result = rename(self, target)
    if point == f"after rename {calls}":
        os.kill(os.getpid(), signal.SIGKILL)
    return result
def exchange(a, b):
    if point == "before exchange":
        os.kill(os.getpid(), signal.SIGKILL)
    done = real(a, b)
    if point == "after exchange":
        os.kill(os.getpid(), signal.SIGKILL)
    return done
real = place.exchange
place.exchange = exchange if "exchange" in point else lambda a, b: False
move = place.move_into_place
def armed(*arguments, **options):
    pathlib.Path.rename = kill
    return move(*arguments, **options)
import vivit_jax.data.preparation.prepare as command
command.move_into_place = armed
prepare("folder", source, name="mine", data_dir=data, workers=1, short_side=8, overwrite=True)
"""
POINTS = ["before exchange", "after exchange", "before rename 1", "after rename 1", "before rename 2", "after rename 2"]


@pytest.mark.fault(
    promise="A data set that is replaced exists whole at each moment, the old one or the new",
    provoked="SIGKILL before and after each rename that replaces it, also where two names cannot be exchanged in one",
    seen="the old or the new data set opens, every record; the next preparation clears the rest away",
    trials=6,
)
@pytest.mark.slow
def test_killed_at_each_rename_one_whole_set_is_found(tmp_path, videos):
    for point in POINTS:
        data = tmp_path / point.replace(" ", "_")
        prepare("folder", videos, name="mine", data_dir=data, workers=1)
        child = subprocess.run([sys.executable, "-c", CHILD, str(videos), str(data), point], env=ENVIRONMENT, timeout=120)
        assert child.returncode == -signal.SIGKILL, point
        expected = 8 if point in ("after exchange", "after rename 2") else 16
        assert whole_height(data) == expected, point
        prepare("folder", videos, name="mine", data_dir=data, workers=1, overwrite=True)
        assert [path.name for path in data.iterdir()] == ["mine"], point
        assert whole_height(data) == 16


def test_what_was_put_aside_is_put_back_before_anything_is_made(tmp_path, videos, capfd):
    prepare("folder", videos, name="mine", data_dir=tmp_path, workers=1)
    (tmp_path / "mine").rename(tmp_path / ".mine.replaced")
    assert "exists already" in refused(capfd, "folder", videos, "--name", "mine", "--data_dir", tmp_path)
    assert whole_height(tmp_path) == 16
    assert not (tmp_path / ".mine.replaced").exists()


def test_what_only_looks_put_aside_is_left(tmp_path, videos):
    (tmp_path / ".mine.replaced").mkdir()
    (tmp_path / ".mine.replaced/thesis.txt").write_text("a thesis")
    prepare("folder", videos, name="mine", data_dir=tmp_path, workers=1)
    prepare("folder", videos, name="mine", data_dir=tmp_path, workers=1, overwrite=True)
    assert (tmp_path / ".mine.replaced/thesis.txt").read_text() == "a thesis"


def whole_height(data):
    dataset = open_dataset("mine", data)
    assert dataset.splits == {"train": 2, "test": 1}
    (height,) = {record["height"] for split in dataset.splits for record in dataset.source(split)}
    return height


@pytest.mark.slow
@pytest.mark.fault(
    promise="A data set that is replaced exists whole at each moment, the old one or the new",
    provoked="SIGKILL at random moments of `vivit prepare --overwrite`",
    seen="one whole data set opens each time; the next preparation leaves nothing else behind",
    trials=12,
)
def test_killed_at_random_moments_one_whole_set_is_found(tmp_path, videos):
    data = tmp_path / "data"
    prepare("folder", videos, name="mine", data_dir=data, workers=1)
    command = [
        sys.executable,
        "-m",
        "vivit_jax",
        "prepare",
        "folder",
        str(videos),
        "--name",
        "mine",
        "--data_dir",
        str(data),
        "--overwrite",
    ]
    draw, spans = random.Random(0), []
    for trial in range(13):
        process = subprocess.Popen(
            [*command, "--short_side", str(8 + 4 * (trial % 2))],
            env=ENVIRONMENT,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if trial:
            time.sleep(draw.uniform(0.5, 1.05) * spans[0])
            process.send_signal(signal.SIGKILL)
        started = time.monotonic()
        process.wait()
        spans.append(time.monotonic() - started)
        assert whole_height(data) in (8, 12, 16)
    prepare("folder", videos, name="mine", data_dir=data, workers=1, overwrite=True)
    assert [path.name for path in data.iterdir()] == ["mine"]


@pytest.fixture
def small_disk(tmp_path):
    with mounted_disk(tmp_path / "disk", "700k") as disk:
        yield disk


@pytest.mark.fault(
    promise="A full disk leaves an old data set whole and nothing of a new one",
    provoked="`vivit prepare --overwrite` on a tmpfs that is too small for a second set",
    seen="one line; exit code not 0; the old set opens",
    trials=1,
)
def test_a_full_disk_leaves_the_old_set(tmp_path, videos, small_disk):
    prepare("folder", videos, name="mine", data_dir=small_disk, workers=1)
    before = hashes(small_disk)
    films.write(videos / "train/run/large.mp4", films.scene(200, 200, 200, 9), options={"crf": "1"})
    command = [sys.executable, "-m", "vivit_jax", "prepare", "folder", str(videos), "--name", "mine", "--data_dir", str(small_disk)]
    done = subprocess.run([*command, "--overwrite"], env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert done.returncode in (1, 2)
    assert done.stderr.count("\n") == 1, done.stderr
    assert "No space left on device" in done.stderr
    assert hashes(small_disk) == before
    assert [path.name for path in small_disk.iterdir()] == ["mine"]


NO_LOCKS = "import errno, fcntl, os\ndef flock(*_):\n    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))\nfcntl.flock = flock\n"


@pytest.mark.slow
def test_a_file_system_without_locks_is_warned_of(tmp_path, videos):
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(NO_LOCKS)
    environment = ENVIRONMENT | {"PYTHONPATH": f"{tmp_path / 'site'}{os.pathsep}{ENVIRONMENT['PYTHONPATH']}"}
    (tmp_path / "data/.mine.preparing-of_another").mkdir(parents=True)
    command = [sys.executable, "-m", "vivit_jax", "prepare", "folder", str(videos), "--name", "mine", "--data_dir", str(tmp_path / "data")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "without locks" in done.stdout
    assert (tmp_path / "data/.mine.preparing-of_another").exists()  # another run may be alive
    assert open_dataset("mine", tmp_path / "data").splits == {"train": 2, "test": 1}


@pytest.mark.parametrize("url", ["s3://bucket/data", "gs://bucket", "file:///data", "gs:/bucket"])
def test_a_url_is_refused_before_anything_is_made(tmp_path, videos, capfd, monkeypatch, url):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert "mount the bucket" in refused(capfd, "folder", videos, "--name", "mine", "--data_dir", url)
    assert main(["evaluate", "--model", str(tmp_path), "--name", "mine", "--data_dir", url]) == 2
    assert sorted(tmp_path.iterdir()) == before


def test_without_a_home_the_flag_is_named(videos, capfd, monkeypatch):
    import pwd

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)  # as for a user id without an entry
    assert "no home folder is known" in refused(capfd, "folder", videos, "--name", "mine", "--data_dir", "~/data")


@pytest.mark.fault(
    promise="No name of a class or video can control the terminal",
    provoked="a video, an unread file and a class whose names hold escape sequences",
    seen="the sequences, escaped; a class so named is refused",
    trials=3,
)
def test_names_are_escaped_on_the_terminal(tmp_path, videos, capfd):
    evil = "\x1b]0;owned\x07\x1b[2J"
    (videos / f"train/run/{evil}.txt").write_text("left aside")
    (videos / f"train/run/{evil}.mp4").write_bytes(b"not a video")
    assert main(["prepare", "folder", str(videos), "--name", "mine", "--data_dir", str(tmp_path / "data"), "--tolerate", "1"]) == 0
    out, err = capfd.readouterr()
    assert "\x1b" not in out + err
    assert r"\x1b]0;owned\x07" in out
    (videos / f"train/{evil}").mkdir()
    films.write(videos / f"train/{evil}/d.mp4", films.scene(6, 16, 16, 9))
    assert "\x1b" not in refused(capfd, "folder", videos, "--name", "other", "--data_dir", tmp_path / "data")


def test_a_video_behind_a_broken_link_is_that_videos_error(tmp_path, videos, capfd):
    (videos / "train/run/annexed.mp4").symlink_to(pathlib.Path("../.git/annex/objects/gone"))
    (videos / "train/run/loop.mp4").symlink_to(pathlib.Path("loop.mp4"))
    summary = prepare("folder", videos, name="mine", data_dir=tmp_path / "data", workers=1, tolerate=2)
    assert sorted(name for _, name, _ in summary.refused) == ["train/run/annexed.mp4", "train/run/loop.mp4"]
    error = refused(capfd, "folder", videos, "--name", "other", "--data_dir", tmp_path / "data")
    assert "2 of 5 videos cannot be stored" in error
