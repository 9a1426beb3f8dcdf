"""Videos that are nearly right: frames come of them, or the one documented error, within bounds of time and memory."""

import functools
import resource
import time

import films
import numpy as np
import pytest
from hypothesis import given
from mutations import CHANGES, examples, mutated

from vivit_jax.data.layouts.base import Clip
from vivit_jax.data.preparation.transcode import transcode
from vivit_jax.data.sampling import views_of_video
from vivit_jax.data.video.container import Limits
from vivit_jax.data.video.reader import decode_frames
from vivit_jax.errors import UserError
from vivit_jax.preprocess import Preprocess

CONTAINERS = {
    "mp4": {"options": {"g": "4"}},
    "mkv": {"options": {"g": "4"}},
    "webm": {"codec": "libvpx", "options": {"deadline": "realtime"}},
    "avi": {"codec": "mpeg4"},
    "gif": {"codec": "gif", "pixels": "rgb8"},
    "ts": {"codec": "mpeg2video"},
}
LIMITS = Limits(pixels=1 << 20, frames=1000, seconds=20)
PREPROCESS = Preprocess(frames=4, stride=2, resize=32, crop=(32, 32))


@functools.cache
def original(folder, container):
    return films.write(folder / f"a.{container}", films.scene(12, 32, 48), **CONTAINERS[container]).read_bytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("videos")


@pytest.mark.fault(
    promise="A damaged video costs one line, and neither time nor memory",
    provoked="mp4, mkv, webm, avi, gif and ts files with up to six mutations each, prepared and predicted",
    seen="frames, or one line that names the file, within 30 seconds and 512 MB",
    trials=60,
)
@pytest.mark.parametrize("container", CONTAINERS)
@examples(10)
@given(changes=CHANGES)
def test_a_mutated_video_is_read_or_refused(folder, container, changes):
    path = folder / f"mutated.{container}"
    path.write_bytes(mutated(original(folder, container), changes))
    started, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        assert views_of_video(path, PREPROCESS, (2, 1)).shape == (2, 4, 32, 32, 3)
    except UserError as error:
        refused(error, path)
    try:
        stored = transcode(Clip(path.name, "train", "x", path), 32, LIMITS)
        frames = decode_frames(stored.video, range(stored.facts.frames))
        assert frames.dtype == np.uint8
        assert len(frames) == stored.facts.frames
    except UserError as error:
        refused(error, path)
    assert time.process_time() - started < 30
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 19


def test_a_stream_of_which_no_picture_can_be_decoded_is_refused(folder):
    """Found by the test above: packets with times, and a damaged sequence header."""
    damaged = mutated(original(folder, "ts"), [("flip", 0.0, b"\0", 1), ("flip", 0.1452968891425157, b"\0", 1)])
    (folder / "nothing.ts").write_bytes(damaged)
    with pytest.raises(UserError, match=r"nothing\.ts: holds no frames"):
        views_of_video(folder / "nothing.ts", PREPROCESS, (2, 1))


def refused(error, path):
    assert "\n" not in str(error)
    assert path.name in str(error)
