"""Reads a video of any length, or one that comes in on standard input, once from front to back: each frame with its time.

No frame and no table of frames is kept, so memory does not grow with the video's length. `limits` bound the size of a frame; the caller
bounds the time (see `vivit_jax.data.guard`).
"""

import contextlib
import itertools
import pathlib
from collections.abc import Iterator
from fractions import Fraction

import av

from vivit_jax.data.video.container import (
    BROADCAST,
    LIMITS,
    SEEKABLE,
    Limits,
    naming_errors,
    open_container,
    open_standard_input,
    pixel_aspect,
    video_stream,
)
from vivit_jax.data.video.frame_rates import MOSTLY, STEADY
from vivit_jax.data.video.pixels import RgbReader
from vivit_jax.data.video.transparency import decoding
from vivit_jax.errors import UserError

STANDARD_INPUT = "-"
USUAL_RATE = Fraction(25)
LEAP = Fraction(3600)  # seconds by which a broadcast's times may jump forwards and still be believed
FARTHEST_READ = 20  # seconds of video that are decoded rather than sought past


@contextlib.contextmanager
def open_stream(source: str | pathlib.Path, *, limits: Limits = LIMITS) -> Iterator["StreamedVideo"]:
    """Opens a video, or standard input for `-`; whatever goes wrong with it becomes one `UserError` that names it."""
    seekable = contextlib.nullcontext() if source != STANDARD_INPUT else _piped()
    with naming_errors(str(source)), seekable, contextlib.closing(StreamedVideo(source, limits)) as stream:
        yield stream


@contextlib.contextmanager
def _piped() -> Iterator[None]:
    """Tells what to do with a file that cannot be read without seeking, such as an mp4 with its index at the end."""
    try:
        yield
    except av.InvalidDataError as error:
        raise UserError(
            f"cannot be read as a video from a pipe ({error.strerror}); an mp4 with its index at the end must be given as a file, or piped "
            "through `ffmpeg -i FILE -c copy -f matroska -`"
        ) from None


class StreamedVideo:
    """A video that is decoded as it comes, from its first frame to its last.

    Attributes:
      rgb: reads pixels from its frames.
      rate: frames a second, as the container says; 25 where it does not.
      end: seconds from the first frame to the end of the last that was read, which is shown as long as those before it.
      damaged: how many pictures could not be decoded, and were left out.
    """

    def __init__(self, source: str | pathlib.Path, limits: Limits) -> None:
        """Opens the first video stream; raises `UserError` if there is none or it is too large."""
        self._source, self._limits = source, limits
        self.damaged, self.end = 0, Fraction(0)
        self._open()

    def _open(self) -> None:
        if self._source == STANDARD_INPUT:
            self._container = open_standard_input(self._limits)
        else:
            self._container = open_container(self._source, self._limits)
        try:
            self._stream = video_stream(self._container, self._limits)
        except UserError:
            self.close()
            raise
        self._stream.thread_type = "AUTO"
        self._stream.codec_context.thread_count = 0
        self.rgb = RgbReader(pixel_aspect(self._stream))
        self.rate = self._stream.average_rate or USUAL_RATE

    def close(self) -> None:
        """Ends reading."""
        self._container.close()

    def frames(self, start: Fraction = Fraction(0)) -> Iterator[tuple[Fraction, av.VideoFrame]]:
        """Frames in the order shown, each with the seconds from the video's first frame to it.

        The first is that of the video, or, where it can be sought, one soon before `start`.

        Times never go back: where a stream's own do, as when it was restarted, they go on from the last frame. FFmpeg shows a broadcast
        that was restarted as a leap of a day, so there the same holds after a leap of more than an hour.

        Raises:
          UserError: if no frame can be decoded.
        """
        frames = self._decoded()
        first = next(frames, None)
        if first is None:
            raise UserError("holds no frames")
        longest = LEAP if self._container.format.name in BROADCAST else None
        clock, pace = _Clock(first.pts, self._stream.time_base, 1 / self.rate, longest), _Pace(self.rate)
        is_far = start > FARTHEST_READ and self._can_seek
        for frame in self._frames_from(clock.ticks(start)) if is_far else itertools.chain([first], frames):
            seconds = clock.seconds(frame.pts)
            self.end = seconds + pace.step(seconds)
            yield seconds, frame

    @property
    def _can_seek(self) -> bool:
        return self._source != STANDARD_INPUT and self._container.format.name.startswith(SEEKABLE)

    def _frames_from(self, ticks: int) -> Iterator[av.VideoFrame]:
        """The frames from the last keyframe at or before `ticks`; from the first frame on, if the container does not lead there."""
        self._container.seek(ticks, stream=self._stream, backward=True)
        frames = self._decoded()
        first = next(frames, None)
        self.damaged = 0  # so are pictures that need some before the keyframe
        if first is not None and first.pts is not None and first.pts <= ticks:
            return itertools.chain([first], frames)
        self.close()  # the container's own index led past it
        self._open()
        return self._decoded()

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """Every frame from the first whole one on that can be decoded."""
        began, failure, decode = False, None, decoding(self._stream, self._limits)
        for packet in self._container.demux(self._stream):
            try:
                frames = decode(packet)
            except av.InvalidDataError as error:
                self.damaged, failure = self.damaged + 1, error
                continue
            for frame in frames:
                if began or not frame.is_corrupt:
                    began = True
                    yield frame
                else:
                    self.damaged += 1
        if failure and not began:
            raise failure


class _Pace:
    """Estimates from the frames so far how long each is shown, as `frame_rate` does from all: a file may name no rate, or a wrong one."""

    def __init__(self, nominal: Fraction) -> None:
        self._nominal, self._frames, self._steady = nominal, 0, 0
        self._first = self._last = Fraction(0)

    def step(self, seconds: Fraction) -> Fraction:
        """Seconds that the next frame, shown at `seconds`, stays."""
        self._first = seconds if not self._frames else self._first
        self._steady += self._frames > 0 and abs(float((seconds - self._last) * self._nominal) - 1) < STEADY
        self._frames, self._last = self._frames + 1, seconds
        gaps, span = self._frames - 1, seconds - self._first
        return 1 / self._nominal if self._steady >= MOSTLY * gaps or not span else span / gaps


class _Clock:
    """Turns a stream's presentation times into seconds from its first frame that never go back."""

    def __init__(self, first: int | None, time_base: Fraction, step: Fraction, leap: Fraction | None) -> None:
        self.step, self._leap = step, leap
        self._first, self._time_base, self._shift = first or 0, time_base, Fraction(0)
        self._ticks: int | None = None  # of the last frame
        self._last: Fraction | None = None

    def ticks(self, seconds: Fraction) -> int:
        return self._first + int(seconds / self._time_base)

    def seconds(self, ticks: int | None) -> Fraction:
        """The time of the next frame, which says it is shown at `ticks`; None is a step after the last one."""
        follows = Fraction(0) if self._last is None else self._last + self.step
        if ticks is None or ticks == self._ticks:
            time = follows
        else:
            time = (ticks - self._first) * self._time_base + self._shift
            leap = Fraction(0) if self._ticks is None else (ticks - self._ticks) * self._time_base
            if leap < 0 or (self._leap and leap > self._leap):  # the stream began again
                self._shift += follows - time
                time = follows
            time = max(time, self._last or Fraction(0))
            self._ticks = ticks
        self._last = time
        return time
