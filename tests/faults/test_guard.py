"""Decoders that hang or eat memory, in processes that are stopped."""

import functools
import subprocess
import sys
import time

import films
import numpy as np
import pytest

from vivit_jax.data.guard import GRACE_SECONDS, guarded, guarded_map
from vivit_jax.data.sampling import views_of_video
from vivit_jax.data.video.container import LIMITS, Limits
from vivit_jax.errors import UserError
from vivit_jax.preprocess import Preprocess

PREPROCESS = Preprocess(frames=4, stride=2, resize=32, crop=(32, 32))


@pytest.mark.fault(
    promise="A decoder that hangs or takes too much memory is stopped, wherever videos are read",
    provoked="a worker that sleeps for ever, and one that asks for more memory than the limit",
    seen="one line, soon after the limit",
    trials=2,
)
def test_a_hang_and_a_glutton_are_stopped():
    started = time.monotonic()
    with pytest.raises(UserError, match=r"^1000: took too long and was stopped$"):
        guarded(time.sleep, 1000, limits=Limits(seconds=3 - GRACE_SECONDS))
    assert time.monotonic() - started < 60
    with pytest.raises(UserError, match=r"reading it takes more memory than the limit"):
        guarded(bytes, 6 << 30, limits=LIMITS)


def test_views_come_in_order_and_errors_in_their_place(tmp_path):
    videos = [films.write(tmp_path / f"{number}.mp4", films.scene(seed=number)) for number in range(3)]
    videos.insert(1, tmp_path / "missing.mp4")
    view = functools.partial(views_of_video, preprocess=PREPROCESS, views=(2, 1))
    results = list(guarded_map(view, videos, workers=2))
    assert [video for video, _ in results] == videos
    assert "no such file" in str(results.pop(1)[1])
    for video, views in results:
        np.testing.assert_array_equal(views, views_of_video(video, PREPROCESS, (2, 1)))


def test_workers_start_without_jax():
    code = "import sys, vivit_jax.data.workers, vivit_jax.data.sampling; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}).returncode == 0
