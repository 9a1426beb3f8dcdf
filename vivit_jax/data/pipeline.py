"""Batches from a prepared data set, by grain: decoded in threads or processes, in an order that depends on neither.

Training reads an endless stream: epoch after epoch, each shuffled anew, batches across their borders, so that nothing is dropped. The order
is a function of (seed, epoch), what happens to a clip one of (seed, epoch, record, repeat). Host h of n takes every n-th clip of the
stream from the h-th on, so a global batch holds the same clips on any number of hosts.
"""

import contextlib
import dataclasses
import math
import sys
import weakref
from collections.abc import Iterator, Sequence

import grain
import jax
import numpy as np
from absl import flags

from vivit_jax.data import sampling
from vivit_jax.data.cache import kept_decoded
from vivit_jax.data.config import AugmentConfig, DataConfig
from vivit_jax.data.dataset import Record
from vivit_jax.data.loading import Batch, EvaluationViewLoader, TrainingClipLoader
from vivit_jax.data.readers import Readers, begin_worker, choose_readers, deaf_to_signals, leave_cpus_to_readers
from vivit_jax.errors import UserError
from vivit_jax.preprocess import Preprocess


def training_batches(
    records: Sequence[Record],
    preprocess: Preprocess,
    data: DataConfig,
    augment: AugmentConfig,
    *,
    batch_size: int,
    seed: int,
    shard: tuple[int, int] = (0, 1),
) -> "TrainingBatches":
    """An endless stream of training batches.

    Args:
      records: those of `data.train_split`.
      preprocess: frames, stride, scale and crop of a clip.
      data: order of frames, readers and processes, and the cache.
      augment: transforms of a clip.
      batch_size: clips in a batch on this host.
      seed: the seed of the order and of the augmentation.
      shard: (this host, number of hosts).

    Returns:
      An iterator of `{"video": uint8 (b, t, h, w, 3), "label": int32 (b,), "index": int64 (b,)}`, where index is the number of the record
      in its split; label is a dict of them if the data set has several heads, and uint8 (b, classes) if a clip may have several classes.
      Where colours change, `colours` float32 (b, 5) says how, and `training.colours.recoloured` makes it so.

    Raises:
      UserError: for a global batch that `augment.repeats` does not divide.
    """
    check_repeats(batch_size * shard[1], augment)
    records = kept_decoded(records, data.cache_gigabytes, data.train_split)
    order = grain.MapDataset.range(len(records)).seed(seed).shuffle().repeat()
    load = TrainingClipLoader(records, order, preprocess, augment, data.temporal_order, seed)
    clips = grain.MapDataset.range(sys.maxsize)[shard[0] :: shard[1]].map(load)
    return TrainingBatches(clips, choose_readers(data, batch_size, preprocess.clip_bytes), batch_size)


def check_repeats(batch_size: int, augment: AugmentConfig) -> None:
    """Refuses a global batch that `augment.repeats` does not divide."""
    if batch_size % augment.repeats:
        raise UserError(f"a batch of {batch_size} clips is not divisible by augment.repeats {augment.repeats}")


class TrainingBatches(Iterator):
    """See `training_batches`. Its state is the number of clips read, so that any number of readers and processes goes on from it.

    Attributes:
      readers: the threads and processes that read.
    """

    def __init__(self, clips: grain.MapDataset, readers: Readers, batch_size: int) -> None:
        self.readers = readers
        self._clips, self._batch_size = clips, batch_size
        self._position = 0
        self._reading = []  # the grain iterator, while there is one
        # Its worker processes and shared memory must be let go of before the interpreter takes grain apart.
        weakref.finalize(self, _close, self._reading)

    def __next__(self) -> Batch:
        """The next batch. Raises `UserError` for a clip that cannot be read, and for a worker that died."""
        if not self._reading:
            self._reading.append(iter(_read(self._clips[self._position :], self.readers, self._batch_size)))
        with _minding(self.readers):
            batch = next(self._reading[0])
        self._position += self._batch_size
        return batch

    def get_state(self) -> dict[str, int]:
        """The position after the last batch, as plain values."""
        return {"clips": self._position}

    def set_state(self, state: dict[str, int]) -> None:
        """Goes to a position that `get_state` gave."""
        self.close()
        self._position = int(state["clips"])

    def close(self) -> None:
        """Ends threads and processes; the next batch starts them again."""
        _close(self._reading)


def _close(reading: list[grain.DatasetIterator]) -> None:
    while reading:
        reading.pop().close()


def evaluation_batches(
    records: Sequence[Record],
    preprocess: Preprocess,
    data: DataConfig,
    *,
    views: tuple[int, int] = (1, 1),
    flip: bool = False,
    batch_size: int,
    shard: tuple[int, int] = (0, 1),
) -> "EvaluationBatches":
    """Every record of a split once, in order.

    Args:
      records: those of the split.
      preprocess: frames, stride, scale and crop of a clip.
      data: order of frames, readers and processes.
      views: (temporal, spatial): clips spread evenly in time, crops of each along the longer side.
      flip: whether the mirror image of each view is a view too; these come after all others.
      batch_size: videos in a batch on this host.
      shard: (this host, number of hosts). All hosts have the same number of batches.

    Returns:
      An iterable with a length, which may be iterated again, of `{"video": uint8 (b, v, t, h, w, 3), "label": int32 (b,), "index": int64
      (b,), "valid": bool (b,)}`. The last batches are filled up with rows of zeros whose `valid` is False.
    """
    load = EvaluationViewLoader(records, preprocess, sampling.check_views(views), flip, data.temporal_order)
    return EvaluationBatches(load, data, batch_size, shard)


@dataclasses.dataclass(frozen=True)
class EvaluationBatches:
    """See `evaluation_batches`.

    Attributes:
      names: the names of the videos read so far, by their number in the split.
    """

    _load: EvaluationViewLoader
    _data: DataConfig
    _batch_size: int
    _shard: tuple[int, int]
    names: dict[int, str] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        """Number of batches."""
        return math.ceil(self.examples / (self._batch_size * self._shard[1]))

    @property
    def examples(self) -> int:
        """Number of records of the split, over all hosts: the denominator of its scores."""
        return len(self._load.records)

    @property
    def readers(self) -> Readers:
        """The threads and processes that would read if a pass began now: other readers may hold shared memory."""
        clips = self._load.views[0] * self.examples // self._shard[1]
        return choose_readers(self._data, self._batch_size, self._load.video_bytes, clips=clips)

    def __iter__(self) -> Iterator[Batch]:
        """A pass over the split. Raises `UserError` for a video that cannot be read, and for a worker that died."""
        readers, (host, hosts) = self.readers, self._shard
        # Worker processes take equally many pieces, and grain would keep the last ones of a stream that ends: theirs never does.
        rows = sys.maxsize if readers.processes else len(self) * self._batch_size * hosts
        clips = grain.MapDataset.range(rows)[host::hosts].map(self._load)
        reading = iter(_read(clips, readers, self._batch_size))
        try:
            for _ in range(len(self)):
                with _minding(readers):
                    batch = next(reading)
                names = zip(batch["index"].tolist(), batch.pop("name").tolist(), batch["valid"].tolist(), strict=True)
                self.names.update({index: name for index, name, valid in names if valid})
                yield batch
        finally:
            reading.close()


@contextlib.contextmanager
def _minding(readers: Readers) -> Iterator[None]:
    """While the next batch is waited for: worker processes that start hear no signals, and one that died raises `UserError`."""
    try:
        with deaf_to_signals() if readers.processes else contextlib.nullcontext():
            yield
    except RuntimeError as error:
        if "terminated unexpectedly" not in str(error):
            raise
        raise UserError(
            f"one of the {readers.processes} processes that read clips died; fewer data.processes, or 0, need less memory"
        ) from error


def _read(clips: grain.MapDataset, readers: Readers, batch_size: int) -> grain.IterDataset:
    """Runs `clips` in parallel and stacks batches. Batching comes last, so that its rows depend on no number of readers or processes.

    Worker processes make pieces of batches in turn, and this process only joins them: taking clips from the workers one by one would cost
    as much as making them from memory. `clips` must then be endless.
    """
    leave_cpus_to_readers()
    if not readers.processes:
        ahead = grain.ReadOptions(num_threads=readers.threads, prefetch_buffer_size=readers.threads + batch_size)
        return clips.to_iter_dataset(ahead).batch(batch_size)
    each = grain.ReadOptions(num_threads=readers.threads, prefetch_buffer_size=readers.threads)
    turns = grain.MapDataset.range(len(clips)).map(_InTurns(clips, readers.processes, readers.piece))
    pieces = _in_processes(turns.to_iter_dataset(each).batch(readers.piece), readers.processes)
    return pieces.batch(batch_size // readers.piece, batch_fn=_joined)


@dataclasses.dataclass(frozen=True)
class _InTurns:
    """Clips reordered so that worker w of n, given the elements w, w + n, w + 2 n and so on, makes the pieces w, w + n, w + 2 n."""

    clips: grain.MapDataset
    workers: int
    piece: int

    def __call__(self, position: int) -> Batch:
        turn, worker = divmod(position, self.workers)
        piece, row = divmod(turn, self.piece)
        return self.clips[(piece * self.workers + worker) * self.piece + row]


def _in_processes(dataset: grain.IterDataset, count: int) -> grain.IterDataset:
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # grain asks for it before it starts processes
    return dataset.mp_prefetch(grain.MultiprocessingOptions(num_workers=count), worker_init_fn=begin_worker)


def _joined(pieces: Sequence[Batch]) -> Batch:
    """Joins pieces into a batch by copying them: nothing in a worker's memory may be referenced when the interpreter ends."""
    return jax.tree.map(lambda *parts: np.concatenate([np.asarray(part) for part in parts]), *pieces)
