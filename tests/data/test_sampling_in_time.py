"""Clips at a rate, of segments, and of videos that are too short, against loops that ask for one frame at a time."""

import dataclasses
import json
import math

import films
import numpy as np
import pytest

from vivit_jax.config import base_config, resolve
from vivit_jax.data import sampling
from vivit_jax.data.config import AugmentConfig, DataConfig
from vivit_jax.data.dataset import open_dataset
from vivit_jax.data.pipeline import evaluation_batches, training_batches
from vivit_jax.data.preparation.prepare import prepare
from vivit_jax.errors import UserError
from vivit_jax.inference.views import decode_group
from vivit_jax.preprocess import Preprocess

PLAIN = Preprocess(frames=8, stride=2, resize=32, crop=(24, 24))


def nearest_frame(seconds, fps):
    """The frame that is shown nearest to a time; of two equally near the later."""
    return min(range(10_000), key=lambda number: (round(abs(number / fps - seconds), 6), -number))


@pytest.mark.parametrize("fps", [15.0, 30.0, 60.0, 29.97, 23.976, 6.0])
def test_at_a_rate_each_frame_is_the_one_nearest_in_time(fps):
    clip = sampling.evaluation_clips(1, dataclasses.replace(PLAIN, rate=12.5), 2000, fps)[0]
    assert (clip - clip[0]).tolist() == [nearest_frame(k / 12.5, fps) for k in range(8)]
    stored = sampling.evaluation_clips(1, dataclasses.replace(PLAIN, rate=12.5), 2000, float(np.float32(fps)))[0]
    assert stored.tolist() == clip.tolist()


def test_sets_of_15_30_and_60_frames_a_second_mean_the_same_motion():
    """A point that moves at constant speed is seen at the same places, but for half a source frame."""
    for count in (1, 4):
        places = {}
        for fps in (15, 30, 60):
            clips = sampling.evaluation_clips(count, dataclasses.replace(PLAIN, rate=7.5), 10 * fps, fps)
            places[fps] = clips / fps
        for fps in (30, 60):
            assert np.abs(places[fps] - places[15]).max() <= 1 / 15


def test_a_rate_that_divides_the_videos_is_the_stride():
    rated = dataclasses.replace(PLAIN, rate=15.0)
    for frames in (3, 14, 15, 16, 200):
        for seed in range(5):
            drawn = [np.random.default_rng(seed) for _ in range(2)]
            np.testing.assert_array_equal(
                sampling.training_clip(drawn[0], rated, frames, 30.0), sampling.random_clip(drawn[1], 8, 2, frames)
            )
        np.testing.assert_array_equal(sampling.evaluation_clips(3, rated, frames, 30.0), sampling.spread_clips(3, 8, 2, frames))


def test_a_random_clip_at_a_rate_begins_anywhere_it_fits():
    rated, generator = dataclasses.replace(PLAIN, rate=12.5), np.random.default_rng(0)
    clips = np.stack([sampling.training_clip(generator, rated, 24, 30.0) for _ in range(300)])
    assert set(clips[:, 0]) == set(range(24 - 17))  # the eighth frame is 7 * 2.4 = 16.8 frames later
    assert clips.max() == 23


@pytest.mark.parametrize("frames", [1, 3, 8, 9, 100])
@pytest.mark.parametrize("views", [1, 2, 3])
def test_segments_are_judged_by_evenly_spread_places(frames, views):
    clips = sampling.evaluation_clips(views, dataclasses.replace(PLAIN, sampling="segments"), frames, None)
    for view in range(views):
        for segment in range(8):
            exact = (segment * views * 2 + 2 * view + 1) * frames // (8 * views * 2)
            assert clips[view, segment] == exact


@pytest.mark.parametrize("frames", [3, 8, 21, 100])
def test_segments_are_trained_on_a_random_frame_of_each(frames):
    generator, wanted = np.random.default_rng(0), dataclasses.replace(PLAIN, sampling="segments")
    clips = np.stack([sampling.training_clip(generator, wanted, frames, 25.0) for _ in range(400)])
    for segment in range(8):
        first, after = segment * frames / 8, (segment + 1) * frames / 8
        assert set(clips[:, segment]) == set(range(math.floor(first), math.ceil(after)))
    assert (np.diff(clips) >= 0).all()


def test_a_short_video_starts_over_or_holds_its_last_frame():
    for padding, expected in (("loop", [0, 2, 4, 1, 3, 0, 2, 4]), ("hold", [0, 2, 4, 4, 4, 4, 4, 4])):
        wanted = dataclasses.replace(PLAIN, padding=padding)
        assert sampling.evaluation_clips(1, wanted, 5, None)[0].tolist() == expected
        trained = {tuple(sampling.training_clip(np.random.default_rng(seed), wanted, 5, 25.0).tolist()) for seed in range(60)}
        begun = range(5) if padding == "loop" else [0]
        assert trained == {tuple((np.array(expected) + start) % 5 if start else expected) for start in begun}
        assert sampling.frames_once(5, wanted).tolist() == [0, 2, 4]


def test_only_what_is_not_the_default_is_recorded():
    assert PLAIN.to_dict().keys() == {"frames", "stride", "resize", "crop", "mean", "std"}
    wanted = dataclasses.replace(PLAIN, rate=12.5, sampling="segments", padding="hold")
    told = json.loads(json.dumps(wanted.to_dict()))
    assert (told["rate"], told["sampling"], told["padding"]) == (12.5, "segments", "hold")
    assert Preprocess(**told) == wanted


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("rate", 0.0, "above 0"),
        ("rate", -1.0, "above 0"),
        ("sampling", "segment", "did you mean 'segments'"),
        ("padding", "black", "known"),
    ],
)
def test_what_says_nothing_of_frames_is_refused(key, value, message):
    with pytest.raises(UserError, match=message):
        DataConfig(**{key: value})
    with pytest.raises(UserError, match=message):
        dataclasses.replace(PLAIN, **{key: value})


def test_a_config_hands_its_sampling_to_the_model():
    config = base_config()
    config.model.clip, config.model.size = (8, 224, 224), "Ti"
    config.data.rate, config.data.padding = 12.5, "hold"
    preprocess = resolve(config).preprocess
    assert (preprocess.rate, preprocess.sampling, preprocess.padding) == (12.5, "dense", "hold")
    config.data.sampling = "segments"
    with pytest.raises(UserError, match=r"data\.rate and data\.padding have no effect with it"):
        resolve(config)
    config.data.rate, config.data.padding = None, "loop"
    assert resolve(config).preprocess.sampling == "segments"


@pytest.fixture(scope="module")
def three_rates(tmp_path_factory):
    """One film of three seconds, seen by cameras of 15, 30 and 60 frames a second."""
    root, whole = tmp_path_factory.mktemp("rates"), films.scene(180, 32, 48)
    for fps in (15, 30, 60):
        (root / "videos/train/a").mkdir(parents=True, exist_ok=True)
        films.write(root / f"videos/train/a/{fps}.mp4", whole[:: 60 // fps], fps=fps, options={"crf": "1"})
    prepare("folder", root / "videos", name="rates", data_dir=root, workers=1)
    return open_dataset("rates", root), root / "videos/train/a"


def test_training_evaluation_and_prediction_see_the_same_motion(three_rates):
    dataset, files = three_rates
    wanted = dataclasses.replace(PLAIN, rate=7.5)
    batch = next(iter(evaluation_batches(dataset.source("train"), wanted, DataConfig(), views=(2, 1), batch_size=3)))
    seen = batch["video"].astype(int)
    assert np.abs(seen - seen[:1]).mean() < 6
    apart = evaluation_batches(dataset.source("train"), PLAIN, DataConfig(), views=(2, 1), batch_size=3)
    other = next(iter(apart))["video"].astype(int)
    assert np.abs(other - other[:1]).mean() > 12
    names = {record["name"]: number for number, record in enumerate(dataset.source("train"))}
    for file in sorted(files.iterdir()):
        predicted = decode_group(str(file), range(2), wanted, (2, 1)).astype(int)
        assert np.abs(predicted - seen[names[f"train/a/{file.name}"]]).mean() < 3
    still = AugmentConfig(flip=0.0)
    train = next(
        training_batches(dataset.source("train"), dataclasses.replace(wanted, frames=23), DataConfig(), still, batch_size=3, seed=0)
    )
    trained = train["video"].astype(int)  # 22 / 7.5 seconds fit in at the beginning alone, or a frame later
    assert np.abs(trained - trained[:1]).mean() < 20


def test_several_clips_of_a_video_come_from_several_times(three_rates):
    dataset, _ = three_rates
    augment = AugmentConfig(flip=0.0, repeats=4)
    batch = next(
        training_batches(dataset.source("train"), dataclasses.replace(PLAIN, crop=(32, 32)), DataConfig(), augment, batch_size=4, seed=1)
    )
    assert len(set(batch["index"].tolist())) == 1
    assert len({clip.tobytes() for clip in batch["video"]}) > 1
