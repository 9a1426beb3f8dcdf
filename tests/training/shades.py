"""A data set of real files that a tiny run learns: two classes, dark and light videos."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vivit_jax.data.preparation.prepare import prepare
from vivit_jax.data.video.reader import encode

COUNTS = {"train": 16, "val": 4, "test": 4}


def prepared(root: Path, counts: Mapping[str, int] = COUNTS, *, swapped: bool = False) -> Path:
    """The folder of the data set `shades`, of so many clips a split; `swapped` exchanges what the classes are called."""
    generator = np.random.default_rng(0)
    for split, count in counts.items():
        for number in range(count):
            folder = root / "videos" / split / ("dark", "light")[(number + swapped) % 2]
            folder.mkdir(parents=True, exist_ok=True)
            frames = generator.integers(0, 60, (8, 16, 16, 3), np.uint8) + np.uint8(150 * (number % 2))
            (folder / f"{number}.mp4").write_bytes(encode(frames, 8))
    prepare("folder", root / "videos", name="shades", data_dir=root, short_side=16)
    return root
