import os
import subprocess
import sys
import time
from fractions import Fraction

import av
import cv2
import films
import numpy as np
import pytest

from vivit_jax.data.video.container import LIMITS, Limits
from vivit_jax.data.video.decoder import open_video
from vivit_jax.data.video.geometry import Framing
from vivit_jax.data.video.reader import decode_frames, encode, probe, stream_frames
from vivit_jax.errors import UserError


def plain(path):
    """FFmpeg's own decoding and conversion, from the first frame to the last."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def all_frames(path):
    return np.stack(list(stream_frames(path)))


def difference(ours, theirs):
    return np.abs(ours.astype(int) - theirs.astype(int))


def test_real_videos_have_the_colours_of_ffmpeg(shared_data):
    for name in ("bikes.mp4", "bigbuckbunny.mp4"):
        path = shared_data / "decode_fixtures" / name
        ours = decode_frames(path, range(0, 120, 17))
        assert difference(ours, plain(path)[:120:17]).mean() < 1.5


def test_sampled_frames_are_those_of_a_full_decode(shared_data):
    generator = np.random.default_rng(0)
    for path in (shared_data / "decode_fixtures/bikes.mp4", shared_data / "drone_ir_original/IR_BIRD_010.mp4"):
        full = all_frames(path)
        for count in (1, 2, 5, 9):
            indices = generator.integers(0, len(full), count)
            np.testing.assert_array_equal(decode_frames(path, indices), full[indices])
        np.testing.assert_array_equal(decode_frames(path, range(len(full) - 40, len(full), 2)), full[-40::2])


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "options"),
    [
        ("b_frames.mp4", "libx264", "yuv420p", {"bf": "3", "g": "8"}),
        ("open_gop.mkv", "libx264", "yuv420p", {"bf": "3", "g": "8", "x264-params": "open-gop=1"}),
        ("old.avi", "mpeg4", "yuv420p", {"bf": "2"}),
        ("web.webm", "libvpx-vp9", "yuv420p", {"cpu-used": "8", "deadline": "realtime"}),
        ("fine.mov", "libx264", "yuv444p10le", {}),
        ("paged.mpg", "mpeg2video", "yuv420p", {"b": "4000000"}),
        ("stream.ts", "libx264", "yuv420p", {"g": "8"}),
    ],
)
def test_every_container_gives_the_frames_that_went_in(tmp_path, name, codec, pixels, options):
    frames = films.scene()
    path = films.write(tmp_path / name, frames, codec=codec, pixels=pixels, options=options)
    assert probe(path).frames == len(frames)
    assert difference(decode_frames(path, range(len(frames))), frames).mean() < 6
    full = all_frames(path)
    for indices in ([19], [9, 10], [3, 17, 4, 17], [0]):
        np.testing.assert_array_equal(decode_frames(path, indices), full[indices])


def test_gif_frames_come_with_their_times(tmp_path):
    path = films.write(tmp_path / "a.gif", films.scene(6), codec="gif", pixels="rgb8")
    info = probe(path)
    assert info.frames == 6
    assert info.seconds == pytest.approx(6 / films.FPS, rel=0.05)
    assert decode_frames(path, [5]).shape == (1, 48, 64, 3)


@pytest.mark.parametrize("matrix", [1, 5])
@pytest.mark.parametrize("full_range", [1, 2])
def test_colour_matrix_and_range_are_those_the_file_names(tmp_path, matrix, full_range):
    colours = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200], [230, 230, 230], [20, 20, 20], [200, 200, 40]], np.uint8)
    frames = np.broadcast_to(colours[:, None, None], (6, 32, 32, 3))
    path = films.write(tmp_path / "a.mp4", frames, options={"crf": "4", "g": "1"}, colours=(matrix, full_range))
    assert difference(decode_frames(path, range(6)), frames).max() <= 6


def test_rotation_is_applied(tmp_path):
    frames = films.scene()
    path = films.rotated(tmp_path / "phone.mp4", frames)
    info = probe(path)
    assert (info.height, info.width) == (64, 48)
    assert difference(decode_frames(path, range(20)), np.rot90(frames, -1, axes=(1, 2))).mean() < 6


def test_pixels_are_made_square(tmp_path):
    path = films.write(tmp_path / "a.mp4", films.scene(), aspect=Fraction(3, 2))
    info = probe(path)
    assert (info.height, info.width) == (48, 96)
    assert decode_frames(path, [0]).shape == (1, 48, 96, 3)


@pytest.mark.parametrize(("height", "width"), [(47, 64), (48, 63), (47, 63)])
def test_odd_sizes_are_kept(tmp_path, height, width):
    frames = films.scene(height=height, width=width)
    path = films.write(tmp_path / "a.mkv", frames, codec="ffv1", pixels="bgr0")
    np.testing.assert_array_equal(all_frames(path), frames)


def test_grey_becomes_three_equal_channels(tmp_path):
    path = films.write(tmp_path / "a.mkv", films.scene(), codec="ffv1", pixels="gray")
    frames = all_frames(path)
    np.testing.assert_array_equal(frames[..., 0], frames[..., 2])
    assert frames.std() > 10


@pytest.mark.parametrize("pixels", ["gray", "gray10le"])
def test_grey_of_limited_range_is_widened_and_other_grey_is_kept(tmp_path, pixels):
    frames = np.full((2, 32, 32, 3), 128, np.uint8)
    frames[:, :8], frames[:, 8:16], frames[:, 16:20] = 16, 235, 60
    for colour_range, black, white, dark in ((0, 16, 235, 60), (1, 0, 255, 51), (2, 16, 235, 60)):
        path = tmp_path / f"{colour_range}.mkv"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("ffv1", rate=25)
            stream.height, stream.width, stream.pix_fmt, stream.codec_context.color_range = 32, 32, pixels, colour_range
            for frame in frames:
                picture = av.VideoFrame.from_ndarray(frame[..., 0], format="gray").reformat(format=pixels)
                picture.color_range = colour_range
                container.mux(stream.encode(picture))
            container.mux(stream.encode())
        assert difference(decode_frames(path, [1])[0, [0, 8, 16], 0], np.array([[black] * 3, [white] * 3, [dark] * 3])).max() <= 1


def test_alpha_is_laid_over_black(tmp_path):
    frames = films.scene()
    alpha = np.zeros((*frames.shape[:3], 1), np.uint8)
    alpha[:, :, 32:] = 255
    path = films.write(tmp_path / "a.mkv", np.concatenate([frames, alpha], -1), codec="ffv1", pixels="bgra")
    decoded = all_frames(path)
    assert not decoded[:, :, :32].any()
    np.testing.assert_array_equal(decoded[:, :, 32:], frames[:, :, 32:])


@pytest.mark.parametrize("corner", [(0, 0), (3, 5), (4, 7), (17, 30)])
@pytest.mark.parametrize("kind", ["plain", "rotated", "ffv1", "stretched"])
def test_a_part_is_read_as_if_cut_from_the_whole(tmp_path, kind, corner):
    """At even and odd corners, as four pixels share a colour; from videos of every way to RGB."""
    frames = films.scene()
    path = {
        "plain": lambda: films.write(tmp_path / "a.mp4", frames),
        "rotated": lambda: films.rotated(tmp_path / "a.mp4", frames),
        "ffv1": lambda: films.write(tmp_path / "a.mkv", frames, codec="ffv1", pixels="bgr0"),
        "stretched": lambda: films.write(tmp_path / "a.mp4", frames, aspect=Fraction(3, 2)),
    }[kind]()
    top, left = corner
    rows, columns = slice(top, top + 21), slice(left, left + 18)
    full = decode_frames(path, [2, 7])[:, rows, columns]
    shown = decode_frames(path, [2, 7], framer=lambda height, width: Framing(rows, columns, (21, 18)))
    np.testing.assert_array_equal(shown, full)
    larger = decode_frames(path, [7, 2], framer=lambda height, width: Framing(rows, columns, (40, 30), True))
    expected = [cv2.resize(frame, (30, 40), interpolation=cv2.INTER_LINEAR)[:, ::-1] for frame in full[::-1]]
    np.testing.assert_array_equal(larger, expected)


@pytest.mark.parametrize("index", [-1, 20])
def test_a_frame_that_is_not_there_is_refused(tmp_path, index):
    path = films.write(tmp_path / "a.mp4", films.scene(20))
    with pytest.raises(UserError, match=r"a\.mp4: frames .* were asked for, but it has 20"):
        decode_frames(path, [3, index])


def test_encoding_is_reproducible_and_close(tmp_path):
    frames = films.scene(70)
    content = encode(frames, Fraction(30000, 1001))
    assert encode(list(frames), Fraction(30000, 1001)) == content
    assert probe(content).fps == Fraction(30000, 1001)
    assert difference(decode_frames(content, range(70)), frames).mean() < 3
    with av.open(str(_saved(tmp_path, content))) as container:
        keyframes = [number for number, packet in enumerate(container.demux(video=0)) if packet.is_keyframe]
        assert not container.streams.audio
    assert max(np.diff([*keyframes, 70])) <= 32


def test_encoding_does_not_read_memory_it_never_wrote():
    """x264 did: with other things left in freed memory, one video in ten came out as other bytes."""
    frames, generator = films.scene(17, 64, 64, 5), np.random.default_rng(0)
    contents = set()
    for _ in range(40):
        litter = [generator.bytes(size) for size in (500, 2000, 4000, 8000, 20000) for _ in range(20)]
        del litter
        contents.add(encode(frames, 25))
    assert len(contents) == 1


def _saved(folder, content):
    path = folder / "saved.mp4"
    path.write_bytes(content)
    return path


def _make(kind, path):
    frames = films.scene(40, 96, 128)
    match kind:
        case "missing":
            pass
        case "folder":
            path.mkdir()
        case "empty":
            path.touch()
        case "text":
            path.write_text("not a video\n" * 50)
        case "playlist":
            path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n")
        case "only_sound":
            films.only_sound(path)
        case "headless":
            path.write_bytes(films.write(path, frames).read_bytes()[:2000])
    return path


@pytest.mark.fault(
    promise="A file that is not a video is refused by name",
    provoked="a missing file, a folder, an empty file, a text, a playlist, a sound, a file without its index",
    seen="one line that names the file",
    trials=7,
)
@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "text", "playlist", "only_sound", "headless"])
def test_what_is_no_video_is_refused_in_one_line_by_name(tmp_path, kind):
    path = _make(kind, tmp_path / f"{kind}.mp4")
    for read in (probe, lambda path: decode_frames(path, [0])):
        with pytest.raises(UserError, match=rf"{kind}\.mp4: ") as error:
            read(path)
        assert "\n" not in str(error.value)


def test_bytes_are_named_by_their_name():
    with pytest.raises(UserError, match=r"clip 7: cannot be read as a video"):
        decode_frames(b"nonsense", [0], name="clip 7")


@pytest.mark.fault(
    promise="Limits on pixels, frames and time hold",
    provoked="a video just over each limit",
    seen="`more than the limit of ...`",
    trials=3,
)
def test_limits_on_pixels_frames_and_time_hold(tmp_path):
    path = films.write(tmp_path / "a.mp4", films.scene(40))
    for limits, message in (
        (Limits(pixels=48 * 63), "64x48 pixels are more than the limit of 3024"),
        (Limits(frames=39), "more frames than the limit of 39"),
        (Limits(seconds=0.0), "longer than the limit of 0 s"),
    ):
        with pytest.raises(UserError, match=message):
            decode_frames(path, [0], limits=limits)


@pytest.mark.fault(
    promise="A video that hides its size takes no memory",
    provoked="frames of 8K under a header of 64 x 48",
    seen="refused by name within 30 MB",
    trials=1,
)
def test_a_bomb_of_8k_frames_takes_no_memory(tmp_path):
    """The stream itself is 8K under a container that says 64x48: what must be bounded is what the decoder takes."""
    path = films.write(tmp_path / "bomb.mp4", np.zeros((2, 4320, 7680, 3), np.uint8), options={"preset": "ultrafast"})
    content = bytearray(path.read_bytes())
    entry = content.index(b"avc1", content.index(b"stsd"))
    content[entry + 28 : entry + 32] = bytes([0, 64, 0, 48])
    path.write_bytes(content)
    code = (
        "import resource\n"
        "from vivit_jax.data.video.reader import decode_frames\n"
        "from vivit_jax.errors import UserError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"try:\n    decode_frames({str(path)!r}, [0])\n"
        "except UserError as error:\n    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, error)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    grown, message = done.stdout.split(" ", 1)
    assert "bomb.mp4" in message
    assert int(grown) < 30


@pytest.mark.fault(
    promise="A header with a false size is not believed",
    provoked="a container that claims 65535 x 65535 pixels",
    seen="the pictures at their own size",
    trials=1,
)
def test_a_container_that_lies_about_its_size_is_read_at_the_size_of_its_pictures(tmp_path):
    path = films.lying(tmp_path / "a.mp4", films.scene())
    assert probe(path).height == 48
    assert decode_frames(path, [0]).shape[1] == 48


@pytest.mark.fault(
    promise="Hours between frames cost nothing",
    provoked="four frames, the last after five hours",
    seen="its frames within two seconds",
    trials=1,
)
def test_hours_between_frames_cost_nothing(tmp_path):
    times = [0, 40, 80, 5 * 3600 * 1000]
    path = films.write(tmp_path / "a.mkv", films.scene(4), times=times)
    started = time.process_time()  # not the clock, which runs on while others have the processor
    np.testing.assert_allclose(probe(path).times, np.array(times) / 1000, atol=0.002)
    assert decode_frames(path, [3]).shape == (1, 48, 64, 3)
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {"bf": "3", "g": "24", "x264-params": "b-adapt=0:b-pyramid=normal"}),
        ("libsvtav1", {"preset": "12", "g": "24"}),  # its decoder is told what to leave out only as it opens
    ],
)
def test_skipping_frames_that_no_other_needs_changes_no_pixel(tmp_path, codec, options):
    """Every stride over B-frames in a pyramid, where some frames are references and some are not."""
    path = films.write(tmp_path / "a.mp4", films.scene(60), codec=codec, options=options)
    full = all_frames(path)
    for stride in (1, 2, 3, 4, 7):
        for start in range(stride):
            np.testing.assert_array_equal(decode_frames(path, range(start, 60, stride)), full[start::stride])


@pytest.mark.parametrize("fps", [25, 30, Fraction(24000, 1001), Fraction(15, 2)])
def test_frames_of_a_stored_video_are_found_without_reading_it(fps):
    """Of one with keyframes at cuts beside the regular ones, and with frames made from later ones."""
    frames = np.concatenate([films.scene(count, seed=seed) for seed, count in enumerate((45, 3, 20, 33))])
    content = encode(frames, fps)
    full = decode_frames(content, range(len(frames)))
    with open_video(content, None, LIMITS) as read, open_video(content, None, LIMITS, stored=True) as told:
        assert len(read) == len(told) == len(frames)
        np.testing.assert_array_equal(read.times, told.times)
        assert read.keyframes == told.keyframes
        assert len(told.keyframes) > 4
    for indices in (range(len(frames)), range(40, 101, 7), [100], [44, 45, 46, 47, 48, 49]):
        np.testing.assert_array_equal(decode_frames(content, indices, stored=True), full[list(indices)])
    with pytest.raises(UserError, match="it has 101"):
        decode_frames(content, [101], stored=True)
