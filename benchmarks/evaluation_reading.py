"""How long does it take to read a split for an evaluation: by the readers that are chosen (processes, beside a GPU), and by threads?

  python benchmarks/evaluation_reading.py --video FILM.mp4 --videos 300 --views 4x1 --json evaluation_reading.json

The two take turns on the same data set, made of one real video.
"""

import pathlib
import tempfile
import time

import numpy as np
from looped_videos import make_dataset
from script import add_json, make_parser, write_json

from vivit_jax.data.config import DataConfig
from vivit_jax.data.dataset import open_dataset
from vivit_jax.data.pipeline import evaluation_batches
from vivit_jax.data.readers import MOST_THREADS
from vivit_jax.preprocess import Preprocess

READERS = {"chosen": DataConfig(), "threads": DataConfig(readers=MOST_THREADS)}


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--video", required=True, type=pathlib.Path, help="a real video, scaled, cropped and looped to make the split")
    parser.add_argument("--videos", type=int, default=300, help="videos of the split (default 300)")
    parser.add_argument("--views", default="4x1", help="clips in time and crops of each (default 4x1)")
    parser.add_argument("--batch_size", type=int, default=8, help="videos in a batch (default 8)")
    parser.add_argument("--rounds", type=int, default=2, help="turns of each; the median counts (default 2)")
    add_json(parser)
    arguments = parser.parse_args()
    views = tuple(map(int, arguments.views.split("x")))
    with tempfile.TemporaryDirectory(prefix="evaluation_reading_") as folder:
        made = make_dataset(arguments.video, pathlib.Path(folder), arguments.videos)
        dataset = open_dataset(made["data.name"], made["data.data_dir"])
        preprocess = Preprocess(32, 2, 256, (224, 224))
        splits = {
            name: evaluation_batches(dataset.source("train"), preprocess, data, views=views, batch_size=arguments.batch_size)
            for name, data in READERS.items()
        }
        turns = [{name: seconds(batches) for name, batches in splits.items()} for _ in range(arguments.rounds)]
        figures = {
            name: {
                "threads": batches.readers.threads,
                "processes": batches.readers.processes,
                "seconds to the first batch": float(np.median([turn[name][0] for turn in turns])),
                "seconds": float(np.median([turn[name][1] for turn in turns])),
            }
            for name, batches in splits.items()
        }
    for name, row in figures.items():
        print(name, row)
    write_json(arguments.json, figures | {"clips": arguments.videos * views[0]})


def seconds(batches: object) -> tuple[float, float]:
    """Seconds to the first batch, and to the end."""
    start = time.perf_counter()
    first = 0.0
    for _ in batches:
        first = first or time.perf_counter() - start
    return first, time.perf_counter() - start


if __name__ == "__main__":
    main()
