"""Model directories that were damaged, edited, or are replaced while they are read."""

import json
import multiprocessing
import os
import stat

import numpy as np
import pytest
from small_models import LABELS, PREPROCESS, SQUARE, random_variables, save_again_and_again

from vivit_jax import cli
from vivit_jax.errors import UserError
from vivit_jax.preprocess import Preprocess
from vivit_jax.weights import load_model_dir, model_dir, save_pretrained


@pytest.fixture
def saved(tmp_path):
    return save_pretrained(tmp_path / "model", SQUARE, random_variables(SQUARE), PREPROCESS, LABELS, provenance={"step": 3})


def _facts(pretrained):
    return pretrained.model.config, pretrained.preprocess, pretrained.labels, pretrained.multi_label, pretrained.provenance


@pytest.mark.fault(
    promise="A flipped bit in a model's config.json or preprocess.json never changes what the model does",
    provoked="every single bit of both files is flipped, one at a time",
    seen="one line that says what is wrong, or the very same model",
    trials=9000,
)
@pytest.mark.slow
def test_every_flipped_bit_of_the_small_files_is_refused_or_changes_nothing(saved, monkeypatch):
    expected = _facts(load_model_dir(saved))
    weights = model_dir._read_weights(
        saved / "model.safetensors", SQUARE, json.loads((saved / "config.json").read_text())["weights_sha256"]
    )
    digest = json.loads((saved / "config.json").read_text())["weights_sha256"]

    def read_weights(path, config, given):  # not the whole file for each of thousands of flips
        if given != digest:
            raise UserError("the weights' checksum")
        return weights

    monkeypatch.setattr(model_dir, "_read_weights", read_weights)
    refused = 0
    for name in ("config.json", "preprocess.json"):
        data = (saved / name).read_bytes()
        for bit in range(8 * len(data)):
            changed = bytearray(data)
            changed[bit // 8] ^= 1 << bit % 8
            (saved / name).write_bytes(changed)
            try:
                assert _facts(load_model_dir(saved)) == expected, (name, bit)
            except UserError:
                refused += 1
        (saved / name).write_bytes(data)
    assert refused > 5000


def test_a_hand_edit_is_told_and_accepted_once_its_line_is_gone(saved, tmp_path, capsys):
    values = json.loads((saved / "preprocess.json").read_text())
    (saved / "preprocess.json").write_text(json.dumps(values | {"stride": 7}))
    assert cli.main(["convert", str(saved), "--to", str(tmp_path / "new")]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "to accept the edit, delete the line contents_sha256" in line
    text = (saved / "config.json").read_text()
    (saved / "config.json").write_text("".join(line for line in text.splitlines(keepends=True) if "contents_sha256" not in line))
    assert load_model_dir(saved).preprocess.stride == 7


@pytest.mark.parametrize("value", [np.nan, np.inf, -3e38])
def test_weights_that_cannot_be_are_refused_by_name_on_saving_and_loading(tmp_path, monkeypatch, value):
    variables = random_variables(SQUARE)
    bias = np.array(variables["params"]["head"]["bias"])
    bias[1] = value
    variables["params"]["head"]["bias"] = bias
    with pytest.raises(UserError, match=r"head/bias \(3,\) holds NaN, infinity or numbers above"):
        save_pretrained(tmp_path / "model", SQUARE, variables, PREPROCESS, LABELS)
    assert not list(tmp_path.iterdir())
    with monkeypatch.context() as before:  # as a version before saved it, with the right checksum
        before.setattr(model_dir, "_check_finite", lambda *_: None)
        save_pretrained(tmp_path / "model", SQUARE, variables, PREPROCESS, LABELS)
    with pytest.raises(UserError, match=r"model\.safetensors: head/bias \(3,\) holds NaN"):
        load_model_dir(tmp_path / "model")


def test_all_files_have_the_rights_that_the_umask_gives(tmp_path):
    before = os.umask(0o027)
    try:
        path = save_pretrained(tmp_path / "model", SQUARE, random_variables(SQUARE), PREPROCESS, LABELS)
    finally:
        os.umask(before)
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.iterdir()} == {0o640}


def test_a_model_prints_as_one_short_line(saved):
    assert len(repr(load_model_dir(saved))) < 120


def test_leftovers_of_killed_saves_go_once_they_are_old(saved):
    old, young, other = (saved.parent / name for name in (".model-abcdefgh", ".model-ijklmnop", ".model-precious"))
    for folder in (old, young, other):
        (folder / "new").mkdir(parents=True)
    (other / "mine.txt").write_text("mine")
    for folder in (old, other):
        for each in (*folder.iterdir(), folder):
            os.utime(each, (1e9, 1e9))
    save_pretrained(saved, SQUARE, random_variables(SQUARE), PREPROCESS, LABELS)
    assert sorted(file.name for file in saved.parent.iterdir()) == [".model-ijklmnop", ".model-precious", "model"]


@pytest.mark.slow
def test_a_reader_during_the_exchange_never_sees_half_a_model_or_none(saved):
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    writer = context.Process(target=save_again_and_again, args=(saved, stop))
    writer.start()
    seen = set()
    try:
        while len(seen) < 8:
            assert writer.is_alive() or not seen
            model = load_model_dir(saved)
            if model.provenance["step"] in seen:
                continue
            bias = model.variables["params"]["head"]["bias"]
            assert len(set(bias.tolist())) == 1 or not seen
            seen.add(model.provenance["step"])
            assert len(seen) == 1 or bias[0] == model.provenance["step"]
    finally:
        stop.set()
        writer.join(60)


def _hugging_face_dir(tmp_path):
    model = save_pretrained(tmp_path / "for_export", SQUARE, random_variables(SQUARE), PREPROCESS, LABELS)
    assert cli.main(["export", "--model", str(model), "--to", "hugging_face", str(tmp_path / "theirs")]) == 0
    return tmp_path / "theirs"


def _everything(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.fault(
    promise="A new model replaces nothing but a model directory of ours",
    provoked="the target is the Hugging Face model that is converted, another one, bare weights, or a model of ours with files beside it",
    seen="one line that names what would be lost; exit code 2; every file is there as it was",
    trials=5,
)
@pytest.mark.parametrize("kind", ["the source", "with videos", "bare weights", "ours with notes", "ours with a folder"])
def test_no_file_that_is_not_a_model_of_ours_is_lost_to_a_new_model(tmp_path, saved, capsys, kind):
    source = _hugging_face_dir(tmp_path)
    target = source if kind in ("the source", "with videos") else saved
    if kind == "with videos":
        (target / "videos").mkdir()
        (target / "videos" / "a.mp4").write_bytes(b"precious")
    elif kind == "bare weights":
        target = tmp_path / "bare"
        target.mkdir()
        (target / "model.safetensors").write_bytes((source / "model.safetensors").read_bytes())
    elif kind == "ours with notes":
        (target / "notes.txt").write_text("precious")
    elif kind == "ours with a folder":
        (target / ".git").mkdir()
        (target / ".git" / "HEAD").write_text("precious")
    before = _everything(target)
    capsys.readouterr()
    assert cli.main(["convert", str(source), "--to", str(target)]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "left alone" in line
    assert str(target) in line
    assert _everything(target) == before


@pytest.mark.parametrize("lost", [None, "config.json", "preprocess.json", "model.safetensors", "config damaged"])
def test_a_model_of_ours_is_replaced_however_it_is_damaged(saved, lost):
    if lost == "config damaged":
        (saved / "config.json").write_text('{"architecture')
    elif lost:
        (saved / lost).unlink()
    save_pretrained(saved, SQUARE, random_variables(SQUARE), PREPROCESS, ("x", "y", "z"))
    assert load_model_dir(saved).labels == ("x", "y", "z")


def test_a_link_to_a_model_stays_a_link(tmp_path, saved):
    (tmp_path / "link").symlink_to(saved)
    save_pretrained(tmp_path / "link", SQUARE, random_variables(SQUARE), PREPROCESS, ("x", "y", "z"))
    assert (tmp_path / "link").is_symlink()
    assert load_model_dir(saved).labels == load_model_dir(tmp_path / "link").labels == ("x", "y", "z")


def test_exported_files_have_the_rights_that_the_umask_gives(tmp_path, saved):
    before = os.umask(0o027)
    try:
        for to in ("hugging_face", "stablehlo"):
            assert cli.main(["export", "--model", str(saved), "--to", to, str(tmp_path / to)]) == 0
            assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / to).iterdir()} == {0o640}, to
    finally:
        os.umask(before)


def test_half_a_character_in_a_class_name_is_refused_in_one_line(tmp_path, capsys):
    with pytest.raises(UserError, match="is not Unicode text"):
        save_pretrained(tmp_path / "model", SQUARE, random_variables(SQUARE), PREPROCESS, ("a", "\ud800", "c"))
    source = _hugging_face_dir(tmp_path)
    config = json.loads((source / "config.json").read_text())
    config["id2label"]["1"] = "\ud800"
    (source / "config.json").write_text(json.dumps(config))
    capsys.readouterr()
    assert cli.main(["convert", str(source), "--to", str(tmp_path / "new")]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "is not Unicode text" in line
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("change", [{"std": (1e-60, 0.5, 0.5)}, {"mean": (1e60, 0.5, 0.5)}, {"std": (1e-7,) * 3}])
def test_a_mean_or_std_that_makes_pixels_infinite_is_refused(change):
    with pytest.raises(UserError, match=r"must be of pixels in \[0, 1\]"):
        Preprocess(frames=4, stride=2, resize=20, crop=(16, 16), **change)


@pytest.mark.parametrize("name", ["config.json", "preprocess.json"])
def test_a_pipe_or_gigabytes_in_place_of_a_small_file_are_refused_at_once(saved, name):
    (saved / name).unlink()
    os.mkfifo(saved / name)
    with pytest.raises(UserError, match="is not a file"):
        load_model_dir(saved)
    (saved / name).unlink()
    with (saved / name).open("wb") as file:
        file.truncate(2**36)  # a hole: no disk is taken
    with pytest.raises(UserError, match=r"more than the limit of .*: refused"):
        load_model_dir(saved)


@pytest.mark.fault(
    promise="Anything but a file in the place of a model's files is refused at once",
    provoked="weights and preprocess.json in turn replaced by a folder, a pipe, a link to itself, and a link to a device",
    seen="one line that names the file; exit code 2",
    trials=8,
)
@pytest.mark.parametrize("name", ["model.safetensors", "preprocess.json"])
@pytest.mark.parametrize("kind", ["folder", "pipe", "loop", "/dev/null"])
def test_what_is_no_file_is_refused(saved, name, kind):
    path = saved / name
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(name if kind == "loop" else kind)
    with pytest.raises(UserError, match=name):
        load_model_dir(saved)
