"""Checkpoints: Orbax writes them in the background, a manifest proves them whole, and only whole ones are restored.

A save goes through these states, and `kill -9` between any two of them costs that save alone:
  1. Orbax writes into a temporary directory and renames it to `checkpoints/STEP`;
  2. the manifest `checkpoints/STEP.sha256.json` is written: from here on the step is whole;
  3. whole steps beyond the newest `keep` are removed, each one's manifest first.
"""

import shutil
import threading
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from vivit_jax import console
from vivit_jax.training.manifest import damage, manifest_path, write_manifest
from vivit_jax.training.stopping import Stopped

STATE, FACTS = "state", "facts"


class Checkpoints:
    """The checkpoints of a work directory.

    Args:
      directory: where they lie; made if it is not there.
      keep: how many of the newest whole ones are kept.
    """

    def __init__(self, directory: Path, keep: int) -> None:
        self._directory = directory.absolute()
        self._keep = keep
        self._manager: ocp.CheckpointManager | None = None
        self._thread: threading.Thread | None = None
        self._failure: Stopped | None = None

    def steps(self) -> list[int]:
        """The whole steps, ascending."""
        if not self._directory.is_dir():
            return []
        return [int(path.name) for path in self._step_dirs() if manifest_path(path).is_file()]

    def save(self, step: int, state: Any, facts: dict) -> None:
        """Begins to save; returns once the arrays are copied, and the rest goes on in the background.

        Args:
          step: steps taken.
          state: a tree of arrays.
          facts: plain values that belong to them.

        Raises:
          Stopped: if this or the save before it fails.
        """
        self.finish()
        if step in self.steps():
            return
        try:
            self._open().save(step, args=ocp.args.Composite(**{STATE: ocp.args.StandardSave(state), FACTS: ocp.args.JsonSave(facts)}))
        except Exception as error:
            raise self._failed(step, error) from error
        self._thread = threading.Thread(target=self._complete, args=(step,), name="checkpoint")
        self._thread.start()

    def poll(self) -> None:
        """Raises Stopped if the save in the background has failed."""
        if self._failure:
            raise self._failure

    def finish(self) -> None:
        """Waits until what was saved is whole; raises Stopped if it is not."""
        if self._thread:
            self._thread.join()
            self._thread = None
        self.poll()

    def restore_latest(self, like: Any) -> tuple[Any, dict] | None:
        """The newest whole checkpoint as (state, facts), or None where there is none.

        Damaged steps are set aside as `refused-STEP`, loudly; saves that were cut off are removed.

        Args:
          like: a state with the shapes, types and places to restore to.

        Raises:
          Stopped: where there are checkpoints and all of them are damaged.
        """
        step = self._choose() if jax.process_index() == 0 else -1
        if jax.process_count() > 1:
            step = int(multihost_utils.broadcast_one_to_all(np.asarray(step)))
        if step < 0:
            return None
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        arguments = ocp.args.Composite(**{STATE: ocp.args.StandardRestore(abstract), FACTS: ocp.args.JsonRestore()})
        restored = self._open().restore(step, args=arguments)
        return restored[STATE], restored[FACTS]

    def close(self) -> None:
        """Waits for the save in the background, whether it succeeds or not."""
        if self._thread:
            self._thread.join()
        if self._manager and not self._failure:
            self._manager.close()

    def _open(self) -> ocp.CheckpointManager:
        if self._manager is None:
            options = ocp.CheckpointManagerOptions(max_to_keep=None, cleanup_tmp_directories=True)
            self._manager = ocp.CheckpointManager(self._directory, options=options)
        return self._manager

    def _complete(self, step: int) -> None:
        try:
            self._manager.wait_until_finished()
            if jax.process_index() == 0:
                write_manifest(self._directory / str(step))
                for old in self.steps()[: -self._keep]:
                    self._remove(self._directory / str(old))
        except Exception as error:
            self._failure = self._failed(step, error)

    def _failed(self, step: int, error: Exception) -> Stopped:
        for left in self._directory.glob(f"{step}.orbax-checkpoint-tmp*"):
            shutil.rmtree(left, ignore_errors=True)
        reason = _in_one_line(error)
        kept = f"the checkpoint of step {self.steps()[-1]} is intact" if self.steps() else "there is no earlier one"
        return Stopped(f"cannot save the checkpoint of step {step} in {self._directory}: {reason}; {kept}")

    def _choose(self) -> int:
        """The newest whole step, or -1; clears away what is not whole."""
        if not self._directory.is_dir():
            return -1
        refused = []
        for step_dir in reversed(self._step_dirs()):
            if not manifest_path(step_dir).is_file():
                console.warn(f"checkpoint {step_dir.name} has no manifest, so its save was cut off: it is removed")
                self._remove(step_dir)
            elif reason := damage(step_dir):
                refused.append(step_dir.name)
                console.warn(f"checkpoint {step_dir.name} is damaged and refused: {reason}")
                self._set_aside(step_dir)
            else:
                if refused:
                    console.warn(f"falling back to checkpoint {step_dir.name}")
                return int(step_dir.name)
        if refused:
            raise Stopped(
                f"every checkpoint in {self._directory} is damaged (steps {', '.join(refused)}); to begin again, give a new --workdir"
            )
        return -1

    def _step_dirs(self) -> list[Path]:
        names = (path.name for path in self._directory.iterdir() if path.is_dir())
        return [self._directory / str(step) for step in sorted(int(name) for name in names if name.isdecimal())]

    def _set_aside(self, step_dir: Path) -> None:
        aside = step_dir.with_name(f"refused-{step_dir.name}")
        shutil.rmtree(aside, ignore_errors=True)
        step_dir.rename(aside)
        manifest_path(step_dir).replace(manifest_path(aside))

    def _remove(self, step_dir: Path) -> None:
        manifest_path(step_dir).unlink(missing_ok=True)
        shutil.rmtree(step_dir)


def _in_one_line(error: Exception) -> str:
    """The telling part of an error: storage libraries wrap `No space left on device` in pages of context."""
    text = " ".join(str(error).split())
    for known in ("No space left on device", "Read-only file system", "Permission denied", "Disk quota exceeded"):
        if known in text:
            return known
    return f"{type(error).__name__}: {text[:200]}"
