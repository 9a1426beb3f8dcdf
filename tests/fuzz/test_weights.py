"""Random damage to real small files of weights: each is read, or refused by a `UserError`."""

import json
import resource
import shutil
import time

import flax.serialization
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mutations import CHANGES, examples, mutated
from safetensors.numpy import save_file
from small_models import LABELS, PREPROCESS, SQUARE, random_variables

from vivit_jax.errors import UserError
from vivit_jax.weights import from_pretrained, load_model_dir, save_pretrained
from vivit_jax.weights.config import InitConfig
from vivit_jax.weights.convert import convert
from vivit_jax.weights.export import export
from vivit_jax.weights.tensors import read_tensors

ARRAYS = {"cls": np.ones((1, 1, 8), np.float32), "head/kernel": np.zeros((8, 3), np.float32), "head/bias": np.zeros(3, np.float16)}
READERS = ("npz", "safetensors", "msgpack", "pth", "config.json", "preprocess.json")


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("originals")
    np.savez(folder / "npz.npz", **ARRAYS)
    save_file(ARRAYS, folder / "safetensors")
    (folder / "msgpack").write_bytes(flax.serialization.msgpack_serialize(dict(ARRAYS)))
    save_pretrained(folder / "model", SQUARE, random_variables(SQUARE), PREPROCESS, LABELS)
    return folder


def original(folder, reader):
    if reader == "pth":
        torch = pytest.importorskip("torch", reason="needs the extra `parity`")
        torch.save({name: torch.from_numpy(array) for name, array in ARRAYS.items()}, folder / "pth")
    if reader.endswith(".json"):
        return (folder / "model" / reader).read_bytes()
    return (folder / ("npz.npz" if reader == "npz" else reader)).read_bytes()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("reader", READERS)
def test_random_damage_is_read_or_refused_in_one_line(originals, tmp_path, reader):
    data = original(originals, reader)
    target = tmp_path / "weights"
    if reader.endswith(".json"):
        shutil.copytree(originals / "model", tmp_path / "model")
        target = tmp_path / "model" / reader

    @examples(100)
    @given(CHANGES)
    def damage(changes):
        target.write_bytes(mutated(data, changes))
        try:
            if reader.endswith(".json"):
                load_model_dir(tmp_path / "model")
            else:
                tensors = read_tensors(target)
                for name in tensors:
                    tensors[name]
        except UserError as error:
            assert "\n" not in str(error)

    damage()


# Values that some field of some file is not meant to have.
WORDS = st.sampled_from(["", "x", "gelu", "0", "\ud800", "mean", "1e999"])
NUMBERS = st.sampled_from([0, 1, -1, 2, 7, 10**7, 2**31, 2**63, 10**30, 0.5, -0.5, 1e-300, 1e308, float("nan"), float("inf")])
ODD_VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["0", "1", "a", "height", "shortest_edge"]), inner, max_size=3)
    ),
    max_leaves=6,
)
EDITS = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.booleans(), ODD_VALUES), min_size=1, max_size=3)


def fields(tree, at=()):
    """The paths of every field of a tree of JSON."""
    below = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [at] * bool(at) + [path for name, child in below for path in fields(child, (*at, name))]


def edited(tree, edits):
    """A copy in which fields have other values, or are left out."""
    tree = json.loads(json.dumps(tree))
    for place, left_out, value in edits:
        paths = fields(tree)
        if not paths:
            return value
        *above, name = paths[int(place * len(paths))]
        node = tree
        for step in above:
            node = node[step]
        if left_out and isinstance(node, dict):
            del node[name]
        else:
            node[name] = json.loads(json.dumps(value))
    return tree


def bounded(read):
    """Reads, or is refused in one short line, within seconds and a gigabyte."""
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    try:
        read()
    except UserError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 5000
    assert time.monotonic() - start < 60  # on a loaded machine too
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20  # kilobytes


THEIRS = ("config.json", "preprocessor_config.json", "video_preprocessor_config.json")


@pytest.fixture(scope="module")
def theirs(originals):
    export(load_model_dir(originals / "model"), "hugging_face", originals / "theirs")
    return originals / "theirs"


@pytest.mark.parametrize("name", THEIRS)
def test_odd_values_beside_hugging_face_weights_are_read_or_refused_in_one_line(theirs, tmp_path, name):
    shutil.copytree(theirs, tmp_path / "theirs")
    values = json.loads((theirs / name).read_text())

    @examples(33)
    @given(EDITS)
    def edit(edits):
        (tmp_path / "theirs" / name).write_text(json.dumps(edited(values, edits)))
        bounded(lambda: convert(tmp_path / "theirs", {}, InitConfig()))

    edit()


@pytest.mark.parametrize(
    ("field", "value"),
    [("hidden_act", [0]), ("model_type", {}), ("num_frames", {"a": 1}), ("id2label", 0.5), ("id2label", {"x": "y"}), ("image_size", "x")],
)
def test_a_field_of_the_wrong_kind_is_named(theirs, tmp_path, field, value):
    shutil.copytree(theirs, tmp_path / "theirs")
    config = tmp_path / "theirs" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {field: value}))
    with pytest.raises(UserError, match=rf"config\.json: {field} must be "):
        convert(tmp_path / "theirs", {}, InitConfig())


@pytest.mark.parametrize("name", ["config.json", "preprocess.json"])
def test_odd_values_in_a_model_of_ours_without_a_checksum_are_read_or_refused_in_one_line(originals, tmp_path, name):
    shutil.copytree(originals / "model", tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    del config["contents_sha256"]
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    values = json.loads((tmp_path / "model" / name).read_text())

    @examples(100)
    @given(EDITS)
    def edit(edits):
        (tmp_path / "model" / name).write_text(json.dumps(edited(values, edits)))
        bounded(lambda: from_pretrained(tmp_path / "model"))

    edit()


@examples(100)
@given(st.sampled_from(["F64", "F32", "F16", "BF16", "I64", "U8", "BOOL", "F8_E5M2", "F8_E4M3", "F4", "C64", "X"]), EDITS)
@example("F8_E5M2", [(0.5, False, 0)])
def test_odd_headers_of_safetensors_are_read_or_refused_in_one_line(originals, kind, edits):
    data = (originals / "safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["cls"]["dtype"] = kind
    text = json.dumps(edited(header, edits)).encode()
    (originals / "odd").write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])

    def read():
        tensors = read_tensors(originals / "odd")
        for name in tensors:
            tensors[name]

    bounded(read)
