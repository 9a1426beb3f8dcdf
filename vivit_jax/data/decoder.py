"""An open video: its table of frames, and decoding of chosen ones from the nearest keyframe."""

import bisect
import contextlib
import itertools
import time
import typing
from collections.abc import Iterator, Sequence
from fractions import Fraction

import av
import numpy as np

from vivit_jax.data.container import Limits, Source, open_container
from vivit_jax.data.encoder import simple_rate
from vivit_jax.data.orientation import orientation_of
from vivit_jax.data.pixels import RgbReader
from vivit_jax.errors import UserError

# Containers whose seeking can be relied on; the others are read from the start.
SEEKABLE = ("mov", "matroska")

# Frames that must be skippable before a jump to a keyframe pays for the decoder's refilling (it reorders up to so many).
JUMP = 4


@contextlib.contextmanager
def opened(source: Source, name: str | None, limits: Limits, *, strict: bool = False, stored: bool = False) -> Iterator["OpenVideo"]:
    """Opens a video for reading; whatever goes wrong with it becomes one `UserError` that names it.

    Args:
      source: path or bytes.
      name: what errors call it; its path if None.
      limits: what it may cost.
      strict: damage is an error, where FFmpeg by itself paints over it, and so is a file that ends before its header says.
      stored: the video was written by `Encoder`, so that its table of contents tells the times of its frames.
    """
    label = name or ("video" if isinstance(source, bytes) else str(source))
    try:
        with contextlib.closing(OpenVideo(source, limits, strict, stored)) as video:
            yield video
    except UserError as error:
        raise UserError(f"{label}: {error}") from None
    except (av.FFmpegError, OSError) as error:
        raise UserError(f"{label}: cannot be read as a video ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


class _PacketInfo(typing.NamedTuple):
    pts: int | None
    duration: int
    is_keyframe: bool
    is_discard: bool


class OpenVideo:
    """A video stream, ready to decode. Frame numbers count frames in the order shown, from 0.

    Attributes:
      rgb: reads pixels from its frames.
      keyframes: their numbers; None where the container does not tell in advance.
    """

    def __init__(self, source: Source, limits: Limits, strict: bool = False, stored: bool = False) -> None:
        """Opens the first video stream; raises `UserError` if there is none or it is too large."""
        self._source, self._limits, self._strict = source, limits, strict
        self._deadline = time.monotonic() + limits.seconds
        self._open()
        try:
            aspect = float(self._stream.sample_aspect_ratio or 1)
            self.rgb = RgbReader(aspect if 0.25 <= aspect <= 4 else 1.0)  # beyond, it is a slip of the container
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
            self._stream = _video_stream(self._container)
        except UserError:
            self.close()
            raise
        self._stream.thread_type = "NONE"
        width, height = self._stream.width, self._stream.height
        if width * height > self._limits.pixels:
            raise UserError(f"{width}x{height} pixels are more than the limit of {self._limits.pixels}")

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
        """Frames a second: as the file says where the frames bear it out, else their mean rate."""
        nominal = self._stream.average_rate
        if len(self) < 2:
            return nominal or Fraction(1)
        span = (self._pts[-1] - self._pts[0]) * self._stream.time_base
        mean = simple_rate((len(self) - 1) / span)
        return nominal if nominal and abs(nominal / mean - 1) < 1e-3 else mean

    @property
    def changes(self) -> tuple[str, ...]:
        """What `rgb` does to this video beyond its colours, in words; looks at the first frame."""
        frame = next(self.decode(), None)
        if frame is None:
            raise UserError("no frame can be decoded")
        alpha = any(component.is_alpha for component in frame.format.components)
        orientation = orientation_of(frame)
        done = {
            "rotated": orientation.rotated,
            "mirrored": orientation.mirrored,
            "made square in pixels": self.rgb.aspect != 1,
            "laid over black": alpha,
        }
        return tuple(change for change, happens in done.items() if happens)

    def decode(self) -> Iterator[av.VideoFrame]:
        """Every frame from the first on."""
        self._rewind()
        for frame in self._container.decode(self._stream):
            self._check_time()
            yield frame

    def select(self, numbers: Sequence[int]) -> Iterator[av.VideoFrame]:
        """The frames with these numbers, which ascend. Starts anew from a keyframe wherever that leaves frames undecoded."""
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
        """Sorted presentation times of all frames, and the numbers of the keyframes; None where the container does not tell in advance."""
        packets = [packet for packet in self._packets() if not packet.is_discard]
        if self._strict:
            self._check_whole(packets)
        pts = sorted(packet.pts for packet in packets if packet.pts is not None)
        seekable = self._container.format.name.startswith(SEEKABLE)
        if not seekable or len(set(pts)) < len(packets) or not packets or not packets[0].is_keyframe or packets[0].pts != pts[0]:
            return self._index_by_decoding(), None
        return pts, [bisect.bisect_left(pts, pts_of_key) for pts_of_key in sorted(p.pts for p in packets if p.is_keyframe)]

    def _stored_index(self) -> tuple[list[int], list[int]]:
        """The same without reading the packets, by what holds for what `Encoder` writes: frames are shown as evenly as they are decoded,
        and none before the keyframe it is made from. A frame that is not where this says cannot be decoded, which is an error."""
        entries = [(entry.timestamp, entry.is_keyframe) for entry in self._stream.index_entries]
        delay = entries[0][0] - self._stream.start_time if entries else 0
        return [time - delay for time, _ in entries], [number for number, (_, is_keyframe) in enumerate(entries) if is_keyframe]

    def _packets(self) -> Iterator[_PacketInfo]:
        count = 0
        for packet in self._container.demux(self._stream):
            if packet.size:
                count += 1
                self._check_count(count)
                yield _PacketInfo(packet.pts, packet.duration or 0, packet.is_keyframe, packet.is_discard)

    def _check_whole(self, packets: Sequence[_PacketInfo]) -> None:
        """Compares what is there with what the header promises."""
        if len(packets) < 0.9 * self._stream.frames:
            raise UserError(f"it is cut off: {len(packets)} of {self._stream.frames} frames are there")
        promised = _promised_seconds(self._stream)
        ends = [packet.pts + packet.duration for packet in packets if packet.pts is not None]
        if ends and promised is not None:
            end = float((max(ends) - (self._stream.start_time or 0)) * self._stream.time_base)
            if end < 0.9 * promised - 0.5:
                raise UserError(f"it is cut off: it ends at {end:.1f} s of {promised:.1f} s")

    def _index_by_decoding(self) -> list[int]:
        """Presentation times as the decoder makes them up, or evenly spread if it does not."""
        pts = []
        for frame in self.decode():
            pts.append(frame.pts)
            self._check_count(len(pts))
        if None not in pts and all(a < b for a, b in itertools.pairwise(pts)):
            return pts
        # At least a tick: a time base coarser than the rate would give all frames one time.
        step = max(1, 1 / (self._stream.average_rate or Fraction(25)) / self._stream.time_base)
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
        """Frames from here on; of those not shown at a `wanted` time the decoder leaves out any that no other frame is made from."""
        decoder, skipped = self._stream.codec_context, None
        for packet in self._container.demux(self._stream):
            skip = "DEFAULT" if packet.pts in wanted or not packet.size else "NONREF"
            if skip != skipped:
                decoder.skip_frame = skipped = skip
            yield from packet.decode()

    def _next_at(self, decoding: Iterator[av.VideoFrame], pts: int) -> av.VideoFrame | None:
        """The frame shown at `pts`, if it still comes."""
        for frame in decoding:
            self._check_time()
            if frame.pts is not None and frame.pts >= pts:
                return frame if frame.pts == pts else None
        return None

    def _rewind(self) -> None:
        """Back to the beginning, which not every container can be sought for."""
        self.close()
        self._open()

    def _check_count(self, count: int) -> None:
        if count > self._limits.frames:
            raise UserError(f"it has more frames than the limit of {self._limits.frames}")
        self._check_time()

    def _check_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise UserError(f"reading it takes longer than the limit of {self._limits.seconds:g} s")


def _video_stream(container: av.container.InputContainer) -> av.VideoStream:
    """The first stream of moving pictures, which the cover of a song is not."""
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic and stream.codec_context is not None:
            return stream
    raise UserError("has no video stream that can be decoded")


def _promised_seconds(stream: av.VideoStream) -> float | None:
    """How long the stream is by its header, if that says; Matroska has it as text, such as `00:00:05.280000000`."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    parts = stream.metadata.get("DURATION", "").split(":")
    try:
        return sum(float(part) * 60**power for power, part in enumerate(reversed(parts))) if len(parts) == 3 else None
    except ValueError:
        return None
