"""The boxes of pixels that a model's features stand for, by which explanations are drawn over a clip."""

import dataclasses

import numpy as np


def edges(side: int, count: int) -> tuple[int, ...]:
    """The (count + 1,) edges of `count` boxes along a side of a frame, in pixels, all about as large."""
    return tuple(round(i * side / count) for i in range(count + 1))


@dataclasses.dataclass(frozen=True)
class Cells:
    """How a model's features lie over the pixels of its clip: a grid of (n_t, n_h, n_w) boxes.

    Attributes:
      frames: for each feature along time, the clip's frames that it is made of.
      rows: (n_h + 1,) edges along the height, in pixels.
      columns: (n_w + 1,) edges along the width, in pixels.
    """

    frames: tuple[tuple[int, ...], ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n_t, n_h, n_w)."""
        return len(self.frames), len(self.rows) - 1, len(self.columns) - 1

    @property
    def times(self) -> np.ndarray:
        """(n_t,) float64, the clip's frame at each feature's centre."""
        return np.array([np.mean(frames) for frames in self.frames])

    def sums(self, pixels: np.ndarray) -> np.ndarray:
        """The sum over each box, (n_t, n_h, n_w), of values (t, h, w)."""
        by_time = np.stack([pixels[list(frames)].sum(0) for frames in self.frames])
        by_row = np.add.reduceat(by_time, self.rows[:-1], axis=1)
        return np.add.reduceat(by_row, self.columns[:-1], axis=2)
