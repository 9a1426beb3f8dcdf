"""Finds videos that are cut off, by comparing what their packets hold with what their headers promise."""

import io
import typing
from collections.abc import Iterator, Sequence

import av

from vivit_jax.data.video.container import Source
from vivit_jax.errors import UserError

# Containers whose table of contents lists every picture.
LISTING = ("mov", "avi")
UNKNOWN = 1 << 30  # frames: so many, or more, are written into the header of an AVI whose length is not known yet, as in a pipe

TAG_HEADER = 11  # bytes of a tag of an FLV that do not count as its data
ASF_HEADER = 1 << 16  # bytes at the beginning of an ASF that hold its properties: 8 bytes their size, 16 a name, 8 the size of the file
ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


class PacketInfo(typing.NamedTuple):
    """What is kept of a packet of the video stream.

    Attributes:
      pts: when its picture is shown, in ticks of the stream's time base; None if the file does not say.
      duration: the ticks for which its picture is shown; 0 if the file does not say.
      is_keyframe: whether its picture is decoded without others.
      is_discard: whether an edit list hides it.
    """

    pts: int | None
    duration: int
    is_keyframe: bool
    is_discard: bool


def promised_frames(container: av.container.InputContainer, stream: av.VideoStream) -> int:
    """How many pictures the table of contents lists; what the header says where there is no such table, or 0 if neither is there.

    The header's own number also counts what an edit list hides, and the empty packets by which AVI repeats a picture. An AVI has its table
    at its end: of one that is cut off, FFmpeg lists what it has read so far.
    """
    if not container.format.name.startswith(LISTING):
        return 0
    entries, header = stream.index_entries, _frames_of_header(stream)
    if container.format.name == "avi" and entries and entries[-1].timestamp + 1 < 0.9 * header:
        return header
    return sum(not entry.is_discard and entry.size > 0 for entry in entries) or header


def check_complete(
    source: Source, container: av.container.InputContainer, stream: av.VideoStream, packets: Sequence[PacketInfo], frames: int
) -> Iterator[str]:
    """Compares the packets of a video with its header, and yields a remark on each small lack.

    Args:
      source: path or bytes.
      container: the open video.
      stream: its stream.
      packets: all packets of the stream that are shown.
      frames: what `promised_frames` said before they were read.

    Raises:
      UserError: if a tenth or more is missing.
    """
    if len(packets) < 0.9 * frames:
        raise UserError(f"it is cut off: {len(packets)} of {frames} frames are there")
    if container.format.name in WHOLE and not WHOLE[container.format.name](source):
        yield "no end mark: it may be cut off"
    # An ASF's header tells how long its longest stream is, and FFmpeg believes it only where the file is whole.
    promised = None if container.format.name == "asf" else _promised_seconds(container, stream)
    ends = [packet.pts + packet.duration for packet in packets if packet.pts is not None]
    if ends and promised is not None:
        end = float((max(ends) - (stream.start_time or 0)) * stream.time_base)
        if end < 0.9 * promised - 0.5:
            raise UserError(f"it is cut off: it ends at {end:.1f} s of {promised:.1f} s")
        if promised - end > max(0.02 * promised, 3 / float(stream.average_rate or 25)):
            yield f"ends early, at {end:.1f} s of {promised:.1f} s"


def _opened(source: Source) -> typing.BinaryIO:
    return io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb")  # noqa: PTH123 (a source may be a string)


def _ends_as_gif(source: Source) -> bool:
    """Whether the last byte that is not padding is a GIF's trailer."""
    with _opened(source) as file:
        file.seek(-min(64, file.seek(0, 2)), 2)
        return file.read().rstrip(b"\0").endswith(b";")


def _ends_as_flv(source: Source) -> bool:
    """Whether the last four bytes are the size of the tag before them, as after each tag of an FLV."""
    with _opened(source) as file:
        end = file.seek(0, 2) - 4
        file.seek(end)
        size = int.from_bytes(file.read(4))
        if not TAG_HEADER <= size <= end:
            return False
        file.seek(end - size)
        return int.from_bytes(file.read(4)[1:]) == size - TAG_HEADER


def _is_as_long_as_asf(source: Source) -> bool:
    """Whether an ASF has as many bytes as its header says."""
    with _opened(source) as file:
        size = file.seek(0, 2)
        file.seek(0)
        _, found, properties = file.read(ASF_HEADER).partition(ASF_PROPERTIES)
    return not found or size >= int.from_bytes(properties[24:32], "little")


WHOLE = {"gif": _ends_as_gif, "flv": _ends_as_flv, "asf": _is_as_long_as_asf}


def _frames_of_header(stream: av.VideoStream) -> int:
    """How many frames the header says there are; 0 if it does not."""
    return stream.frames if stream.frames < UNKNOWN else 0


def _promised_seconds(container: av.container.InputContainer, stream: av.VideoStream) -> float | None:
    """How long the stream is by its header, if that says.

    Of an AVI that is shorter than its header says, FFmpeg tells a duration that it guesses from the size of the file.

    Matroska has it as text, such as `00:00:05.280000000`. FFmpeg writes there when the stream ends, and other programs how long it is,
    which differs for one that does not begin at 0.
    """
    if container.format.name == "avi":
        return float(_frames_of_header(stream) * stream.time_base) or None
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    parts = stream.metadata.get("DURATION", "").split(":")
    try:
        promised = sum(float(part) * 60**power for power, part in enumerate(reversed(parts))) if len(parts) == 3 else None
    except ValueError:
        return None
    begin = float((stream.start_time or 0) * stream.time_base)
    return promised - begin if promised is not None and promised > begin else promised
