import dataclasses
import json
import pathlib

import jax
import numpy as np
import pytest
from random_variables import random_variables
from safetensors.numpy import load_file, save_file

from vivit_jax.errors import UserError
from vivit_jax.models.vivit.config import ViViTConfig
from vivit_jax.preprocess import Preprocess
from vivit_jax.weights.layers import flatten
from vivit_jax.weights.model_dir import load_model_dir, save_pretrained

CONFIG = ViViTConfig(
    factorisation="factorised_encoder",
    hidden_size=8,
    num_layers=2,
    num_heads=2,
    mlp_dim=16,
    temporal_layers=1,
    tubelet=(2, 4, 4),
    clip=(4, 8, 8),
    num_classes=3,
)
PREPROCESS = Preprocess(frames=4, stride=2, resize=9, crop=(8, 8), mean=(0.1, 0.2, 0.3))
LABELS = ("ant", "bée", "cat")


@pytest.fixture
def model_dir(tmp_path):
    return save_pretrained(tmp_path / "model", CONFIG, random_variables(CONFIG), PREPROCESS, LABELS)


def edit_weights(model_dir, edit):
    tensors = load_file(model_dir / "model.safetensors")
    edit(tensors)
    save_file(tensors, model_dir / "model.safetensors")


def test_what_the_logits_mean_is_kept_and_single_unless_said(tmp_path, model_dir):
    assert not load_model_dir(model_dir).multi_label
    path = save_pretrained(tmp_path / "several", CONFIG, random_variables(CONFIG), PREPROCESS, LABELS, multi_label=True)
    pretrained = load_model_dir(path)
    assert pretrained.multi_label
    np.testing.assert_allclose(pretrained.activation(np.array([[0.0, 20.0, -20.0]])), [[0.5, 1.0, 0.0]], atol=1e-6)
    config = json.loads((path / "config.json").read_text())
    del config["contents_sha256"]  # as before there was one
    (path / "config.json").write_text(json.dumps({name: value for name, value in config.items() if name != "problem_type"}))
    assert not load_model_dir(path).multi_label
    (path / "config.json").write_text(json.dumps(config | {"problem_type": "regression"}))
    with pytest.raises(UserError, match="unknown problem_type"):
        load_model_dir(path)


def test_where_the_weights_come_from_is_kept_as_it_was_given_and_absent_where_it_was_not(tmp_path, model_dir):
    assert load_model_dir(model_dir).provenance is None
    assert "provenance" not in json.loads((model_dir / "config.json").read_text())
    given = {"experiment": "k400.toml", "step": 300, "data": {"train": "ab12", "clips": [1, 2.5, None, True]}}
    path = save_pretrained(tmp_path / "told", CONFIG, random_variables(CONFIG), PREPROCESS, LABELS, provenance=given)
    assert load_model_dir(path).provenance == given
    for wrong in ({"a": float("nan")}, {"a": np.zeros(2)}, {"a": tmp_path}):
        with pytest.raises(UserError, match="provenance must be plain JSON values"):
            save_pretrained(tmp_path / "wrong", CONFIG, random_variables(CONFIG), PREPROCESS, LABELS, provenance=wrong)
    assert not (tmp_path / "wrong").exists()


@pytest.mark.parametrize("scan_layers", [False, True])
def test_what_is_saved_comes_back_bit_by_bit(tmp_path, scan_layers):
    config = dataclasses.replace(CONFIG, scan_layers=scan_layers)
    variables = random_variables(config)
    pretrained = load_model_dir(save_pretrained(tmp_path / "model", config, variables, PREPROCESS, LABELS))
    assert (pretrained.model.config, pretrained.preprocess, pretrained.labels) == (config, PREPROCESS, LABELS)
    jax.tree.map(np.testing.assert_array_equal, pretrained.variables, jax.tree.map(np.asarray, variables))


def test_an_epsilon_of_the_last_norm_is_in_the_file_only_where_there_is_one(tmp_path, model_dir):
    """Versions before it refuse the key."""
    assert "last_norm_eps" not in json.loads((model_dir / "config.json").read_text())["model"]
    config = dataclasses.replace(CONFIG, last_norm_eps=1e-5)
    path = save_pretrained(tmp_path / "other", config, random_variables(config), PREPROCESS, LABELS)
    assert load_model_dir(path).model.config == config


def test_files_hold_the_layers_one_by_one_whatever_scan_layers_is(tmp_path):
    config = dataclasses.replace(CONFIG, scan_layers=True)
    path = save_pretrained(tmp_path / "model", config, random_variables(config), PREPROCESS, LABELS)
    assert set(load_file(path / "model.safetensors")) == set(flatten(random_variables(CONFIG)["params"]))


def test_several_heads_keep_their_labels_and_no_head_has_none(tmp_path):
    two = dataclasses.replace(CONFIG, num_classes={"verb": 2, "noun": 1})
    labels = {"verb": ("run", "sit"), "noun": ("cup",)}
    pretrained = load_model_dir(save_pretrained(tmp_path / "two", two, random_variables(two), PREPROCESS, labels))
    assert pretrained.labels == labels
    assert pretrained.model.config == two
    none = dataclasses.replace(CONFIG, num_classes=None)
    assert load_model_dir(save_pretrained(tmp_path / "none", none, random_variables(none), PREPROCESS, None)).labels == ()


def test_saving_again_replaces_a_model_but_nothing_else(tmp_path, model_dir):
    save_pretrained(model_dir, CONFIG, random_variables(CONFIG), PREPROCESS, ("x", "y", "z"))
    assert load_model_dir(model_dir).labels == ("x", "y", "z")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    with pytest.raises(UserError, match="is not a model directory"):
        save_pretrained(tmp_path / "photos", CONFIG, random_variables(CONFIG), PREPROCESS, LABELS)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "photos"]


def test_a_failed_save_leaves_the_older_model_whole(model_dir, monkeypatch):
    def disk_full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vivit_jax.weights.model_dir.write_safetensors", disk_full)
    with pytest.raises(OSError, match="No space"):
        save_pretrained(model_dir, CONFIG, random_variables(CONFIG), PREPROCESS, ("x", "y", "z"))
    assert load_model_dir(model_dir).labels == LABELS
    assert [p.name for p in model_dir.parent.iterdir()] == ["model"]


def test_variables_and_labels_that_are_not_the_models_are_refused(tmp_path):
    variables = random_variables(CONFIG)
    del variables["params"]["head"]["bias"]
    with pytest.raises(UserError, match=r"1 missing: head/bias \(3,\)"):
        save_pretrained(tmp_path / "m", CONFIG, variables, PREPROCESS, LABELS)
    with pytest.raises(UserError, match="the model has 3 classes, got 2 classes"):
        save_pretrained(tmp_path / "m", CONFIG, random_variables(CONFIG), PREPROCESS, ("a", "b"))
    assert list(tmp_path.iterdir()) == []


def test_missing_and_extra_parameters_are_both_listed_with_shapes(model_dir):
    def edit(tensors):
        tensors["head/scale"] = tensors.pop("head/bias")

    edit_weights(model_dir, edit)
    with pytest.raises(UserError, match=r"1 missing: head/bias \(3,\); 1 left over: head/scale \(3,\)"):
        load_model_dir(model_dir)


def test_a_wrong_shape_and_a_wrong_type_are_named(model_dir):
    edit_weights(model_dir, lambda tensors: tensors.update({"head/bias": np.zeros(4, np.float32)}))
    with pytest.raises(UserError, match=r"head/bias \(4,\) where \(3,\) is expected"):
        load_model_dir(model_dir)
    edit_weights(model_dir, lambda tensors: tensors.update({"head/bias": np.zeros(3, np.float16)}))
    with pytest.raises(UserError, match=r"must be float32.*head/bias F16"):
        load_model_dir(model_dir)


@pytest.mark.fault(
    promise="A flipped bit in a model is refused",
    provoked="a bit of the weights",
    seen="one line that names the file",
    trials=1,
)
def test_a_flipped_bit_is_refused(model_dir):
    weights = model_dir / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(UserError, match="SHA-256"):
        load_model_dir(model_dir)


@pytest.mark.fault(
    promise="A truncated model, or one with a false header, is refused",
    provoked="weights that are cut, emptied, or have a false header or shape",
    seen="one line that names the file",
    trials=4,
)
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: (1 << 60).to_bytes(8, "little") + data[8:],
        lambda data: data.replace(b"[3]", b"[9]"),
    ],
    ids=["truncated", "empty", "header said to be an exabyte", "shape that is not the data's"],
)
def test_a_lying_or_truncated_weights_file_is_refused_in_one_line(model_dir, damage):
    weights = model_dir / "model.safetensors"
    weights.write_bytes(damage(weights.read_bytes()))
    with pytest.raises(UserError, match=r"model\.safetensors") as error:
        load_model_dir(model_dir)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["config.json", "preprocess.json", "model.safetensors"])
def test_a_missing_file_is_named(model_dir, name):
    (model_dir / name).unlink()
    with pytest.raises(UserError, match=name):
        load_model_dir(model_dir)


def test_unknown_and_impossible_configuration_is_refused(model_dir):
    config = json.loads((model_dir / "config.json").read_text())
    config.pop("contents_sha256")
    for change, message in (
        ({"num_heds": 2}, "did you mean 'num_heads'"),
        ({"num_heads": 3}, "is not divisible"),
        ({"clip": 4}, "config.json"),
        ({"num_layers": 10**9}, r"holds \d+ parameters, too few for the 100000000\d layers"),
        ({"temporal_layers": 10**9}, r"too few for the 100000000\d layers"),
        ({"hidden_size": 10**12}, "are not the model's"),
        ({"norm_eps": float("nan")}, "above 0 and below 1"),
        ({"temporal_layers": 1.5}, "temporal_layers must be int, got 1.5"),
        ({"scan_layers": "no"}, "scan_layers must be bool"),
        ({"clip": [8, 8, 8]}, r"makes clips of \(4, 8, 8\) .* the model takes \(8, 8, 8\)"),
    ):
        (model_dir / "config.json").write_text(json.dumps(config | {"model": config["model"] | change}))
        with pytest.raises(UserError, match=message):
            load_model_dir(model_dir)


@pytest.mark.fault(
    promise="Values that a model cannot have are refused",
    provoked="foreign keys, too few labels, invalid and far too large numbers",
    seen="one line that names file and key",
    trials=8,
)
@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("config.json", {"auto_map": {"AutoModel": "code.Model"}}, "unknown key in .*auto_map"),
        ("config.json", {"id2label": {"0": "a", "1": "b", "2": "c", "3": "d"}}, "id2label must name every class, 3 classes"),
        ("config.json", {"id2label": {"0": "a", "1": "b", "2": ["c"]}}, "id2label must name every class"),
        ("preprocess.json", {"frames": 4.0}, "frames must be int, got 4.0"),
        ("preprocess.json", {"mean": "abc"}, r"mean must be \(float, float, float\), got 'abc'"),
        ("preprocess.json", {"std": [float("inf")] * 3}, "must be finite numbers, got inf"),
        ("preprocess.json", {"crop": [16, 16]}, "makes clips of"),
        ("preprocess.json", {"resize": 10**9}, "resize must be at most 16 times the crop"),
    ],
)
def test_values_that_a_model_directory_cannot_have_are_refused(model_dir, file, change, message):
    values = json.loads((model_dir / file).read_text())
    (model_dir / file).write_text(json.dumps(values | change))
    with pytest.raises(UserError, match=message):
        load_model_dir(model_dir)


def test_a_clip_of_gigabytes_is_refused_before_memory_is_taken(model_dir):
    config, preprocess = (json.loads((model_dir / name).read_text()) for name in ("config.json", "preprocess.json"))
    config.pop("contents_sha256")
    t, h, w = 8000, 2048, 2048
    (model_dir / "config.json").write_text(json.dumps(config | {"model": config["model"] | {"clip": [t, h, w]}}))
    (model_dir / "preprocess.json").write_text(json.dumps(preprocess | {"frames": t, "crop": [h, w], "resize": h}))
    with pytest.raises(UserError, match="takes clips of 100,663,296,000 bytes, more than the limit of 1,073,741,824"):
        load_model_dir(model_dir)


def test_json_that_is_nested_without_end_is_refused_in_one_line(model_dir):
    (model_dir / "config.json").write_text("[" * 200_000)
    with pytest.raises(UserError, match=r"config\.json cannot be read as JSON"):
        load_model_dir(model_dir)


@pytest.mark.fault(
    promise="A model directory is only data",
    provoked="Python files in the directory of a model",
    seen="it loads, and none of them ran",
    trials=1,
)
def test_loading_runs_no_python_that_lies_in_the_directory(model_dir, tmp_path):
    trap = f"import pathlib; pathlib.Path({str(tmp_path / 'sprung')!r}).touch()"
    for name in ("config.py", "modeling.py", "__init__.py", "sitecustomize.py", "model.pkl"):
        (model_dir / name).write_text(trap)
    load_model_dir(model_dir)
    assert not pathlib.Path(tmp_path / "sprung").exists()


@pytest.mark.parametrize("attention", ["cudnn", "fa3"])
def test_a_model_trained_with_attention_of_a_gpu_loads_anywhere(tmp_path, attention):
    config = dataclasses.replace(CONFIG, attention=attention, dtype="bfloat16")
    save_pretrained(tmp_path / "model", config, random_variables(CONFIG), PREPROCESS, LABELS)
    loaded = load_model_dir(tmp_path / "model")
    assert loaded.model.config == dataclasses.replace(config, attention="auto")
    clip = np.random.default_rng(0).uniform(-1, 1, (1, *config.clip, 3)).astype(np.float32)
    assert np.isfinite(loaded.model.apply(loaded.variables, clip)).all()
