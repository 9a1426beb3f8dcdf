"""Everything a video can be, on real files: what is stored of it, and that predict and explain see the same pictures.

Each marker is a row of the table in docs/data.md (`python docs/write_data_table.py`), so the table says what these tests show.
"""

import io
import re
from fractions import Fraction

import av
import films
import numpy as np
import pytest
from PIL import ExifTags, Image

from vivit_jax.data.layouts.base import Clip
from vivit_jax.data.preparation.transcode import transcode
from vivit_jax.data.sampling import frames_once, spread_clips, views_of_video
from vivit_jax.data.video.reader import decode_frames, probe, stream_frames
from vivit_jax.data.video.streaming import open_stream
from vivit_jax.errors import UserError
from vivit_jax.inference.views import decode_group
from vivit_jax.preprocess import Preprocess

SAME = "the same pictures"


def stored(path, **segment):
    """What prepare stores of a file: its frames (t, h, w, 3), its rate and the changes it reports."""
    record = transcode(Clip(path.name, "train", "x", path, segment.get("start", 0.0), segment.get("end")), 256)
    return np.stack(list(stream_frames(record.video))), float(record.facts.fps), record.facts.changes


def shown(path):
    """All frames as predict and explain read them."""
    return decode_frames(path, range(probe(path).frames))


def apart(a, b):
    return np.abs(a.astype(int) - b.astype(int)).mean()


# (a, b, c, d) of the display matrix, what a player shows of an upright (t, h, w, 3), and what is reported.
ORIENTATIONS = {
    "upright": ((1, 0, 0, 1), lambda x: x, ()),
    "half a turn": ((-1, 0, 0, -1), lambda x: x[:, ::-1, ::-1], ("rotated",)),
    "a quarter clockwise": ((0, 1, -1, 0), lambda x: np.rot90(x, -1, (1, 2)), ("rotated",)),
    "a quarter counterclockwise": ((0, -1, 1, 0), lambda x: np.rot90(x, 1, (1, 2)), ("rotated",)),
    "left and right": ((-1, 0, 0, 1), lambda x: x[:, :, ::-1], ("mirrored",)),
    "top and bottom": ((1, 0, 0, -1), lambda x: x[:, ::-1], ("mirrored",)),
    "along the diagonal": ((0, 1, 1, 0), lambda x: x.swapaxes(1, 2), ("rotated", "mirrored")),
    "along the other diagonal": ((0, -1, -1, 0), lambda x: x.swapaxes(1, 2)[:, ::-1, ::-1], ("rotated", "mirrored")),
}


@pytest.mark.video(
    property="rotation and mirroring (display matrix)",
    prepare="stored upright in all eight orientations; `rotated`, `mirrored` among the changes",
    predict="upright",
    explain="upright",
)
@pytest.mark.fault(
    promise="A video is shown the way up that its file asks for, mirrored too",
    provoked="an mp4 with each of the eight display matrices, prepared and predicted, pixels compared with NumPy's flips and rotations",
    seen="the pixels a player shows; `mirrored` or `rotated` among the changes",
    trials=8,
)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_all_eight_orientations_are_shown_as_players_show_them(tmp_path, orientation):
    matrix, show, changes = ORIENTATIONS[orientation]
    frames = films.scene(6)
    path = films.with_matrix(tmp_path / "a.mp4", frames, matrix)
    expected = show(shown(films.write(tmp_path / "plain.mp4", frames, options=films.SAME_BYTES)))
    np.testing.assert_array_equal(shown(path), expected)
    kept, _, reported = stored(path)
    assert kept.shape == expected.shape
    assert apart(kept, expected) < 3
    assert reported == changes
    seen = views_of_video(path, Preprocess(2, 1, 16, (16, 16)))
    assert apart(seen, views_of_video(films.write(tmp_path / "upright.mp4", show(frames)), Preprocess(2, 1, 16, (16, 16)))) < 3


def test_photos_put_together_as_a_video_are_turned_as_their_exif_tags_ask(tmp_path):
    exif, frames = Image.Exif(), films.scene(6)
    exif[ExifTags.Base.Orientation] = 6  # a quarter clockwise
    with av.open(str(tmp_path / "a.avi"), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuvj420p"
        for number, frame in enumerate(frames):
            photo = io.BytesIO()
            Image.fromarray(frame).save(photo, "JPEG", quality=95, exif=exif)
            packet = av.Packet(photo.getvalue())
            packet.stream, packet.time_base, packet.pts, packet.dts = stream, Fraction(1, 10), number, number
            container.mux(packet)
    assert apart(shown(tmp_path / "a.avi"), np.rot90(frames, -1, (1, 2))) < 3
    assert stored(tmp_path / "a.avi")[2] == ("rotated",)


@pytest.mark.video(
    property="edit list (trimmed without encoding anew)",
    prepare="what the edit list shows; what it hides is left out",
    predict=SAME,
    explain=SAME,
)
def test_an_edit_list_hides_what_players_do_not_show(tmp_path):
    frames = films.scene(100)
    path = films.trimmed(tmp_path / "trimmed.mp4", frames)
    kept, rate, _ = stored(path)
    assert (len(kept), rate, probe(path).frames) == (50, 25.0, 50)
    assert apart(kept, frames[50:]) < 6
    assert apart(shown(path), frames[50:]) < 6


@pytest.mark.video(property="null frames (AVI)", prepare="the pictures that are there, at their times", predict=SAME, explain=SAME)
def test_empty_packets_of_an_avi_repeat_the_picture_before(tmp_path):
    frames = films.scene(50)
    path = films.with_null_frames(tmp_path / "null.avi", frames)
    kept, rate, _ = stored(path)
    assert (len(kept), rate) == (50, 12.5)
    assert apart(kept, frames) < 9
    assert probe(path).seconds == pytest.approx(4.0, abs=0.1)


def test_an_avi_that_was_cut_is_still_refused(tmp_path):
    path = films.write(tmp_path / "whole.avi", films.scene(60), codec="mpeg4")
    content = path.read_bytes()
    first, index = content.index(b"movi"), content.rindex(b"idx1")
    (tmp_path / "cut.avi").write_bytes(content[: first + (index - first) * 6 // 10])
    with pytest.raises(UserError, match=r"cut off|frame \d+ is damaged"):
        stored(tmp_path / "cut.avi")


def test_an_avi_that_was_cut_between_its_pictures_is_refused_too(tmp_path):
    path = films.write(tmp_path / "a.avi", films.scene(200), codec="mjpeg", pixels="yuvj420p")
    content = path.read_bytes()
    pictures = [match.start() for match in re.finditer(b"00dc", content[: content.rindex(b"idx1")])]
    path.write_bytes(content[: pictures[110]])  # FFmpeg reads a picture only if another follows
    with pytest.raises(UserError, match="cut off: 109 of 200 frames"):
        stored(path)
    path.write_bytes(content[: pictures[190]])
    assert stored(path)[2] == ("ends early, at 7.6 s of 8.0 s",)


def test_an_avi_that_was_written_into_a_pipe_is_whole(tmp_path):
    class Pipe(io.RawIOBase):
        def writable(self):
            return True

        def write(self, part):
            content.extend(part)
            return len(part)

    content = bytearray()
    with av.open(Pipe(), "w", format="avi") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for frame in films.scene(30):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())
    (tmp_path / "a.avi").write_bytes(content)
    kept, rate, changes = stored(tmp_path / "a.avi")
    assert (len(kept), rate, changes) == (30, 25, ())


@pytest.mark.video(property="alternate reference frames (VP8)", prepare="only pictures that are shown", predict=SAME, explain=SAME)
def test_hidden_frames_are_not_shown(tmp_path):
    path = films.with_hidden_frames(tmp_path / "hidden.webm", films.scene(40), hidden=8)
    assert probe(path).frames == 35
    assert len(shown(path)) == 35
    assert len(stored(path)[0]) >= 35


@pytest.mark.video(
    property="a stream cut at a later keyframe (open GOP)",
    prepare="from the first whole picture on; `begins at its first whole picture, ... s in`",
    predict=SAME,
    explain=SAME,
)
@pytest.mark.parametrize("suffix", ["ts", "mkv"])
def test_a_stream_that_was_cut_begins_at_its_first_whole_picture(tmp_path, suffix):
    frames = films.scene(40)
    options = {"x264-params": "open-gop=1:keyint=8:min-keyint=1:scenecut=0:bframes=3:b-adapt=0"}
    whole = films.write(tmp_path / "whole.ts", frames, options=options)
    path = films.cut(whole, tmp_path / f"cut.{suffix}", first=8)
    kept, _, changes = stored(path)
    assert any(change.startswith("begins at its first whole picture") for change in changes), changes
    first = int(np.argmin([apart(kept[0], frame) for frame in frames]))
    assert len(kept) == 40 - first
    assert apart(kept, frames[first:]) < 6


@pytest.mark.video(
    property="size changes within a stream", prepare="scaled to the first size; `scaled to one size`", predict=SAME, explain=SAME
)
def test_pictures_of_another_size_are_scaled_to_the_first(tmp_path):
    small, large = films.scene(10, 48, 64), films.scene(10, 96, 128, seed=1)
    path = films.changing_size(tmp_path / "sizes.ts", small, large)
    kept, _, changes = stored(path)
    assert kept.shape == (20, 48, 64, 3)
    assert "scaled to one size" in changes
    assert apart(kept[10:], large.reshape(10, 48, 2, 64, 2, 3).mean((2, 4)).round()) < 6
    assert shown(path).shape == (20, 48, 64, 3)


def test_a_clip_from_after_a_change_of_size_is_seen_as_the_whole_video_is(tmp_path):
    path = films.changing_size(tmp_path / "turned.ts", films.scene(10, 48, 64), films.scene(20, 64, 48, seed=1))
    np.testing.assert_array_equal(decode_frames(path, [15, 20]), decode_frames(path, [0, 15, 20])[1:])
    assert apart(decode_frames(path, [15, 20]), stored(path)[0][[15, 20]]) < 6


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi", "a.wmv"])
def test_sound_that_goes_on_after_the_last_picture_is_no_lack_of_pictures(tmp_path, name):
    codec = "wmv2" if name == "a.wmv" else "libx264"
    path = films.write(tmp_path / name, films.scene(30), codec=codec, audio=80)
    kept, _, changes = stored(path)
    assert (len(kept), changes) == (30, ())


@pytest.mark.video(
    property="interlacing",
    prepare="one field of each frame, stretched; `deinterlaced`",
    predict="one field of each frame",
    explain="one field of each frame",
)
def test_interlaced_pictures_have_no_comb(tmp_path):
    """A bar that moves sixteen pixels between the two fields of a frame."""
    frames = np.full((8, 64, 128, 3), 40, np.uint8)
    for number, frame in enumerate(frames):
        for field in range(2):
            left = 4 + 8 * number + 16 * field
            frame[field::2, left : left + 24] = 220
    path = films.write(tmp_path / "fields.mp4", frames, options={"flags": "+ildct+ilme", "x264-params": "tff=1", "crf": "10"})
    for seen in (shown(path), stored(path)[0]):
        comb = np.abs(np.diff(seen[..., 1].astype(int), axis=1)).mean()
        assert comb < 1.5, "neighbouring rows differ"
    assert np.abs(np.diff(frames[..., 1].astype(int), axis=1)).mean() > 10
    assert "deinterlaced" in stored(path)[2]


def test_the_fields_of_a_frame_have_colours_of_their_own(tmp_path):
    """A red bar on grey that jumps between the two fields: neither colour nor brightness of the second field is seen."""
    path = films.coloured_fields(tmp_path / "fields.mp4", lefts=(4, 32), width=16)
    for seen in (shown(path), stored(path)[0]):
        assert np.abs(seen[2, :, 8:16] - np.array([254.0, 0, 0])).max() < 12
        assert np.abs(seen[2, :, 36:44] - 128.0).max() < 12


@pytest.mark.video(
    property="HDR (PQ, HLG; BT.2020)",
    prepare="tone-mapped by FFmpeg's scaler; `tone-mapped to standard dynamic range`",
    predict="tone-mapped",
    explain="tone-mapped",
)
@pytest.mark.parametrize("transfer", [pytest.param(16, marks=pytest.mark.slow), 18], ids=["PQ", "HLG"])
def test_high_dynamic_range_is_tone_mapped(tmp_path, transfer):
    """A grey ramp stays one from black to white, and is not what its codes would be on a standard screen."""
    levels = np.linspace(64, 940, 64).round().astype(np.uint16)
    path = films.high_dynamic_range(tmp_path / "hdr.mkv", levels, transfer)
    kept, _, changes = stored(path)
    assert "tone-mapped to standard dynamic range" in changes
    as_if_standard = (levels.astype(int) - 64) * 255 / 876
    for seen in (kept, shown(path)):
        ramp = seen[0, 24, :, 1].astype(int)
        assert (np.diff(ramp) >= -2).all()
        assert ramp[0] < 12
        assert ramp[-1] > 225
        assert np.abs(ramp - as_if_standard).max() > 12


@pytest.mark.video(property="10 bits", prepare="rounded to 8 bits", predict="rounded to 8 bits", explain="rounded to 8 bits")
@pytest.mark.video(
    property="aspect (pixels that are not square)", prepare="made square; `made square in pixels`", predict="square", explain="square"
)
def test_ten_bits_and_wide_pixels(tmp_path):
    frames = films.scene(8)
    fine = films.write(tmp_path / "fine.mkv", frames, pixels="yuv420p10le")
    assert apart(shown(fine), frames) < 6
    assert apart(stored(fine)[0], frames) < 6
    wide = films.write(tmp_path / "wide.mp4", frames, aspect=2)
    assert shown(wide).shape == (8, 48, 128, 3)
    assert stored(wide)[2] == ("made square in pixels",)


@pytest.mark.video(property="alpha", prepare="laid over black; `laid over black`", predict="over black", explain="over black")
@pytest.mark.video(
    property="odd sizes", prepare="the last row or column left out; `cropped to even sides`", predict="whole", explain="whole"
)
def test_alpha_and_odd_sizes(tmp_path):
    clear = np.concatenate([films.scene(6), np.zeros((6, 48, 64, 1), np.uint8)], axis=-1)
    path = films.write(tmp_path / "clear.mov", clear, codec="qtrle", pixels="argb")
    assert stored(path)[2] == ("laid over black",)
    assert shown(path).max() == 0
    clear[..., 3] = 255
    opaque = films.write(tmp_path / "opaque.mov", clear, codec="qtrle", pixels="argb")
    assert stored(opaque)[2] == ()
    assert apart(shown(opaque), clear[..., :3]) < 1
    clear[-1, :2, :2, 3] = 0
    assert stored(films.write(tmp_path / "late.mov", clear, codec="qtrle", pixels="argb"))[2] == ("laid over black",)
    odd = films.write(tmp_path / "odd.mkv", films.scene(6, 49, 65), codec="ffv1", pixels="bgr0")
    assert stored(odd)[0].shape == (6, 48, 64, 3)
    assert stored(odd)[2] == ("cropped to even sides",)
    assert shown(odd).shape == (6, 49, 65, 3)


@pytest.mark.parametrize(("codec", "suffix"), [("libvpx", "webm"), ("libvpx-vp9", "webm"), ("libvpx-vp9", "mkv")])
def test_the_transparency_of_vp8_and_vp9_is_seen(tmp_path, codec, suffix):
    frames = films.scene(40)
    alpha = np.full((40, 48, 64, 1), 255, np.uint8)
    alpha[:, :, :32] = 0
    path = films.write(
        tmp_path / f"half.{suffix}",
        np.concatenate([frames, alpha], axis=-1),
        codec=codec,
        pixels="yuva420p",
        options={"auto-alt-ref": "0", "g": "10", "crf": "4", "b": "2M"},
    )
    kept, _, changes = stored(path)
    assert changes == ("laid over black",)
    for pictures in (kept, shown(path)):
        assert len(pictures) == 40
        assert pictures[:, :, :28].max() < 8
        assert apart(pictures[:, :, 36:], frames[:, :, 36:]) < 6
    chosen = decode_frames(path, [3, 17, 38])
    assert (chosen == shown(path)[[3, 17, 38]]).all()
    with open_stream(path) as passage:
        along = [passage.rgb.read(frame) for _, frame in passage.frames()]
    assert (np.stack(along) == shown(path)).all()


@pytest.mark.video(
    property="several video streams",
    prepare="the first; `the first of its ... video streams`",
    predict="the first",
    explain="the first",
)
def test_of_several_video_streams_the_first_is_taken_and_told(tmp_path):
    frames = films.scene(8)
    with av.open(str(tmp_path / "two.mkv"), "w") as container:
        streams = [container.add_stream("ffv1", rate=films.FPS) for _ in range(2)]
        for stream in streams:
            stream.height, stream.width, stream.pix_fmt = 48, 64, "bgr0"
        for frame in frames:
            for stream, picture in zip(streams, (frame, 255 - frame), strict=True):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture))))
        for stream in streams:
            container.mux(stream.encode())
    kept, _, changes = stored(tmp_path / "two.mkv")
    assert changes == ("the first of its 2 video streams",)
    assert apart(kept, frames) < 6


@pytest.mark.video(
    property="variable rate",
    prepare="the mean rate, each moment in its place; `made constant in rate`",
    predict="the same moments",
    explain="the same moments",
)
@pytest.mark.video(
    property="trimming (`start`, `end` of a list)", prepare="only the segment is stored", predict="does not apply", explain="does not apply"
)
def test_variable_rate_and_segments(tmp_path):
    frames = films.scene(20)
    times = [40 * number if number < 10 else 400 + 80 * (number - 10) for number in range(20)]
    path = films.write(tmp_path / "varies.mkv", frames, times=times)
    kept, rate, changes = stored(path)
    assert changes == ("made constant in rate",)
    assert len(kept) / rate == pytest.approx(1.16, abs=0.1)
    seen = Preprocess(frames=6, stride=2, resize=48, crop=(48, 64))
    clips = spread_clips(3, 6, 2, len(kept))
    assert apart(views_of_video(path, seen, (3, 1)), kept[clips]) < 6
    assert apart(decode_group(path, range(3), seen, (3, 1)), kept[clips]) < 6
    explained = probe(path).shown_at(frames_once(probe(path).ticks, seen))
    assert apart(decode_frames(path, explained), kept[clips[1]]) < 6
    assert apart(frames[clips], kept[clips]) > 8  # in order, whenever they are shown
    steady = films.write(tmp_path / "steady.mp4", frames)
    assert apart(stored(steady, start=0.2, end=0.6)[0], frames[5:15]) < 6


@pytest.mark.video(
    property="damage, as far as it can be known",
    prepare="cut off by a tenth or more: refused; less, holes and missing end marks: stored with `ends early`, `a gap of`, `no end mark`",
    predict="what can be decoded",
    explain="what can be decoded",
)
@pytest.mark.parametrize(
    ("name", "codec", "options", "kept", "told"),
    [
        ("a.mkv", "libx264", {"g": "10"}, 0.92, "ends early"),
        ("a.webm", "libvpx-vp9", {"cpu-used": "8", "deadline": "realtime"}, 0.92, "ends early"),
        ("a.gif", "gif", {}, 0.6, "no end mark"),
        ("a.flv", "flv", {}, 0.5, "no end mark"),
        ("a.wmv", "wmv2", {}, 0.95, "no end mark"),
        ("a.ts", "libx264", {"g": "10"}, None, "a gap of"),
        ("a.mpg", "mpeg2video", {"b": "2000000"}, None, "a gap of"),
    ],
)
def test_what_is_missing_is_said(tmp_path, name, codec, options, kept, told):
    path = films.write(tmp_path / name, films.scene(100), codec=codec, pixels="rgb8" if codec == "gif" else "yuv420p", options=options)
    whole = path.read_bytes()
    assert not any(change.startswith(told) for change in stored(path)[2])
    middle = len(whole) // 2
    path.write_bytes(whole[: int(len(whole) * kept)] if kept else whole[:middle] + whole[middle + len(whole) // 10 :])
    assert any(change.startswith(told) for change in stored(path)[2])


@pytest.mark.parametrize(
    ("name", "codec"), [("a.MTS", "libx264"), ("a.m2ts", "libx264"), ("a.vob", "mpeg2video"), ("a.mxf", "mpeg2video"), ("a.3g2", "mpeg4")]
)
def test_suffixes_of_cameras_and_discs_are_videos(tmp_path, name, codec):
    from vivit_jax.data.video.reader import SUFFIXES

    frames = films.scene(12)
    path = films.write(tmp_path / name.lower(), frames, codec=codec, options={"b": "4000000"}).rename(tmp_path / name)
    assert path.suffix.lower() in SUFFIXES
    assert apart(stored(path)[0], frames) < 8
