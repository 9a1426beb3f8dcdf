"""Places that nothing can be written to: read-only disks, mount points, folders that are gone, links that lead nowhere."""

import dataclasses
import errno
import os
import pathlib
import subprocess
import sys

import pytest
from processes import HERE
from small_models import LABELS, PREPROCESS, SQUARE, random_variables

from vivit_jax import cli
from vivit_jax.atomic import check_place, write_atomically, write_together
from vivit_jax.commands.arguments import output
from vivit_jax.data.groups import listed_groups
from vivit_jax.errors import UserError
from vivit_jax.files import read_list
from vivit_jax.inference.label_spaces import _read
from vivit_jax.runs.workdir import Workdir
from vivit_jax.weights import from_pretrained, save_pretrained

ROOT = HERE.parents[1]

# Each command with an output, where what it reads does not exist: the place is refused before that is looked for.
WRITES = {
    "convert": ["none", "--to", "OUT"],
    "export": ["--model", "none", "--to", "stablehlo", "OUT"],
    "soup": ["none", "none2", "--uniform", "--to", "OUT"],
    "probe": ["--model", "none", "--name", "toys", "--to", "OUT"],
    "features": ["--model", "none", "clip.mp4", "--out", "OUT.npz"],
    "explain": ["--model", "none", "clip.mp4", "--out", "OUT.mp4"],
    "predict": ["--model", "none", "clip.mp4", "--out", "OUT.csv"],
    "evaluate": ["--model", "none", "--name", "toys", "--out", "OUT.json"],
    "compare": ["none", "none2", "--out", "OUT"],
    "inspect": ["--name", "toys", "--sheet", "OUT.png"],
    "bench": ["--mode", "infer", "--model", "none", "--json", "OUT.json"],
    "push": ["--model", "none", "me/model", "--card", "OUT.md"],
    "serve": ["--model", "none", "--space", "OUT"],
}


@pytest.fixture
def read_only(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    return small_disk


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_pretrained(tmp_path_factory.mktemp("model") / "model", SQUARE, random_variables(SQUARE), PREPROCESS, LABELS)


def refused(capsys, *argv):
    """The one line that a command is refused with."""
    assert cli.main([str(word) for word in argv]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.fault(
    promise="A place that cannot be written to is refused before the work begins",
    provoked="the output of each command that writes one lies on a file system mounted for reading only",
    seen="one line that names the folder, the reason and what to do; exit code 2, and nothing was read",
    trials=13,
)
def test_a_read_only_place_is_refused_at_once(read_only, capsys):
    for command, words in WRITES.items():
        line = refused(capsys, command, *(word.replace("OUT", f"{read_only}/new/out") for word in words))
        assert f"{read_only} cannot be written to: Read-only file system; choose a place" in line


def test_scores_have_their_place_before_they_are_computed(small_disk, original, monkeypatch, capsys):
    """`vivit evaluate` itself says where they go, if --out does not."""
    two_classes = dataclasses.replace(SQUARE, num_classes=2)
    save_pretrained(small_disk / "model", two_classes, random_variables(two_classes), PREPROCESS, ("run", "sit"))
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    monkeypatch.chdir(small_disk)
    line = refused(capsys, "evaluate", "--model", "model", "--name", "mine", "--data_dir", original / "data")
    assert line == f"vivit: {small_disk}: Read-only file system; choose a place that can be written to"


def test_places_that_can_be_written_to_pass(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path, tmp_path / "file", tmp_path / "new/folder/file", "/dev/stdout", "/dev/null"):
        assert output(str(place)) == type(tmp_path)(place)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    with pytest.raises(OSError, match="Not a directory") as caught:
        check_place(tmp_path / "file/in/it")
    assert caught.value.errno == errno.ENOTDIR


@pytest.mark.fault(
    promise="No output takes the place of a file that the command reads, or without which a run, a model or a data set is lost",
    provoked="the output of each command that writes a file is its video, by a link too, its list, or a part of what another command made",
    seen="one line that names the file; exit code 2; it is as it was",
    trials=17,
)
def test_an_output_that_would_take_the_place_of_what_is_needed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    parts = {
        "model": {"config.json": '{"architecture": {}}', "preprocess.json": "{}", "model.safetensors": "weights"},
        "run": {"config.json": '{"config": {}}', "metrics.jsonl": "{}"},
        "set/1.0.0": {"dataset_info.json": "{}", "set-test.array_record-00000-of-00001": "records"},
        ".": {"clip.csv": "a video", "clip.mp4": "a video", "list.csv": "clip.mp4"},
    }
    for folder, files in parts.items():
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            pathlib.Path(folder, name).write_text(text)
    pathlib.Path("link.mp4").symlink_to("clip.mp4")
    read = {
        "clip.csv": ["predict", "--model", "none", "clip.csv", "--overwrite", "--out"],
        "list.csv": ["predict", "--model", "none", "--list", "list.csv", "--overwrite", "--out"],
        "clip.mp4": ["explain", "--model", "none", "link.mp4", "--out"],
    }
    for file, words in read.items():
        assert refused(capsys, *words, file) == f"vivit: --out {file} is read by this command too, and would be lost: give another file"
    score, time = ["evaluate", "--model", "none", "--name", "set", "--out"], ["bench", "--mode", "infer", "--model", "none", "--json"]
    for words in (score, time):
        for folder in ("model", "run", "set/1.0.0"):
            for name in parts[folder]:
                assert f"{folder}/{name} is a part of " in refused(capsys, *words, f"{folder}/{name}")
    assert all(pathlib.Path(folder, name).read_text() == text for folder, files in parts.items() for name, text in files.items())


@pytest.mark.fault(
    promise="No finished folder is lost because a disk is mounted at its place",
    provoked="a model converted, a soup, an export and a Space, each onto a mount point, as a container's volume is",
    seen="one line that says to name a folder in it; exit code 2, before the work",
    trials=4,
)
def test_a_mount_point_is_refused(small_disk, model, capsys):
    for words in (
        ("convert", model, "--to", small_disk),
        ("soup", model, f"{model}/.", "--uniform", "--to", small_disk),
        ("export", "--model", model, "--to", "stablehlo", small_disk),
        ("serve", "--model", model, "--space", small_disk),
    ):
        assert f"{small_disk} is where a disk is mounted, and no folder can take its place" in refused(capsys, *words)
    assert not list(small_disk.iterdir())


@pytest.mark.fault(
    promise="A command in a folder that was deleted says so",
    provoked="commands started in a folder that another process has removed, one of them in a process of its own",
    seen="one line that says to change to another folder; exit code 2",
    trials=4,
)
def test_a_folder_that_is_gone_is_told(tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for words in (["predict", "--model", "model", "clip.mp4"], ["inspect", "config.py"], ["soup", "a", "b", "--to", "c"]):
        assert "the current folder is gone" in refused(capsys, *words)
    there = tmp_path / "there"
    there.mkdir()
    command = f"cd {there}; rmdir {there}; exec {sys.executable} -m vivit_jax train --config=a.py --workdir=/tmp/run"
    monkeypatch.chdir(tmp_path)
    ended = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (2, "", 1), ended.stderr
    assert "is gone" in ended.stderr


@pytest.mark.fault(
    promise="A link that leads back to itself gives one line, never a traceback",
    provoked="such a link in the place of a video, a model, a run, and of outputs",
    seen="one line that names the link; exit code 2",
    trials=6,
)
def test_a_link_to_itself_is_one_line(tmp_path, model, capsys):
    for name in ("loop", "loop.mp4", "loop.json"):
        (tmp_path / name).symlink_to(name)
    loop = tmp_path / "loop"
    for words in (
        ("explain", "--model", model, f"{loop}.mp4", "--out", tmp_path / "out.mp4"),
        ("explain", "--model", loop, tmp_path / "clip.mp4", "--out", f"{loop}.mp4"),
        ("serve", "--model", loop, "--port", "0"),
        ("compare", f"{loop}.json", loop, "--no_speed"),
        ("soup", loop, model, "--uniform", "--to", tmp_path / "soup"),
        ("convert", model, "--to", loop),
    ):
        assert str(loop) in refused(capsys, *words)


@pytest.mark.fault(
    promise="A list that is a pipe is read if something writes to it, and otherwise refused at once",
    provoked="lists of labels, groups and videos that are a pipe nobody writes to, and a link to /dev/zero",
    seen="one line that names the list, at once; exit code 2; what `<(command)` writes is read",
    trials=8,
)
def test_a_list_that_is_a_pipe(tmp_path, model, capsys):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zeros").symlink_to("/dev/zero")
    (tmp_path / "labels.txt").write_text("\ufeffa\r\nb\n")
    for path in (tmp_path / "pipe", tmp_path / "zeros"):
        for words in (
            ("convert", model, "--to", tmp_path / "made", "--labels", path),
            ("predict", "--model", model, f"@{path}"),
        ):
            assert str(path) in refused(capsys, *words)
        for read in (listed_groups, _read):
            with pytest.raises(UserError, match=str(path)):
                read(path)
    with subprocess.Popen(["cat", tmp_path / "labels.txt"], stdout=subprocess.PIPE) as writer:
        assert read_list(pathlib.Path(f"/dev/fd/{writer.stdout.fileno()}")) == "a\nb\n"
    slow = f"exec 3>{tmp_path / 'pipe'}; sleep 0.5; echo a >&3; sleep 0.2; echo b >&3"
    with subprocess.Popen(["/bin/sh", "-c", slow]), (tmp_path / "pipe").open("rb") as opened:  # so that the writer can begin
        assert read_list(tmp_path / "pipe") == "a\nb\n"
        assert not os.read(opened.fileno(), 1)


def test_an_output_that_is_a_pipe_is_written_if_somebody_reads_it(tmp_path):
    """As `>(command)` is; opening one that nobody reads, such as in place of a run's evaluation.json, would wait for ever."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="it is a pipe that nobody reads") as caught:
        write_atomically(tmp_path / "pipe", "whole")
    assert caught.value.filename == str(tmp_path / "pipe")
    long = b"whole" * 100_000  # more than a pipe holds
    with subprocess.Popen(["/bin/sh", "-c", f"sleep 0.3; cat > {tmp_path}/read"], stdin=subprocess.PIPE) as reader:
        write_atomically(pathlib.Path(f"/dev/fd/{reader.stdin.fileno()}"), long)
    assert (tmp_path / "read").read_bytes() == long


def test_standard_output_in_a_file_is_written_to_and_not_replaced(tmp_path):
    """The link /dev/stdout leads to that file, beside which or in whose place another would be of no use, and in /dev of harm."""
    code = (
        "import pathlib; from vivit_jax.commands.arguments import output; from vivit_jax.atomic import write_atomically\n"
        "print('before', flush=True); write_atomically(output('/dev/stdout'), 'contents\\n'); print('after', flush=True)\n"
        "try: write_atomically(pathlib.Path('/dev/fd/77'), 'x')\n"
        "except OSError as error: print(error.filename, error.strerror)"
    )
    before = pathlib.Path("/dev/stdout").readlink()
    with (tmp_path / "out").open("w") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)
    assert (tmp_path / "out").read_text() == "before\ncontents\nafter\n/dev/fd/77 Bad file descriptor\n"
    assert pathlib.Path("/dev/stdout").readlink() == before


@pytest.fixture
def little_room(small_disk):
    """The folder of a file system with 256 kB left."""
    (small_disk / "filler").write_bytes(bytes(4 * 2**20 - 2**18))
    return small_disk


@pytest.mark.fault(
    promise="Files that belong together, such as those of a comparison, are all new or all old",
    provoked="a file system with room for the first two of three files, over older ones",
    seen="one error that names the third; all three as they were, and nothing beside them",
    trials=1,
)
def test_files_that_belong_together_are_written_together(little_room):
    files = {little_room / f"compare.{end}": bytes(size) for end, size in (("json", 50_000), ("md", 50_000), ("html", 500_000))}
    for path in files:
        path.write_text("old")
    before = sorted(path.name for path in little_room.iterdir())
    with pytest.raises(OSError, match="No space left on device; free some space") as caught:
        write_together(files)
    assert caught.value.filename == str(little_room / "compare.html")
    assert sorted(path.name for path in little_room.iterdir()) == before
    assert {path.read_text() for path in files} == {"old"}


def test_a_disk_that_fills_up_under_a_space_is_one_line(little_room, model, capsys):
    """Copying this package, where `shutil.copytree` would go on and at last tell of every file."""
    pytest.importorskip("starlette", reason="needs the extra `serve`")
    assert cli.main(["serve", "--model", str(model), "--space", str(little_room / "space")]) == 1
    assert capsys.readouterr().err == f"vivit: {little_room}/space: No space left on device; free some space\n"
    assert [path.name for path in little_room.iterdir()] == ["filler"]


def test_an_empty_list_of_labels_is_refused(tmp_path, model, capsys):
    (tmp_path / "labels.txt").write_text("\n")
    assert "holds no class names" in refused(capsys, "convert", model, "--to", tmp_path / "made", "--labels", tmp_path / "labels.txt")


def test_a_path_that_may_not_be_used_is_bad_input(tmp_path, model, capsys):
    """Whatever step of a command meets it."""
    (tmp_path / "model").mkdir()
    for name in ("config.json", "preprocess.json"):
        (tmp_path / "model" / name).write_bytes((model / name).read_bytes())
    (tmp_path / "model/model.safetensors").symlink_to("model.safetensors")
    line = refused(capsys, "export", "--model", tmp_path / "model", "--to", "stablehlo", tmp_path / "out")
    assert "model.safetensors" in line


@pytest.mark.fault(
    promise="A path that libraries cannot take is refused before the work, never after it",
    provoked="a work directory, a folder of data sets and an ONNX file below a folder whose name is not UTF-8",
    seen="one line that shows the name, escaped; exit code 2, and nothing is made",
    trials=3,
)
def test_a_path_that_is_not_utf8_is_refused_where_it_cannot_be_used(tmp_path, model, capsys):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    config = HERE / "tiny_config.py"
    for words in (
        ("train", f"--config={config}", f"--workdir={folder / 'run'}"),
        ("prepare", "motion_digits", "--name", "digits", "--data_dir", folder / "data"),
        ("export", "--model", model, "--to", "onnx", folder / "model.onnx"),
    ):
        assert "caf\\udce9" in refused(capsys, *words)
    assert not folder.exists()


def test_a_home_folder_after_an_equals_sign_is_the_home_folder(tmp_path, monkeypatch, capsys):
    """Shells leave `--to=~/copy` as it is, and a folder `~` is not one to have: `rm -r ~` means another."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    assert cli.main(["evaluate", "--model=~/none", "--name=toys", "--out=~/scores.json"]) == 2
    assert str(tmp_path / "home" / "none") in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


@pytest.mark.parametrize("place", ["a/b/run", "link"])
def test_what_was_made_for_a_run_that_is_refused_is_removed(place, tmp_path):
    """Folders above it too; a link may lead to what is not there yet, as on a scratch disk that was cleared."""
    (tmp_path / "link").symlink_to("c/run")
    before = sorted(tmp_path.rglob("*"))
    workdir = Workdir(tmp_path / place)
    assert workdir.path.is_dir()
    workdir.release()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_in_the_place_of_a_folder_is_refused_before_the_work(tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    assert "out is a file" in refused(capsys, "compare", "none", "none2", "--out", tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize("command", WRITES)
def test_a_home_that_nobody_has_is_refused(command, tmp_path, monkeypatch, capsys):
    """A folder of that very name would be made in this one."""
    monkeypatch.chdir(tmp_path)
    argv = [word.replace("OUT", "~no-one/out") for word in WRITES[command]]
    assert "no home folder is known" in refused(capsys, command, *argv)
    assert not list(tmp_path.iterdir())


def test_a_path_at_home_means_the_same_where_a_model_is_written_and_read(model, tmp_path, monkeypatch):
    home, here = tmp_path / "home", tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))
    save_pretrained("~/models/one", SQUARE, random_variables(SQUARE), PREPROCESS, LABELS)
    assert from_pretrained("~/models/one").labels == LABELS
    assert Workdir("~/run").path == home / "run"
    assert (home / "models" / "one" / "config.json").is_file()
    assert not list(here.iterdir())
    for use in (from_pretrained, Workdir):
        with pytest.raises(UserError, match="no home folder is known"):
            use("~no-one/models/one")
