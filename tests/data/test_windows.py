"""Windows of a long video: the frames of their time and no others, told apart by what PyAV alone decodes."""

import dataclasses
import pathlib
import subprocess
import sys
from fractions import Fraction

import av
import films
import numpy as np
import pytest

from vivit_jax.data.sampling import spread_clips
from vivit_jax.data.video.reader import probe
from vivit_jax.data.windows import WindowPlan, cut, middle_clip
from vivit_jax.errors import UserError
from vivit_jax.preprocess import Preprocess

SEEN = Preprocess(frames=4, stride=2, resize=16, crop=(16, 16))  # of frames of 16 x 16: pixels as they are


def film(path, times, *, keyframe=12, **options):
    """A video of 16 x 16 whose frame i, shown at `times[i]` seconds, is of a grey of its own."""
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "0", "g": str(keyframe), "bf": "2"})
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for i, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 20 + 4 * (37 * i % 50), np.uint8), "rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return str(path)


def decoded(path):
    """(seconds from the first frame, grey) of every frame, by PyAV alone."""
    with av.open(path) as container:
        frames = [(float(frame.pts * frame.time_base), frame.to_ndarray(format="rgb24")[8, 8, 0]) for frame in container.decode(video=0)]
    return [(time - frames[0][0], grey) for time, grey in frames]


def cut_by_hand(path, window, every):
    """start -> for each frame of the window's middle clip, the greys that may be seen, by a plain loop over all frames.

    At the mean rate of the window's frames these are those nearest in time, and any that are not a fifth of a frame further off.
    """
    frames = decoded(path)
    found, k = {}, 0
    while k * every <= frames[-1][0]:
        inside = [(time, grey) for time, grey in frames if k * every - 1e-6 <= time < k * every + window - 1e-6]
        if inside:
            first, last = inside[0][0], inside[-1][0]
            period = (last - first) / (len(inside) - 1) if last > first else 1.0
            clip = spread_clips(1, SEEN.frames, SEEN.stride, len(inside))[0]
            found[round(k * every, 6)] = [nearest(inside, first + i * period, period / 5) for i in clip]
        k += 1
    return found


def nearest(frames, moment, slack):
    """The greys of the frames nearest to a moment, and no more than `slack` further off."""
    least = min(abs(time - moment) for time, _ in frames)
    return [int(grey) for time, grey in frames if abs(time - moment) <= least + slack + 1e-6]


def assert_seen(seen, expected):
    assert all(min(abs(int(grey) - one) for one in may) <= 1 for grey, may in zip(seen, expected, strict=True)), (seen, expected)


@pytest.mark.parametrize(("window", "every"), [(1.0, 1.0), (1.0, 0.3), (0.4, 1.1), (0.2, 0.04)])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_a_window_holds_the_frames_of_its_time(window, every, suffix, tmp_path):
    rng = np.random.default_rng(3)
    times = np.cumsum(rng.choice([0.046, 0.034, 0.083, 0.019], 200)) + 1.4  # a rate that varies, and is seldom the nominal one
    path = film(tmp_path / f"film.{suffix}", times)
    plan = WindowPlan(Fraction(str(window)), Fraction(str(every)), SEEN, (1, 1))
    windows = [one for part in cut((path, 0), plan) for one in part]
    expected = cut_by_hand(path, window, every)
    greys = {round(one.start, 6): one.views[0, :, 8, 8, 0].tolist() for one in windows}
    assert len(greys) > 5
    for start, seen in greys.items():
        assert_seen(seen, expected[start])  # greys are four apart
    assert {start for start in expected if start + window <= times[-1] - times[0]} <= set(greys)


def test_a_clip_at_a_rate_goes_by_when_frames_are_shown_whatever_the_file_names(tmp_path):
    path = film(tmp_path / "film.mkv", np.arange(40) / 10)
    with av.open(path) as container:
        assert container.streams.video[0].average_rate == 25  # as a browser's recordings name 1000
    at_a_rate = dataclasses.replace(SEEN, stride=1, rate=5)
    for window in (1.0, 1.5):
        expected = cut_by_hand(path, window, window)  # every second frame of 10 a second is 5 a second
        found = windows_of(path, WindowPlan(Fraction(str(window)), Fraction(str(window)), at_a_rate, (1, 1)))
        assert len(found) >= 2
        for one in found[:2]:
            assert_seen(one.views[0, :, 8, 8, 0], expected[one.start])
    clip, times, rate = middle_clip(path, start=1.5, end=3.0, preprocess=at_a_rate)
    assert (times.tolist(), rate) == (pytest.approx([number / 10 for number in range(15)]), 10)
    assert_seen(clip[:, 8, 8, 0], cut_by_hand(path, 1.5, 1.5)[1.5])


def windows_of(path, plan, first=0):
    return [window for part in cut((str(path), first), plan) if not isinstance(part, str) for window in part]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_windows_from_the_middle_on_are_those_of_the_whole(suffix, tmp_path):
    """Beyond twenty seconds a file is sought; every keyframe lies 50 frames from the next, with pictures shown before those they need."""
    path = film(tmp_path / f"film.{suffix}", np.arange(900) / 25 + 0.4, keyframe=50)
    plan = WindowPlan(Fraction(1), Fraction("0.7"), SEEN)
    whole = windows_of(path, plan)
    assert [(window.number, window.start) for window in whole] == [(i, pytest.approx(0.7 * i)) for i in range(51)]
    assert whole[-1].end == pytest.approx(36.0)
    for first in (1, 32, 37, 50, 51):
        found = windows_of(path, plan, first)
        assert [window.number for window in found] == list(range(first, 51))
        for one, same in zip(found, whole[first:], strict=True):
            np.testing.assert_array_equal(one.views, same.views)
            assert one.end == same.end


@pytest.mark.parametrize(("frames", "ends"), [(75, [2, 3]), (54, [2]), (55, [2, 2.2]), (12, [0.48]), (1, [0.04])])
def test_the_last_window_ends_with_the_video(frames, ends, tmp_path):
    path = film(tmp_path / "film.mp4", np.arange(frames) / 25)
    assert [window.end for window in windows_of(path, WindowPlan(Fraction(2), Fraction(2), SEEN))] == [pytest.approx(end) for end in ends]


@pytest.mark.parametrize("suffix", ["webm", "mkv"])
def test_the_last_window_ends_with_a_video_whose_container_names_a_wrong_rate(suffix, tmp_path):
    """A screen recording: a frame when something moves. Its file says 25 a second."""
    times = np.cumsum([0, *(4 * [33, 500, 34, 400])])
    codec = {"codec": "libvpx", "options": {"deadline": "realtime"}} if suffix == "webm" else {}
    path = films.write(tmp_path / f"screen.{suffix}", films.scene(len(times), 16, 16), times=times.tolist(), **codec)
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == 25
    mean_gap = (times[-1] - times[0]) / (len(times) - 1)
    assert windows_of(path, WindowPlan(Fraction(3), Fraction(3), SEEN))[-1].end == pytest.approx((times[-1] + mean_gap) / 1000, abs=2e-3)
    assert probe(path).seconds == pytest.approx((times[-1] + mean_gap) / 1000, abs=2e-3)


def test_a_window_longer_than_a_clip_is_covered_by_several(tmp_path):
    path = film(tmp_path / "film.mp4", np.arange(100) / 25)
    counts = {n: len(windows_of(path, WindowPlan(Fraction(n, 25), Fraction(1), SEEN))[0].views) for n in (1, 7, 8, 9, 16, 20)}
    assert counts == {1: 1, 7: 1, 8: 1, 9: 2, 16: 2, 20: 3}  # a clip is 4 frames of stride 2
    assert windows_of(path, WindowPlan(Fraction(2), Fraction(1), SEEN, (2, 3)))[0].views.shape == (6, 4, 16, 16, 3)


def test_a_stream_that_begins_again_goes_on_and_a_gap_has_no_windows(tmp_path):
    parts = [film(tmp_path / f"{i}.ts", start + np.arange(50) / 25) for i, start in enumerate((9000, 500, 2000))]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(pathlib.Path(part).read_bytes() for part in parts))
    found = windows_of(joined, WindowPlan(Fraction(1), Fraction(1), SEEN))
    assert [window.start for window in found] == [0, 1, 2, 3, 1502, 1503]


def test_damage_costs_the_windows_it_is_in_and_is_told(tmp_path):
    path, damaged = film(tmp_path / "film.mkv", np.arange(500) / 25), tmp_path / "damaged.mkv"
    with av.open(path) as source, av.open(str(damaged), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
            if 240 <= number < 244:
                pts, dts, time_base = packet.pts, packet.dts, packet.time_base
                packet = av.Packet(np.random.default_rng(number).bytes(packet.size))
                packet.pts, packet.dts, packet.time_base = pts, dts, time_base
            packet.stream = stream
            target.mux(packet)
    plan = WindowPlan(Fraction(1), Fraction(1), SEEN)
    whole, found = ({window.number: window.views for window in windows_of(name, plan)} for name in (path, damaged))
    same = [number for number, views in found.items() if np.array_equal(views, whole[number])]
    assert len(whole) == 20
    assert {*range(9), *range(11, 20)} <= set(same)
    assert list(cut((str(damaged), 0), plan))[-1] == "4 damaged pictures left out"


@pytest.mark.parametrize(("contents", "told"), [(b"", "the file is empty"), (b"no video" * 99, "cannot be read as a video")])
def test_what_cannot_be_read_is_named(contents, told, tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(contents)
    with pytest.raises(UserError, match=f"^{path}: {told}"):
        windows_of(path, WindowPlan(Fraction(1), Fraction(1), SEEN))


def test_a_window_that_cannot_be_held_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("vivit_jax.data.windows.LARGEST_WINDOW", 30 * 16 * 16 * 3)
    path = film(tmp_path / "film.mp4", np.arange(100) / 25)
    assert len(windows_of(path, WindowPlan(Fraction(1), Fraction(1), SEEN))) == 4
    with pytest.raises(UserError, match="a window of 2 s has more frames than can be held"):
        windows_of(path, WindowPlan(Fraction(2), Fraction(1), SEEN))
    with pytest.raises(UserError, match="each at least 1"):
        WindowPlan(Fraction(2), Fraction(1), SEEN, (0, 1))


def test_an_mp4_in_a_pipe_with_its_index_at_the_end_is_told_the_way_round(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (60, 240, 320, 3), np.uint8)  # more bytes than are looked ahead
    code = "from vivit_jax.data.video.passage import passing\nwith passing('-') as film: print(next(iter(film.frames())))"
    with films.write(tmp_path / "a.mp4", noise).open("rb") as video:
        done = subprocess.run([sys.executable, "-c", code], stdin=video, capture_output=True, text=True, check=False)
    assert "UserError: -: cannot be read as a video from a pipe" in done.stderr
    assert "ffmpeg -i FILE -c copy -f matroska -" in done.stderr
