"""Is `vivit predict --window` right along a film of hours, is its memory flat, and how fast is it?

The film repeats ten seconds of each of a folder's videos, made small and joined without decoding them again, so that what is shown at any
time is known. A small ViViT of random weights scores it, while the memory of all its processes is read; then the frames of every window are
set against those that PyAV alone decodes.

  python benchmarks/long_video.py VIDEOS --work /tmp/long --hours 2 --json long_video.json
"""

import csv
import functools
import json
import pathlib
import subprocess
import time
from fractions import Fraction

import av
import numpy as np
from script import make_parser
from subprocesses import VIVIT, usage

RATE, SECONDS, WIDTH, HEIGHT = 25, 10, 128, 96
WINDOW, EVERY = 2, 1
FRAMES, STRIDE = 16, 2


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("videos", type=pathlib.Path, help="a folder of videos of ten seconds or more")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="the folder of the film, the model and the rows")
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--json", type=pathlib.Path, help="where the figures go")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    film, loop = make_film(arguments.videos, arguments.work, arguments.hours)
    model = make_model(arguments.work / "model")
    report = {
        "film": {"hours": arguments.hours, "frames": len(loop) * repeats(arguments.hours, loop), "bytes": film.stat().st_size},
        "windows": check_windows(film, loop, arguments.hours),
        "decoding": time_decoding(film),
        "command": run_command(film, model, arguments.work / "rows.csv"),
    }
    text = json.dumps(report, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")


def repeats(hours: float, loop: np.ndarray) -> int:
    return round(hours * 3600 * RATE / len(loop))


def make_film(videos: pathlib.Path, work: pathlib.Path, hours: float) -> tuple[pathlib.Path, np.ndarray]:
    """The film, and the frames that it repeats, as PyAV decodes them: uint8 (t, h, w, 3)."""
    once, film = work / "once.mp4", work / "film.mp4"
    if not once.exists():
        with av.open(str(once), "w") as container:
            stream = container.add_stream("libx264", rate=RATE, options={"crf": "20", "g": "50", "preset": "veryfast"})
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            number = 0
            for video in sorted(path for path in videos.iterdir() if path.suffix == ".mp4"):
                for picture in shrunk(video):
                    picture.pts, picture.time_base = number, Fraction(1, RATE)
                    container.mux(stream.encode(picture))
                    number += 1
            container.mux(stream.encode())
    with av.open(str(once)) as container:
        loop = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    if not film.exists():
        join(once, film, repeats(hours, loop))
    return film, loop


def shrunk(video: pathlib.Path) -> list[av.VideoFrame]:
    """Ten seconds of a video at `RATE`, its frames repeated if it is shorter."""
    with av.open(str(video)) as container:
        pictures = [
            np.asarray(frame.reformat(WIDTH, HEIGHT, "rgb24").to_ndarray())
            for frame, _ in zip(container.decode(video=0), range(RATE * SECONDS), strict=False)
        ]
    repeated = (pictures[i % len(pictures)] for i in range(RATE * SECONDS))
    return [av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p") for picture in repeated]


def join(once: pathlib.Path, film: pathlib.Path, times: int) -> None:
    """Writes the packets of a video again and again, one loop after another."""
    with av.open(str(film), "w") as output:
        target, shift = None, 0
        for _ in range(times):
            with av.open(str(once)) as source:
                stream = source.streams.video[0]
                target = target or output.add_stream_from_template(stream)
                for packet in source.demux(stream):
                    if packet.size:
                        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                        packet.stream = target
                        output.mux(packet)
                shift += round(stream.frames / RATE / stream.time_base)


def make_model(folder: pathlib.Path) -> pathlib.Path:
    import jax

    from vivit_jax.models.families import build
    from vivit_jax.models.vivit.config import ViViTConfig
    from vivit_jax.preprocess import Preprocess
    from vivit_jax.weights.model_dir import save_pretrained

    sizes = {"hidden_size": 64, "num_layers": 2, "temporal_layers": 1, "num_heads": 2, "mlp_dim": 128}
    config = ViViTConfig("factorised_encoder", clip=(FRAMES, HEIGHT, HEIGHT), tubelet=(2, 16, 16), num_classes=4, **sizes)
    shapes = jax.eval_shape(build(config).init, jax.random.key(0), np.zeros((1, *config.clip, 3), np.float32))
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: rng.normal(0, 0.3, leaf.shape).astype(np.float32), shapes)
    return save_pretrained(folder, config, variables, Preprocess(FRAMES, STRIDE, HEIGHT, (HEIGHT, HEIGHT)), ("a", "b", "c", "d"))


def check_windows(film: pathlib.Path, loop: np.ndarray, hours: float) -> dict:
    """Sets the clips of all windows against the frames of their times."""
    from vivit_jax.data.sampling import spread_clips
    from vivit_jax.data.windows import WindowPlan, cut
    from vivit_jax.preprocess import Preprocess

    plan = WindowPlan(Fraction(WINDOW), Fraction(EVERY), Preprocess(FRAMES, STRIDE, HEIGHT, (HEIGHT, HEIGHT)), (1, 1))
    left = (WIDTH - HEIGHT) // 2
    worst, count, began = 0, 0, time.perf_counter()
    for part in cut((str(film), 0), plan):
        for window in part:
            frames = round(window.start) * RATE + spread_clips(1, FRAMES, STRIDE, round((window.end - window.start) * RATE))[0]
            expected = loop[frames % len(loop), :, left : left + HEIGHT].astype(int)
            worst = max(worst, float(np.abs(window.views[0] - expected).mean()))
            count += 1
    return {
        "windows": count,
        "largest_mean_difference_of_a_window": round(worst, 3),  # of pixels in 0..255: two conversions from YUV round differently
        "mean_difference_of_a_frame_to_the_next_clips": round(float(np.abs(loop[0].astype(int) - loop[RATE * SECONDS]).mean()), 1),
        "seconds": round(time.perf_counter() - began, 1),
    }


def time_decoding(film: pathlib.Path) -> dict:
    from vivit_jax.data.video.streaming import open_stream

    began, busy, count = time.perf_counter(), time.process_time(), 0
    with open_stream(film) as stream:
        for _ in stream.frames():
            count += 1
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    return {"frames": count, "frames_per_second": round(count / seconds), "frames_per_cpu_second": round(count / busy)}


def run_command(film: pathlib.Path, model: pathlib.Path, out: pathlib.Path) -> dict:
    command = [*VIVIT, "predict", "--model", str(model), str(film), "--overwrite", "--out", str(out)]
    out.unlink(missing_ok=True)
    began = time.perf_counter()
    process = subprocess.Popen([*command, "--window", f"{WINDOW}s", "--every", f"{EVERY}s"])
    memory, busy, scored = [], 0.0, functools.partial(last_end, out)
    while process.poll() is None:
        if taken := usage(process.pid):
            memory.append((scored(), taken.own_bytes >> 20, taken.below_bytes >> 20))
            busy = taken.cpu_seconds
        time.sleep(1)
    seconds = time.perf_counter() - began
    end = scored()
    rows = [memory[round(i * (len(memory) - 1) / 10)] for i in range(11)]
    return {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(busy, 1),
        "frames_per_cpu_second": round(end * RATE / busy),
        "times_real_time": round(end / seconds, 1),
        "frames_per_second": round(end * RATE / seconds),
        "memory": [{"at_seconds": at, "command_mib": command, "decoder_mib": decoder} for at, command, decoder in rows],
    }


def last_end(out: pathlib.Path) -> float:
    if not out.exists():
        return 0.0
    with out.open() as file:
        return max((float(row["end"]) for row in csv.DictReader(file)), default=0.0)


if __name__ == "__main__":
    main()
