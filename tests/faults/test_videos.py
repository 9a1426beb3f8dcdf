"""Video files that readers used to misread, refuse or trip over; each is made for real."""

import pathlib
import socket

import films
import numpy as np
import pytest

from vivit_jax.data.layouts.base import Clip
from vivit_jax.data.preparation.prepare import prepare
from vivit_jax.data.preparation.transcode import transcode
from vivit_jax.data.video.reader import decode_frames, probe
from vivit_jax.errors import UserError


def stored(path):
    return transcode(Clip(path.name, "train", "x", path), 256).facts


@pytest.mark.fault(
    promise="One file that cannot be read stops no other",
    provoked="a 1x1 GIF, an mkv of 10^6 frames a second and an ordinary video, prepared with --tolerate",
    seen="the GIF is named with its reason; the others are stored",
    trials=1,
)
def test_a_file_that_trips_the_reader_is_refused_alone(tmp_path):
    folder = tmp_path / "videos/train/x"
    folder.mkdir(parents=True)
    films.write(folder / "good.mp4", films.scene())
    films.write(folder / "one.gif", np.zeros((3, 1, 1, 3), np.uint8), codec="gif", pixels="rgb8")
    fast(folder / "fast.mkv")
    summary = prepare("folder", tmp_path / "videos", name="some", data_dir=tmp_path, workers=1, tolerate=1)
    assert summary.clips == 2
    assert [(name, reason) for _, name, reason in summary.refused] == [("train/x/one.gif", "it has 1x1 pixels, too few to be stored")]


def test_a_rate_beyond_the_time_base_is_read(tmp_path):
    path = fast(tmp_path / "fast.mkv")
    assert probe(path).frames == 20
    assert len(decode_frames(path, [0, 19])) == 2


def test_a_matroska_that_begins_late_is_whole(tmp_path):
    """Its header tells when it ends, as FFmpeg writes it, and not how long it is."""
    path = films.write(tmp_path / "late.mkv", films.scene(60), times=range(5000, 7400, 40))
    assert (stored(path).frames, stored(path).changes) == (60, ())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=r"late\.mkv: it is cut off"):
        stored(path)


def test_a_last_frame_that_is_shown_for_longer_does_not_slow_the_others(tmp_path):
    """The file names 48.39 frames a second, the number of frames over its duration, and 29 frames come at 50."""
    path = films.write(tmp_path / "last.mp4", films.scene(30), times=range(0, 600, 20))
    video = stored(path)
    assert (video.frames, video.fps, video.changes) == (30, 50, ())


def test_a_loop_of_links_is_no_file(tmp_path):
    loop = tmp_path / "loop.mp4"
    loop.symlink_to(loop)
    with pytest.raises(UserError, match=r"loop\.mp4: no such file"):
        probe(loop)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [("a.MTS", "libx264", {}), ("a.m2ts", "libx264", {}), ("a.VOB", "mpeg2video", {}), ("a.mxf", "mpeg2video", {})],
)
def test_suffixes_of_cameras_and_discs_are_taken(tmp_path, name, codec, options):
    folder = tmp_path / "videos/train/x"
    folder.mkdir(parents=True)
    form = {"MTS": "a.ts", "VOB": "a.mpg"}.get(name.split(".")[1], name)
    films.write(tmp_path / form, films.scene(), codec=codec, options=options).rename(folder / name)
    assert prepare("folder", tmp_path / "videos", name="some", data_dir=tmp_path, workers=1).clips == 1


@pytest.mark.fault(
    promise="A video opens no other file and no network connection",
    provoked="playlists, an sdp and a concat script named like videos, and files named like addresses, beside a listening socket",
    seen="one line that names the file; the socket hears nothing",
    trials=6,
)
@pytest.mark.parametrize("kind", ["m3u8_file", "m3u8_http", "sdp", "concat", "named_http", "named_concat"])
def test_a_disguised_playlist_opens_nothing_else(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    secret = films.write(tmp_path / "secret.mp4", films.scene())
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.3)
        address = f"127.0.0.1:{server.getsockname()[1]}"
        playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n"
        name, text = {
            "m3u8_file": ("a.mp4", playlist.format(secret.as_uri())),
            "m3u8_http": ("a.mp4", playlist.format(f"http://{address}/a.ts")),
            "sdp": ("a.mp4", f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {address[10:]} RTP/AVP 96\n"),
            "concat": ("a.mp4", "ffconcat version 1.0\nfile secret.mp4\n"),
            "named_http": (f"http:__{address}", "x"),
            "named_concat": ("concat:secret.mp4|secret.mp4", "x"),
        }[kind]
        pathlib.Path(name).write_text(text)
        with pytest.raises(UserError, match="cannot be read as a video"):
            probe(name)
        with pytest.raises(TimeoutError):
            server.accept()


def fast(path):
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1_000_000)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for frame in films.scene():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())
    return path
