"""Opening files that may be anything: only as known containers, and within limits."""

import dataclasses
import io
import pathlib

import av

from vivit_jax.errors import UserError

Source = str | pathlib.Path | bytes
"""A video: its path, or its bytes."""

# The only containers a file is opened as, so that a playlist or a script in disguise reads no other file and no network.
CONTAINERS = ("mov", "matroska", "avi", "gif", "mpeg", "mpegts", "asf", "flv", "ogg", "mxf")


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


def open_container(source: Source, limits: Limits, strict: bool = False) -> av.container.InputContainer:
    """Opens a video's container.

    Args:
      source: path or bytes.
      limits: what it may cost.
      strict: damaged pictures are errors, where FFmpeg by itself paints over them.

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
