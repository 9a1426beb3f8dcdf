"""From a source's videos to stored ones."""

import av
import films

from vivit_jax.data.layouts.base import Clip
from vivit_jax.data.preparation import transcode
from vivit_jax.data.video import decoder


def test_a_long_video_is_opened_once_for_its_segments(tmp_path, shared_data, monkeypatch):
    """And only what is near the segments is decoded."""
    indexed, decoded = [], []
    read_index, packet_decode = decoder.OpenVideo._read_index, decoder.OpenVideo._decode_wanted
    monkeypatch.setattr(decoder.OpenVideo, "_read_index", lambda self: indexed.append(1) or read_index(self))

    def counted(self, wanted):
        for frame in packet_decode(self, wanted):
            decoded.append(frame.pts)
            yield frame

    monkeypatch.setattr(decoder.OpenVideo, "_decode_wanted", counted)
    path = tmp_path / "long.mp4"
    films.write(path, films.scene(500, 32, 32), options={"g": "25"})
    clips = [Clip(f"{n}", "train", "x", path, start, start + 0.4) for n, start in enumerate((1.0, 9.2, 17.6))]
    clips.append(Clip("late", "train", "x", path, 100.0, 101.0))
    (job,) = transcode.grouped_by_video(clips)
    results = transcode.transcode_together(job, 256)
    assert [result.facts.frames for result in results[:3]] == [10, 10, 10]
    assert results[3].reason == "late: it ends at 20.00 s, and from 100 s to 101 s it has 0 frames"
    assert len(indexed) == 1
    assert len(decoded) < 4 * 35
    alone = [transcode.transcode(clip, 256) for clip in clips[:3]]
    assert [result.video for result in results[:3]] == [result.video for result in alone]
    assert av.open(str(path)).streams.video[0].frames == 500
