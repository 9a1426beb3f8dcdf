"""Model directories that were damaged, edited, or are replaced while they are read."""

import json
import multiprocessing
import os
import stat

import numpy as np
import pytest
from test_weights import LABELS, ODD, SQUARE, random_variables

from vivit_jax import cli
from vivit_jax.errors import UserError
from vivit_jax.preprocess import Preprocess
from vivit_jax.weights import load_model_dir, model_dir, save_pretrained

PREPROCESS = Preprocess(frames=4, stride=2, resize=20, crop=(16, 16), **ODD)


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


def _save_again_and_again(path, stop):
    variables = random_variables(SQUARE)
    step = 0
    while not stop.is_set():
        step += 1
        variables["params"]["head"]["bias"] = np.full(3, step, np.float32)
        save_pretrained(path, SQUARE, variables, PREPROCESS, LABELS, provenance={"step": step})


def test_a_reader_during_the_exchange_never_sees_half_a_model_or_none(saved):
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    writer = context.Process(target=_save_again_and_again, args=(saved, stop))
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
