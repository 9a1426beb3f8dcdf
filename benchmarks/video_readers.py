"""How many clips a CPU-second do video readers give from the same mp4 files: ours, torchcodec, decord2, OpenCV and PyAV?

Each reads the same clips: 32 frames of stride 2 from a random place of a video of 340x256 pixels and 300 frames, a random resized crop to
224x224 of 8 to 100 % of the area, flipped half the time. All crop and resize by OpenCV, so that only reading differs, and each decodes with
one thread. Two sets of files: as Kinetics is published (x264's defaults: crf 23, a keyframe every 250 frames), and as `vivit prepare`
stores the same videos. Beside them `training_batches` over the prepared set, with one thread and with what training chooses.

  pip install torch torchcodec decord2 && python benchmarks/video_readers.py --videos VIDEO ... --json video_readers.json

A reader is a process of its own that waits for its turn; counted is the CPU time of all its threads and children. One that is not installed
is said to be missing. torchcodec needs FFmpeg's shared libraries on LD_LIBRARY_PATH.
"""

import argparse
import contextlib
import functools
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np
from script import add_json, make_parser, write_json

from vivit_jax.analysis.reading import cpu_seconds
from vivit_jax.data.augment.geometry import Geometry, random_geometry
from vivit_jax.data.config import AugmentConfig, DataConfig
from vivit_jax.data.dataset import open_dataset
from vivit_jax.data.pipeline import training_batches
from vivit_jax.data.sampling import random_clip
from vivit_jax.data.video.geometry import resize
from vivit_jax.data.video.reader import decode_frames, stream_frames
from vivit_jax.preprocess import Preprocess

HEIGHT, WIDTH, LENGTH, RATE = 256, 340, 300, 30
FRAMES, STRIDE, CROP = 32, 2, 224
AUGMENT = AugmentConfig(flip=0.5, random_resized_crop=(0.08, 1.0))
X264 = {"crf": "23", "preset": "medium", "threads": "1"}  # and a keyframe every 250 frames, by default
LARGEST_ZOOM = 1.3
BATCH = 4
WARM_UP, COMPARED = 4, 8
IDLE = 0.005  # CPU-seconds a second
SETS = ("published", "stored")

Clip = tuple[pathlib.Path, np.ndarray, Geometry]
"""A file, which of its frames to read, and which part of them to show."""


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--videos", nargs="+", type=pathlib.Path, help="real videos, which the files are made of")
    parser.add_argument("--count", type=int, default=60, help="files, each read once a turn (default 60)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each reader; the median counts (default 5)")
    add_json(parser)
    parser.add_argument("--serve", nargs=2, metavar=("READER", "DIR"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve[0], pathlib.Path(arguments.serve[1]))
        return
    if not arguments.videos:
        parser.error("--videos is needed")
    with tempfile.TemporaryDirectory(prefix="video_readers_") as folder:
        make_files(arguments.videos, pathlib.Path(folder), arguments.count)
        figures = compare(pathlib.Path(folder), arguments.rounds)
    report(figures)
    write_json(arguments.json, figures)


def make_files(sources: Sequence[pathlib.Path], folder: pathlib.Path, count: int) -> None:
    """Writes `published/*.mp4`, the data set `videos` made of them in `data`, and its videos as `stored/*.mp4`."""
    from vivit_jax.data.preparation.prepare import prepare

    for name in SETS:
        (folder / name).mkdir(parents=True)
    generator = np.random.default_rng(0)
    for number in range(count):
        source = sources[number * len(sources) // count]
        write_like_published(cut(source, generator), folder / f"published/{number:04}.mp4")
    (folder / "list.csv").write_text("path,label\n" + "".join(f"published/{number:04}.mp4,{number % 2}\n" for number in range(count)))
    prepare("csv", folder / "list.csv", name="videos", data_dir=folder / "data")
    records = open_dataset("videos", folder / "data").source("train")
    for record in (records[number] for number in range(count)):
        (folder / "stored" / pathlib.Path(record["name"]).name).write_bytes(record["video"])


@functools.lru_cache(maxsize=1)
def frames_of(source: pathlib.Path) -> list[np.ndarray]:
    return list(stream_frames(source))


def cut(source: pathlib.Path, generator: np.random.Generator) -> Iterable[np.ndarray]:
    """A part of a video's picture, from a random frame on, there and back again so that no cut becomes a keyframe."""
    frames = frames_of(source)
    height, width = frames[0].shape[:2]
    scale = max(HEIGHT / height, WIDTH / width) * generator.uniform(1, LARGEST_ZOOM)
    scaled = max(HEIGHT, round(height * scale)), max(WIDTH, round(width * scale))
    top, left = generator.integers(scaled[0] - HEIGHT + 1), generator.integers(scaled[1] - WIDTH + 1)
    order = [*range(len(frames)), *range(len(frames) - 2, 0, -1)]
    start = int(generator.integers(len(order)))
    for number in itertools.islice(itertools.cycle(order), start, start + LENGTH):
        yield resize(frames[number], *scaled)[top : top + HEIGHT, left : left + WIDTH]


def write_like_published(frames: Iterable[np.ndarray], path: pathlib.Path) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options=X264)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())


def clips_of(folder: pathlib.Path, seed: int = 0) -> list[Clip]:
    """One random clip of each file of a folder."""
    generator = np.random.default_rng(seed)
    return [
        (path, random_clip(generator, FRAMES, STRIDE, LENGTH), random_geometry(generator, AUGMENT, HEIGHT, (CROP, CROP)))
        for path in sorted(folder.glob("*.mp4"))
    ]


def show(frames: Sequence[np.ndarray], geometry: Geometry) -> np.ndarray:
    """The crop of whole frames, resized and flipped as ours are."""
    framing = geometry(*frames[0].shape[:2])
    return framing.show((frame[framing.rows, framing.columns] for frame in frames), len(frames))


def ours() -> Callable:
    def read(path: pathlib.Path, indices: np.ndarray, geometry: Geometry) -> np.ndarray:
        return decode_frames(path, indices, framer=geometry, stored=path.parent.name == "stored")

    return read


def torchcodec() -> Callable:
    import torch
    from torchcodec.decoders import VideoDecoder

    torch.set_num_threads(1)

    def read(path: pathlib.Path, indices: np.ndarray, geometry: Geometry) -> np.ndarray:
        decoder = VideoDecoder(path, dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode="approximate")
        return show(decoder.get_frames_at(indices.tolist()).data.numpy(), geometry)

    return read


def decord2() -> Callable:
    import decord

    def read(path: pathlib.Path, indices: np.ndarray, geometry: Geometry) -> np.ndarray:
        return show(decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1).get_batch(indices).asnumpy(), geometry)

    return read


def opencv() -> Callable:
    def read(path: pathlib.Path, indices: np.ndarray, geometry: Geometry) -> np.ndarray:
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        position = int(indices[0])
        capture.set(cv2.CAP_PROP_POS_FRAMES, position)
        frames = []
        for number in indices:
            while position <= number:  # grabbed frames are decoded, but not converted
                capture.grab()
                position += 1
            frames.append(capture.retrieve()[1])
        capture.release()
        clip = show(frames, geometry)
        for frame in clip:
            cv2.cvtColor(frame, cv2.COLOR_BGR2RGB, frame)
        return clip

    return read


def pyav() -> Callable:
    import av

    def read(path: pathlib.Path, indices: np.ndarray, geometry: Geometry) -> np.ndarray:
        wanted, frames = set(indices.tolist()), []
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"
            rate, base, start = stream.average_rate, stream.time_base, stream.start_time or 0
            container.seek(start + int(indices[0] / rate / base), stream=stream)
            for frame in container.decode(stream):
                number = round((frame.pts - start) * base * rate)
                if number in wanted:
                    frames.append(frame.to_ndarray(format="rgb24"))
                if number >= indices[-1]:
                    break
        return show(frames, geometry)

    return read


READERS = {"vivit_jax": ours, "torchcodec": torchcodec, "decord2": decord2, "OpenCV": opencv, "PyAV": pyav}
PIPELINES = {"training_batches": DataConfig(), "training_batches, 1 thread": DataConfig(readers=1)}


def serve(name: str, folder: pathlib.Path) -> None:
    """Takes a turn for each line of input that names a set: writes its CPU milliseconds a clip; `pixels` asks for what tells them apart."""
    cv2.setNumThreads(1)
    with contextlib.redirect_stdout(sys.stderr):
        take_turn = pipeline_turns(PIPELINES[name], folder) if name in PIPELINES else reader_turns(READERS[name](), folder)
    for line in sys.stdin:
        print(json.dumps(take_turn(line.strip())), flush=True)


def reader_turns(read: Callable, folder: pathlib.Path) -> Callable[[str], float | dict]:
    clips = {name: clips_of(folder / name) for name in SETS}
    for path, indices, geometry in clips["stored"][:WARM_UP]:
        read(path, indices, geometry)

    def take_turn(name: str) -> float | dict:
        if name == "pixels":
            return {name: difference(read, clips[name][:: max(1, len(clips[name]) // COMPARED)]) for name in SETS}
        before = cpu_seconds()
        for path, indices, geometry in clips[name]:
            read(path, indices, geometry)
        return 1e3 * (cpu_seconds() - before) / len(clips[name])

    return take_turn


def pipeline_turns(data: DataConfig, folder: pathlib.Path) -> Callable[[str], float]:
    dataset = open_dataset("videos", folder / "data")
    preprocess = Preprocess(FRAMES, STRIDE, HEIGHT, (CROP, CROP))
    batches = training_batches(dataset.source("train"), preprocess, data, AUGMENT, batch_size=BATCH, seed=0)
    count = max(1, len(dataset.source("train")) // BATCH)
    next(batches)

    def take_turn(_: str) -> float:
        before = settled_cpu_seconds()
        for _ in range(count):
            next(batches)
        return 1e3 * (settled_cpu_seconds() - before) / (count * BATCH)

    return take_turn


def difference(read: Callable, clips: Sequence[Clip]) -> dict[str, float]:
    """How far clips are from ours, in steps of 256, and in how many of them our frames one earlier or later are nearer."""
    mean, largest, shifted = [], 0, 0
    for path, indices, geometry in clips:
        clip = read(path, indices, geometry).astype(np.int16)
        stored = path.parent.name == "stored"
        apart = [
            np.abs(clip - decode_frames(path, np.clip(indices + shift, 0, LENGTH - 1), framer=geometry, stored=stored))
            for shift in (0, -1, 1)
        ]
        means = [float(one.mean()) for one in apart]
        mean.append(means[0])
        largest = max(largest, int(apart[0].max()))
        shifted += means[0] > min(means)
    return {"mean": float(np.mean(mean)), "largest": largest, "other frames": shifted}


def settled_cpu_seconds() -> float:
    """The CPU time so far once reading ahead has come to its end, so that as many clips are made in a turn as are taken."""
    last, now = -1.0, cpu_seconds()
    while now - last > IDLE:
        time.sleep(1)
        last, now = now, cpu_seconds()
    return now


def compare(folder: pathlib.Path, rounds: int) -> dict:
    """Medians over turns of CPU milliseconds a clip, by set and reader; pixels; bytes; and which readers are missing."""
    with contextlib.ExitStack() as stack:
        served = {name: stack.enter_context(Served(name, folder)) for name in (*READERS, *PIPELINES)}
        pixels = {name: served[name].ask("pixels") for name in READERS}
        missing = [name for name, found in pixels.items() if found is None]
        turns = {(one, name): [] for one in SETS for name in served if name not in missing and (one == "stored" or name in READERS)}
        for _ in range(rounds):
            for (one, name), figures in turns.items():
                figures.append(served[name].ask(one))
    milliseconds = {one: {name: figures for (other, name), figures in turns.items() if other == one} for one in SETS}
    return {
        "milliseconds": milliseconds,
        "clips_per_cpu_second": {
            one: {name: 1e3 / float(np.median(figures)) for name, figures in row.items()} for one, row in milliseconds.items()
        },
        "pixels": pixels,
        "missing": missing,
        "bytes_a_video": {one: float(np.mean([path.stat().st_size for path in (folder / one).glob("*.mp4")])) for one in SETS},
    }


class Served:
    """A reader in a process of its own."""

    def __init__(self, name: str, folder: pathlib.Path) -> None:
        command = [sys.executable, __file__, "--serve", name, str(folder)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def __enter__(self) -> "Served":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def ask(self, line: str) -> float | dict | None:
        """What the process answers; None if it has ended, as it does without its library."""
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return None
        answer = self._process.stdout.readline()
        return json.loads(answer) if answer else None


def report(figures: dict) -> None:
    speeds, pixels = figures["clips_per_cpu_second"], figures["pixels"]
    print(f"{'clips per CPU-second':28}{'published':>10}{'stored':>10}    pixels from ours (stored): mean, largest, clips of other frames")
    for name in speeds["stored"]:
        published = f"{speeds['published'][name]:10.1f}" if name in speeds["published"] else " " * 10
        apart = pixels.get(name)
        said = f"    {apart['stored']['mean']:.2f}, {apart['stored']['largest']}, {apart['stored']['other frames']}" if apart else ""
        print(f"{name:28}{published}{speeds['stored'][name]:10.1f}{said}")
    for one in SETS:
        best = max((speed for name, speed in speeds[one].items() if name in READERS and name != "vivit_jax"), default=float("nan"))
        print(
            f"ours over the best peer, {one}: {speeds[one]['vivit_jax'] / best:.2f}; {figures['bytes_a_video'][one] / 1e6:.2f} MB a video"
        )
    if figures["missing"]:
        print(f"missing: {', '.join(figures['missing'])}")


if __name__ == "__main__":
    main()
