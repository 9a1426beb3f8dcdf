"""Makes one row of a batch from a record: a random clip to train on, or the views of a video to evaluate."""

import dataclasses
import functools
import math
from collections.abc import Sequence

import grain
import numpy as np

from vivit_jax.data import sampling
from vivit_jax.data.augment import random_augmentation
from vivit_jax.data.cache import show_frames
from vivit_jax.data.config import AugmentConfig
from vivit_jax.data.dataset import Record
from vivit_jax.preprocess import Preprocess

Batch = dict[str, np.ndarray | dict[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class TrainingClipLoader:
    """Loads the random clip at a position of the stream. Each record of the endless `order` comes `augment.repeats` times in a row.

    A draw is a function of (seed, epoch, record, repeat).
    """

    records: Sequence[Record]
    order: grain.MapDataset
    preprocess: Preprocess
    augment: AugmentConfig
    temporal_order: str
    seed: int

    def __call__(self, position: int) -> Batch:
        """One row of a training batch; see `training_batches`."""
        turn, repeat = divmod(position, self.augment.repeats)
        epoch, index = turn // len(self.records), int(self.order[turn])
        generator = np.random.default_rng((self.seed, epoch, index, repeat))
        record, wanted = self.records[index], self.preprocess
        indices = sampling.training_clip(generator, wanted, record["frames"], record["fps"])
        indices = sampling.reorder(indices, self.temporal_order, generator)
        augmentation = random_augmentation(generator, self.augment, wanted.resize, wanted.crop)
        clip = show_frames(record, indices, augmentation.geometry)
        colours = {"colours": augmentation.colours} if self.augment.changes_colours else {}
        return {"video": augmentation(clip), "label": _label(record), "index": np.int64(index)} | colours


@dataclasses.dataclass(frozen=True)
class EvaluationViewLoader:
    """Loads the views of a record; past the last record, rows that do not count."""

    records: Sequence[Record]
    preprocess: Preprocess
    views: tuple[int, int]
    flip: bool
    temporal_order: str

    @property
    def video_bytes(self) -> int:
        """The size of all views of one video."""
        return math.prod(self._shape)

    @property
    def _shape(self) -> tuple[int, ...]:
        return (math.prod(self.views) * (2 if self.flip else 1), self.preprocess.frames, *self.preprocess.crop, 3)

    def __call__(self, index: int) -> Batch:
        """One row of an evaluation batch, with the video's `name`; see `evaluation_batches`."""
        if index >= len(self.records):
            return self._padding(index)
        generator = np.random.default_rng(index)
        record, (temporal, spatial) = self.records[index], self.views
        clips = sampling.evaluation_clips(temporal, self.preprocess, record["frames"], record["fps"])
        clips = np.stack([sampling.reorder(indices, self.temporal_order, generator) for indices in clips])
        views = sampling.cropped_views(functools.partial(show_frames, record), clips, self.preprocess, spatial)
        if self.flip:
            views = np.concatenate([views, views[:, :, :, ::-1]])
        name = np.array(record["name"], object)
        return {"video": views, "label": _label(record), "name": name, "index": np.int64(index), "valid": np.bool_(True)}

    def _padding(self, index: int) -> Batch:
        label = _label(self.records[0])
        label = {head: np.int32(0) for head in label} if isinstance(label, dict) else label * 0
        name = np.array("", object)
        return {"video": np.zeros(self._shape, np.uint8), "label": label, "name": name, "index": np.int64(index), "valid": np.bool_(False)}


def _label(record: Record) -> np.int32 | np.ndarray | dict[str, np.int32]:
    label = record["label"]
    if isinstance(label, np.ndarray):
        return label
    return {head: np.int32(number) for head, number in label.items()} if isinstance(label, dict) else np.int32(label)
