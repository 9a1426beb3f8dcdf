"""Temporary files that go with their process: at its end, or, if it was killed, when the next of its kind begins."""

import contextlib
import os
import pathlib
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator

from vivit_jax.files import lock

SETTLED = 60  # seconds; a younger folder may be one whose process has yet to lock it


@contextlib.contextmanager
def scratch_folder(kind: str) -> Iterator[pathlib.Path]:
    """A folder `vivit-KIND-...` in the system's folder for temporary files, locked until the end of the context, which removes it.

    Folders of this kind that are not locked are those of killed processes, and are removed first.

    Raises:
      OSError: if no folder can be made, naming those that were tried.
    """
    prefix = f"vivit-{kind}-"
    _clear_dead(prefix)
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as name, _opened(name) as folder:
        lock(folder)
        yield pathlib.Path(name)


def _clear_dead(prefix: str) -> None:
    for left in pathlib.Path(tempfile.gettempdir()).glob(f"{prefix}????????"):
        try:
            found = left.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or time.time() - found.st_mtime < SETTLED:
                continue
            with _opened(left) as folder:
                if lock(folder):
                    shutil.rmtree(left, ignore_errors=True)
        except OSError:  # it is in use, or another process removes it
            continue


@contextlib.contextmanager
def _opened(folder: str | pathlib.Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
