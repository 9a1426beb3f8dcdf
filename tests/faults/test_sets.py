"""A prepared data set is what it says, or is refused in one line that names the file."""

import json
import os
import pickle
import random
import subprocess
import sys

import pytest
from small_sets_of_videos import ENVIRONMENT, VIDEOS, make, one_line, read_all

from vivit_jax.cli import main
from vivit_jax.data.dataset import open_dataset
from vivit_jax.data.identity import differences
from vivit_jax.data.preparation.prepare import prepare
from vivit_jax.errors import UserError

METADATA = ("dataset_info.json", "features.json", "label.labels.txt", "manifest.json", "records.sha256", "preparation.json")
DAMAGES = [None, b"", b"{", b"{}", b"[1]", b'{"name": "mnist", "version": "1.0.0"}', b"\xff\xfe\x00", b"[" * 100_000]


def flipped(content, bit):
    content = bytearray(content)
    content[bit // 8] ^= 1 << bit % 8
    return bytes(content)


@pytest.mark.fault(
    promise="No byte of a prepared data set changes unnoticed",
    provoked="one bit flipped at random in each file of the set, records included",
    seen="one line that names the file, on opening for metadata and on reading for records",
    trials=120,
)
def test_a_flipped_bit_is_noticed(stored):
    draw, names = random.Random(1), {path.name for path in stored.iterdir()}
    assert {*METADATA} < names
    whole = {(record["name"], record["label"], record["video"]) for record in read_all(stored)}
    for name in sorted(names):
        content = (stored / name).read_bytes()
        used = len(content.rstrip(b"\0")) if "array_record" in name else len(content)
        for _ in range(15):
            (stored / name).write_bytes(flipped(content, draw.randrange(used * 8)))
            try:
                found = {(record["name"], record["label"], record["video"]) for record in read_all(stored)}
            except UserError as error:
                assert name in str(error), str(error)
                assert "\n" not in str(error)
            else:  # bits between the records, and blanks of the manifest
                assert "array_record" in name or name == "manifest.json", name
                assert found == whole
        (stored / name).write_bytes(content)
    assert len(read_all(stored)) == 5


@pytest.mark.fault(
    promise="Damaged metadata of a data set gives one line, never a traceback",
    provoked="each file of metadata deleted, emptied, cut, or another's; in a set with and without a manifest",
    seen="one line that names the file; exit code 2",
    trials=50,
)
@pytest.mark.parametrize("kind", ["stored", "stored_before"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_metadata_is_one_line(request, kind, damage, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where `vivit inspect` puts its picture
    stored = request.getfixturevalue(kind)
    for name in METADATA:
        path = stored / name
        if not path.exists() or (kind == "stored_before" and name == "preparation.json"):
            continue
        content = path.read_bytes()
        path.unlink() if damage is None else path.write_bytes(damage)
        with pytest.raises(UserError) as error:
            read_all(stored)
        one_line(error, name)
        path.write_bytes(content)
    path.unlink()
    assert main(["inspect", "--name", "mine", "--data_dir", str(stored.parents[1])]) in (0, 2)
    assert "Traceback" not in capfd.readouterr().err


def test_a_type_that_needs_tensorflow_is_refused_without_its_noise(stored_before, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (stored_before / "features.json").read_text()
    (stored_before / "features.json").write_text(text.replace('"float32"', '"floet32"'))
    assert main(["inspect", "--name", "mine", "--data_dir", str(stored_before.parents[1])]) == 2
    err = capfd.readouterr().err
    assert (err.count("\n"), "features.json is damaged" in err) == (1, True), err


def test_a_shard_that_is_gone_cut_or_anothers_is_named(stored):
    (shard,) = stored.glob("mine-val.*")
    content = shard.read_bytes()
    other = next(stored.glob("mine-test.*")).read_bytes()
    for damage in (None, b"", content[:-4096], other, bytes(len(content))):
        shard.unlink() if damage is None else shard.write_bytes(damage)
        with pytest.raises(UserError) as error:
            read_all(stored)
        one_line(error, shard.name)


def test_a_set_of_the_version_before_opens_and_its_damage_is_named(stored_before):
    assert len(read_all(stored_before)) == 5
    dataset = open_dataset("mine", stored_before.parents[1])
    assert len(dataset.identity["sha256"]) == 64
    (shard,) = stored_before.glob("mine-train.*")
    for damage in (None, b"", bytes(shard.stat().st_size)):
        content = shard.read_bytes()
        shard.unlink() if damage is None else shard.write_bytes(damage)
        with pytest.raises(UserError) as error:
            read_all(stored_before)
        one_line(error, shard.name)
        shard.write_bytes(content)


@pytest.mark.fault(
    promise="A data set is only data: opening it imports no Python module that it names",
    provoked="a features.json that names a module on PYTHONPATH, in each form that tfds reads",
    seen="one line that names the module; exit code 2; the module is not run",
    trials=3,
)
@pytest.mark.slow
def test_a_module_that_features_name_is_not_imported(stored_before, tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code/evil.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')\n")
    forms = ('{"pythonClassName": "evil.X"}', '{"python_class_name": "evil.X"}', '{"type": "evil.X", "content": {}}')
    environment = ENVIRONMENT | {"PYTHONPATH": f"{tmp_path / 'code'}{os.pathsep}{ENVIRONMENT['PYTHONPATH']}"}
    original = (stored_before / "features.json").read_text()
    nested = json.loads(original)
    nested["featuresDict"]["features"]["label"]["pythonClassName"] = "evil.X"
    for text in (*forms[:1], json.dumps(nested)):
        (stored_before / "features.json").write_text(text)
        command = [sys.executable, "-m", "vivit_jax", "inspect", "--name", "mine", "--data_dir", str(stored_before.parents[1])]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert "evil.X" in done.stderr
        assert not (tmp_path / "run").exists()
    for text in forms:
        (stored_before / "features.json").write_text(text)
        with pytest.raises(UserError, match=r"evil\.X"):
            read_all(stored_before)


def test_an_identity_tells_what_differs(tmp_path, original, contents):
    before = open_dataset("mine", original / "data").identity
    assert before["labels"] == {"": ["run", "sit"]}
    assert before["splits"] == {"train": 3, "val": 1, "test": 1}
    assert json.loads(json.dumps(before)) == before

    def identity(names, contents, name="mine"):
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        make(root / "videos", names, contents)
        prepare("folder", root / "videos", name=name, data_dir=root, workers=1)
        return open_dataset(name, root).identity

    assert differences(before, identity(VIDEOS, contents, "renamed")) is None
    assert differences(before, identity(VIDEOS, contents[5:])) == "other videos, or the same ones encoded anew"
    assert differences(before, identity((*VIDEOS[1:],), contents)) == "fewer clips in train (2, were 3)"
    assert differences(before, identity(VIDEOS[:4], contents)) == "no split test, which had 1 clips"
    walked = [name.replace("sit", "walk") for name in VIDEOS]
    assert differences(before, identity(walked, contents)) == "other labels (without sit and with walk)"
    turned = before | {"labels": {"": ["sit", "run"]}}
    assert differences(before, turned) == "labels in another order (number 0 is sit, was run)"


def test_every_bit_is_the_same_in_another_process(tmp_path, original):
    """Numbers of classes, order, and the layout of each record, which protobuf changes from process to process."""
    found = []
    for seed in ("1", "2"):
        command = [sys.executable, "-m", "vivit_jax", "prepare", "folder", str(original / "videos"), "--name", "mine"]
        environment = ENVIRONMENT | {"PYTHONHASHSEED": seed}
        subprocess.run([*command, "--data_dir", str(tmp_path / seed)], env=environment, check=True, capture_output=True, timeout=120)
        found.append({path.name: path.read_bytes() for path in (tmp_path / seed / "mine/1.0.0").iterdir()})
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("kind", "name"), [("stored", "manifest.json"), ("stored_before", "features.json"), ("stored_before", "dataset_info.json")]
)
def test_a_pipe_in_the_place_of_metadata_is_not_waited_for(request, kind, name):
    folder = request.getfixturevalue(kind)
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(UserError, match=rf"{name} is damaged \(it is not a file\)"):
        open_dataset("mine", folder.parents[1])


@pytest.mark.fault(
    promise="A damaged list of clips gives one line when it divides a data set into folds, never a traceback nor a wait",
    provoked=(
        "clips.csv of a set without a manifest: not UTF-8, empty, with other columns, cut within a row and after one, a folder, a pipe"
    ),
    seen="one line that names the file; exit code 2",
    trials=7,
)
@pytest.mark.parametrize("damage", ["latin", "empty", "foreign", "cut", "lost", "folder", "pipe"])
def test_a_damaged_list_of_clips_makes_no_folds(stored_before, damage):
    path = stored_before / "clips.csv"
    whole = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage == "pipe":
        os.mkfifo(path)
    else:
        last = whole.rstrip().rfind(b"\n") + 1
        torn = {"cut": whole[: last + 20], "lost": whole[:last]}
        path.write_bytes(({"latin": whole + b"\xe9\n", "empty": b"", "foreign": b"a,b\n1,2\n"} | torn)[damage])
    with pytest.raises(UserError) as error:
        open_dataset("mine", stored_before.parents[1]).source("all@fold1of2")
    one_line(error, "clips.csv")


@pytest.mark.fault(
    promise="The labels of a data set are never paired with the videos of another that takes its place",
    provoked="a set replaced by one with other labels, after it was opened and before its records are, and after the first record was read",
    seen="one line that says that it was made anew; a record that was read before is the old one's",
    trials=2,
)
def test_a_set_that_is_replaced_while_it_is_used_is_refused(tmp_path, stored, contents):
    opened = open_dataset("mine", stored.parents[1])
    reading = opened.source("train")
    assert reading[0]["name"].startswith("train/")
    make(tmp_path / "others", [name.replace("/run/", "/hop/") for name in VIDEOS], contents[::-1])
    prepare("folder", tmp_path / "others", name="mine", data_dir=stored.parents[1], workers=1, overwrite=True)
    with pytest.raises(UserError, match="was made anew, or damaged, since it was opened") as error:
        opened.source("train")
    one_line(error, str(stored))
    with pytest.raises(UserError, match="unless the data set was made anew meanwhile") as error:
        read_again = pickle.loads(pickle.dumps(reading))  # as a process that reads gets it
        [read_again[index] for index in range(len(reading))]
    one_line(error, str(stored))
    assert open_dataset("mine", stored.parents[1]).source("train")[0]["label"] in (0, 1)
