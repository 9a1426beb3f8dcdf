"""Puts a data set in its place: it is made in a hidden folder, and an older one stays whole until the new one replaces it.

Whenever the process is killed, one whole data set is found: the two names are exchanged in one rename if the system can; otherwise the old
one is put aside under a name that opening a data set and the next preparation both look for.
"""

import contextlib
import errno
import os
import pathlib
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator

from vivit_jax import console, files
from vivit_jax.atomic import exchange
from vivit_jax.data.manifest import HASHES, MANIFEST, SHARD
from vivit_jax.data.preparation_report import REPORT
from vivit_jax.data.stored import FEATURES, INFO
from vivit_jax.errors import UserError
from vivit_jax.files import at_home, check_utf8, is_url, lock, real_path

MISSING = "missing.csv"  # the clips that are listed but whose videos were not found
CLIPS = "clips.csv"  # every clip with its origin, or why it was refused
OURS = {INFO, FEATURES, REPORT, MISSING, CLIPS, MANIFEST, HASHES}

DONE = "done"  # in the working folder, what the next run goes on from
NOTHING = 1024  # bytes that `DONE` has before anything is done
WORTH_KEEPING = 60  # seconds of work that an error does not throw away

# What to do about an error of the system, where there is something.
REMEDIES = files.REMEDIES | {
    errno.EACCES: "give yourself the right to write there, or choose another --data_dir",
    errno.EPERM: "give yourself the right to write there, or choose another --data_dir",
    errno.EROFS: "choose a --data_dir that can be written to",
    errno.EIO: "the disk may be failing: choose a --data_dir on another",
}


def local_folder(folder: str | pathlib.Path, option: str = "--data_dir") -> pathlib.Path:
    """A folder that the user named, with `~` read as the home folder.

    Raises:
      UserError: for a URL, which would become the name of a local folder, a path that is not UTF-8, and for `~` if no home folder is known.
    """
    if is_url(folder):
        raise UserError(f"{folder} is a URL, and data sets lie in folders: mount the bucket, or copy it, and give its folder by {option}")
    check_utf8(folder, option)
    return at_home(folder, option)


def aside(target: pathlib.Path) -> pathlib.Path:
    """Where the old data set of `target` lies between the two renames that replace it, if the system cannot exchange names in one."""
    return target.with_name(f".{target.name}.replaced")


def find_whole(target: pathlib.Path) -> pathlib.Path:
    """Where the data set of `target` lies: there, or where it was put aside if a killed run has left nothing there."""
    return aside(target) if not os.path.lexists(target) and aside(target).is_dir() else target


def check_free(target: pathlib.Path, source: pathlib.Path | None, *, overwrite: bool) -> None:
    """Refuses a name that is taken by anything but a data set of ours that may be replaced.

    Args:
      target: the folder of the data set.
      source: the folder or list that it is made from; None if there is none.
      overwrite: whether a data set may be replaced.

    Raises:
      UserError: saying what is in the way.
    """
    if not os.path.lexists(target):
        return
    reason = _foreign(target) or (source and _overlap(target, source))
    if reason:
        raise UserError(f"{target} is in the way and is never replaced: {reason}; choose another --name or --data_dir")
    if not overwrite:
        raise UserError(f"{target} exists already: choose another --name, or give --overwrite to replace it")


def check_apart(target: pathlib.Path, sources: Iterable[pathlib.Path]) -> None:
    """Refuses to replace a folder that a video is read from, by whatever links.

    Raises:
      UserError: naming the first.
    """
    if not os.path.lexists(target):
        return
    real = real_path(target)
    inside = next((path for path in sources if real_path(path).is_relative_to(real)), None)
    if inside:
        raise UserError(
            f"{target} is in the way and is never replaced: {inside}, of which it is made, lies in it; choose another --name or --data_dir"
        )


@contextlib.contextmanager
def staging(target: pathlib.Path) -> Iterator[pathlib.Path]:
    """A hidden folder beside `target` to work in. What a killed run had written to `DONE` in its own folder is there, the rest removed.

    At the end the folder is removed. After a signal, or an error that comes after `WORTH_KEEPING` seconds of work, its `DONE` stays for the
    next run.

    Raises:
      UserError: if nothing can be written there from the first.
      OSError: where the system refuses later; it says what to do and whether the next run goes on.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        left = sorted(target.parent.glob(f"{_prefix(target)}*"), key=_size_done, reverse=True)
        folder = pathlib.Path(tempfile.mkdtemp(prefix=_prefix(target), dir=target.parent))
    except OSError as error:
        raise UserError(f"cannot write to {target.parent} ({error.strerror})") from None
    started, keep = time.monotonic(), False
    try:
        with _locked(folder) as locked:
            if not locked:
                console.warn(f"{target.parent} is on a file system without locks: prepare one data set of a name at a time")
            for old in left:
                with contextlib.suppress(OSError):
                    _take_over(old, folder)
            started -= WORTH_KEEPING if _size_done(folder) else 0
            yield folder
    except BaseException as error:
        worth_it = time.monotonic() - started > WORTH_KEEPING or not isinstance(error, Exception)
        keep = worth_it and _size_done(folder) > 0
        if isinstance(error, OSError) and error.strerror and not isinstance(error, BrokenPipeError):
            raise _explained(error, target, kept=keep) from error
        raise
    finally:
        _clear(folder, keep=keep)


def _explained(error: OSError, target: pathlib.Path, *, kept: bool) -> OSError:
    """The error as one line about the data set: the working folder that it came from is gone when it is read."""
    goes_on = "; what is done is kept, and the same command then resumes" if kept else ""
    return OSError(error.errno, f"{files.explained(error.errno, REMEDIES)}{goes_on}", str(target))


def _prefix(target: pathlib.Path) -> str:
    return f".{target.name}.preparing-"


def _size_done(folder: pathlib.Path) -> int:
    """Bytes of the journal in a folder; 0 if there is none, if it holds next to nothing, or if it is a link, which would lead elsewhere."""
    try:
        status = (folder / DONE).lstat()
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) and status.st_size > NOTHING else 0


def _take_over(old: pathlib.Path, folder: pathlib.Path) -> None:
    """Removes the folder of a killed run; what it had done goes into `folder`, unless another's is there."""
    with _locked(old) as known_dead:
        if not known_dead:
            console.warn(f"{old} is of another preparation, running or killed: remove it if none runs")
            return
        if _size_done(old) and not _size_done(folder):
            (old / DONE).rename(folder / DONE)
        shutil.rmtree(old)


def _clear(folder: pathlib.Path, *, keep: bool) -> None:
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
        return
    with contextlib.suppress(OSError):  # where nothing can be written, nothing can be removed
        for path in folder.iterdir():
            if path.name != DONE:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def recover(target: pathlib.Path) -> None:
    """Puts back what a run that was killed between two renames had put aside, or clears it away if the new data set is there.

    Raises:
      UserError: if nothing can be written there.
    """
    old = aside(target)
    if not old.is_dir() or _foreign(old, target.name):
        return
    if os.path.lexists(target):
        _remove(old)
        return
    try:
        old.rename(target)
    except OSError as error:
        raise UserError(f"cannot write to {target.parent} ({error.strerror})") from None


def move_into_place(made: pathlib.Path, target: pathlib.Path, *, overwrite: bool) -> None:
    """Makes the finished data set visible, in place of an older one if `overwrite`.

    Raises:
      UserError: if something else has appeared there meanwhile.
    """
    if overwrite and os.path.lexists(target):
        check_free(target, None, overwrite=True)
        _replace(made, target)
        return
    try:
        made.rename(target)
    except OSError as error:
        raise UserError(f"{target} cannot be made ({error.strerror}): another run may have made it meanwhile") from None


def _replace(made: pathlib.Path, target: pathlib.Path) -> None:
    if exchange(made, target):
        _remove(made)
        return
    old = aside(target)
    target.rename(old)
    try:
        made.rename(target)
    except OSError:
        old.rename(target)
        raise
    _remove(old)


def _remove(folder: pathlib.Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _foreign(target: pathlib.Path, name: str | None = None) -> str | None:
    """Why `target` is not a data set that `vivit prepare` wrote; None if it is one. Damaged files do not count against it."""
    if target.is_symlink() and not target.exists():
        return "it is a link that leads nowhere"
    if not target.is_dir():
        return "it is a file"
    versions = sorted(target.iterdir())
    if not versions:
        return "it is a folder that `vivit prepare` did not make"
    for version in versions:
        if not (re.fullmatch(r"\d+\.\d+\.\d+", version.name) and version.is_dir() and not version.is_symlink()):
            return f"it holds {version.name}, which `vivit prepare` did not write"
        names = {path.name for path in version.iterdir()}
        own = {file for file in names if file in OURS or (_is_part(file, name or target.name) and (version / file).is_file())}
        if names - own:
            return f"it holds {version.name}/{min(names - own)}, which `vivit prepare` did not write"
        if MANIFEST not in names and not {REPORT, INFO} <= names:
            return f"{version.name} in it is not a data set of `vivit prepare`"
    return None


def _is_part(file: str, name: str) -> bool:
    return bool(SHARD.fullmatch(file) and file.startswith(f"{name}-")) or file.endswith(".labels.txt")


def _overlap(target: pathlib.Path, source: pathlib.Path) -> str | None:
    real, origin = real_path(target), real_path(source)
    if origin == real:
        return "it is the source"
    if origin.is_relative_to(real):
        return "the source lies in it"
    if real.is_relative_to(origin):
        return f"it lies in the source {source}"
    return None


@contextlib.contextmanager
def _locked(folder: pathlib.Path) -> Iterator[bool]:
    """Holds the lock of a folder: False where the file system has no locks; raises `BlockingIOError` if another process has it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield lock(descriptor)
    finally:
        os.close(descriptor)
