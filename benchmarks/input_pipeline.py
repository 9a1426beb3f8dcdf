"""How many clips a CPU-second does our input give (H.264 through grain), beside tf.data over JPEG TFRecords, Scenic's way?

Both read a random window of 32 frames at stride 2 from videos of 340x256 pixels and 300 frames, and give a random 224x224 crop, flipped
half the time, with one thread at work; then with the paper's scale jitter (Table 7) too; then with the pixels that Scenic's step
takes, float32 in [-1, 1] made on the host, where ours takes uint8 and scales on the device. TensorFlow is needed here and nowhere else:

  pip install tensorflow-cpu && python benchmarks/input_pipeline.py --video any_real_video.mp4
"""

import argparse
import json
import pathlib
import tempfile
import time
from collections.abc import Iterable

import numpy as np
from looped_videos import HEIGHT, LENGTH, WIDTH, write_videos
from script import add_json, make_parser, write_json
from subprocesses import alone

FRAMES, STRIDE, CROP = 32, 2, 224
VIDEOS, WARM_UP, CLIPS = 16, 8, 96
JITTER = (0.9, 1.33)
JPEG_QUALITY = 90
BATCH = 4


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--video", required=True, type=pathlib.Path, help="a real video, scaled, cropped and looped to make the clips")
    add_json(parser)
    parser.add_argument("--rounds", type=int, default=3, help="turns that each pipeline takes; the median counts")
    parser.add_argument("--measure", nargs=3, metavar=("PIPELINE", "JITTER", "DIR"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        pipeline, setting, folder = arguments.measure
        print(json.dumps(PIPELINES[pipeline](pathlib.Path(folder), *SETTINGS[setting])))
        return
    with tempfile.TemporaryDirectory(prefix="input_pipeline_") as name:
        sizes = make_videos(arguments.video, pathlib.Path(name))
        report(compare(arguments, pathlib.Path(name)), sizes, arguments.json)


def make_videos(source: pathlib.Path, folder: pathlib.Path) -> dict[str, float]:
    """Writes the same videos as H.264 and as JPEG TFRecords; bytes a video of each."""
    import cv2

    from vivit_jax.data.preparation.prepare import prepare

    frames, orders = write_videos(source, folder, VIDEOS)
    jpegs = [cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes() for frame in frames]
    summary = prepare("csv", folder / "list.csv", name="videos", data_dir=folder / "data")
    write_tfrecords(folder / "videos.tfrecord", [[jpegs[i] for i in order] for order in orders])
    return {"ours": summary.bytes / VIDEOS, "tf.data": (folder / "videos.tfrecord").stat().st_size / VIDEOS}


def write_tfrecords(path: pathlib.Path, videos: list[list[bytes]]) -> None:
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        for label, jpegs in enumerate(videos):
            images = tf.train.FeatureList(feature=[tf.train.Feature(bytes_list=tf.train.BytesList(value=[jpeg])) for jpeg in jpegs])
            context = tf.train.Features(feature={"label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))})
            example = tf.train.SequenceExample(context=context, feature_lists=tf.train.FeatureLists(feature_list={"image": images}))
            writer.write(example.SerializeToString())


def ours(folder: pathlib.Path, jitter: tuple[float, float] | None, floats: bool) -> float:
    """Clips per CPU-second through grain, with one reader; uint8 in any case."""
    from vivit_jax.data.config import AugmentConfig, DataConfig
    from vivit_jax.data.dataset import open_dataset
    from vivit_jax.data.pipeline import training_batches
    from vivit_jax.preprocess import Preprocess

    preprocess = Preprocess(FRAMES, STRIDE, HEIGHT, (CROP, CROP))
    augment = AugmentConfig(flip=0.5, scale_jitter=jitter)
    dataset = open_dataset("videos", folder / "data")
    batches = training_batches(dataset.source("train"), preprocess, DataConfig(readers=1), augment, batch_size=BATCH, seed=0)
    return clips_per_cpu_second(batch["video"] for batch in batches)


def tf_data(folder: pathlib.Path, jitter: tuple[float, float] | None, floats: bool) -> float:
    """Clips per CPU-second through tf.data, with one thread, as DMVR and Scenic do it."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.set_visible_devices([], "GPU")

    def load(record: tf.Tensor) -> tf.Tensor:
        features = {"image": tf.io.FixedLenSequenceFeature([], tf.string)}
        jpegs = tf.io.parse_single_sequence_example(record, {"label": tf.io.FixedLenFeature([], tf.int64)}, features)[1]["image"]
        start = tf.random.uniform([], 0, LENGTH - (FRAMES - 1) * STRIDE, tf.int32)
        side = tf.cast(CROP / tf.random.uniform([], *jitter), tf.int32) if jitter else CROP
        side = tf.minimum(side, HEIGHT)
        top = tf.random.uniform([], 0, HEIGHT - side + 1, tf.int32)
        left = tf.random.uniform([], 0, WIDTH - side + 1, tf.int32)
        window = tf.stack([top, left, side, side])
        wanted = jpegs[start : start + (FRAMES - 1) * STRIDE + 1 : STRIDE]
        clip = tf.map_fn(lambda jpeg: tf.io.decode_and_crop_jpeg(jpeg, window, channels=3), wanted, fn_output_signature=tf.uint8)
        if jitter:
            clip = tf.cast(tf.round(tf.image.resize(clip, (CROP, CROP))), tf.uint8)
        clip = tf.cond(tf.random.uniform([]) < 0.5, lambda: tf.reverse(clip, [2]), lambda: clip)
        return tf.image.convert_image_dtype(clip, tf.float32) * 2 - 1 if floats else clip

    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    options.threading.max_intra_op_parallelism = 1
    dataset = tf.data.TFRecordDataset(str(folder / "videos.tfrecord")).repeat().map(load).batch(BATCH).with_options(options)
    return clips_per_cpu_second(dataset.as_numpy_iterator())


PIPELINES = {"ours": ours, "tf.data": tf_data}
SETTINGS = {
    "crop, flip": (None, False),
    "crop, flip, scale jitter": (JITTER, False),
    "and float32 in [-1, 1]": (JITTER, True),
}


def clips_per_cpu_second(batches: Iterable[np.ndarray]) -> float:
    """CPU time of all threads of this process, which does nothing else."""
    batches = iter(batches)
    for _ in range(WARM_UP // BATCH):
        batch = next(batches)
        assert batch.shape == (BATCH, FRAMES, CROP, CROP, 3), batch.shape
    start = time.process_time()
    for _ in range(CLIPS // BATCH):
        next(batches)
    return CLIPS / (time.process_time() - start)


def compare(arguments: argparse.Namespace, folder: pathlib.Path) -> dict[str, dict[str, float]]:
    """Medians over turns by setting and pipeline, each turn in a process of its own."""
    turns = {(setting, name): [] for setting in SETTINGS for name in PIPELINES}
    for _ in range(arguments.rounds):
        for (setting, name), figures in turns.items():
            printed, problem = alone(__file__, "--video", arguments.video, "--measure", name, setting, folder)
            if problem:
                raise SystemExit(f"{name}, {setting}: {problem}")
            figures.append(printed[-1])
    return {setting: {name: float(np.median(turns[setting, name])) for name in PIPELINES} for setting in SETTINGS}


def report(speeds: dict[str, dict[str, float]], sizes: dict[str, float], path: pathlib.Path | None) -> None:
    print("clips per CPU-second     " + "".join(f"{name:>9}" for name in PIPELINES) + "    ratio")
    for setting, row in speeds.items():
        print(f"{setting:25}" + "".join(f"{speed:9.1f}" for speed in row.values()) + f"{row['ours'] / row['tf.data']:9.2f}")
    print(f"{'MB a video':25}" + "".join(f"{sizes[name] / 1e6:9.2f}" for name in PIPELINES))
    write_json(path, {"clips_per_cpu_second": speeds, "bytes_a_video": sizes, "clips": CLIPS})


if __name__ == "__main__":
    main()
