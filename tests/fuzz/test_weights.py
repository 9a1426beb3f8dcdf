"""Random damage to real small files of weights: each is read, or refused by a `UserError`. `VIVIT_FUZZ=N` tries N times as many."""

import os
import shutil

import flax.serialization
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from test_model_dirs import LABELS, PREPROCESS, SQUARE, random_variables

from vivit_jax.errors import UserError
from vivit_jax.weights import load_model_dir, save_pretrained
from vivit_jax.weights.tensors import read_tensors

EXAMPLES = 100 * int(os.environ.get("VIVIT_FUZZ", "1"))
ARRAYS = {"cls": np.ones((1, 1, 8), np.float32), "head/kernel": np.zeros((8, 3), np.float32), "head/bias": np.zeros(3, np.float16)}
READERS = ("npz", "safetensors", "msgpack", "pth", "config.json", "preprocess.json")

# One change each: (kind, place between 0 and 1, bytes).
CHANGES = st.lists(
    st.tuples(st.sampled_from(("flip", "cut", "splice")), st.floats(0, 1), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4
)


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("originals")
    np.savez(folder / "npz.npz", **ARRAYS)
    save_file(ARRAYS, folder / "safetensors")
    (folder / "msgpack").write_bytes(flax.serialization.msgpack_serialize(dict(ARRAYS)))
    save_pretrained(folder / "model", SQUARE, random_variables(SQUARE), PREPROCESS, LABELS)
    return folder


def changed(data, changes):
    for kind, place, extra in changes:
        at = int(place * max(len(data) - 1, 0))
        if kind == "flip" and data:
            data = data[:at] + bytes([data[at] ^ (extra[0] or 1)]) + data[at + 1 :]
        elif kind == "cut":
            data = data[:at] + data[at + len(extra) :]
        else:
            data = data[:at] + extra + data[at:]
    return data


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

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(CHANGES)
    def damage(changes):
        target.write_bytes(changed(data, changes))
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
