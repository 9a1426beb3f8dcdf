"""Frames at a variable rate as they look at a constant one: against a loop over all frames."""

import math
import pathlib
from fractions import Fraction

import numpy as np
import pytest

from vivit_jax.data.layouts import image_sequences
from vivit_jax.data.preparation.transcode import frames_at_constant_rate
from vivit_jax.data.video.frame_rates import shown_at, tick_count


@pytest.mark.parametrize("seed", range(5))
def test_a_tick_shows_the_frame_nearest_in_time(seed):
    times = np.cumsum(np.random.default_rng(seed).uniform(0.01, 0.1, 60))
    times, fps = times - times[0], Fraction(20)
    count = tick_count(times, fps)
    assert abs((count - 1) / 20 - times[-1]) <= 1 / 40
    ticks = np.arange(count).reshape(-1, 1)
    assert shown_at(ticks, times, fps).tolist() == [[int(np.abs(times - tick / 20).argmin())] for tick in range(count)]


@pytest.mark.parametrize("times", [np.arange(7) / 30 + np.array([0, 5, -5, 3, 0, 2, -4]) / 1000, np.zeros(7)], ids=["jitter", "one time"])
def test_frames_stay_in_order_where_their_times_tell_no_other(times):
    assert tick_count(times, Fraction(30)) == 7
    assert shown_at(np.arange(7), times, Fraction(30)).tolist() == list(range(7))


@pytest.mark.parametrize("fps", [24, 30, 60])
def test_a_segment_has_the_same_frames_of_a_video_and_of_a_folder_of_images(fps, monkeypatch):
    """A fifth of a frame's time is forgiven, and a time in hundredths often is just that much late: exact fractions decide."""
    times, images = np.arange(8 * fps) / fps, [pathlib.Path(f"{number:05d}.jpg") for number in range(8 * fps)]
    monkeypatch.setattr(image_sequences, "images_in", lambda folder: images)
    for hundredths in range(700):
        start, end = hundredths / 100, (hundredths + 57) / 100
        exact = [max(0, math.ceil(Fraction(moment, 100) * fps - Fraction(1, 5))) for moment in (hundredths, hundredths + 57)]
        shown, _ = frames_at_constant_rate(times, Fraction(fps), start, end)
        assert shown.tolist() == list(range(*exact))
        assert image_sequences.segment_files(pathlib.Path(), start, end, Fraction(fps)) == tuple(images[slice(*exact)])
