"""Files and folders that appear whole or not at all: a reader never sees half of one, after a crash neither."""

import contextlib
import ctypes
import errno
import glob
import json
import os
import pathlib
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping

from vivit_jax.errors import UserError
from vivit_jax.files import real_path, writing

STALE = 24 * 3600  # seconds without a change after which what a killed process left half made is removed

# Linux's renameat2: relative to the working directory, exchanging the two names.
AT_FDCWD, RENAME_EXCHANGE = -100, 2


def write_atomically(path: pathlib.Path, contents: str | bytes) -> None:
    """Writes a file whole or not at all: a reader sees the old contents or the new ones, after a crash too.

    What is no file, such as a pipe, is written as it is, and so is an open file of this process, such as `/dev/stdout`.

    Raises:
      OSError: that names the file, with what to do.
    """
    number = _open_file(path)
    if number is None and (path.is_file() or not path.exists()):
        write_together({path: contents})
        return
    descriptor = _opened(path) if number is None else _doubled(path, number)
    with writing(path), open(descriptor, "wb") as file:  # noqa: PTH123 (which opens no descriptor)
        file.write(contents.encode() if isinstance(contents, str) else contents)


def write_output(path: pathlib.Path, contents: str | bytes) -> None:
    """Writes a file that a user asked for as `write_atomically` does, in a folder that is made if there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, contents)


def write_json(path: pathlib.Path, values: object) -> None:
    """Writes plain values as JSON, whole or not at all.

    Raises:
      ValueError: for NaN or infinity, which JSON has no name for.
    """
    write_atomically(path, json_of(values))


def json_of(values: object) -> str:
    """Plain values as the text of a JSON file; ValueError for NaN or infinity."""
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_together(files: Mapping[pathlib.Path, str | bytes]) -> None:
    """Writes several files, each as `write_atomically` does a single one, and none before all have their room on the disk.

    Raises:
      OSError: that names the file, with what to do; all are then as they were.
    """
    halves: dict[pathlib.Path, pathlib.Path] = {}
    try:
        for path, contents in files.items():
            with writing(path):
                halves[path] = half_file(path)
                with halves[path].open("wb") as file:
                    file.write(contents.encode() if isinstance(contents, str) else contents)
                    file.flush()
                    os.fsync(file.fileno())
        for path, half in halves.items():
            with writing(path):
                half.replace(path)
    except BaseException:  # a signal among them
        for half in halves.values():
            half.unlink(missing_ok=True)
        raise


def half_file(path: pathlib.Path) -> pathlib.Path:
    """Where this process writes what is to become the file `path`. What killed processes left there is removed a day later."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
        if re.fullmatch(r"\.\d{1,7}", left.suffix) and left.stem == f".{path.name}":  # the number of a process
            with contextlib.suppress(OSError):  # another process removes it
                if left.is_file() and not left.is_symlink() and time.time() - left.stat().st_mtime > STALE:
                    left.unlink()
    return path.with_name(f".{path.name}.{os.getpid()}")


def _open_file(path: pathlib.Path) -> int | None:
    """The number of the open file that a name such as `/dev/stdout` or `/dev/fd/3` means: wherever it leads, nothing may take its place."""
    match = re.fullmatch(r"/dev/(stdin|stdout|stderr)|/(?:dev|proc/self)/fd/(\d+)", os.path.abspath(path))  # noqa: PTH100
    if not match:
        return None
    return int(match[2]) if match[2] else ("stdin", "stdout", "stderr").index(match[1])


def _opened(path: pathlib.Path) -> int:
    """Opens a device, or a pipe unless nobody reads it, which opening it would wait for."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        raise OSError(errno.EINVAL, "it is a pipe that nobody reads", os.fspath(path)) from None
    os.set_blocking(descriptor, True)
    return descriptor


def _doubled(path: pathlib.Path, number: int) -> int:
    """Another number for the same open file, which can be closed without it."""
    with writing(path):
        return os.dup(number)


@contextlib.contextmanager
def appearing(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Gives another path to make a file or folder at, which then appears at `path`, whole or not at all: no process sees half of it.

    There must be nothing at `path`, or an empty folder where a folder is made.

    Raises:
      OSError: that names `path`, with what to do.
    """
    target = real_path(path)
    with writing(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        with folder_beside(target) as temporary:
            new = temporary / f"new{path.suffix}"
            yield new
            for made in (*new.rglob("*"), new):
                sync(made)
            new.rename(target)
        sync(target.parent)


@contextlib.contextmanager
def folder_beside(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A temporary folder in that of `path`, for what is made there as `new` and then renamed.

    If the process is killed it stays, and is removed when something is made at the same path a day later.

    Raises:
      OSError: that names `path`, with what to do.
    """
    _clear_leftovers(path)
    with (
        writing(path),
        tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent, ignore_cleanup_errors=True) as temporary,
    ):
        yield pathlib.Path(temporary)


def _clear_leftovers(path: pathlib.Path) -> None:
    """Removes what processes that were killed left beside `path`, once it is too old to be of one that still runs."""
    for left in path.parent.glob(f".{glob.escape(path.name)}-????????"):
        try:
            inside = {file.name for file in left.iterdir()} if left.is_dir() and not left.is_symlink() else {"a file"}
            latest = max(file.stat().st_mtime for file in (left, *left.rglob("*")))
            if inside <= {"new", f"new{path.suffix}", "old"} and time.time() - latest > STALE:
                shutil.rmtree(left, ignore_errors=True)
        except OSError:  # another process clears it
            continue


def exchange(a: pathlib.Path, b: pathlib.Path) -> bool:
    """Exchanges two files or folders of one file system in a single rename: a reader always finds one of the two at either name.

    Returns:
      Whether they were exchanged: False where the system or the file system cannot, and nothing was done.

    Raises:
      OSError: if one of them is missing or may not be renamed.
    """
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(AT_FDCWD, os.fsencode(a), AT_FDCWD, os.fsencode(b), RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
        return False
    raise OSError(number, os.strerror(number), str(a), None, str(b))


def sync(path: pathlib.Path) -> None:
    """Flushes a file or folder to disk, so that a later rename cannot reach the disk before its contents."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_place(path: pathlib.Path) -> None:
    """Tries whether a file or folder can be made at `path`, by a file without a name in the nearest folder above it. A full disk passes.

    Raises:
      OSError: that names the folder, with what to do.
    """
    if _open_file(path) is not None or (path.exists() and not path.is_dir() and not path.is_file()):  # which are written to as they are
        return
    folder = path if path.is_dir() else next(above for above in path.absolute().parents if os.path.lexists(above))
    try:
        with writing(folder), tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise


def refuse_mount_point(path: pathlib.Path) -> None:
    """Refuses what a finished folder cannot take the place of.

    Raises:
      UserError: naming it.
    """
    if real_path(path).is_mount():
        raise UserError(f"{path} is where a disk is mounted, and no folder can take its place: give a new folder in it, {path}/NAME")
