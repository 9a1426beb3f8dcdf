"""Does memory grow with the work? The resident size of `vivit prepare`, `train.py` and `vivit predict` over many items.

  python benchmarks/memory.py --json memory.json

Each command runs as a person starts it, and every fifth of a second its process and the processes below it are looked at: a preparation
and a prediction while they have workers, a training from its first step to its last. The first quarter of that time is left out, in which
what is needed is loaded and compiled, and so is the last twentieth, in which workers leave. Of what remains, the mean of the first tenth
stands beside that of the last, and the slope is that of a straight line through all samples, as items take equal time. Pages that
processes share count in each.
"""

import dataclasses
import os
import pathlib
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence

import av
import numpy as np
from script import add_json, make_parser, write_json
from subprocesses import ROOT, TRAIN, VIVIT, usage

SECONDS_BETWEEN = 0.2
WARM_UP, LEAVING = 0.25, 0.05  # shares of the time
CURVE = 100  # samples kept in the JSON
KINDS = 20  # different videos; the others are links to them, under names of their own
FRAMES, SIZE = 16, 48


@dataclasses.dataclass(frozen=True)
class Sample:
    """The resident memory of a command at one time.

    Attributes:
      seconds: time since the command began.
      parent: bytes of its own process.
      workers: bytes of its descendants, summed.
    """

    seconds: float
    parent: int
    workers: int


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--clips", type=int, default=5000, help="number of clips to prepare (default 5000)")
    parser.add_argument("--steps", type=int, default=2000, help="number of steps to train (default 2000)")
    parser.add_argument("--videos", type=int, default=500, help="number of videos to predict (default 500)")
    add_json(parser)
    arguments = parser.parse_args()
    report = {}
    with tempfile.TemporaryDirectory() as folder:
        for what, row in measure(arguments.clips, arguments.steps, arguments.videos, pathlib.Path(folder)):
            report[what] = row
            write_json(arguments.json, report)  # after each, since all together take long
    print_report(report)


def measure(clips: int, steps: int, videos: int, folder: pathlib.Path) -> Iterator[tuple[str, dict]]:
    """What each command did, and its figures in megabytes."""
    files = write_videos(folder / "videos", clips)
    data = ["--name", "many", "--data_dir", str(folder / "data")]
    train = [*TRAIN, f"--config={ROOT / 'configs' / 'motion_digits.py'}", f"--workdir={folder / 'run'}"]
    train += ["--config.data.name=many", f"--config.data.data_dir={folder / 'data'}", f"--config.training.steps={steps}"]
    train += ["--config.data.cache_gigabytes=0"]  # which fills as clips are first read
    train += [
        "--config.data.val_split=None",
        "--config.data.test_split=None",
        "--config.data.stride=1",
        "--config.schedule.warmup_epochs=0",
    ]
    train += ["--config.model.hidden_size=32", "--config.model.num_layers=2", "--config.model.temporal_layers=1"]
    train += ["--config.training.batch_size=8", "--config.checkpoint.every_steps=100", "--config.training.compilation_cache=None"]
    predict = [*VIVIT, "predict", "--model", str(folder / "run" / "model"), *map(str, files[:videos]), "--json"]
    yield "prepared clips", figures(sampled([*VIVIT, "prepare", "folder", str(folder / "videos"), *data], folder), clips)
    yield "training steps", figures(sampled(train, folder, ("first step", f"step {steps}/{steps} ")), steps)
    yield "predictions", figures(sampled(predict, folder), min(videos, clips))


def write_videos(folder: pathlib.Path, count: int) -> list[pathlib.Path]:
    """`count` short videos of noise in two classes, as `train/CLASS/NAME.mp4`."""
    generator = np.random.default_rng(0)
    paths = [folder / "train" / ("dark", "light")[i % 2] / f"{i:05}.mp4" for i in range(count)]
    for i, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        if i >= KINDS:
            os.link(paths[i % KINDS], path)
            continue
        with av.open(path, "w") as container:
            stream = container.add_stream("libx264", rate=8)
            stream.width = stream.height = SIZE
            stream.pix_fmt = "yuv420p"
            for image in generator.integers(0, 128, (FRAMES, SIZE, SIZE, 3), np.uint8) + np.uint8(100 * (i % 2)):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
            container.mux(stream.encode())
    return paths


def sampled(command: Sequence[str], folder: pathlib.Path, between: tuple[str, str] | None = None) -> list[Sample]:
    """Runs a command to its end and looks at its memory while it works.

    Args:
      command: the program and its arguments.
      folder: the folder of the file that keeps its output.
      between: what it says when its work begins and ends; None is while there are processes below it.

    Raises:
      SystemExit: with the end of its output, if it fails.
    """
    samples, begun, output = [], time.monotonic(), folder / "output.txt"
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    with output.open("w") as file, subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment) as popen:
        while popen.poll() is None and (taken := usage(popen.pid)):
            if at_work(output.read_text(), between) if between else taken.below_bytes:
                samples.append(Sample(time.monotonic() - begun, taken.own_bytes, taken.below_bytes))
            time.sleep(SECONDS_BETWEEN)
    if popen.returncode:
        raise SystemExit(f"{' '.join(command[:4])} ... ended with {popen.returncode}:\n{output.read_text()[-2000:]}")
    return samples


def at_work(said: str, between: tuple[str, str]) -> bool:
    """Whether the first of two texts was said and the second was not yet."""
    begin, end = between
    return begin in said and end not in said


def figures(samples: Sequence[Sample], items: int) -> dict:
    """Megabytes of the process and of its workers: means of the first and last tenth, the maximum, and the slope per thousand items."""
    result = {"items": items, "seconds": samples[-1].seconds - samples[0].seconds, "samples": len(samples)}
    result["curve"] = [dataclasses.astuple(sample) for sample in samples[:: -(-len(samples) // CURVE)]]
    for who in ("parent", "workers"):
        there = [(sample.seconds, getattr(sample, who) / 1e6) for sample in samples if getattr(sample, who)]
        if there:
            result |= {f"{who} {name}": value for name, value in _growth(np.array(there), items).items()}
    return result


def _growth(there: np.ndarray, items: int) -> dict[str, float]:
    """The figures of rows of (second, megabytes)."""
    begin, end = there[0, 0], there[-1, 0]
    inside = (there[:, 0] >= begin + WARM_UP * (end - begin)) & (there[:, 0] <= end - LEAVING * (end - begin))
    seconds, size = there[inside].T
    tenth = max(1, len(size) // 10)
    slope = np.polyfit(seconds, size, 1)[0] if len(size) > 1 else 0.0
    values = {"first": size[:tenth].mean(), "last": size[-tenth:].mean(), "most": there[:, 1].max()}
    return {name: float(value) for name, value in values.items()} | {"per thousand": float(slope * (end - begin) / items * 1000)}


def print_report(report: dict[str, dict]) -> None:
    """A row for each command and kind of process."""
    print("| MB resident | first tenth | last tenth | most | per thousand |\n|---|---|---|---|---|")
    for what, row in report.items():
        for who in ("parent", "workers"):
            if f"{who} most" in row:
                shown = " | ".join(f"{row[f'{who} {name}']:.1f}" for name in ("first", "last", "most", "per thousand"))
                print(f"| {row['items']:.0f} {what} in {row['seconds']:.0f} s, {who} | {shown} |")


if __name__ == "__main__":
    main()
