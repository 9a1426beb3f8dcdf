"""A form's file, streamed to disk as it comes in and never held in memory."""

import asyncio
import contextlib
import pathlib
import tempfile
import typing
import unicodedata
from collections.abc import AsyncIterator, Iterator

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from vivit_jax.errors import printable
from vivit_jax.serving.limits import MEGABYTE, ServingLimits
from vivit_jax.serving.reading import Upload

FIELD = "file"
LONGEST_NAME = 80
DRAIN_SECONDS = 10.0
STOPPED_COMING = 408


class UploadError(Exception):
    """An upload that is refused, in one line.

    Attributes:
      status: the HTTP status of the answer.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@contextlib.asynccontextmanager
async def received(request: Request, folder: pathlib.Path, limits: ServingLimits) -> AsyncIterator[Upload]:
    """The request's file, until the end of the context, which removes it.

    Raises:
      UploadError: for a body that is no form with one file, is too large, or stops coming.
    """
    boundary = _boundary(request)
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limits.upload_bytes:
        raise _too_large(limits)
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(exist_ok=True)  # what cleans the system's temporary files may have removed it from a server that runs for weeks
            # Unbuffered, so that closing has nothing left to write: on a full disk it would fail in place of the answer.
            file = stack.enter_context(tempfile.NamedTemporaryFile(dir=folder, prefix="upload-", buffering=0, delete=False))
            stack.callback(pathlib.Path(file.name).unlink, missing_ok=True)  # a server that stops may have removed the folder before
            form = _Form(boundary, file)
            async with asyncio.timeout(limits.upload_seconds):
                await _fill(form, request, limits)
        except TimeoutError:
            raise UploadError(STOPPED_COMING, f"the upload took longer than {limits.upload_seconds:g} s") from None
        except OSError as error:
            raise UploadError(507, f"the server cannot store the upload ({error.strerror})") from None
        yield Upload(pathlib.Path(file.name), shown_name(form.filename))


async def drain(request: Request, limits: ServingLimits) -> None:
    """Reads and drops what is left of a refused body: a sender that is cut off while it sends does not see the answer."""
    left = limits.upload_bytes
    with contextlib.suppress(TimeoutError, ClientDisconnect, RuntimeError, UploadError):
        async with asyncio.timeout(DRAIN_SECONDS):
            async for chunk in request.stream():
                left -= len(chunk)
                if left < 0:
                    return


def shown_name(filename: str) -> str:
    r"""A file's own name without its folders, in one line that controls no terminal and turns no text around.

    >>> shown_name("C:\\clips\\a\x1b[2J.mp4")
    'a\\x1b[2J.mp4'
    """
    name = filename.replace("\\", "/").rsplit("/", 1)[-1].strip()
    name = "".join(c.encode("unicode_escape").decode() if unicodedata.category(c) in ("Cf", "Cs", "Zl", "Zp") else c for c in name)
    name = " ".join(printable(name).split())
    return (name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…") or "video"


class _Form:
    """A multipart form of which one field is a file; the others are passed over."""

    def __init__(self, boundary: bytes, file: typing.IO[bytes]) -> None:
        self.filename = ""
        self._file, self._found, self._inside, self._whole = file, False, False, False
        self._name, self._value = b"", b""
        self._disposition = b""
        callbacks = {
            "on_part_begin": self._on_part_begin,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_end": self._on_end,
        }
        with _readable():
            self._parser = MultipartParser(boundary, callbacks)

    def write(self, chunk: bytes) -> None:
        with _readable():
            self._parser.write(chunk)

    def finish(self) -> None:
        """Checks that the form was whole and held the file."""
        if not self._whole:
            raise UploadError(400, "the form breaks off: send it again")
        if not self._found:
            raise UploadError(400, f"there is no video: send it as the form's field {FIELD!r}, such as curl -F {FIELD}=@clip.mp4")

    def _on_part_begin(self) -> None:
        self._disposition, self._inside = b"", False

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name, self._value = b"", b""

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        if options.get(b"name") != FIELD.encode() or b"filename" not in options:
            return
        if self._found:
            raise UploadError(400, "there are several videos: send one at a time")
        self._found = self._inside = True
        self.filename = options[b"filename"].decode("utf-8", "replace")

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        rest = data[start:end] if self._inside else b""
        while rest:
            rest = rest[self._file.write(rest) :]

    def _on_end(self) -> None:
        self._whole = True


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except FormParserError as error:
        raise UploadError(400, "the form cannot be read: send multipart/form-data") from error


async def _fill(form: _Form, request: Request, limits: ServingLimits) -> None:
    size = 0
    async for chunk in _chunks(request, limits.silence_seconds):
        size += len(chunk)
        if size > limits.upload_bytes:
            raise _too_large(limits)
        form.write(chunk)
    form.finish()


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise UploadError(415, f"send the video as multipart/form-data, such as curl -F {FIELD}=@clip.mp4")
    return options[b"boundary"]


async def _chunks(request: Request, silence: float) -> AsyncIterator[bytes]:
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(silence):
                chunk = await anext(stream, None)
        except TimeoutError:
            raise UploadError(STOPPED_COMING, f"nothing came for {silence:g} s: send it again") from None
        if chunk is None:
            return
        yield chunk


def _too_large(limits: ServingLimits) -> UploadError:
    return UploadError(413, f"the upload is too large: this server takes at most {limits.upload_bytes / MEGABYTE:g} MB")
