"""A run's directory: whose it is, and which configuration it is of."""

import json
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from vivit_jax import console
from vivit_jax.config import Experiment, resolve, to_dict
from vivit_jax.errors import UserError
from vivit_jax.files import lock, write_atomically

# Keys that may change between two parts of one run: what is trained on what stays the same, up to rounding and the draws of dropout.
HARMLESS = (
    "name",
    "data.data_dir",
    "data.readers",
    "data.processes",
    "data.cache_gigabytes",
    "data.test_split",
    "model.remat",
    "training.accumulation",
    "training.prefetch",
    "training.tensorboard",
    "training.wandb",
    "training.compilation_cache",
    "training.profile_steps",
    "evaluation.test_views",
    "evaluation.batch_size",
    "checkpoint",
    "parallel",
)

LIBRARIES = ("vivit_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "tensorflow-datasets", "numpy")

LOCK = ".lock"


class Workdir:
    """A directory that one run at a time owns.

    Args:
      path: made if it is not there.

    Raises:
      UserError: when it cannot be written to, or another run has it.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path).absolute()
        if jax.process_index() == 0:
            self._made = not self.path.exists()
            self._lock = _locked(self.path)

    @property
    def checkpoints(self) -> Path:
        """Training state."""
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        """The model to use: the best on the validation split, or the last where there is none."""
        return self.path / "model"

    @property
    def last_model(self) -> Path:
        """The model after the last step, where it is another one."""
        return self.path / "model_last"

    @property
    def config(self) -> Path:
        """The configuration that was run, and with what."""
        return self.path / "config.json"

    def check(self, experiment: Experiment) -> None:
        """Checks that the directory is free for this run, or holds a part of it. A run that saved nothing leaves it free.

        A key that did not exist yet when the run began has its default there.

        Raises:
          UserError: when the directory holds a run of another configuration; all differences are named.
        """
        if self.config.exists() and self.checkpoints.is_dir() and any(self.checkpoints.iterdir()):
            _check_same_run(_read(self.config), _json(experiment), self.path)

    def record(self, experiment: Experiment) -> None:
        """Writes `config.json`."""
        if jax.process_index() == 0:
            write_atomically(self.config, json.dumps({"config": _json(experiment)} | _surroundings(), indent=2) + "\n")

    def release(self) -> None:
        """Lets another run have the directory, which is gone again if it was made for this one and nothing came of it."""
        if jax.process_index() != 0:
            return
        if self._made and [path.name for path in self.path.iterdir()] == [LOCK]:
            (self.path / LOCK).unlink()
            self.path.rmdir()
        self._lock.close()


def _locked(path: Path) -> Any:
    try:
        path.mkdir(parents=True, exist_ok=True)
        file = (path / LOCK).open("a+")
    except OSError as error:
        raise UserError(f"cannot write into --workdir {path}: {error.strerror}") from None
    try:
        if not lock(file):
            console.warn(f"the file system of {path} has no locks: make sure that no other run uses this --workdir")
    except BlockingIOError:
        file.seek(0)
        raise UserError(f"another run ({file.read().strip() or 'unknown'}) is using --workdir {path}: give a different one") from None
    file.truncate(0)
    file.write(f"process {os.getpid()} on {platform.node()}")
    file.flush()
    return file


def _json(experiment: Experiment) -> dict:
    return json.loads(json.dumps(to_dict(experiment)))


def _read(path: Path) -> dict:
    """The configuration in a `config.json`, with every key of today."""
    try:
        config = json.loads(path.read_text())["config"]
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path} is not the config.json of a run: give another --workdir") from None
    try:
        return _json(resolve(config))
    except UserError as error:
        raise UserError(f"{path} is of a run that this version cannot go on with: {error}; give another --workdir") from None


def _check_same_run(old: dict, new: dict, path: Path) -> None:
    before, after = _flat(old), _flat(new)
    changes = [
        f"{key}: {before.get(key)!r} there, {after.get(key)!r} now"
        for key in sorted(before | after)
        if before.get(key) != after.get(key) and not key.startswith(HARMLESS)
    ]
    if changes:
        raise UserError(f"--workdir {path} holds a run of another configuration ({'; '.join(changes)}): undo this, or give a new --workdir")


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one with dotted keys."""
    if not isinstance(values, dict):
        return {prefix: values}
    return {key: value for name, inner in values.items() for key, value in _flat(inner, f"{prefix}.{name}" if prefix else name).items()}


def _surroundings() -> dict:
    """What else a run depends on."""
    return {
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in LIBRARIES},
        "devices": {"kind": jax.devices()[0].device_kind, "count": jax.device_count(), "hosts": jax.process_count()},
        "git": _git_revision(),
    }


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def _git_revision() -> str | None:
    """The commit of the checkout this file is tracked in, marked where files are changed; None for an installed package."""
    here = Path(__file__).parent
    try:
        subprocess.run(["git", "-C", here, "ls-files", "--error-unmatch", __file__], capture_output=True, check=True)
        described = subprocess.run(["git", "-C", here, "describe", "--always", "--dirty", "--abbrev=40"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.decode().strip()
