"""A prepared data set is what it says, or is refused in one line that names the file."""

import json
import os
import pathlib
import random
import shutil
import subprocess
import sys

import films
import pytest

from vivit_jax.cli import main
from vivit_jax.data.config import DataConfig
from vivit_jax.data.dataset import check_splits, open_dataset
from vivit_jax.data.identity import differences
from vivit_jax.data.layouts import Reading, read_layout
from vivit_jax.data.layouts.splitting import Shares, percentages
from vivit_jax.data.preparation.prepare import prepare
from vivit_jax.errors import UserError

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "JAX_PLATFORMS": "cpu"}
METADATA = ("dataset_info.json", "features.json", "label.labels.txt", "manifest.json", "records.sha256", "preparation.json")
DAMAGES = [None, b"", b"{", b"{}", b"[1]", b'{"name": "mnist", "version": "1.0.0"}', b"\xff\xfe\x00", b"[" * 100_000]
VIDEOS = ("train/run/a.mp4", "train/run/b.mp4", "train/sit/c.mp4", "val/run/d.mp4", "test/sit/e.mp4")


@pytest.fixture(scope="session")
def contents(tmp_path_factory):
    folder = tmp_path_factory.mktemp("contents")
    return [films.write(folder / f"{seed}.mp4", films.scene(6, 16, 16, seed)).read_bytes() for seed in range(12)]


def make(root, names, contents):
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(contents[number])
    return root


@pytest.fixture(scope="session")
def original(tmp_path_factory, contents):
    root = tmp_path_factory.mktemp("original")
    make(root / "videos", VIDEOS, contents)
    prepare("folder", root / "videos", name="mine", data_dir=root / "data", workers=1)
    return root


@pytest.fixture
def stored(tmp_path, original):
    """A copy of the prepared set: the folder of its version."""
    shutil.copytree(original / "data", tmp_path / "data")
    return tmp_path / "data/mine/1.0.0"


@pytest.fixture
def stored_before(stored):
    """The set as the version before wrote it: without a manifest."""
    for name in ("manifest.json", "records.sha256"):
        (stored / name).unlink()
    report = json.loads((stored / "preparation.json").read_text())
    del report["manifest"]
    (stored / "preparation.json").write_text(json.dumps(report, indent=1) + "\n")
    return stored


def read_all(stored):
    dataset = open_dataset("mine", stored.parents[1])
    return [record for split in dataset.splits for record in dataset.source(split)]


def one_line(error, name):
    text = str(error.value)
    assert "\n" not in text
    assert name in text, text


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
    promise="Damaged metadata of a data set is one line, never a traceback",
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
    promise="A data set is data only: opening it imports no Python that it names",
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


def test_splits_have_one_reading(tmp_path, contents, capfd):
    names = [name.replace("val/", "Validation/").replace("test/", "testing/") for name in VIDEOS]
    make(tmp_path / "videos", names, contents)
    summary = prepare("folder", tmp_path / "videos", name="mine", data_dir=tmp_path, workers=1)
    assert summary.remarks == ("split Validation is stored as val", "split testing is stored as test")
    dataset = open_dataset("mine", tmp_path)
    assert dataset.splits == {"train": 3, "val": 1, "test": 1}
    for split in ("val", "valid", "validation", "dev", "VAL"):
        assert len(dataset.source(split)) == 1
        assert dataset.has(split)
    assert dataset.resolve("validation[:50%] + testing") == "val[:50%]+test"
    assert len(dataset.source("validation+testing")) == 2
    assert len(dataset.source("all")) == 5
    for split in ("vall", "train+vall", "te/st", "", "train[", "holdout[:10%]"):
        assert not dataset.has(split)
        with pytest.raises(UserError, match=r"has no split .*: known are train, val, test"):
            dataset.source(split)
    with pytest.raises(UserError, match=r"slices are as train\[:10%\]"):
        dataset.source("train[:x]")


def test_a_set_that_stores_validation_is_found_as_val(stored_before):
    """As tfds itself and the version before of `vivit prepare csv` store it."""
    (shard,) = stored_before.glob("mine-val.*")
    shard.rename(shard.with_name(shard.name.replace("-val.", "-validation.")))
    info = stored_before / "dataset_info.json"
    info.write_text(info.read_text().replace('"val"', '"validation"'))
    dataset = open_dataset("mine", stored_before.parents[1])
    assert dataset.resolve("val[:50%]+test") == "validation[:50%]+test"
    assert len(dataset.source("dev")) == 1


def test_a_split_that_is_missing_is_refused_at_the_start_and_a_default_one_told(tmp_path, contents, capfd):
    make(tmp_path / "videos", VIDEOS[:3], contents)
    prepare("folder", tmp_path / "videos", name="mine", data_dir=tmp_path, workers=1)
    dataset = open_dataset("mine", tmp_path)
    check_splits(dataset, DataConfig())
    out = capfd.readouterr().out
    assert "warning: data set mine has no split val, only train: nothing is validated" in out
    assert "warning: data set mine has no split test, only train: nothing is tested" in out
    check_splits(dataset, DataConfig(val_split=None, test_split=None))
    assert not capfd.readouterr().out
    for wrong in ({"val_split": "vall"}, {"test_split": "holdout"}, {"train_split": "trainn"}, {"val_split": "validation"}):
        with pytest.raises(UserError, match="has no split"):
            check_splits(dataset, DataConfig(**wrong))


def test_a_run_with_a_misspelt_split_makes_nothing(tmp_path, original):
    options = ["--config.data.name=mine", f"--config.data.data_dir={original / 'data'}", "--config.data.test_split=tset"]
    config = pathlib.Path(__file__).parents[2] / "configs/video_folder.py"
    command = [sys.executable, "-m", "vivit_jax", "train", f"--config={config}", f"--workdir={tmp_path / 'run'}", *options]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "data set mine has no split 'tset': known are train, val, test" in done.stderr
    assert not (tmp_path / "run/config.json").exists()


@pytest.mark.parametrize("split", ["all", "te/st", "te st", "../up", "té"])
def test_a_split_that_could_not_be_asked_for_is_refused(tmp_path, contents, split, capfd):
    make(tmp_path, ("a.mp4", "b.mp4"), contents)
    (tmp_path / "list.csv").write_text(f"path,label,split\na.mp4,run,train\nb.mp4,run,{split}\n")
    assert main(["prepare", "csv", str(tmp_path / "list.csv"), "--name", "mine", "--data_dir", str(tmp_path / "data")]) == 2
    err = capfd.readouterr().err
    assert "a split cannot be named" in err
    assert err.count("\n") == 1


def test_splits_that_differ_in_case_alone_are_refused(listed):
    with pytest.raises(UserError, match="the splits 'Fold1' and 'fold1' are likely one"):
        listed("path,label,split\na.mp4,run,Fold1\nb.mp4,run,fold1\n")


@pytest.fixture
def listed(tmp_path, contents):
    """Reads a list of the videos a.mp4 to d.mp4 and train/run/e.mp4."""
    make(tmp_path, ("a.mp4", "b.mp4", "c.mp4", "d.mp4", "train/run/e.mp4"), contents)

    def read(text, **reading):
        (tmp_path / "list.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_layout("csv", tmp_path / "list.csv", Reading(**reading))

    return read


@pytest.mark.parametrize(
    ("start", "end"), [("start", "end"), ("time_start", "time_end"), ("start_time", "end_time"), ("Start_Sec", "end_seconds")]
)
def test_segments_by_any_usual_name(listed, start, end):
    found = listed(f"path,label,{start},{end},fps\na.mp4,run,1.5,2.25,30\nb.mp4,run,0:01.5,00:00:02.25,30\nc.mp4,run,,,30\n")
    assert [(clip.start, clip.end) for clip in found.clips] == [(1.5, 2.25), (1.5, 2.25), (0, None)]
    assert "columns not used: fps" in found.remarks
    assert (f"columns taken: {start.lower()} as start, {end.lower()} as end" in found.remarks) == (start != "start")


def test_segments_by_frames_are_not_guessed(listed):
    with pytest.raises(UserError, match=r"line 1: segments by frame numbers are not read.*give start and end in seconds"):
        listed("path,label,start_frame,end_frame\na.mp4,run,10,20\n")
    found = listed("path,label,start_frame,frames\na.mp4,run,64,64\n")
    assert (found.clips[0].start, found.clips[0].end) == (0, None)
    assert "columns not used: start_frame, frames" in found.remarks


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
    with pytest.raises(UserError, match="are likely one"):
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


def test_a_source_is_split_by_class_and_the_same_way_for_ever(tmp_path, contents):
    names = [f"{label}/{number}.mp4" for label in ("run", "sit") for number in range(20)]
    for number, name in enumerate(names):  # of different contents and equal size, which are never decoded here
        (tmp_path / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "videos" / name).write_bytes(b"video %2d" % number)
    shares = Shares(percentages("70,15,15"))

    def splits(shares=shares):
        return {clip.name: clip.split for clip in read_layout("folder", tmp_path / "videos", None, shares).clips}

    first = splits()
    counts = {label: [0, 0, 0] for label in ("run", "sit")}
    for name, split in first.items():
        counts[name.partition("/")[0]][("train", "val", "test").index(split)] += 1
    assert counts == {"run": [14, 3, 3], "sit": [14, 3, 3]}
    assert splits() == first
    assert splits(Shares(shares.percent, seed=1)) != first
    (tmp_path / "videos/run/new.mp4").write_bytes(b"another")
    moved = [name for name, split in splits().items() if name in first and first[name] != split]
    assert len(moved) <= 2
    (tmp_path / "videos/train/run").mkdir(parents=True)
    for label in ("run", "sit"):
        shutil.rmtree(tmp_path / "videos" / label)
    with pytest.raises(UserError, match="has the splits train already: leave --split out"):
        splits()


def test_groups_copies_and_segments_stay_together(tmp_path, contents, listed):
    for number in range(30):
        (tmp_path / f"{number}.mp4").write_bytes(b"%3d" % (number // 2 if number < 4 else number))
    rows = [
        f"{number}.mp4,{'run' if number % 2 else 'sit'},person{number // 3},{start},{start + 1}" for number in range(30) for start in (0, 2)
    ]
    text = "path,label,Person,start,end\n" + "\n".join(rows)
    (tmp_path / "list.csv").write_text(text)
    found = read_layout("csv", tmp_path / "list.csv", Reading(group="person"), Shares(percentages("60,20,20")))
    by_group = {clip.group: {other.split for other in found.clips if other.group == clip.group} for clip in found.clips}
    assert all(len(splits) == 1 for splits in by_group.values())
    assert {clip.split for clip in found.clips} == {"train", "val", "test"}
    assert abs(sum(clip.split == "train" for clip in found.clips) - 36) <= 6
    torn = listed("path,label,split,who\na.mp4,run,train,p1\nb.mp4,run,test,p1\n", group="who")
    assert "warning: 1 groups of column who are in several splits: p1" in torn.remarks
    with pytest.raises(UserError, match=r"has no column persn to group by: it has path, label, person, start, end"):
        listed(text, group="persn")
    subset = tmp_path / "subset.csv"
    subset.write_text("path,label,subset\na.mp4,run,train\n")
    with pytest.raises(UserError, match="has splits already, in its column subset"):
        read_layout("csv", subset, None, Shares(percentages("60,40")))


def test_prepare_splits_and_keeps_the_groups(tmp_path, contents, capfd):
    make(tmp_path, [f"{number}.mp4" for number in range(9)], contents)
    (tmp_path / "list.csv").write_text("path,label,who\n" + "".join(f"{n}.mp4,run,p{n % 3}\n" for n in range(9)))
    options = ["--name", "mine", "--data_dir", str(tmp_path / "data"), "--group", "who", "--split"]
    assert main(["prepare", "csv", str(tmp_path / "list.csv"), *options, "70,15,10"]) == 2
    assert "add up to 100" in capfd.readouterr().err
    assert main(["prepare", "csv", str(tmp_path / "list.csv"), *options, "67,33"]) == 0
    assert "split by --split, seed 0: 6 train, 3 test" in capfd.readouterr().out
    report = json.loads((tmp_path / "data/mine/1.0.0/preparation.json").read_text())
    assert report["groups"] == {f"{n}.mp4": f"p{n % 3}" for n in range(9)}
    assert open_dataset("mine", tmp_path / "data").splits == {"train": 6, "test": 3}
