"""Where does the CPU time of a training clip go? Each stage of reading a config's data set, one after another in one thread.

  python benchmarks/reading_stages.py --config configs/vivit_ssv2.py --clips 64 --config.data.data_dir=data

The stages are those of `data/pipeline.py`, taken apart; the clips must be the pixels that `training_batches` gives.
"""

import collections
import contextlib
import sys
import time
from collections.abc import Iterator

import cv2
import numpy as np
from script import add_json, make_parser, write_json

from vivit_jax.commands.config_arguments import add_config, take_overrides
from vivit_jax.config import Experiment
from vivit_jax.config_file import read_config
from vivit_jax.data.augment import random_augmentation
from vivit_jax.data.dataset import open_dataset
from vivit_jax.data.pipeline import training_batches
from vivit_jax.data.sampling import reorder, training_clip
from vivit_jax.data.video.container import LIMITS
from vivit_jax.data.video.decoder import OpenVideo

CHECKED = 2


def main() -> None:
    parser = make_parser(__doc__)
    add_config(parser)
    parser.add_argument("--clips", type=int, default=64, help="clips of the first epoch (default 64)")
    add_json(parser)
    rest, overrides = take_overrides(sys.argv[1:])
    arguments = parser.parse_args(rest)
    cv2.setNumThreads(0)
    experiment = read_config(arguments.config, overrides)
    figures = measure(experiment, arguments.clips)
    report(figures, experiment.model.clip[0])
    write_json(arguments.json, figures)


def measure(experiment: Experiment, clips: int) -> dict[str, float]:
    """CPU milliseconds a clip by stage. The first clips are held to the pipeline's, and warm up."""
    data = experiment.data
    source = open_dataset(data.name, data.data_dir).source(data.train_split)
    batches = training_batches(source, experiment.preprocess, data, experiment.augment, batch_size=CHECKED, seed=experiment.seed)
    batch = next(batches)
    batches.close()
    for clip, index in zip(batch["video"], batch["index"].tolist(), strict=True):
        np.testing.assert_array_equal(staged(experiment, source, index, Stages()), clip)
    stages = Stages()
    for number in range(clips):
        staged(experiment, source, number % len(source), stages)
    return {name: 1e3 * seconds / clips for name, seconds in stages.seconds.items()}


class Stages:
    """The CPU time of this thread by stage; a stage within another does not count for that."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = collections.defaultdict(float)

    @contextlib.contextmanager
    def time(self, name: str) -> Iterator[None]:
        """Counts the time of the `with` as that of stage `name`."""
        start, within = time.thread_time(), sum(self.seconds.values())
        yield
        self.seconds[name] += time.thread_time() - start - (sum(self.seconds.values()) - within)


def staged(experiment: Experiment, source: object, index: int, stages: Stages) -> np.ndarray:
    """The clip of a record in the first epoch."""
    wanted = experiment.preprocess
    with stages.time("read and check the record"):
        record = source[index]
    with stages.time("draw frames and augmentation"):
        generator = np.random.default_rng((experiment.seed, 0, index, 0))
        indices = training_clip(generator, wanted, record["frames"], record["fps"])
        indices = reorder(indices, experiment.data.temporal_order, generator)
        augmentation = random_augmentation(generator, experiment.augment, wanted.resize, wanted.crop)
        numbers, positions = np.unique(indices, return_inverse=True)
    with stages.time("open the video"):
        video = OpenVideo(record["video"], LIMITS, stored=True)
    with contextlib.closing(video):
        selected = video.select(numbers.tolist())
        with stages.time("decode"):
            first = next(selected)
        framing = augmentation.geometry(*video.rgb.size_of(first))

        def parts() -> Iterator[np.ndarray]:
            frame = first
            while frame is not None:
                with stages.time("cut and convert to RGB"):
                    part = video.rgb.read(frame, framing.rows, framing.columns)
                yield part
                with stages.time("decode"):
                    frame = next(selected, None)

        with stages.time("resize and flip"):
            clip = framing.show(parts(), len(numbers))
    if not np.array_equal(positions, np.arange(len(indices))):
        clip = clip[positions]
    for transform in augmentation.transforms:
        with stages.time("other transforms (RandAugment, erasing)"):
            clip = transform(clip)
    return clip


def report(figures: dict[str, float], frames: int) -> None:
    total = sum(figures.values())
    print(f"{'stage':42}{'ms a clip':>10}{'share':>8}{'frames a CPU-second':>22}")
    for name, milliseconds in (*figures.items(), ("all", total)):
        print(f"{name:42}{milliseconds:10.2f}{milliseconds / total:8.0%}{1e3 * frames / milliseconds:22.0f}")


if __name__ == "__main__":
    main()
