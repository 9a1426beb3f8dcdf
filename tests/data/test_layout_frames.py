"""Frames that lie as image files, and a list with a column a head."""

import pathlib

import cv2
import films
import numpy as np
import pytest
from PIL import Image

from vivit_jax import cli
from vivit_jax.data.dataset import open_dataset
from vivit_jax.data.layouts import Reading, read_layout
from vivit_jax.data.layouts.image_sequences import as_rgb, images_in
from vivit_jax.data.preparation.prepare import prepare
from vivit_jax.data.video.reader import decode_frames
from vivit_jax.errors import UserError


def save(folder, frames, name="img_{}.png", first=1):
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, start=first):
        Image.fromarray(frame).save(folder / name.format(number))


@pytest.fixture
def source(tmp_path):
    for seed, name in enumerate(("train/run/a", "train/run/b", "train/sit/c", "val/sit/d")):
        save(tmp_path / "frames" / name, films.scene(12, 32, 48, seed), "{:05d}.jpg" if name.endswith("b") else "img_{}.png")
    return tmp_path / "frames"


def test_frames_are_stored_in_the_order_of_their_numbers_at_the_rate_given(tmp_path, source):
    options = ["--name", "mine", "--data_dir", str(tmp_path / "data"), "--workers", "1"]
    assert cli.main(["prepare", "frames", str(source), "--fps", "12.5", *options]) == 0
    dataset = open_dataset("mine", tmp_path / "data")
    assert (dataset.labels, dataset.splits) == (("run", "sit"), {"train": 3, "val": 1})
    for record in dataset.source("train"):
        seed = "abcd".index(record["name"][-1])
        assert (record["frames"], record["fps"], record["duration"]) == (12, 12.5, pytest.approx(0.96))
        shown = decode_frames(record["video"], range(12), stored=True).astype(float)
        drawn = films.scene(12, 32, 48, seed).astype(float)
        distances = np.abs(shown[:, None] - drawn[None]).mean(axis=(2, 3, 4))
        assert distances.argmin(axis=1).tolist() == list(range(12))
        assert distances.min(axis=1).max() < 5


@pytest.mark.parametrize("fps", [None, 0.0, -1.0, float("nan")])
def test_frames_need_a_rate(source, fps):
    with pytest.raises(UserError, match="as in --fps 30"):
        read_layout("frames", source, Reading(fps=fps))


def test_slips_of_frames_are_refused_by_name(tmp_path, source):
    (source / "train/run/empty").mkdir()
    with pytest.raises(UserError, match=r"train/run/empty: no image files; expected \.jpg"):
        read_layout("frames", source, Reading(fps=10.0))
    (source / "train/run/empty").rmdir()
    (source / "train/run/a/img_3.png").write_bytes(b"no picture")
    (source / "train/run/b/00007.jpg").write_bytes((source / "train/run/b/00007.jpg").read_bytes()[:300])
    with pytest.raises(
        UserError, match=r"2 of 4 videos cannot be stored.*img_3\.png: cannot be read as a picture.*00007\.jpg: cannot"
    ) as error:
        prepare("frames", source, name="mine", data_dir=tmp_path / "data", workers=1, reading=Reading(fps=10.0))
    assert "\n" not in str(error.value)


def test_stray_files_are_counted_and_named(source):
    for stray in ("readme.txt", "train/loose.png", "train/run/cover.jpg", "train/run/a/Thumbs.db", "train/run/a/.hidden"):
        (source / stray).write_bytes(b"stray")
    (source / "val/sit/d/small").mkdir()
    assert read_layout("frames", source, Reading(fps=10.0)).remarks == (
        "2 files left aside, in no class: readme.txt, train/loose.png",
        "1 file left aside, in no video's folder: train/run/cover.jpg",
        "2 files and folders left aside, no frames by their name: train/run/a/Thumbs.db, val/sit/d/small",
    )


@pytest.fixture
def listed(tmp_path):
    for seed, name in enumerate("abcd"):
        films.write(tmp_path / f"{name}.mp4", films.scene(4, 16, 16, seed))
    path = tmp_path / "list.csv"
    path.write_text(
        "Path,Verb,Noun,label,split\na.mp4,take,cup,x,train\nb.mp4,put,cup,x,train\nc.mp4,put,pan,x,train\nd.mp4,take,pan,x,val\n"
    )
    return path


def test_a_list_with_a_column_a_head(tmp_path, listed):
    options = ["--name", "mine", "--data_dir", str(tmp_path / "data"), "--workers", "1", "--heads", "verb,noun"]
    assert cli.main(["prepare", "csv", str(listed), *options]) == 0
    dataset = open_dataset("mine", tmp_path / "data")
    assert dataset.labels == {"verb": ("put", "take"), "noun": ("cup", "pan")}
    assert {record["name"]: record["label"] for record in dataset.source("train")} == {
        "a.mp4": {"verb": 1, "noun": 0},
        "b.mp4": {"verb": 0, "noun": 0},
        "c.mp4": {"verb": 0, "noun": 1},
    }
    assert "columns not used: label" in read_layout("csv", listed, Reading(heads=("verb", "noun"))).remarks


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        (("verb", "adverb"), "has no column 'adverb' for a head: it has path, verb"),
        (("verb", "verb"), "--heads must be columns"),
        (("verb", "split"), "--heads must be columns"),
    ],
)
def test_heads_that_cannot_be_are_refused(listed, heads, message):
    with pytest.raises(UserError, match=message):
        read_layout("csv", listed, Reading(heads=heads))


def test_columns_of_heads_without_the_option_are_explained(listed):
    listed.write_text("path,verb,noun\na.mp4,take,cup\n")
    with pytest.raises(UserError, match="where labels stand under other names, name their columns by --heads"):
        read_layout("csv", listed)
    with pytest.raises(UserError, match="line 2: the noun is empty"):
        listed.write_text("path,verb,noun\na.mp4,take,\n")
        read_layout("csv", listed, Reading(heads=("verb", "noun")))


def test_frames_of_one_number_are_in_the_order_of_their_names(tmp_path, monkeypatch):
    for name in ("img_2.png", "img_01.png", "img_1.png", "img_1.jpg"):
        (tmp_path / name).touch()
    listed = sorted(tmp_path.iterdir())
    for order in (listed, listed[::-1]):
        monkeypatch.setattr(pathlib.Path, "iterdir", lambda folder, order=order: iter(order))
        assert [path.name for path in images_in(tmp_path)] == ["img_01.png", "img_1.jpg", "img_1.png", "img_2.png"]


def test_transparent_frames_are_laid_over_black(tmp_path):
    """Below what is transparent a picture may hold any colour, which nobody is meant to see."""
    pixels = np.random.default_rng(0).integers(0, 256, (32, 48, 4), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(as_rgb(tmp_path / "a.png", "a"), pixels[..., :3].astype(int) * pixels[..., 3:] // 255)
    palette = Image.fromarray(pixels[..., :3]).quantize(8)
    palette.save(tmp_path / "b.png", transparency=3)
    assert np.array_equal(as_rgb(tmp_path / "b.png", "b")[np.asarray(palette) == 3], np.zeros(((np.asarray(palette) == 3).sum(), 3)))


def test_frames_of_16_bits_keep_their_upper_8(tmp_path):
    """Thermal cameras and depth sensors write them; Pillow by itself makes nearly all of them white."""
    grey = np.random.default_rng(0).integers(0, 1 << 16, (32, 48), np.uint16)
    for suffix in (".png", ".tiff"):
        cv2.imwrite(str(path := tmp_path / f"grey{suffix}"), grey)
        assert np.array_equal(as_rgb(path, "grey"), cv2.imread(str(path), cv2.IMREAD_COLOR))
    (tmp_path / "grey.ppm").write_bytes(b"P5 48 32 65535\n" + grey.astype(">u2").tobytes())
    assert np.array_equal(as_rgb(tmp_path / "grey.ppm", "grey"), np.repeat((grey >> 8).astype(np.uint8)[..., None], 3, -1))
    Image.fromarray(grey.astype(np.float32)).save(tmp_path / "float.tiff")
    with pytest.raises(UserError, match=r"^warm: its pixels have 32 bits"):
        as_rgb(tmp_path / "float.tiff", "warm")
