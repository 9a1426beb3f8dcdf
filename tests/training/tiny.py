"""A data set in memory and an experiment small enough for a test: clips of 4 frames of 16 x 16 pixels, four classes of brightness.

`python tests/training/tiny.py --config=... --workdir=...` is `train.py` on that data set; the environment may ask it for a fault:
TINY_TERMINATE_AT and TINY_KILL_AT send a signal when that batch is drawn, TINY_TERMINATE_IN_EVALUATION when an evaluation begins,
TINY_TERMINATE_IN_SAVE when a checkpoint's arrays are written and its manifest is not; TINY_SIGNAL is sent in place of SIGTERM.
TINY_POISON_AT makes a learning rate infinite so that this step's loss is not finite. TINY_FIFO is a file that is read before batch
TINY_STALL_AT, or before an evaluation where that is `evaluation`: of a FIFO that nobody writes to, the read hangs as that of a dead disk.
"""

import dataclasses
import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from vivit_jax.config import Experiment, resolve
from vivit_jax.data.config import DataConfig
from vivit_jax.preprocess import Preprocess

CLASSES = ("night", "dusk", "dawn", "noon")
CLIP = (4, 16, 16)
MODEL = {"clip": CLIP, "tubelet": (2, 8, 8), "hidden_size": 16, "num_layers": 2, "num_heads": 2, "mlp_dim": 32, "temporal_layers": 1}
TERMINATE = int(os.environ.get("TINY_SIGNAL", signal.SIGTERM))
PREPROCESS = Preprocess(frames=4, stride=1, resize=16, crop=(16, 16))
EXAMPLES = {"train": 64, "val": 21, "test": 27}


def experiment(**sections) -> Experiment:
    """A tiny experiment; sections are dicts of their keys."""
    values = {
        "model": MODEL | {"num_classes": len(CLASSES)},
        "data": {"stride": 1, "resize": 16},
        "training": {"batch_size": 16, "steps": 20, "log_every": 2, "tensorboard": False, "compilation_cache": None},
        "optimizer": {"learning_rate": 1e-2},
        "evaluation": {"every_steps": 10},
        "checkpoint": {"every_steps": 5},
    }
    for section, keys in sections.items():
        values[section] = values.get(section, {}) | keys if isinstance(keys, dict) else keys
    return resolve(values)


def examples(split: str, clip=CLIP) -> dict[str, np.ndarray]:
    """All examples of a split: noise, the brighter the higher the class."""
    generator = np.random.default_rng(sorted(EXAMPLES).index(split))
    count = EXAMPLES[split]
    label = generator.integers(0, len(CLASSES), count).astype(np.int32)
    video = generator.integers(0, 75, (count, *clip, 3), np.uint8) + (60 * label).astype(np.uint8)[:, None, None, None, None]
    return {"video": video, "label": label, "index": np.arange(count)}


class Batches:
    """Endless training batches; their order is a function of the position, so that they can go on anywhere."""

    def __init__(self, batch_size: int, shard=(0, 1), seed: int = 0) -> None:
        self._examples, self._position = examples("train"), 0
        self._batch_size, self._shard, self._seed = batch_size, shard, seed
        self.drawn = []

    def __next__(self) -> dict[str, np.ndarray]:
        generator = np.random.default_rng((self._seed, self._position))
        self._position += 1
        host, hosts = self._shard
        rows = generator.choice(EXAMPLES["train"], self._batch_size * hosts)[host * self._batch_size :][: self._batch_size]
        self.drawn.append(rows.tolist())
        if os.environ.get("TINY_STALL_AT") == str(self._position):
            Path(os.environ["TINY_FIFO"]).read_bytes()
        for number, variable in ((TERMINATE, "TINY_TERMINATE_AT"), (signal.SIGKILL, "TINY_KILL_AT")):
            if os.environ.get(variable) == str(self._position):
                os.kill(os.getpid(), number)
        return {name: values[rows] for name, values in self._examples.items()}

    def get_state(self) -> dict:
        return {"position": self._position}

    def set_state(self, state: dict) -> None:
        self._position = state["position"]

    def close(self) -> None:
        pass


class EvaluationBatches:
    """Each example of this host's shard once, in views; the last batch is padded."""

    def __init__(self, split: str, batch_size: int, views=(1, 1), shard=(0, 1)) -> None:
        self._examples = {name: values[shard[0] :: shard[1]] for name, values in examples(split).items()}
        self._batch_size, self._views = batch_size, views[0] * views[1]
        self.names = {}

    def __len__(self) -> int:
        return -(-len(self._examples["index"]) // self._batch_size)

    def __iter__(self):
        if "TINY_TERMINATE_IN_EVALUATION" in os.environ:
            os.kill(os.getpid(), TERMINATE)
        if os.environ.get("TINY_STALL_AT") == "evaluation":
            Path(os.environ["TINY_FIFO"]).read_bytes()
        for i in range(len(self)):
            rows = {name: values[i * self._batch_size :][: self._batch_size] for name, values in self._examples.items()}
            missing = self._batch_size - len(rows["index"])
            rows["valid"] = np.ones(len(rows["index"]), bool)
            rows = {name: np.pad(values, [(0, missing)] + [(0, 0)] * (values.ndim - 1)) for name, values in rows.items()}
            yield rows | {"video": np.repeat(rows["video"][:, None], self._views, axis=1)}


@dataclasses.dataclass(frozen=True)
class DataSet:
    """What `open_dataset` gives."""

    name: str = "tiny"
    path: Path = Path("in memory")
    labels: tuple = CLASSES
    multi_label: bool = False
    splits: dict = dataclasses.field(default_factory=lambda: dict(EXAMPLES))

    @property
    def identity(self) -> dict:
        return {"name": self.name, "sha256": "0" * 64, "labels": {"": list(self.labels)}, "splits": self.splits}

    def has(self, split: str) -> bool:
        return split in self.splits

    def resolve(self, split: str) -> str:
        return split

    def source(self, split: str) -> "Records":
        return Records(split)


@dataclasses.dataclass(frozen=True)
class Records:
    """The records of a split; the batches below know what is in them."""

    split: str

    def __len__(self) -> int:
        return EXAMPLES[self.split]


def training_batches(records, preprocess, data: DataConfig, augment, *, batch_size, seed, shard=(0, 1)) -> Batches:
    return Batches(batch_size, shard, seed)


def evaluation_batches(records, preprocess, data: DataConfig, *, views=(1, 1), flip=False, batch_size, shard=(0, 1)) -> EvaluationBatches:
    return EvaluationBatches(records.split, batch_size, views, shard)


def take_the_place_of_data(patch, dataset=None, training=training_batches, evaluation=evaluation_batches) -> None:
    """Has `vivit train` read these, by `patch(module, name, value)`, in place of a prepared data set."""
    from vivit_jax.runs import assembly, train

    patch(train, "dataset_to_be", lambda name, data_dir: None)
    patch(train, "ensure_dataset", lambda name, data_dir: dataset or DataSet())
    patch(assembly, "training_batches", training)
    patch(assembly, "evaluation_batches", evaluation)


def rows(workdir: Path, *, timing: bool = False) -> list[dict]:
    """The rows of `metrics.jsonl`, without what depends on the machine's speed unless `timing`."""
    from vivit_jax.runs.clock import TIMING_KEYS

    parsed = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if timing or key not in TIMING_KEYS} for row in parsed]


def _terminate_in_save() -> None:
    from vivit_jax.runs import checkpoint

    write_manifest = checkpoint.write_manifest

    def interrupted(step_dir: Path) -> None:
        checkpoint.write_manifest = write_manifest
        os.kill(os.getpid(), TERMINATE)
        time.sleep(0.5)  # the loop meets the signal while the checkpoint is half written
        write_manifest(step_dir)

    checkpoint.write_manifest = interrupted


def main() -> int:
    import jax.numpy as jnp

    from vivit_jax import cli
    from vivit_jax.runs import loop
    from vivit_jax.training import setup

    if poisoned := os.environ.get("TINY_POISON_AT"):
        setup.make_schedule = lambda *_, **__: lambda step: jnp.where(step == int(poisoned) - 2, jnp.inf, 0.1)
    if "TINY_TERMINATE_IN_SAVE" in os.environ:
        _terminate_in_save()
    if "TINY_HANG_IN_SAVE" in os.environ:
        loop.Loop._save = lambda self, step: Path(os.environ["TINY_FIFO"]).read_bytes()
    take_the_place_of_data(setattr)
    return cli.train()


if __name__ == "__main__":
    sys.exit(main())
