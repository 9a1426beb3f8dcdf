"""Faults 18 to 21 through the command: one line, exit code 2, nothing executed, little memory, no output left behind."""

import io
import json
import pathlib
import pickle
import resource
import struct
import zipfile

import flax.serialization
import msgpack
import numpy as np
import pytest
from image_vit import random_vit
from safetensors.numpy import save_file

from vivit_jax import cli

TENSOR = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def described(shape: str, descr: str = "'<f4'") -> bytes:
    return npy(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}")


def npz(content: bytes, compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("cls.npy", content)
    return file.getvalue()


def in_directory(data: bytes, offset: int, value: bytes) -> bytes:
    """A zip with some bytes of its central directory's entry changed."""
    start = data.rindex(b"PK\x01\x02") + offset
    return data[:start] + value + data[start + len(value) :]


def safetensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def array(shape: tuple, dtype: str, data: bytes) -> bytes:
    """Flax's msgpack extension of an array, under one key."""
    return b"\x81\xa1a" + msgpack.packb(msgpack.ExtType(1, msgpack.packb((shape, dtype, data))))


FILES = {
    "npz: negative dimension": npz(described("(-4, 2)")),
    "npz: dimensions beyond any integer": npz(described("(4294967296, 4294967296, 4294967296)")),
    "npz: header that is code": npz(described("(1,)", "__import__('os').system('touch sprung')")),
    "npz: type of a gigabyte": npz(described("(1,)", "('<f4', (268435456,))")),
    "npz: objects inside a record": npz(described("(1,)", "[('a', '|O')]")),
    "npz: header of two gigabytes": npz(b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31) + b"{"),
    "npz: size that the directory lies about": in_directory(npz(bytes(2**22), zipfile.ZIP_DEFLATED), 24, struct.pack("<I", 100)),
    "npz: encrypted": in_directory(npz(b"abc"), 8, b"\x01"),
    "npz: compressed by an unknown method": in_directory(npz(b"abc"), 10, b"\x4d"),
    "npz: empty": npz(b"")[:0] + b"PK\x05\x06" + bytes(18),
    "safetensors: overlapping offsets": safetensors({"a": TENSOR, "b": TENSOR | {"data_offsets": [8, 24]}}, bytes(24)),
    "safetensors: offsets past the end": safetensors({"a": TENSOR}, bytes(8)),
    "safetensors: a hole": safetensors({"a": TENSOR | {"data_offsets": [4, 20]}}, bytes(20)),
    "safetensors: header of a terabyte": safetensors(b"{}", length=2**40),
    "safetensors: shape that overflows": safetensors({"a": TENSOR | {"shape": [2**62, 4]}}, bytes(16)),
    "safetensors: negative shape": safetensors({"a": TENSOR | {"shape": [-4]}}, bytes(16)),
    "safetensors: unknown type": safetensors({"a": TENSOR | {"dtype": "X9"}}, bytes(16)),
    "safetensors: header nested without end": safetensors(b'{"a":' + b"[" * 100_000),
    "msgpack: nested without end": b"\x81\xa1a" * 200_000 + b"\x00",
    "msgpack: nested deeper than a tree": b"\x81\xa1a" * 1000 + b"\x00",
    "msgpack: list of four billion": b"\x81\xa1a\xdd\xff\xff\xff\xff",
    "msgpack: map of four billion": b"\xdf\xff\xff\xff\xff",
    "msgpack: bytes of four gigabytes": b"\x81\xa1a\xc6\xff\xff\xff\xff",
    "msgpack: array of a terabyte": array((2**40,), "float32", b""),
    "msgpack: array of objects": array((1,), "object", bytes(8)),
    "msgpack: chunks of an array that are not there": flax.serialization.msgpack_serialize(
        {"a": {"__msgpack_chunked_array__": True, "shape": {"0": 10**12}, "chunks": {"0": b"x"}}}
    ),
    "msgpack: no tensors": msgpack.packb({"a": 1}),
}


def refused(capsys, source: pathlib.Path, *options: str) -> str:
    """The one line that the command prints for a source that it must refuse."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    out = source.parent / "converted"
    code = cli.main(["convert", str(source), "--to", str(out), "--factorisation", "factorised_encoder", "--clip", "4,12,12", *options])
    printed = capsys.readouterr()
    assert code == 2, printed
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert str(source) in printed.err
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**17  # kilobytes: 128 MB
    assert not out.exists()
    assert not list(source.parent.glob(".converted*"))
    return printed.err


@pytest.mark.fault(
    promise="Weights files with false declarations are refused before they take memory or time",
    provoked="sizes, shapes, types, offsets and nesting that are false, in npz, safetensors and msgpack",
    seen="one line within 128 MB; exit code 2",
    trials=27,
)
@pytest.mark.parametrize("case", FILES)
def test_a_file_that_lies_is_refused(tmp_path, monkeypatch, capsys, case):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").write_bytes(FILES[case])
    refused(capsys, tmp_path / "weights")
    assert [file.name for file in tmp_path.iterdir()] == ["weights"]


@pytest.mark.fault(
    promise="An index of shards reaches only its own directory",
    provoked="names with `../`, absolute ones and their like",
    seen="one line; exit code 2",
    trials=7,
)
@pytest.mark.parametrize("name", ["../outside.safetensors", "..", ".", "/outside.safetensors", "missing.safetensors", 5, ["a"]])
def test_an_index_of_shards_reaches_nothing_but_its_own_directory(tmp_path, capsys, name):
    save_file({"a": np.zeros(2, np.float32)}, tmp_path / "outside.safetensors")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    assert "no known vision transformer" not in refused(capsys, tmp_path / "model")


class Trap:
    """Unpickled, it makes a file."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return open, (str(self.path), "w")


def pickled(path: pathlib.Path, data: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", "3\n")


TORCH = {
    "a gigabyte that one number stands for": (lambda torch: {"w": torch.zeros(1).expand(2**28)}, "declares 1,073,741,824 bytes"),
    "sparse": (lambda torch: {"w": torch.eye(4).to_sparse()}, "w is not a plain tensor (torch.sparse_coo)"),
    "without data": (lambda torch: {"w": torch.empty(2**40, device="meta")}, "w is not a plain tensor (on the device meta)"),
    "quantised": (lambda torch: {"w": torch.quantize_per_tensor(torch.zeros(4, 4), 1.0, 0, torch.qint8)}, "a plain tensor (quantised)"),
    "float8": (lambda torch: {"w": torch.ones(4, 4).to(torch.float8_e4m3fn)}, "a plain tensor (torch.float8_e4m3fn)"),
    "conjugated": (lambda torch: {"w": torch.ones(4, 4, dtype=torch.complex64).conj()}, "conjugated or negated"),
    "negated": (lambda torch: {"w": torch.ones(4, 4, dtype=torch.complex64).conj().imag}, "conjugated or negated"),
    "nested": (lambda torch: {"w": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])}, "a plain tensor (nested)"),
    "jagged": (lambda torch: {"w": torch.nested.nested_tensor([torch.ones(2)], layout=torch.jagged)}, "is not a plain tensor (nested)"),
    "a module": (lambda torch: torch.nn.Linear(2, 2), "it asks for torch.nn.modules.linear.Linear"),
    "no tensors": (lambda torch: {"epoch": 3}, "holds no tensors"),
}


@pytest.mark.fault(
    promise="A PyTorch file of anything but plain tensors is refused",
    provoked="objects, sparse, quantised, float8, conjugated and nested tensors and their like",
    seen="one line; exit code 2",
    trials=11,
)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", TORCH)
def test_a_torch_file_of_anything_but_plain_tensors_is_refused(tmp_path, capsys, case):
    torch = pytest.importorskip("torch", reason="needs the extra `parity`")
    content, message = TORCH[case]
    torch.save(content(torch), tmp_path / "weights.pth")
    assert message in refused(capsys, tmp_path / "weights.pth", "--format", "timm", "--num_heads", "1")


@pytest.mark.fault(
    promise="Pickles that are traps, damaged or endless are refused",
    provoked="a pickle of each kind",
    seen="one line; exit code 2",
    trials=1,
)
def test_pickles_that_are_traps_damaged_or_endless_are_refused(tmp_path, capsys):
    pytest.importorskip("torch", reason="needs the extra `parity`")
    trap = Trap(tmp_path / "sprung")
    nested = b"}X\x01\x00\x00\x00a" * 5000 + b"}" + b"s" * 5000
    for data in (pickle.dumps({"w": trap}, 2), b"", b"\x80\x02garbage", b"\x80\x02" + nested + b"."):
        pickled(tmp_path / "weights.pth", data)
        refused(capsys, tmp_path / "weights.pth")
        assert not (tmp_path / "sprung").exists()


def test_a_pipe_and_a_link_to_itself_do_not_hang(tmp_path, capsys):
    import os

    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop" / "model.safetensors").symlink_to("model.safetensors")
    assert "neither a file nor a folder" in refused(capsys, tmp_path / "pipe")
    assert "holds no weights" in refused(capsys, tmp_path / "loop")


def test_an_output_that_is_in_the_way_is_left_alone(tmp_path, capsys):
    np.savez(tmp_path / "vit.npz", **random_vit())
    (tmp_path / "mine").write_text("precious")
    for out in (tmp_path / "mine", tmp_path / "mine" / "below"):
        code = cli.main(
            ["convert", str(tmp_path / "vit.npz"), "--to", str(out), "--factorisation", "factorised_encoder", "--clip", "4,12,12"]
        )
        assert code in (1, 2)
        assert capsys.readouterr().err.count("\n") == 1
    assert (tmp_path / "mine").read_text() == "precious"
