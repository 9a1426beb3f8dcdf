"""A small model, a small data set and a few videos on disk, and `vivit` as a person runs it."""

import dataclasses

import jax
import numpy as np
import pytest

from vivit_jax import cli
from vivit_jax.data import builder
from vivit_jax.data.video import encode
from vivit_jax.models.config import ViViTConfig
from vivit_jax.models.vivit import ViViT
from vivit_jax.preprocess import Preprocess
from vivit_jax.weights.model_dir import save_pretrained

LABELS = ("cat", "dog", "owl")
CONFIG = ViViTConfig(
    factorisation="factorised_encoder",
    hidden_size=16,
    num_layers=1,
    temporal_layers=1,
    num_heads=2,
    mlp_dim=32,
    clip=(4, 16, 16),
    tubelet=(2, 8, 8),
    num_classes=3,
)
PREPROCESS = Preprocess(frames=4, stride=2, resize=20, crop=(16, 16))
TEST_VIDEOS = 7


def random_variables(config, seed=0):
    """Parameters that differ from video to video in what they predict: a fresh head is zero."""
    shapes = jax.eval_shape(ViViT(config).init, jax.random.key(0), np.zeros((1, *config.clip, 3), np.float32))
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: rng.normal(0, 0.5, leaf.shape).astype(np.float32), shapes)


def random_video(seed, frames=12):
    """Coarse coloured blocks that change from frame to frame, as an mp4's bytes."""
    blocks = np.random.default_rng(seed).integers(0, 256, (frames, 3, 4, 3), np.uint8)
    return encode(blocks.repeat(8, 1).repeat(8, 2), 10)


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory):
    return save_pretrained(tmp_path_factory.mktemp("models") / "small", CONFIG, random_variables(CONFIG), PREPROCESS, LABELS)


@pytest.fixture(scope="session")
def two_headed_model_dir(tmp_path_factory):
    config = dataclasses.replace(CONFIG, num_classes={"verb": 2, "noun": 3})
    labels = {"verb": ("take", "put"), "noun": ("cup", "pan", "lid")}
    return save_pretrained(tmp_path_factory.mktemp("models") / "two_heads", config, random_variables(config), PREPROCESS, labels)


@pytest.fixture(scope="session")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    paths = [folder / f"{name}.mp4" for name in ("one", "two", "three")]
    for seed, path in enumerate(paths):
        path.write_bytes(random_video(seed, frames=12 + 5 * seed))
    return [str(path) for path in paths]


def write_dataset(name, folder, labels):
    """`name` with three clips to train on and seven to test on; clip i is of class i modulo the classes."""

    def examples(split):
        for i in range({"train": 3, "test": TEST_VIDEOS}[split]):
            clip = {"video": random_video(100 + i), "label": i % len(labels), "name": f"{split}{i}"}
            yield clip["name"], clip | {"frames": 12, "fps": 10.0, "width": 32, "height": 24, "duration": 1.2}

    return builder.write(name, folder, builder.Contents(("train", "test"), labels, examples, "made for tests"))


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_dataset("toys", folder, LABELS)
    write_dataset("toys_in_another_order", folder, LABELS[::-1])
    write_dataset("tools", folder, ("cat", "saw", "owl"))
    return str(folder)


@pytest.fixture
def vivit(capsys):
    """Runs `vivit` with these arguments; its exit code, and what it printed to each stream."""

    def run(*argv):
        try:
            code = cli.main([str(argument) for argument in argv])
        except SystemExit as exit:
            code = exit.code
        out, err = capsys.readouterr()
        return code, out, err

    return run
