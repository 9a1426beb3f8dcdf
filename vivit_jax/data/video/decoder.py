"""An open video: lists its frames, and decodes chosen ones, each from the nearest keyframe before it."""

import bisect
import contextlib
import functools
import itertools
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction

import av
import numpy as np

from vivit_jax.data.video.completeness import PacketInfo, check_complete, promised_frames
from vivit_jax.data.video.container import (
    BROADCAST,
    SEEKABLE,
    Limits,
    Source,
    naming_errors,
    open_container,
    pixel_aspect,
    shows_motion,
    video_stream,
)
from vivit_jax.data.video.frame_rates import frame_rate
from vivit_jax.data.video.pixels import RgbReader
from vivit_jax.data.video.transparency import decoding
from vivit_jax.errors import UserError

# A break between the frames of a broadcast is a gap if it is longer than both.
GAP_SECONDS, GAP_FRAMES = 0.4, 4

# A jump to a keyframe pays if it skips more frames than this: after a jump the decoder refills the frames that it reorders.
JUMP = 4


@contextlib.contextmanager
def open_video(source: Source, name: str | None, limits: Limits, *, strict: bool = False, stored: bool = False) -> Iterator["OpenVideo"]:
    """Opens a video for reading; whatever goes wrong with it becomes one `UserError` that names it.

    Args:
      source: path or bytes.
      name: what errors call it; its path if None.
      limits: what it may cost.
      strict: whether damage is an error, which FFmpeg by itself conceals, and so is a file that ends before its header says.
      stored: whether `Encoder` wrote the video: the times of its frames are then read from its table of contents.
    """
    label = name or ("video" if isinstance(source, bytes) else str(source))
    with naming_errors(label), contextlib.closing(OpenVideo(source, limits, strict, stored)) as video:
        yield video


class OpenVideo:
    """A video stream, ready to decode. Frame numbers count frames in the order shown, from 0.

    Attributes:
      rgb: turns its frames into RGB.
      coded_size: (height, width) of its frames before they are shown upright and square, as the container tells them at the beginning.
      is_h264_in_rgb: whether it is stored as `Encoder` stores frames without loss.
      keyframes: numbers of the frames that are decoded without others; None if the container does not list them.
    """

    def __init__(self, source: Source, limits: Limits, strict: bool = False, stored: bool = False) -> None:
        """Opens the first video stream; raises `UserError` if there is none or it is too large."""
        self._source, self._limits, self._strict = source, limits, strict
        self._deadline = time.monotonic() + limits.seconds
        self._remarks: list[str] = []
        self._open()
        self.coded_size = self._stream.height, self._stream.width  # both change with a frame of another size
        self.is_h264_in_rgb = (self._stream.codec_context.name, self._stream.codec_context.pix_fmt) == ("h264", "gbrp")
        try:
            self.rgb = RgbReader(pixel_aspect(self._stream), stored=stored)
            self._pts, self.keyframes = self._stored_index() if stored else self._read_index()
            if not self._pts:
                raise UserError("holds no frames")
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        """Opens the container, at its beginning."""
        self._container = open_container(self._source, self._limits, self._strict)
        try:
            self._stream = video_stream(self._container, self._limits)
        except UserError:
            self.close()
            raise
        self._stream.thread_type = "NONE"
        others = sum(shows_motion(stream) for stream in self._container.streams.video) - 1
        if others:
            self._remark(f"the first of its {others + 1} video streams")

    def begin_anew(self) -> None:
        """Begins another clip of the same video: its frames may have another size, and the limit of time starts anew."""
        self.rgb = RgbReader(self.rgb.aspect)
        self._deadline = time.monotonic() + self._limits.seconds

    def close(self) -> None:
        """Ends reading."""
        self._container.close()

    def __len__(self) -> int:
        """Frames of the video."""
        return len(self._pts)

    @property
    def times(self) -> np.ndarray:
        """Seconds from the first frame to each, float64 (frames,)."""
        ticks = np.asarray(self._pts, np.int64)
        return (ticks - ticks[0]) * float(self._stream.time_base)

    @property
    def fps(self) -> Fraction:
        """Frames a second: the rate that the file names if its frames come at it, else their mean rate."""
        return self.rate_of(0, len(self))

    def rate_of(self, start: int, end: int) -> Fraction:
        """The rate of the frames from `start` to before `end`, as `fps` is that of all."""
        return frame_rate(self._pts[start:end], self._stream.time_base, self._stream.average_rate)

    @functools.cached_property
    def changes(self) -> tuple[str, ...]:
        """What reading changes in this video besides its colours, and what is missing from it, in words. Decodes the first frame."""
        return (*self.rgb.changes(self.first_frame()), *self._remarks, *self._gap())

    def _gap(self) -> tuple[str, ...]:
        """The longest break in a broadcast stream, whose pictures come steadily unless some are lost."""
        gap = float(np.diff(self.times).max(initial=0))
        is_broadcast = self._container.format.name in BROADCAST
        return (f"a gap of {gap:.1f} s",) if is_broadcast and gap > max(GAP_SECONDS, GAP_FRAMES / float(self.fps)) else ()

    def first_frame(self) -> av.VideoFrame:
        """The first frame that can be decoded; a `UserError` if there is none."""
        frame = next(self.decode(), None)
        if frame is None:
            raise UserError("no frame can be decoded")
        return frame

    def decode(self) -> Iterator[av.VideoFrame]:
        """Every frame from the first whole one on. In a stream that was cut, those before it refer to pictures that are gone."""
        self._rewind()
        decode = decoding(self._stream, self._limits)
        left_out, failure, began = 0, None, False
        for packet in self._container.demux(self._stream):
            self._check_time()
            try:
                frames = decode(packet)
            except av.InvalidDataError as error:
                if began:
                    raise
                failure, left_out, frames = error, left_out + 1, []
            for frame in frames:
                if not began and frame.is_corrupt:
                    left_out += 1
                    continue
                began = True
                yield frame
        if failure and not began:
            raise failure
        if left_out:
            self._remark(f"{left_out} pictures before the first whole one left out")

    def _remark(self, text: str) -> None:
        if text not in self._remarks:
            self._remarks.append(text)

    def select(self, numbers: Sequence[int]) -> Iterator[av.VideoFrame]:
        """The frames with these numbers, which must ascend. Jumps to a keyframe wherever that saves decoding frames in between."""
        if self.keyframes is None:
            yield from self._select_by_count(numbers)
            return
        wanted = {self._pts[number] for number in numbers}
        position, decoding = -JUMP - 1, iter(())
        for number in numbers:
            keyframe = self.keyframes[bisect.bisect_right(self.keyframes, number) - 1]
            if keyframe - position > JUMP:
                self._container.seek(self._pts[keyframe], stream=self._stream, backward=True)
                decoding = self._decode_wanted(wanted)
            frame = self._next_at(decoding, self._pts[number])
            if frame is None:  # the container's own index led past it
                self._rewind()
                decoding = self._decode_wanted(wanted)
                frame = self._next_at(decoding, self._pts[number])
            if frame is None:
                raise UserError(f"frame {number} cannot be decoded")
            position = number
            yield frame

    def _read_index(self) -> tuple[list[int], list[int] | None]:
        """The times at which frames are shown, ascending, and the numbers of the keyframes; None if the container does not list them."""
        promised = promised_frames(self._container, self._stream)
        packets = [packet for packet in self._packets() if not packet.is_discard]
        if self._strict:
            for remark in check_complete(self._source, self._container, self._stream, packets, promised):
                self._remark(remark)
        pts = sorted(packet.pts for packet in packets if packet.pts is not None)
        # VP8 hides pictures among its packets, so that their times are not those of what is shown.
        seekable = self._container.format.name.startswith(SEEKABLE) and self._stream.codec_context.name != "vp8"
        if not seekable or len(set(pts)) < len(packets) or not packets or not packets[0].is_keyframe or packets[0].pts != pts[0]:
            shown = self._index_by_decoding()
            if pts and shown:
                late = float((shown[0] - pts[0]) * self._stream.time_base)
                if late > 1 / float(self._stream.average_rate or 25) / 2:
                    self._remark(f"begins at its first whole picture, {late:.2f} s in")
            return shown, None
        return pts, [bisect.bisect_left(pts, pts_of_key) for pts_of_key in sorted(p.pts for p in packets if p.is_keyframe)]

    def _stored_index(self) -> tuple[list[int], list[int]]:
        """What `_read_index` returns, for a video that `Encoder` wrote, from the table of contents alone.

        In such a video frames are shown as evenly as they are decoded, and none before its keyframe. A frame that is not where the table
        says cannot be decoded, which is an error.
        """
        entries = [(entry.timestamp, entry.is_keyframe) for entry in self._stream.index_entries]
        delay = entries[0][0] - self._stream.start_time if entries else 0
        return [time - delay for time, _ in entries], [number for number, (_, is_keyframe) in enumerate(entries) if is_keyframe]

    def _packets(self) -> Iterator[PacketInfo]:
        count = 0
        for packet in self._container.demux(self._stream):
            if packet.size:
                count += 1
                self._check_count(count)
                yield PacketInfo(packet.pts, packet.duration or 0, packet.is_keyframe, packet.is_discard)

    def _index_by_decoding(self) -> list[int]:
        """The times that the decoder gives the frames, or evenly spread ones if it gives none that ascend."""
        pts = []
        for frame in self.decode():
            pts.append(frame.pts)
            self._check_count(len(pts))
        if None not in pts and all(a < b for a, b in itertools.pairwise(pts)):
            return pts
        step = 1 / (self._stream.average_rate or Fraction(25)) / self._stream.time_base
        return [round(number * step) for number in range(len(pts))]

    def _select_by_count(self, numbers: Sequence[int]) -> Iterator[av.VideoFrame]:
        wanted = iter(numbers)
        number = next(wanted, None)
        for position, frame in enumerate(self.decode()):
            if position == number:
                yield frame
                number = next(wanted, None)
            if number is None:
                return
        raise UserError(f"frame {number} cannot be decoded")

    def _decode_wanted(self, wanted: set[int]) -> Iterator[av.VideoFrame]:
        """The frames from here on, without those that are neither shown at a `wanted` time nor needed to decode another."""
        decoder, skipped, decode = self._stream.codec_context, None, decoding(self._stream, self._limits)
        decoder.open(strict=False)  # a decoder that is told only as it opens, as that of AV1, leaves nothing out
        for packet in self._container.demux(self._stream):
            skip = "DEFAULT" if packet.pts in wanted or not packet.size else "NONREF"
            if skip != skipped:
                decoder.skip_frame = skipped = skip
            yield from decode(packet)

    def _next_at(self, decoding: Iterator[av.VideoFrame], pts: int) -> av.VideoFrame | None:
        """The frame shown at `pts`, if it still comes."""
        for frame in decoding:
            self._check_time()
            if frame.pts is not None and frame.pts >= pts:
                return frame if frame.pts == pts else None
        return None

    def _rewind(self) -> None:
        """Goes back to the beginning by opening the container again, since not every container can be sought in."""
        self.close()
        self._open()

    def _check_count(self, count: int) -> None:
        if count > self._limits.frames:
            raise UserError(f"it has more frames than the limit of {self._limits.frames}")
        self._check_time()

    def _check_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise UserError(f"reading it takes longer than the limit of {self._limits.seconds:g} s")
