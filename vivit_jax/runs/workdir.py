"""A run's directory: which process owns it, and which configuration it belongs to."""

import contextlib
import datetime
import errno
import json
import os
import platform
import re
import shutil
from pathlib import Path
from typing import Any

import jax
from jax.experimental import multihost_utils

from vivit_jax import console, places
from vivit_jax.atomic import write_atomically
from vivit_jax.config import Experiment, resolve
from vivit_jax.errors import UserError
from vivit_jax.files import at_home, check_utf8, first_free, is_url, lock, read_json, real_path, sealed, writing
from vivit_jax.runs.manifest import manifest_path, mark_path, read_facts
from vivit_jax.runs.record import EVALUATION, METRICS, REPORT
from vivit_jax.runs.same_run import check_same_run, plain
from vivit_jax.runs.stopping import Refused
from vivit_jax.runs.surroundings import surroundings

LOCK = ".lock"

# Exists once a checkpoint was whole: from then on, a directory without checkpoints has lost them.
SAVED = ".saved"

# Files that only a run which reached its end has.
OF_THE_END = ("model_last", EVALUATION, REPORT)

# How the names of folders begin that hold what was moved aside.
ASIDE = "before-"

# Names of files and folders that a killed process leaves half written, as `files` and `model_dir` make them.
HALF_FILE = re.compile(r"\.(config\.json|metrics\.jsonl|evaluation\.json|report\.html|\d+\.sha256\.json)\.\d+")
HALF_MODEL = re.compile(r"\.(model|model_last)-[a-z0-9_]{8}")


class Workdir:
    """A directory that one run at a time owns.

    Args:
      path: the directory; made if it does not exist.

    Raises:
      UserError: if it cannot be written to, another run uses it, or it is a URL, or `~` where no home folder is known.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        if is_url(path):
            raise UserError(
                f"--workdir {path}: a run needs a folder that this machine has mounted, since it locks and renames files, and a "
                "URL is none: give a local path, or mount the bucket (gcsfuse, mount-s3) and give that path"
            )
        self.path = at_home(path, "--workdir").absolute()
        check_utf8(self.path, "--workdir")
        if places.kind_of(self.path) in (places.MODEL, places.DATA_SET):
            raise UserError(f"--workdir {path} cannot hold a run: {places.described(self.path)}; give a new folder")
        if jax.process_index() == 0:
            real = real_path(self.path)
            self._made = [folder for folder in (real, *real.parents) if not folder.exists()]
            try:
                self._lock, alone = _locked(self.path)
            except OSError:
                self._unmake()
                raise
            if alone:
                self._clear()

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        """The model to use: the best on the validation split, or without one the last."""
        return self.path / "model"

    @property
    def last_model(self) -> Path:
        """The model after the last step, if that is not the best."""
        return self.path / "model_last"

    @property
    def config(self) -> Path:
        """The file with the configuration, versions, devices and git revision."""
        return self.path / "config.json"

    def check(self, experiment: Experiment) -> None:
        """Checks that the directory is free for this run, or holds a part of it.

        A key that did not exist yet when the run began counts as its default. If a run was killed before its first checkpoint, what it left
        is moved aside.

        Raises:
          UserError: if the directory holds a run of another configuration (all differences are named), or checkpoints whose configuration
            is not recorded.
          Refused: if it holds a run that has lost its checkpoints.
        """
        if self.has_checkpoints:
            if self.config.exists():
                check_same_run(_read(self.config), plain(experiment), self.path)
            elif not any(read_facts(path).get("experiment") for path in self.checkpoints.iterdir()):
                raise UserError(
                    f"{self.config} is gone, and nothing else records the configuration of the checkpoints beside it: put back a copy, "
                    "give a new --workdir, or add --restart"
                )
        elif jax.process_index() == 0:
            self._check_begun()

    def check_facts(self, facts: dict, experiment: Experiment) -> None:
        """Checks that a checkpoint belongs to this run, by the configuration it records; those of older versions record none.

        Raises:
          UserError: if it belongs to a run of another configuration; all differences are named.
        """
        if recorded := facts.get("experiment"):
            check_same_run(_of_today(recorded, self.checkpoints), plain(experiment), self.path)

    def record(self, experiment: Experiment) -> None:
        """Writes `config.json`, which keeps the date of the run's first start."""
        if jax.process_index() == 0:
            recorded = {"config": plain(experiment), "started": _first_start(self.config)} | surroundings()
            write_atomically(self.config, json.dumps(sealed(recorded), indent=2) + "\n")

    def note_saved(self) -> None:
        """Notes that a checkpoint was whole."""
        if jax.process_index() == 0:
            (self.path / SAVED).touch()

    def restart(self) -> None:
        """Moves everything in the directory aside, so that a run may begin; all hosts call this."""
        if jax.process_index() == 0 and self._contents():
            console.say(f"begins again; what was in {self.path} is now in {self._put_aside()}")
        if jax.process_count() > 1:  # or another host would find what is about to be moved
            multihost_utils.sync_global_devices("work directory put aside")

    def release(self) -> None:
        """Unlocks the directory for other runs, and removes it, and folders above it, if they were made for this run and are empty."""
        if jax.process_index() != 0:
            return
        self._unmake()
        self._lock.close()

    @property
    def has_checkpoints(self) -> bool:
        """Whether there are checkpoints, whole or not, other than one whose save was cut off."""
        if not self.checkpoints.is_dir():
            return False
        steps = [path for path in self.checkpoints.iterdir() if path.is_dir() and "orbax-checkpoint-tmp" not in path.name]
        return any(manifest_path(step).exists() or not mark_path(step).exists() for step in steps)

    def _unmake(self) -> None:
        if not self._made or [path.name for path in self.path.iterdir()] != [LOCK]:
            return
        (self.path / LOCK).unlink()
        with contextlib.suppress(OSError):  # another process has put something there
            for folder in self._made:
                folder.rmdir()

    def _check_begun(self) -> None:
        """For a directory without checkpoints: refuses a run that had some, and moves aside what a run without any left."""
        ended = [name for name in OF_THE_END if (self.path / name).exists()]
        if (self.path / SAVED).exists() or ended:
            what = ", ".join(path.name for path in self._contents())
            raise Refused(
                f"--workdir {self.path} holds a run that has lost its checkpoints ({what} are there): put back {self.checkpoints}, give a "
                "new --workdir, or add --restart, which puts all of this run aside and begins again"
            )
        if os.path.lexists(self.config):
            _recorded(self.config)  # or it would be written over: a model has a file of this name too
        metrics = self.path / METRICS
        if self.model.exists() or (metrics.exists() and metrics.stat().st_size):
            console.warn(
                f"a run in {self.path} ended before its first checkpoint: it begins again, and what it left is now in {self._put_aside()}"
            )

    def _contents(self) -> list[Path]:
        return sorted(path for path in self.path.iterdir() if path.name != LOCK and not path.name.startswith(ASIDE))

    def _put_aside(self) -> Path:
        aside = first_free(lambda number: self.path / f"{ASIDE}{number}")
        contents = self._contents()
        aside.mkdir()
        for path in contents:
            path.rename(aside / path.name)
        return aside

    def _clear(self) -> None:
        """Removes what a killed process left half written. Nobody else writes here, as this run has the lock."""
        for path in [*self.path.iterdir(), *(self.checkpoints.iterdir() if self.checkpoints.is_dir() else ())]:
            if HALF_FILE.fullmatch(path.name) and path.is_file():
                path.unlink()
            elif (half := HALF_MODEL.fullmatch(path.name)) and path.is_dir():
                whole = self.path / half[1]
                if not whole.exists() and (path / "old").is_dir():  # killed between the two renames of a swap
                    (path / "old").rename(whole)
                shutil.rmtree(path)


def _locked(path: Path) -> tuple[Any, bool]:
    """The open lock file, and whether this process holds the lock; it does not on a file system without locks."""
    try:
        real_path(path).mkdir(parents=True, exist_ok=True)  # what a link leads to need not be there yet
        file = (path / LOCK).open("a+", encoding="utf-8", errors="replace")
    except OSError as error:
        reason = os.strerror(errno.ENOTDIR if isinstance(error, FileExistsError) else error.errno)
        raise UserError(f"cannot write into --workdir {path}: {reason}") from None
    try:
        if not (alone := lock(file)):
            console.warn(f"the file system of {path} has no locks: make sure that no other run uses this --workdir")
    except BlockingIOError:
        file.seek(0)
        raise UserError(f"another run ({file.read().strip() or 'unknown'}) is using --workdir {path}: give a different one") from None
    with writing(path):
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}")
        file.flush()
    return file, alone


def _read(path: Path) -> dict:
    """The configuration in a `config.json`, with every key of today."""
    return _of_today(_recorded(path)["config"], path)


def _recorded(path: Path) -> dict:
    """What a run's `config.json` holds.

    Raises:
      UserError: if it is none.
    """
    try:
        recorded = read_json(path)
        if not isinstance(recorded["config"], dict):
            raise TypeError(recorded)
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{path} is not the config.json of a run, or is damaged: put back a copy, or give another --workdir") from None
    return recorded


def _of_today(config: Any, path: Path) -> dict:
    """A configuration that an earlier version may have written, with every key of today."""
    try:
        return plain(resolve(config))
    except UserError as error:
        raise UserError(f"{path} is of a run that this version cannot resume: {error}; give another --workdir") from None


def _first_start(path: Path) -> str | None:
    """When the run of a `config.json` began, in UTC: now if there is none yet; None if an earlier version wrote it, without a date."""
    if not path.exists():
        return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return _recorded(path).get("started")
