"""Windows of a long video: the frames of their time and no others, told apart by what PyAV alone decodes."""

from fractions import Fraction

import av
import numpy as np
import pytest

from vivit_jax.data.sampling import spread_clips
from vivit_jax.data.windows import Plan, cut
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
    """start -> greys of the middle clip of the window, by a plain loop over all frames."""
    frames = decoded(path)
    found, k = {}, 0
    while k * every <= frames[-1][0]:
        inside = [grey for time, grey in frames if k * every - 1e-6 <= time < k * every + window - 1e-6]
        if inside:
            found[round(k * every, 6)] = [int(inside[i]) for i in spread_clips(1, SEEN.frames, SEEN.stride, len(inside))[0]]
        k += 1
    return found


@pytest.mark.parametrize(("window", "every"), [(1.0, 1.0), (1.0, 0.3), (0.4, 1.1), (0.2, 0.04)])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_a_window_holds_the_frames_of_its_time(window, every, suffix, tmp_path):
    rng = np.random.default_rng(3)
    times = np.cumsum(rng.choice([0.04, 0.04, 0.08, 0.02], 200)) + 1.4  # a rate that varies
    path = film(tmp_path / f"film.{suffix}", times)
    plan = Plan(Fraction(str(window)), Fraction(str(every)), SEEN, (1, 1))
    windows = [one for part in cut((path, 0), plan) for one in part]
    expected = cut_by_hand(path, window, every)
    greys = {round(one.start, 6): one.views[0, :, 8, 8, 0].tolist() for one in windows}
    assert len(greys) > 5
    for start, seen in greys.items():
        np.testing.assert_allclose(seen, expected[start], atol=1, err_msg=f"from {start} s")  # greys are four apart
    assert {start for start in expected if start + window <= times[-1] - times[0]} <= set(greys)
