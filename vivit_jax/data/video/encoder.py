"""Encodes frames as H.264 that is cheap to decode. Prepared data sets, and all videos that this package writes, are stored so."""

import io
from collections.abc import Iterable
from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from vivit_jax.data.video.frame_rates import simple_rate

# A keyframe every 32 frames bounds what a clip's first frame costs; fastdecode leaves out what is slow to undo. At this quality veryfast
# takes 40 % of medium's time and 90 % of its bytes, for 1 dB less. x264's macroblock tree reads memory that it never wrote: without it,
# and in one thread, the bytes are the same every time.
X264 = {"crf": "18", "g": "32", "preset": "veryfast", "tune": "fastdecode", "threads": "1", "x264-params": "mbtree=0"}

# Every pixel comes back as it was: red, green and blue in planes of their own, and no rounding anywhere.
LOSSLESS = X264 | {"crf": "0"}


class Encoder:
    """Writes frames one at a time as an mp4 of H.264 at a constant rate, without audio: in yuv420p, or in gbrp without loss.

    The bytes are a function of the frames, the rate and the version of libx264.
    """

    def __init__(self, fps: Fraction | float, *, lossless: bool = False) -> None:
        """Writes `fps` frames a second, rounded to a simple fraction; `lossless` keeps every pixel as it is."""
        self.rate = simple_rate(Fraction(fps))
        self._tick = 1 / self.rate
        self._lossless = lossless
        self._buffer = io.BytesIO()
        self._container = av.open(self._buffer, "w", format="mp4")
        self._stream = None
        self._reformatter = VideoReformatter()
        self.frames = 0

    def add(self, frame: np.ndarray) -> None:
        """Appends a frame, uint8 (h, w, 3) with even sides."""
        height, width = frame.shape[:2]
        if height % 2 or width % 2 or frame.dtype != np.uint8:
            raise ValueError(f"frames must be uint8 with even sides, got {frame.dtype} {frame.shape}")
        if self._stream is None:
            self._stream = self._add_stream(height, width)
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        if not self._lossless:  # in one thread: waking others costs more than they take over, and FFmpeg wakes one a CPU
            colours = {"dst_colorspace": Colorspace.ITU601, "dst_color_range": ColorRange.MPEG}
            picture = self._reformatter.reformat(picture, format="yuv420p", threads=1, **colours)
        picture.pts, picture.time_base = self.frames, self._tick
        self._container.mux(self._stream.encode(picture))
        self.frames += 1

    def finish(self) -> bytes:
        """Closes the video and returns its bytes."""
        if self._stream is None:
            raise ValueError("a video needs at least one frame")
        self._container.mux(self._stream.encode())
        self._container.close()
        return self._buffer.getvalue()

    def _add_stream(self, height: int, width: int) -> av.VideoStream:
        if self._lossless:
            stream = self._container.add_stream("libx264rgb", rate=self.rate, options=LOSSLESS)
            stream.width, stream.height, stream.pix_fmt = width, height, "rgb24"
            return stream
        stream = self._container.add_stream("libx264", rate=self.rate, options=X264)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.colorspace = 6  # SMPTE 170M, FFmpeg's name of BT.601
        stream.codec_context.color_range = ColorRange.MPEG
        return stream


def encode(frames: Iterable[np.ndarray], fps: Fraction | float) -> bytes:
    """Frames, uint8 (t, h, w, 3) with even sides, as the bytes of an mp4 at `fps`."""
    encoder = Encoder(fps)
    for frame in frames:
        encoder.add(frame)
    return encoder.finish()
