"""Faults 18 to 20: files are data, and nothing is taken on trust."""

import io
import json
import pickle
import resource
import struct
import zipfile

import flax.serialization
import numpy as np
import pytest
from image_vit import random_vit
from safetensors.numpy import save_file

from vivit_jax.errors import UserError
from vivit_jax.weights.tensors import read_tensors, write_safetensors
from vivit_jax.weights.vit.backbone import SourceOptions
from vivit_jax.weights.vit.source import read_source


class Trap:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def npz_with_header(path, shape, data, compression=zipfile.ZIP_STORED):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("embedding/kernel.npy", header.getvalue() + data)


def peak_memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.fault(
    promise="A pickle in a `.npz` is refused and nothing runs",
    provoked="an object array that would make a file",
    seen="one line; the file is not made",
    trials=1,
)
def test_an_object_array_is_refused_and_nothing_runs(tmp_path):
    objects = np.array([Trap(tmp_path / "sprung")], dtype=object)
    np.savez(tmp_path / "vit.npz", **random_vit(), extra=objects)
    with pytest.raises(UserError, match=r"extra\.npy is an array of Python objects"):
        read_tensors(tmp_path / "vit.npz")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.fault(
    promise="A pickle in a `.pth` is refused and nothing runs",
    provoked="a program hidden in a PyTorch file",
    seen="one line; the program did not run",
    trials=2,
)
@pytest.mark.parametrize("name", ["vit.pth", "pytorch_model.bin"])
def test_a_pickle_in_a_torch_file_is_refused_and_nothing_runs(tmp_path, name):
    torch = pytest.importorskip("torch", reason="needs the extra `parity`")
    torch.save({"weight": torch.zeros(2), "extra": Trap(tmp_path / "sprung")}, tmp_path / name)
    (tmp_path / "sprung").unlink(missing_ok=True)
    with pytest.raises(UserError, match="holds more than tensors, and nothing in it was executed") as error:
        read_tensors(tmp_path / name)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "sprung").exists()


def test_a_bare_pickle_is_refused_and_nothing_runs(tmp_path):
    pytest.importorskip("torch", reason="needs the extra `parity`")
    (tmp_path / "vit.pth").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(UserError, match="cannot be checked before loading"):
        read_tensors(tmp_path / "vit.pth")
    assert not (tmp_path / "sprung").exists()


def test_torch_missing_is_said_with_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "vit.pth").write_bytes(b"\x80\x02}q\x00.")
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(UserError, match=r"needs torch: pip install torch, or convert"):
        read_tensors(tmp_path / "vit.pth")


@pytest.mark.fault(
    promise="An array that declares more than it holds is refused before memory is taken",
    provoked="a small `.npz` that declares gigabytes",
    seen="one line",
    trials=1,
)
def test_an_array_that_declares_more_than_it_holds_is_refused_before_memory_is_taken(tmp_path):
    npz_with_header(tmp_path / "lie.npz", (2**28, 1), b"\0" * 2**20)
    before = peak_memory()
    with pytest.raises(UserError, match=r"declares 1,073,741,824 bytes .* and holds 1,048,576"):
        read_tensors(tmp_path / "lie.npz")
    assert peak_memory() - before < 2**26


@pytest.mark.fault(
    promise="An archive that unfolds to a gigabyte is refused before memory is taken",
    provoked="a `.npz` of 1 MB",
    seen="one line",
    trials=1,
)
def test_an_archive_that_unfolds_to_a_gigabyte_is_refused_before_memory_is_taken(tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.npy", "w", force_zip64=True) as entry,
    ):
        np.lib.format.write_array_header_1_0(entry, {"descr": "<f4", "fortran_order": False, "shape": (2**28,)})
        for _ in range(2**10):
            entry.write(bytes(2**20))
    assert (tmp_path / "bomb.npz").stat().st_size < 2**21
    before = peak_memory()
    with pytest.raises(UserError, match="refused before memory is taken"):
        read_tensors(tmp_path / "bomb.npz")
    assert peak_memory() - before < 2**26


@pytest.mark.fault(
    promise="A safetensors header with false declarations is refused",
    provoked="lengths, offsets and types that do not fit the file",
    seen="one line",
    trials=1,
)
def test_a_safetensors_header_that_lies_is_refused(tmp_path):
    header = json.dumps({"a": {"dtype": "F32", "shape": [2**28], "data_offsets": [0, 2**30]}}).encode()
    (tmp_path / "lie.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))
    before = peak_memory()
    with pytest.raises(UserError, match="not a whole safetensors file"):
        read_tensors(tmp_path / "lie.safetensors")
    assert peak_memory() - before < 2**26


def test_a_msgpack_array_that_declares_more_than_it_holds_is_refused(tmp_path):
    data = flax.serialization.msgpack_serialize({"a": np.zeros(4, np.float32)})
    (tmp_path / "checkpoint").write_bytes(data.replace(b"\x91\x04", b"\x91\x07"))
    with pytest.raises(UserError, match="not a whole Flax msgpack file"):
        read_tensors(tmp_path / "checkpoint")


@pytest.mark.fault(
    promise="A truncated weights file is refused",
    provoked="a `.npz`, a safetensors and a msgpack file, each cut",
    seen="one line that names the file",
    trials=3,
)
@pytest.mark.parametrize("kind", ["npz", "safetensors", "msgpack"])
def test_a_truncated_file_is_refused_in_one_line(tmp_path, kind):
    path = tmp_path / "vit"
    weights = random_vit()
    if kind == "npz":
        with path.open("wb") as file:
            np.savez(file, **weights)
    elif kind == "safetensors":
        save_file(weights, path)
    else:
        path.write_bytes(flax.serialization.msgpack_serialize(weights))
    path.write_bytes(path.read_bytes()[:-700])
    with pytest.raises(UserError) as error:
        read_source(path, SourceOptions())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x00" * 64])
def test_what_is_no_weights_file_is_said_to_be_none(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(UserError, match=r"is not a \.npz, \.safetensors, \.pth/\.bin or Flax msgpack file"):
        read_tensors(tmp_path / "x")


def test_a_missing_path_and_a_directory_without_weights_are_named(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read_tensors(tmp_path / "nothing")
    with pytest.raises(UserError, match="holds no weights"):
        read_tensors(tmp_path)


def test_an_index_of_shards_cannot_name_a_file_elsewhere(tmp_path):
    save_file({"a": np.zeros(2, np.float32)}, tmp_path / "outside.safetensors")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../outside.safetensors"}}))
    with pytest.raises(UserError, match="outside its directory"):
        read_tensors(tmp_path / "model")


def test_an_index_that_lists_other_tensors_than_its_shards_hold_is_refused(tmp_path):
    save_file({"a": np.zeros(2, np.float32), "b": np.zeros(2, np.float32)}, tmp_path / "one.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "one.safetensors", "c": "one.safetensors"}}))
    with pytest.raises(UserError, match=r"not in its shard: \['c'\]; not in the index: \['b'\]"):
        read_tensors(tmp_path)


def test_half_precision_is_read_as_float32(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.ones(2, np.float16))
    assert read_tensors(tmp_path / "a.npz")["a"].dtype == np.float32


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (np.ones((1, 1, 8), np.int8), "cls is of type int8, and weights are floating point"),
        (np.ones((1, 1, 8), np.complex64), "cls is of type complex64"),
        (np.full((1, 1, 8), np.nan, np.float32), r"cls \(1, 1, 8\) holds NaN or infinity"),
        (np.zeros((), np.float32), r"cls \(\) does not have the shape that its name implies"),
    ],
)
def test_a_tensor_that_cannot_be_weights_is_refused_by_name(tmp_path, cls, message):
    np.savez(tmp_path / "vit.npz", **random_vit() | {"cls": cls})
    with pytest.raises(UserError, match=message):
        read_source(tmp_path / "vit.npz", SourceOptions())


@pytest.mark.fault(
    promise="Every tensor of a source is used and every parameter filled",
    provoked="a source with one tensor too many and one too few",
    seen="both lists, with shapes",
    trials=1,
)
def test_tensors_left_over_and_parameters_left_empty_are_both_listed_with_shapes(tmp_path):
    weights = random_vit(layers=2)
    weights["Transformer/encoderblock_0/Gate/kernel"] = np.zeros((8, 5), np.float32)
    del weights["Transformer/encoderblock_1/MlpBlock_0/Dense_1/bias"]
    weights["Transformer/encoder_norm/scale"] = np.zeros(9, np.float32)
    np.savez(tmp_path / "vit.npz", **weights)
    with pytest.raises(UserError) as error:
        read_source(tmp_path / "vit.npz", SourceOptions())
    message = str(error.value)
    assert "1 tensors that no parameter takes: Transformer/encoderblock_0/Gate/kernel (8, 5)" in message
    assert "1 parameters that no tensor fills: encoder/block_01/mlp/out/bias (8,)" in message
    assert "encoder/norm/scale (9,) where (8,) is expected" in message


def test_what_the_system_refuses_to_write_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        write_safetensors(tmp_path / "nowhere" / "model.safetensors", {"x": np.zeros(3, np.float32)})
