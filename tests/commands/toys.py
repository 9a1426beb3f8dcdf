"""What the tests of the commands are made of: a small model, its labels, random videos, data sets of them."""

import numpy as np
from random_variables import random_variables

from vivit_jax.data.preparation import builder
from vivit_jax.data.video.reader import encode
from vivit_jax.models.vivit.config import ViViTConfig
from vivit_jax.preprocess import Preprocess

__all__ = ["CONFIG", "LABELS", "PREPROCESS", "TEST_VIDEOS", "random_variables", "random_video", "write_dataset"]

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


def random_video(seed, frames=12):
    """Coarse coloured blocks that change from frame to frame, as an mp4's bytes."""
    blocks = np.random.default_rng(seed).integers(0, 256, (frames, 3, 4, 3), np.uint8)
    return encode(blocks.repeat(8, 1).repeat(8, 2), 10)


def write_dataset(name, folder, labels, *, multi_label=False):
    """`name` with three clips to train on and seven to test on; clip i is of class i modulo the classes, or of all classes below too."""

    def examples(split):
        for i in range({"train": 3, "test": TEST_VIDEOS}[split]):
            label = i % len(labels)
            clip = {"video": random_video(100 + i), "label": list(range(label + 1)) if multi_label else label, "name": f"{split}{i}"}
            yield clip["name"], clip | {"frames": 12, "fps": 10.0, "width": 32, "height": 24, "duration": 1.2}

    return builder.write(name, folder, builder.Contents(("train", "test"), labels, examples, "made for tests", multi_label))
