"""Opens files that may hold anything, only as one of the known containers and within limits, and finds the video stream in them."""

import contextlib
import dataclasses
import io
import pathlib
from collections.abc import Iterator

import av

from vivit_jax.errors import UserError

Source = str | pathlib.Path | bytes
"""A video: its path, or its bytes."""

# The only containers a file is opened as, so that a playlist or a script in disguise reads no other file and no network.
CONTAINERS = ("mov", "matroska", "avi", "gif", "mpeg", "mpegts", "asf", "flv", "ogg", "mxf")
# Those in which seeking is reliable; the others are read from the start.
SEEKABLE = ("mov", "matroska")
BROADCAST = ("mpegts", "mpeg")


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one video may cost; more is refused.

    Attributes:
      pixels: the most in one frame.
      frames: the most shown frames in the whole video.
      seconds: the most wall-clock time to read it.
      memory: the most bytes of address space that a process may take to read it, beyond what it starts with.
    """

    pixels: int = 4096 * 2304
    frames: int = 216_000
    seconds: float = 600.0
    memory: int = 4 << 30


LIMITS = Limits()

# Titles and comments in another encoding than UTF-8 are no reason to refuse a video; from 19 on PyAV is lenient by itself.
LENIENT_METADATA = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}


@contextlib.contextmanager
def naming_errors(label: str) -> Iterator[None]:
    """Turns whatever goes wrong with a video inside the `with` into a `UserError` that begins with `label`."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{label}: {error}") from None
    except (av.FFmpegError, OSError) as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise UserError(f"{label}: cannot be read as a video ({reason})") from None


def open_container(source: Source, limits: Limits, strict: bool = False) -> av.container.InputContainer:
    """Opens a video's container.

    Args:
      source: path or bytes.
      limits: what it may cost.
      strict: whether a damaged picture is an error; FFmpeg by itself conceals the damage.

    Raises:
      UserError: if there is nothing to read.
      av.FFmpegError: if it cannot be read.
    """
    if not isinstance(source, bytes):
        path = pathlib.Path(source)
        if not path.exists():  # also for a loop of links or a link to nothing
            raise UserError("no such file")
        if not path.is_file():
            raise UserError("not a file")
        if not path.stat().st_size:
            raise UserError("the file is empty")
    elif not source:
        raise UserError("the file is empty")
    file = io.BytesIO(source) if isinstance(source, bytes) else f"file:{path}"
    return av.open(file, options=_options(limits, "file") | ({"err_detect": "explode"} if strict else {}), **LENIENT_METADATA)


def open_standard_input(limits: Limits) -> av.container.InputContainer:
    """Opens the container that comes in on standard input, which cannot be sought.

    Raises:
      av.FFmpegError: if it cannot be read so.
    """
    return av.open("pipe:0", options=_options(limits, "pipe"), **LENIENT_METADATA)


def _options(limits: Limits, protocol: str) -> dict[str, str]:
    # FFmpeg checks max_pixels against the coded stream, whatever the container's header says.
    return {"format_whitelist": ",".join(CONTAINERS), "protocol_whitelist": protocol, "max_pixels": str(limits.pixels), "threads": "1"}


def shows_motion(stream: av.VideoStream) -> bool:
    """Whether a stream can be decoded and is no single picture, as the cover of a song is."""
    return not stream.disposition & av.stream.Disposition.attached_pic and stream.codec_context is not None


def video_stream(container: av.container.InputContainer, limits: Limits) -> av.VideoStream:
    """The first stream of moving pictures; a `UserError` if there is none, or it is too large."""
    for stream in container.streams.video:
        if shows_motion(stream):
            if stream.width * stream.height > limits.pixels:
                raise UserError(f"{stream.width}x{stream.height} pixels are more than the limit of {limits.pixels}")
            return stream
    raise UserError("has no video stream that can be decoded")


def pixel_aspect(stream: av.VideoStream) -> float:
    """Width over height of a stream's pixels; 1 where the container says something that must be a slip."""
    aspect = float(stream.sample_aspect_ratio or 1)
    return aspect if 0.25 <= aspect <= 4 else 1.0
