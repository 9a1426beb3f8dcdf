"""Real video files of every kind and in every state of damage, made with FFmpeg's own encoders."""

import pathlib
import struct
from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np

FPS = 25
SAME_BYTES = {"x264-params": "mbtree=0"}  # x264 gives the same ones every time with these options: see `Encoder`


def scene(frames: int = 20, height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    """A smooth coloured picture that drifts and brightens, so that each frame differs from every other: uint8 (t, h, w, 3)."""
    generator = np.random.default_rng(seed)
    phase, tint = generator.uniform(0, 6, 3), generator.uniform(0.3, 1.0, 3)
    t, y, x = np.meshgrid(np.arange(frames), np.arange(height) / height, np.arange(width) / width, indexing="ij")
    wave = np.sin(4 * x[..., None] + 3 * y[..., None] + 0.2 * t[..., None] + phase)
    return (40 + 90 * tint * (1 + wave) * (0.4 + 0.6 * t[..., None] / frames)).clip(0, 255).astype(np.uint8)


def write(
    path: pathlib.Path,
    frames: np.ndarray,
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    times: Sequence[int] | None = None,
    audio: int = 0,
    options: dict | None = None,
    aspect: Fraction | None = None,
    colours: tuple[int, int] | None = None,
    fps: int = FPS,
) -> pathlib.Path:
    """Writes frames in any codec, with silence as long as `audio` frames.

    `times` are milliseconds for a variable rate, `colours` FFmpeg's numbers of (matrix, range).
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options=options or {})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixels
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if colours:
            stream.codec_context.colorspace, stream.codec_context.color_range = colours
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        sound = container.add_stream("aac", rate=16000) if audio else None
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgba" if frame.shape[-1] == 4 else "rgb24")
            if colours:
                picture = picture.reformat(format=pixels, dst_colorspace=colours[0], dst_color_range=colours[1])
            if times is not None:
                picture.pts, picture.time_base = times[number], Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
        if sound is not None:
            _add_silence(container, sound, audio)
    return path


def only_sound(path: pathlib.Path) -> pathlib.Path:
    """A file without a video stream."""
    with av.open(str(path), "w") as container:
        _add_silence(container, container.add_stream("aac", rate=16000), FPS)
    return path


def with_matrix(path: pathlib.Path, frames: np.ndarray, matrix: tuple[int, int, int, int]) -> pathlib.Path:
    """A video with a display matrix (a, b, c, d): a stored pixel (x, y) is shown at (a x + c y, b x + d y)."""
    content = bytearray(write(path, frames, options=SAME_BYTES).read_bytes())
    unity = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    a, b, c, d = (0x10000 * entry for entry in matrix)
    position = content.index(unity, content.index(b"tkhd"))
    content[position : position + len(unity)] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 0x40000000)
    path.write_bytes(content)
    return path


def rotated(path: pathlib.Path, frames: np.ndarray) -> pathlib.Path:
    """A video with the mark of a phone held upright: to be shown turned clockwise by a quarter."""
    return with_matrix(path, frames, (0, 1, -1, 0))


def cut(source: pathlib.Path, path: pathlib.Path, *, first: int = 0, earlier: float = 0.0, options: dict | None = None) -> pathlib.Path:
    """The packets of a video from number `first` on, `earlier` seconds earlier, without encoding anew."""
    with av.open(str(source)) as before, av.open(str(path), "w", options=options or {}) as after:
        stream = before.streams.video[0]
        copy = after.add_stream_from_template(stream)
        shift = round(earlier / stream.time_base)
        for number, packet in enumerate(before.demux(stream)):
            if packet.size and number >= first:
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, copy
                after.mux(packet)
    return path


def trimmed(path: pathlib.Path, frames: np.ndarray) -> pathlib.Path:
    """An mp4 that was trimmed without encoding anew: it holds all frames, and an edit list hides the first half of them."""
    whole = write(path.with_name(f"whole_{path.name}"), frames, options={"g": "25", "bf": "0"})
    trimmed = cut(whole, path, earlier=len(frames) / 2 / FPS, options={"avoid_negative_ts": "disabled"})
    whole.unlink()
    return trimmed


def with_null_frames(path: pathlib.Path, frames: np.ndarray) -> pathlib.Path:
    """An AVI that repeats each frame by an empty packet after it."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=FPS)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        stream.codec_context.max_b_frames = 0
        for number, frame in enumerate(frames):
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame)):
                packet.pts = packet.dts = 2 * number
                container.mux(packet)
    return path


def with_hidden_frames(path: pathlib.Path, frames: np.ndarray, hidden: int) -> pathlib.Path:
    """A VP8 file of which every `hidden`-th packet is marked not to be shown, as alternate reference frames are."""
    whole = write(path.with_name(f"whole_{path.name}"), frames, codec="libvpx", options={"auto-alt-ref": "0", "deadline": "realtime"})
    with av.open(str(whole)) as before, av.open(str(path), "w") as after:
        copy = after.add_stream_from_template(before.streams.video[0])
        for number, packet in enumerate(before.demux(before.streams.video[0])):
            if packet.size:
                content = bytearray(bytes(packet))
                if number % hidden == hidden - 1:
                    content[0] &= ~0x10  # show_frame
                changed = av.Packet(bytes(content))
                changed.pts, changed.dts, changed.time_base, changed.is_keyframe = (
                    packet.pts,
                    packet.dts,
                    packet.time_base,
                    packet.is_keyframe,
                )
                changed.stream = copy
                after.mux(changed)
    whole.unlink()
    return path


def changing_size(path: pathlib.Path, *parts: np.ndarray) -> pathlib.Path:
    """A transport stream of parts (t, h, w, 3) of different sizes, as a call or a broadcast has them."""
    content = b""
    for part in parts:
        content += write(path, part, options={"g": "5"}).read_bytes()
    path.write_bytes(content)
    return path


def coloured_fields(path: pathlib.Path, lefts: tuple[int, int], width: int) -> pathlib.Path:
    """An interlaced video in 4:2:0 of 64x64 pixels: a red bar on grey, which begins at another column in each field."""
    grey, red = (126, 128, 128), (81, 90, 240)
    options = {"flags": "+ildct+ilme", "x264-params": "tff=1", "crf": "1"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.height, stream.width, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(6):
            frame = av.VideoFrame(64, 64, "yuv420p")
            for plane, behind, bar in zip(frame.planes, grey, red, strict=True):
                rows, share = np.full((plane.height, plane.line_size), behind, np.uint8), plane.width / 64
                for field, left in enumerate(lefts):
                    rows[field::2, int(left * share) : int((left + width) * share)] = bar
                plane.update(rows.tobytes())
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def high_dynamic_range(path: pathlib.Path, levels: np.ndarray, transfer: int, height: int = 48) -> pathlib.Path:
    """Ten bits of a grey ramp: `levels` are luma codes (w,), `transfer` FFmpeg's number of its characteristic."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265", rate=FPS, options={"x265-params": "log-level=none"})
        stream.height, stream.width, stream.pix_fmt = height, len(levels), "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace, context.color_range = transfer, 9, 9, 1
        for _ in range(4):
            frame = av.VideoFrame(len(levels), height, "yuv420p10le")
            for plane, fill in zip(frame.planes, (levels, 512, 512), strict=True):
                rows = np.zeros((plane.height, plane.line_size // 2), np.uint16)
                rows[:, : plane.width] = fill
                plane.update(rows.tobytes())
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def lying(path: pathlib.Path, frames: np.ndarray) -> pathlib.Path:
    """A video whose container claims to hold 65535 x 65535 pixels."""
    content = bytearray(write(path, frames).read_bytes())
    entry = content.index(b"avc1", content.index(b"stsd"))
    content[entry + 28 : entry + 32] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    return path


def truncated(path: pathlib.Path, frames: np.ndarray) -> pathlib.Path:
    """A download that broke off: the index is there, half the pictures are not."""
    whole = path.with_name(f"whole_{path.name}")
    with av.open(str(whole), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())
    content = whole.read_bytes()
    whole.unlink()
    start = content.index(b"mdat")
    path.write_bytes(content[: start + (len(content) - start) // 2])
    return path


def damaged(path: pathlib.Path, frames: np.ndarray) -> pathlib.Path:
    """A video with a stretch of its pictures overwritten."""
    content = bytearray(write(path, frames, options={"g": "5"}).read_bytes())
    start = content.index(b"mdat") + 4
    end = content.index(b"moov", start) - 4
    middle = (start + end) // 2
    noise = np.random.default_rng(0).integers(0, 256, (end - start) // 4, dtype=np.uint8)
    content[middle : middle + len(noise)] = noise.tobytes()
    path.write_bytes(content)
    return path


def _add_silence(container: av.container.OutputContainer, stream: av.AudioStream, frames: int) -> None:
    for start in range(0, 16000 * frames // FPS, 1024):
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate, sound.pts = 16000, start
        container.mux(stream.encode(sound))
    container.mux(stream.encode())
