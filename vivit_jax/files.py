"""Files as every room reads and names them: paths, text, JSON, hashes, locks, and errors of the system in words."""

import contextlib
import errno
import fcntl
import hashlib
import itertools
import json
import os
import pathlib
import re
import stat
import typing
from collections.abc import Callable, Iterator, Mapping

from vivit_jax.errors import UserError, printable

# The errors of a file system without locks, as some network and overlay file systems are.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)

SEAL = "contents_sha256"

LONGEST_NAME = 200  # bytes of a file's name; systems allow 255, and a temporary one is somewhat longer

# What to do about an error of the system, where there is something.
REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some of your quota",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f)",
    errno.EACCES: "give yourself the right to write there, or choose another place",
    errno.EPERM: "give yourself the right to write there, or choose another place",
    errno.EROFS: "choose a place that can be written to",
    errno.ENOTEMPTY: "another process has put something there: give another path",
    errno.EIO: "the disk may be failing: choose a place on another",
}


def is_url(path: str | os.PathLike) -> bool:
    """Whether a path is one of a remote file system, such as gs://bucket/run, which as a path would make a local folder `gs:`."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", os.fspath(path)) is not None


def at_home(path: str | os.PathLike, option: str = "") -> pathlib.Path:
    """A path with `~` read as the home folder; where something lies at the path as it is written, that is meant.

    Raises:
      UserError: if no home folder is known for it, naming the option: else a local folder `~` would be made.
    """
    path = pathlib.Path(path)
    try:
        return path if os.path.lexists(path) else path.expanduser()
    except RuntimeError:
        by = f" by {option}" if option else ""
        raise UserError(f"{str(path)!r} cannot be used, as no home folder is known for it: give the whole path{by}") from None


def check_utf8(path: str | os.PathLike, option: str) -> None:
    """Refuses a path that is not UTF-8, which the C++ libraries that write there do not take; they would tell only after the work is done.

    Raises:
      UserError: naming the option.
    """
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        raise UserError(f"{option} {printable(os.fspath(path))}: the path is not UTF-8, which is needed here: give another") from None


def file_name(text: str) -> str:
    """A name for a file from one that somebody chose: what leads into another folder or cannot be seen is written as %2f is for `/`.

    >>> file_name("evaluation-all@fold1of5:kitchen/person-1x1")
    'evaluation-all@fold1of5:kitchen%2fperson-1x1'
    """
    plain = "".join(
        c if c.isprintable() and c not in "/\\" else "".join(f"%{byte:02x}" for byte in c.encode(errors="replace")) for c in text
    )
    if len(plain.encode()) <= LONGEST_NAME:
        return plain
    return plain.encode()[: LONGEST_NAME // 2].decode(errors="ignore") + "-" + hashlib.sha256(text.encode()).hexdigest()[:16]


def real_path(path: str | os.PathLike) -> pathlib.Path:
    """The whole path with links followed; a link that leads back to itself stays, where `Path.resolve` raises RuntimeError."""
    return pathlib.Path(os.path.realpath(path))


@contextlib.contextmanager
def writing(path: str | os.PathLike) -> Iterator[None]:
    """Makes an error of the system one line about `path`, what is being made, and not about a temporary file, or no file at all.

    Raises:
      OSError: of the same number, with what to do where there is something.
    """
    try:
        yield
    except OSError as error:
        if not error.errno or isinstance(error, BrokenPipeError):
            raise
        raise OSError(error.errno, explained(error.errno), os.fspath(path)) from error


def explained(number: int, remedies: Mapping[int, str] = REMEDIES) -> str:
    """An error number of the system in words, with what to do where there is something.

    >>> explained(errno.ENOSPC)
    'No space left on device; free some space'
    """
    return "; ".join([os.strerror(number), *([remedies[number]] if number in remedies else [])])


def read_bytes(path: pathlib.Path) -> bytes:
    """The contents of a file. Anything else in its place is refused: reading a pipe that nobody writes to, or a device, may never end.

    Raises:
      OSError: that names the path.
    """
    check_file(path)
    return path.read_bytes()


def read_list(path: pathlib.Path) -> str:
    """The text, UTF-8 with or without a mark, of a list that a person gives: a file, or a pipe that is written to, as `<(command)` is.

    Raises:
      OSError: that names the path, also of a device, and of a pipe that nobody writes to, whose read would never end.
      UnicodeDecodeError: if it is not UTF-8.
    """
    contents = _read_pipe(path) if stat.S_ISFIFO(path.stat().st_mode) else read_bytes(path)
    return contents.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


def _read_pipe(path: pathlib.Path) -> bytes:
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as pipe:  # noqa: PTH123 (which opens no descriptor)
        first = pipe.read(1)  # empty if nobody has it open to write, None if somebody has and is not there yet
        if first == b"":
            raise OSError(errno.EINVAL, "it is a pipe that nobody writes to", os.fspath(path))
        os.set_blocking(pipe.fileno(), True)
        return (first or b"") + pipe.readall()


def check_file(path: pathlib.Path) -> None:
    """Raises an OSError that names the path unless there is a file."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is not a file", os.fspath(path))


def read_json(path: pathlib.Path) -> typing.Any:
    """The value that a JSON file in UTF-8 holds.

    Raises:
      OSError: if it cannot be read, or is no file.
      ValueError: if it is not JSON in UTF-8, or nested too deep.
    """
    try:
        return json.loads(read_bytes(path).decode())
    except RecursionError:
        raise ValueError("nested too deep") from None


def json_sha256(values: object) -> str:
    """The SHA-256 of what plain values say as JSON, however that is laid out: the same once they were written and read."""
    return hashlib.sha256(json.dumps(json.loads(json.dumps(values)), sort_keys=True).encode()).hexdigest()


def sealed(values: Mapping[str, object]) -> dict[str, object]:
    """The values with the SHA-256 of what they say, which `seal_holds` compares."""
    return {**values, SEAL: json_sha256(values)}


def seal_holds(values: Mapping[str, object]) -> bool:
    """Whether values say what they did when they were `sealed`; true of those that never were."""
    said = {name: value for name, value in values.items() if name != SEAL}
    return SEAL not in values or values[SEAL] == json_sha256(said)


def sha256(path: pathlib.Path) -> str:
    """The SHA-256 of a file's contents, in hexadecimal; an OSError if it is no file, as `read_bytes` says."""
    check_file(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def first_free(name: Callable[[int], pathlib.Path]) -> pathlib.Path:
    """The first of the paths `name(1)`, `name(2)`, ... at which there is nothing yet."""
    return next(path for number in itertools.count(1) if not (path := name(number)).exists())


def lock(file: int | typing.IO) -> bool:
    """Locks an open file or folder for this process; the lock ends when it is closed, or the process does.

    Returns:
      Whether it is locked: False on a file system that has no locks.

    Raises:
      BlockingIOError: if another process holds the lock.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return False
    return True
