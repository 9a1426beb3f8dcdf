"""Weights that leave for other libraries, and what comes from them: the pixels must be those that the weights were trained on."""

import dataclasses
import importlib.util
import json
import os
import pickle
import re
import resource
import socket
import struct
import subprocess
import sys
import time
import zipfile

import av
import jax
import numpy as np
import pytest
from small_models import LABELS, ODD, SQUARE, random_variables

from vivit_jax import cli
from vivit_jax.errors import UserError
from vivit_jax.preprocess import Preprocess
from vivit_jax.weights import load_model_dir, save_pretrained
from vivit_jax.weights.torch_files import read_torch


def lossless_video(path, frames):
    """A video file whose frames decode to exactly `frames`, uint8 (t, h, w, 3)."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=8, options={"qp": "0", "preset": "ultrafast"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "rgb24"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def exported(tmp_path, config, preprocess):
    save_pretrained(tmp_path / "model", config, random_variables(config), preprocess, LABELS)
    assert cli.main(["export", "--model", str(tmp_path / "model"), "--to", "hugging_face", str(tmp_path / "out")]) == 0
    return load_model_dir(tmp_path / "model"), tmp_path / "out"


@pytest.mark.fault(
    promise="A model exported to Hugging Face gets the same pixels there",
    provoked="a tiny model with the usual or another mean and std, square or not, is exported and loaded by transformers' own classes",
    seen="pixels of the image processor, of the video processor and scores of the pipeline are ours within 1e-4",
    trials=3,
)
@pytest.mark.parametrize("case", ["square", *(pytest.param(case, marks=pytest.mark.slow) for case in ("mean and std", "not square"))])
def test_an_exported_model_sees_its_pixels_through_both_processors_and_the_pipeline(tmp_path, case):
    transformers = pytest.importorskip("transformers", reason="needs the extra `parity`")
    clip = (4, 16, 24) if case == "not square" else (4, 16, 16)
    config = dataclasses.replace(SQUARE, clip=clip)
    preprocess = Preprocess(frames=4, stride=1, resize=20, crop=clip[1:], **({} if case == "square" else ODD))
    ours, out = exported(tmp_path, config, preprocess)
    frames = np.random.default_rng(1).integers(0, 256, (4, 20, 28, 3), np.uint8)
    top, left = (20 - clip[1]) // 2, (28 - clip[2]) // 2
    expected = np.asarray(preprocess.normalise(frames[:, top : top + clip[1], left : left + clip[2]]))
    scores = jax.nn.softmax(ours.model.apply(ours.variables, expected[None])[0])

    processors = [transformers.VivitImageProcessor.from_pretrained(out), *_video_processors(transformers, out)]
    for processor in processors:
        given = list(frames) if "Image" in type(processor).__name__ else frames.transpose(0, 3, 1, 2)
        pixels = np.asarray(processor(given, return_tensors="pt")["pixel_values"])[0].transpose(0, 2, 3, 1)
        np.testing.assert_allclose(pixels, expected, atol=1e-4, err_msg=type(processor).__name__)

    if case == "not square" and int(transformers.__version__.split(".")[0]) < 5:
        return  # the older class knows one image size only
    is_old = not hasattr(transformers, "VivitVideoProcessor")
    options = {"image_processor": processors[0]} if is_old else {}  # which version 4 does not find by itself
    classify = transformers.pipeline("video-classification", model=str(out), device="cpu", **options)
    reads_files = is_old or importlib.util.find_spec("torchcodec")  # version 5 needs it for files
    video = str(lossless_video(tmp_path / "clip.mkv", frames)) if reads_files else frames.transpose(0, 3, 1, 2)
    found = {each["label"]: each["score"] for each in classify(video)}
    np.testing.assert_allclose([found[label] for label in LABELS], scores, atol=1e-4)


def _video_processors(transformers, out):
    """Those of transformers 5; older versions have none for ViViT."""
    if not hasattr(transformers, "VivitVideoProcessor"):
        return []
    automatic = transformers.AutoVideoProcessor.from_pretrained(out)
    assert isinstance(automatic, transformers.VivitVideoProcessor)
    return [transformers.VivitVideoProcessor.from_pretrained(out), automatic]


def test_an_export_comes_back_with_the_same_pixels_whichever_of_its_files_is_read(tmp_path):
    preprocess = Preprocess(frames=4, stride=2, resize=20, crop=(16, 16), **ODD)
    _, out = exported(tmp_path, SQUARE, preprocess)
    image, video = (json.loads((out / f"{name}preprocessor_config.json").read_text()) for name in ("", "video_"))
    for name, files in {"image": {"preprocessor_config.json": image}, "video": {"video_preprocessor_config.json": video}}.items():
        for file in out.glob("*processor_config.json"):
            file.unlink()
        for file, values in files.items():
            (out / file).write_text(json.dumps(values))
        assert cli.main(["convert", str(out), "--to", str(tmp_path / name)]) == 0
        assert load_model_dir(tmp_path / name).preprocess == preprocess


PIXELS = Preprocess(frames=4, stride=2, resize=20, crop=(16, 16), **ODD)


@pytest.fixture
def convert_with(tmp_path, capsys):
    """Converts a Hugging Face model beside these files of processors, made of its own one; the exit code and what was printed."""
    _, out = exported(tmp_path, SQUARE, PIXELS)
    video = json.loads((out / "video_preprocessor_config.json").read_text())

    def convert(files_of):
        for file in out.glob("*processor_config.json"):
            file.unlink()
        for file, values in files_of(video).items():
            (out / file).write_text(json.dumps(values))
        capsys.readouterr()
        code = cli.main(["convert", str(out), "--to", str(tmp_path / "new")])
        return code, *capsys.readouterr()

    return convert


@pytest.mark.fault(
    promise="All that a Hugging Face model says about its pixels is used, and the rest is marked as assumed",
    provoked="mean and std lie in video_preprocessor_config.json or nested in processor_config.json, are missing, or contradict each other",
    seen="the mean and std of the file, its name in the table; or `assumed`; or one line with both files; exit code 2",
    trials=9,
)
@pytest.mark.parametrize(
    "files_of",
    [
        lambda video: {
            "video_preprocessor_config.json": video,
            "preprocessor_config.json": {"image_processor_type": "VivitImageProcessor", "image_mean": [0.5] * 3, "image_std": [0.5] * 3},
        },
        lambda video: {"video_preprocessor_config.json": video | {"offset": False}},
        lambda video: {"video_preprocessor_config.json": video | {"crop_size": {"height": 8, "width": 8}}},
        lambda video: {"video_preprocessor_config.json": video | {"image_std": [0, 0, 0]}},
        lambda video: {"video_preprocessor_config.json": video | {"rescale_factor": "x"}},
        lambda video: {"processor_config.json": {"video_processor": 5}},
    ],
    ids=["contradiction", "offset", "crop", "zeros", "text", "no object"],
)
def test_pixels_that_files_contradict_or_spell_wrongly_are_one_line(convert_with, files_of):
    code, table, line = convert_with(files_of)
    assert (code, table, line.count("\n")) == (2, "", 1), line
    assert "processor_config.json" in line


def test_pixels_are_read_from_a_processor_that_another_file_holds(tmp_path, convert_with):
    code, table, _ = convert_with(lambda video: {"processor_config.json": {"processor_class": "X", "video_processor": video}})
    assert code == 0
    assert "processor_config.json: video_processor" in table
    assert load_model_dir(tmp_path / "new").preprocess == PIXELS


def test_pixels_that_no_file_tells_of_are_marked_as_assumed(convert_with):
    code, table, _ = convert_with(lambda video: {})
    assert code == 0
    line = next(line for line in table.splitlines() if "pixel mean" in line)
    assert "assumed" in line
    assert "config" not in line.replace("(config)", "")


def test_pixels_that_a_processor_leaves_as_they_are_have_a_std_of_one_in_255(tmp_path, convert_with):
    unchanged = {"do_rescale": False, "offset": False, "do_normalize": False}
    code, _, _ = convert_with(lambda video: {"preprocessor_config.json": video | unchanged})
    assert code == 0
    assert load_model_dir(tmp_path / "new").preprocess.std == pytest.approx((1 / 255,) * 3)


def test_what_a_processor_does_to_frames_is_said_where_ours_does_otherwise(tmp_path, capsys):
    _, out = exported(tmp_path, SQUARE, Preprocess(frames=4, stride=3, resize=20, crop=(16, 16)))
    (out / "video_preprocessor_config.json").unlink()
    plain = json.loads((out / "preprocessor_config.json").read_text())

    def converted(**changes):
        (out / "preprocessor_config.json").write_text(json.dumps(plain | changes))
        capsys.readouterr()
        code = cli.main(["convert", str(out), "--to", str(tmp_path / "new")])
        printed = capsys.readouterr()
        return code, " ".join((printed.out + printed.err).split())

    code, said = converted()
    assert code == 0
    assert "(pixels)" not in said
    assert "assumed stride 2" in said  # their files have no place for it
    assert "preprocessor_config.json resize 20" in said
    for changes, note in (
        ({"size": {"height": 20, "width": 40}}, "makes every frame 20 x 40"),
        ({"do_resize": False}, "does not resize frames"),
        ({"do_center_crop": False}, "does not crop frames"),
        ({"resample": 3}, "resamples by PIL's method 3"),
    ):
        code, said = converted(**changes)
        assert code == 0
        assert note in said
    assert "assumed resize 18" in converted(do_resize=False)[1]
    for changes, message in (
        ({"size": {"shortest_edge": 8}}, "size 8 is below crop_size (16, 16)"),
        ({"do_flip_channel_order": True}, "BGR"),
    ):
        code, said = converted(**changes)
        assert code == 2
        assert message in said


def _hostile(kind, path):
    """A small file that asks for gigabytes or for hours."""
    if kind == "header of a million":
        entries = {f"t{index}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for index in range(400_000)}
        text = json.dumps(entries).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text)
        return
    if kind == "bytearray":
        data = b"\x80\x02cbuiltins\nbytearray\n" + b"J" + (2**31 - 2**20).to_bytes(4, "little") + b"\x85R."
    else:
        tree = {"leaf": 0}
        for _ in range(40):
            tree = {"a": tree, "b": tree}
        data = pickle.dumps(tree, 2)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")


@pytest.mark.fault(
    promise="A small hostile file of weights takes neither memory nor time",
    provoked="a .pth of one bytearray or of dicts shared forty deep, a safetensors header of hundreds of thousands of tensors",
    seen="one line within seconds and 256 MB; exit code 2",
    trials=3,
)
@pytest.mark.parametrize("kind", ["bytearray", "shared dicts", pytest.param("header of a million", marks=pytest.mark.slow)])
def test_a_small_hostile_file_is_refused_before_memory_or_time_is_taken(tmp_path, capsys, kind):
    pytest.importorskip("torch", reason="needs the extra `parity`")
    _hostile(kind, tmp_path / "weights")
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    assert cli.main(["convert", str(tmp_path / "weights"), "--to", str(tmp_path / "new"), "--clip", "4,16,16"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert time.monotonic() - start < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**18  # kilobytes


@pytest.mark.fault(
    promise="Without network, hf:// says so in seconds",
    provoked="the hub's endpoint refuses, accepts and never answers, or lies behind a SOCKS proxy that is not there",
    seen="one line that names HF_HUB_OFFLINE and a path on this machine; exit code 2",
    trials=3,
)
@pytest.mark.parametrize("kind", ["is silent", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("refuses", "SOCKS proxy"))])
def test_a_hub_that_does_not_answer_is_told_in_seconds(tmp_path, kind):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if kind == "is silent":
            server.listen()
        environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower() and not name.startswith("HF_")}
        environment |= {"HF_ENDPOINT": f"http://127.0.0.1:{server.getsockname()[1]}", "HF_HOME": str(tmp_path)}
        if kind == "SOCKS proxy":
            environment |= {"HF_ENDPOINT": "http://hub.invalid", "ALL_PROXY": "socks5://127.0.0.1:1"}
        command = "import sys, time; from vivit_jax import cli; start = time.monotonic(); code = cli.main(sys.argv[1:]); "
        command += "print(time.monotonic() - start); sys.exit(code)"
        arguments = ["convert", "hf://some/model", "--to", str(tmp_path / "new")]
        done = subprocess.run([sys.executable, "-c", command, *arguments], env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "HF_HUB_OFFLINE=1" in done.stderr
    assert float(done.stdout) < 15


@pytest.mark.fault(
    promise="A flipped bit in a PyTorch file is refused",
    provoked="a bit of every part of a .pth file, tensors included, whose checksums torch itself does not look at",
    seen="one line that names the file; nothing is loaded",
    trials=8,
)
def test_a_flipped_bit_of_a_torch_file_is_refused(tmp_path):
    torch = pytest.importorskip("torch", reason="needs the extra `parity`")
    path = tmp_path / "weights.pth"
    torch.save({"a.weight": torch.ones(30, 20), "a.bias": torch.ones(30)}, path)
    assert set(read_torch(path).shapes) == {"a.weight", "a.bias"}
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    for entry in entries:
        name, extra = struct.unpack("<HH", whole[entry.header_offset + 26 :][:4])  # lengths of what precedes the contents
        start = entry.header_offset + 30 + name + extra + entry.file_size // 2
        path.write_bytes(whole[:start] + bytes([whole[start] ^ 1]) + whole[start + 1 :])
        with pytest.raises(UserError, match=f"{path} is damaged: {re.escape(entry.filename)}"):
            read_torch(path)
