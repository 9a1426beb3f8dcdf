"""Does reading hold up training? Clips a second on one batch that lies on the devices, and from disk through the whole pipeline.

The step is the one that training runs, compiled once and taken by both in turns, its metrics fetched two steps late as the training loop
does. Beside them, what the pipeline reads when nobody has to be waited for. On a config's own data set:

  python benchmarks/training_from_disk.py --config configs/drone_ir_finetune.py --config.data.data_dir data --batch_size 128

or on a real video, made into a data set of 340x256 pixels and 300 frames a video as Kinetics is stored:

  python benchmarks/training_from_disk.py --config configs/vivit_kinetics400.py --video any_real_video.mp4 --batch_size 32
"""

import collections
import contextlib
import dataclasses
import itertools
import pathlib
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from looped_videos import make_dataset
from script import add_json, make_parser, write_json

from vivit_jax.analysis.environment import environment
from vivit_jax.analysis.random_input import random_batch, random_variables
from vivit_jax.analysis.reading import measure_reading
from vivit_jax.commands.config_arguments import add_config, take_overrides
from vivit_jax.config import Experiment
from vivit_jax.config_file import read_config
from vivit_jax.data.dataset import open_dataset
from vivit_jax.data.pipeline import training_batches
from vivit_jax.models.families import build
from vivit_jax.training.devices.executors import make_executor
from vivit_jax.training.feed import Feed
from vivit_jax.training.setup import set_up

STEPS_IN_FLIGHT = 2
WARM_UP_STEPS = 20  # what was read ahead is used up by then
SCHEDULE_STEPS = 10**6  # of which the first, of a warm-up, change nothing much


def main() -> None:
    parser = make_parser(__doc__)
    add_config(parser)
    parser.add_argument("--video", type=pathlib.Path, help="train on this real video, scaled, cropped and looped, instead of the data set")
    parser.add_argument("--videos", type=int, default=64, help="how many videos to make of it (default 64)")
    parser.add_argument("--batch_size", type=int, help="clips a step (default the config's)")
    parser.add_argument("--steps", type=int, default=60, help="timed steps a turn, after a warm-up (default 60)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each; the median counts (default 3)")
    add_json(parser)
    rest, overrides = take_overrides(sys.argv[1:])
    arguments = parser.parse_args(rest)
    with tempfile.TemporaryDirectory(prefix="training_from_disk_") as folder:
        if arguments.video:
            overrides |= make_dataset(arguments.video, pathlib.Path(folder), arguments.videos)
        experiment = complete(read_config(arguments.config, overrides), arguments.batch_size)
        report(measure(experiment, arguments.steps, arguments.rounds), arguments.json)


def complete(experiment: Experiment, batch_size: int | None) -> Experiment:
    """The experiment with a head for the data set's classes, one update a step."""
    labels = open_dataset(experiment.data.name, experiment.data.data_dir).labels
    classes = {head: len(names) for head, names in labels.items()} if isinstance(labels, dict) else len(labels)
    training = dataclasses.replace(experiment.training, batch_size=batch_size or experiment.training.batch_size)
    return dataclasses.replace(experiment, model=dataclasses.replace(experiment.model, num_classes=classes), training=training)


def measure(experiment: Experiment, steps: int, rounds: int) -> dict[str, Any]:
    """Seconds of the steps in turns, and the pipeline alone."""
    executor = make_executor(experiment.parallel)
    trainer = Trainer(experiment, executor)
    batch = executor.to_devices(random_batch(experiment.model, experiment.training.batch_size, experiment.augment))
    seconds = collections.defaultdict(list)
    for _ in range(rounds):
        seconds["synthetic"].append(trainer.time(itertools.repeat(batch), steps))
        with contextlib.closing(from_disk(experiment, executor)) as batches:
            seconds["from disk"].append(trainer.time(batches, steps))
    reading = measure_reading(experiment, experiment.training.batch_size, steps)
    clips = steps * experiment.training.batch_size
    speeds = {name: clips / float(np.median(values)) for name, values in seconds.items()}
    return {
        "environment": environment(),
        "config": experiment.name,
        "batch_size": experiment.training.batch_size,
        "clip": list(experiment.model.clip),
        "steps": steps,
        "seconds": dict(seconds),
        "clips_per_second": speeds,
        "ratio": speeds["from disk"] / speeds["synthetic"],
        "reading": reading,
    }


class Trainer:
    """The compiled train step and its state."""

    def __init__(self, experiment: Experiment, executor: Any) -> None:
        model = experiment.model
        variables = random_variables(model)
        self._executor = executor
        module = build(model, axis_name=executor.axis_name, batch_parts=executor.batch_parts)
        steps = {"total": SCHEDULE_STEPS, "warmup": SCHEDULE_STEPS // 10}
        self._state, step = set_up(experiment, module, variables, experiment.preprocess, executor, **steps)
        self._step, self._seed = executor.compile_train(step, self._state), executor.place_whole(np.uint32(0))

    def time(self, batches: Iterator[dict[str, Any]], steps: int) -> float:
        """Seconds of `steps` steps after a warm-up, from the last result before them to their last."""
        pending: collections.deque = collections.deque()
        start = 0.0
        for number in range(WARM_UP_STEPS + steps):
            if number == WARM_UP_STEPS:
                self._settle(pending, 0)
                start = time.perf_counter()
            self._state, metrics = self._step(self._state, next(batches), self._seed)
            pending.append(metrics)
            self._settle(pending, STEPS_IN_FLIGHT)
        self._settle(pending, 0)
        return time.perf_counter() - start

    def _settle(self, pending: collections.deque, in_flight: int) -> None:
        while len(pending) > in_flight:
            if not np.all(self._executor.metrics(pending.popleft())["finite"]):
                raise SystemExit("the step gives numbers that are not finite, so its time would say nothing")


def from_disk(experiment: Experiment, executor: Any) -> Iterator[dict[str, Any]]:
    """Batches on the devices, as training feeds them."""
    data, batch_size = experiment.data, experiment.training.batch_size
    records = open_dataset(data.name, data.data_dir).source(data.train_split)
    batches = training_batches(records, experiment.preprocess, data, experiment.augment, batch_size=batch_size, seed=experiment.seed)
    feed = Feed(batches, executor.to_devices, experiment.training.prefetch)
    try:
        for batch, _ in feed:
            yield batch
    finally:
        feed.close()
        batches.close()


def report(figures: dict[str, Any], path: pathlib.Path | None) -> None:
    environment, reading = figures["environment"], figures["reading"]
    shape = "x".join(map(str, figures["clip"]))
    print(f"{figures['config']}: {figures['steps']} steps of {figures['batch_size']} clips of {shape}, {environment['cpus']} CPUs")
    print(f"{environment['devices']} x {environment['device']}, jax {environment['versions']['jax']}")
    for name, speed in figures["clips_per_second"].items():
        print(f"{name:12}{speed:10.1f} clips/s")
    print(f"{'ratio':12}{figures['ratio']:10.3f}")
    print(
        f"{'reading':12}{reading['clips_per_second']:10.1f} clips/s alone, {reading['clips_per_cpu_second']:.1f} per CPU-second, "
        f"{reading['cpus_busy']:.1f} CPUs busy, {reading['readers']} readers, {reading['processes']} processes"
    )
    write_json(path, figures)


if __name__ == "__main__":
    main()
