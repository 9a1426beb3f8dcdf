"""Segments by frame numbers hold exactly these frames, told by the grey of each, in containers of all kinds and at any rate."""

import films
import numpy as np
import pytest

from vivit_jax.data.layouts.base import Clip
from vivit_jax.data.preparation.transcode import transcode, transcode_together
from vivit_jax.data.video.reader import decode_frames
from vivit_jax.errors import UserError


def greys(count):
    """Frames that tell their number by their grey, which lossy coding keeps."""
    return np.stack([np.full((32, 48, 3), 20 + 4 * (17 * number % 53), np.uint8) for number in range(count)])


def numbers_of(stored):
    """The number of the original frame that each stored frame shows."""
    known = {20 + 4 * (17 * number % 53): number for number in range(53)}
    shown = decode_frames(stored.video, range(stored.facts.frames))[:, 16, 24].mean(axis=-1)
    return [known[min(known, key=lambda grey, value=value: abs(grey - value))] for value in shown]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "webm"])
def test_a_segment_by_frames_holds_exactly_those(tmp_path, suffix):
    codec = {"ts": {"codec": "mpeg2video"}, "webm": {"codec": "libvpx", "options": {"deadline": "realtime"}}}
    options = codec.get(suffix, {"options": {"g": "12", "bf": "2"}})
    path = films.write(tmp_path / f"a.{suffix}", greys(50), fps=30, **options)
    for start, end in ((0, 2), (8, 21), (24, 25 + 12), (48, 50), (31, None)):
        stored = transcode(Clip("a", "train", "x", path, start, end, by_frames=True), 64)
        assert numbers_of(stored) == list(range(start, end or 50))
        assert stored.facts.fps == 30
    together = transcode_together([Clip("a", "train", "x", path, start, start + 5, by_frames=True) for start in (3, 20, 41)], 64)
    assert [numbers_of(stored) for stored in together] == [list(range(start, start + 5)) for start in (3, 20, 41)]


def test_a_segment_by_frames_of_a_variable_rate_shows_no_frame_outside_it(tmp_path):
    """Fifty frames a second up to frame 20, then five; where the rate is constant every frame is there once, at the rate it has there."""
    times = [20 * number for number in range(20)] + [400 + 200 * number for number in range(20)]
    path = films.write(tmp_path / "a.mp4", greys(40), times=times, options={"g": "12"})
    fast, slow, both = (
        transcode(Clip("a", "train", "x", path, start, end, by_frames=True), 64) for start, end in ((4, 17), (22, 35), (15, 25))
    )
    assert (numbers_of(fast), fast.facts.fps) == (list(range(4, 17)), 50)
    assert (numbers_of(slow), slow.facts.fps) == (list(range(22, 35)), 5)
    assert {numbers_of(both)[0], numbers_of(both)[-1]} == {15, 24}
    assert set(numbers_of(both)) <= set(range(15, 25))
    assert "made constant in rate" in both.facts.changes
    assert both.facts.duration == pytest.approx((times[24] - times[15]) / 1000 + 1 / float(both.facts.fps), rel=0.1)


@pytest.mark.parametrize(("start", "end"), [(0, 51), (50, None), (60, 70)])
def test_frames_that_a_video_does_not_have_are_refused(tmp_path, start, end):
    path = films.write(tmp_path / "a.mp4", greys(50))
    with pytest.raises(UserError, match=rf"it has 50 frames, but frames {start} to {end or 50} \(not included\), counted from 0"):
        transcode(Clip("a", "train", "x", path, start, end, by_frames=True), 64)
