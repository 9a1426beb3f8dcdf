"""Checkpoints: Orbax writes them in the background, a manifest proves them whole, and only whole ones are restored.

A save goes through these states, and `kill -9` between any two of them loses only that save:
  1. the mark `checkpoints/.STEP.saving` is made;
  2. Orbax writes into a temporary directory and renames it to `checkpoints/STEP`;
  3. the manifest `checkpoints/STEP.sha256.json` is written: from here on the step is whole, and the mark is removed;
  4. whole steps that no policy keeps are removed: marked, then each one's manifest, then its files.
"""

import dataclasses
import errno
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from vivit_jax import console
from vivit_jax.files import REMEDIES, explained, first_free
from vivit_jax.runs.manifest import damage, is_cut_off, manifest_path, mark_path, read_facts, replace_facts, step_dirs, write_manifest
from vivit_jax.runs.stopping import Refused, Stopped
from vivit_jax.training.devices.hosts import of_first_host

STATE, FACTS = "state", "facts"

# What process 0 tells the others in place of a step.
NONE_THERE, NONE_WHOLE = -1, -2


@dataclasses.dataclass(frozen=True)
class Policy:
    """Which whole checkpoints are kept: those that any of the three rules keeps.

    Attributes:
      newest: how many of the newest to keep.
      every: keep the steps that are multiples of this; 0 keeps none.
      best: whether to keep the step of the best model so far.
    """

    newest: int
    every: int = 0
    best: bool = False

    def keeps(self, steps: list[int], best: int | None) -> set[int]:
        """The steps to keep among `steps`, which ascend; `best` is the step of the best model so far."""
        kept = set(steps[-self.newest :])
        if self.every:
            kept |= {step for step in steps if step % self.every == 0}
        return kept | {best} if self.best else kept


class Checkpoints:
    """The checkpoints of a work directory.

    Args:
      directory: the folder that holds them; made if it does not exist.
      keep: which whole ones are kept; a number keeps that many of the newest.
      when_whole: called in the background when a checkpoint has become whole, and before one is restored.
    """

    def __init__(self, directory: Path, keep: int | Policy, when_whole: Callable[[], None] = lambda: None) -> None:
        self._directory = directory.absolute()
        self._policy = keep if isinstance(keep, Policy) else Policy(keep)
        self._when_whole = when_whole
        self._manager: ocp.CheckpointManager | None = None
        self._thread: threading.Thread | None = None
        self._failure: Stopped | None = None

    def steps(self) -> list[int]:
        """The whole steps, ascending."""
        return [int(path.name) for path in step_dirs(self._directory) if manifest_path(path).is_file()]

    def save(self, step: int, state: Any, facts: dict) -> None:
        """Begins to save: returns once the arrays are copied; the rest happens in the background.

        Args:
          step: steps taken.
          state: a tree of arrays.
          facts: plain values to save with the arrays; `best` holds the `step` of the best model so far, if there is one.

        Raises:
          Stopped: if this or the save before it fails.
        """
        self.finish()
        if step in self.steps():
            return
        try:
            if jax.process_index() == 0:
                self._directory.mkdir(parents=True, exist_ok=True)
                mark_path(self._directory / str(step)).touch()
            self._open().save(step, args=ocp.args.Composite(**{STATE: ocp.args.StandardSave(state), FACTS: ocp.args.JsonSave(facts)}))
        except Exception as error:
            raise self._failed(step, error) from error
        self._thread = threading.Thread(target=self._complete, args=(step, facts), name="checkpoint")
        self._thread.start()

    def poll(self) -> None:
        """Raises Stopped if the save in the background has failed."""
        if self._failure:
            raise self._failure

    def finish(self) -> None:
        """Waits until the save in the background is whole; raises Stopped if it fails."""
        if self._thread:
            self._thread.join()
            self._thread = None
        self.poll()

    def amend(self, step: int, facts: dict) -> None:
        """Replaces the facts of a whole checkpoint, which stays whole throughout."""
        if jax.process_index() == 0:
            replace_facts(self._directory / str(step), facts)

    def restore_latest(self, like: Any, check: Callable[[dict], None] = lambda facts: None) -> tuple[Any, dict] | None:
        """Restores the newest whole checkpoint.

        Newer steps that are damaged are renamed to `refused-STEP`, with a warning; saves that were cut off are removed. If no step is whole
        nothing is changed, so that the same call ends in the same way.

        Args:
          like: a state with the shapes, types and shardings to restore.
          check: called with the facts before any array is read; may raise.

        Returns:
          (state, facts), or None if there is no checkpoint.

        Raises:
          Refused: if there are checkpoints and all of them are damaged.
        """
        step = self._choose()
        if step == NONE_THERE:
            return None
        check(read_facts(self._directory / str(step)))
        self._when_whole()
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

    def _complete(self, step: int, facts: dict) -> None:
        try:
            self._manager.wait_until_finished()
            if jax.process_index() == 0:
                write_manifest(self._directory / str(step))
                mark_path(self._directory / str(step)).unlink(missing_ok=True)
                self._when_whole()
                self._prune(facts.get("best", {}).get("step"))
        except Exception as error:
            self._failure = self._failed(step, error)

    def _failed(self, step: int, error: Exception) -> Stopped:
        for left in self._directory.glob(f"{step}.orbax-checkpoint-tmp*"):
            shutil.rmtree(left, ignore_errors=True)
        reason = _in_one_line(error)
        kept = f"the checkpoint of step {self.steps()[-1]} is intact" if self.steps() else "there is no earlier one"
        return Stopped(f"cannot save the checkpoint of step {step} in {self._directory}: {reason}; {kept}")

    def _prune(self, best: int | None) -> None:
        steps = self.steps()
        for step in sorted(set(steps) - self._policy.keeps(steps, best)):
            self._remove(self._directory / str(step))

    def _choose(self) -> int:
        """The newest whole step, the same on every host, or NONE_THERE; clears away newer ones."""
        refused: dict[str, str] = {}
        newest = of_first_host(lambda: self._examine(refused))
        if newest == NONE_WHOLE:
            raise Refused(self._none_whole(refused))
        return newest

    def _examine(self, refused: dict[str, str]) -> int:
        """The newest whole step, NONE_THERE or NONE_WHOLE; puts the faults of newer ones into `refused`, and moves them if one is whole."""
        cut_off: list[Path] = []
        newest = NONE_THERE
        for step_dir in reversed(step_dirs(self._directory)):
            reason = damage(step_dir)
            if reason is None:
                newest = int(step_dir.name)
                break
            if is_cut_off(step_dir):
                cut_off.append(step_dir)
            else:
                refused[step_dir.name] = reason
        if newest == NONE_THERE and (refused or self._set_aside()):
            refused |= dict.fromkeys(self._set_aside(), "it was damaged and set aside")
            return NONE_WHOLE
        for step_dir in cut_off:
            console.warn(f"checkpoint {step_dir.name} has no manifest, so its save was cut off: it is removed")
            self._remove(step_dir)
        self._clear_marks()
        for name, reason in refused.items():
            self._refuse(self._directory / name, reason)
        if refused:
            console.warn(f"falling back to checkpoint {newest}")
        return newest

    def _refuse(self, step_dir: Path, reason: str) -> None:
        aside = first_free(lambda number: step_dir.with_name(f"refused-{step_dir.name}{'' if number == 1 else f'-{number}'}"))
        if manifest_path(step_dir).is_file():
            console.warn(f"checkpoint {step_dir.name} is damaged and refused, and renamed to {aside.name}: {reason}")
        else:
            console.warn(f"checkpoint {step_dir.name} has no manifest and is refused, and renamed to {aside.name}")
        if os.path.lexists(manifest_path(step_dir)):  # even what is no file, such as a pipe: it would be in the way of the next save
            manifest_path(step_dir).replace(manifest_path(aside))
        step_dir.rename(aside)

    def _none_whole(self, refused: dict[str, str]) -> str:
        reasons = "; ".join(f"{step}: {reason}" for step, reason in refused.items())
        return (
            f"every checkpoint in {self._directory} is damaged (steps {', '.join(refused)}): {reasons}; nothing was changed: put back a "
            "copy of one, give a new --workdir, or add --restart, which puts all of this run aside and begins again"
        )

    def _set_aside(self) -> list[str]:
        """Names of the folders of steps that were refused."""
        return sorted((path.name for path in self._directory.glob("refused-*") if path.is_dir()), reverse=True)

    def _clear_marks(self) -> None:
        for mark in self._directory.glob(".*.saving"):
            if mark.is_file():
                mark.unlink()

    def _remove(self, step_dir: Path) -> None:
        mark_path(step_dir).touch()
        manifest_path(step_dir).unlink(missing_ok=True)
        shutil.rmtree(step_dir)
        mark_path(step_dir).unlink()


def _in_one_line(error: Exception) -> str:
    """The informative part of an error: storage libraries wrap `No space left on device` in pages of context."""
    text = " ".join(str(error).split())
    for number in (*REMEDIES, errno.ESTALE, errno.EMFILE):
        if os.strerror(number) in text:
            return explained(number)
    return f"{type(error).__name__}: {text[:200]}"
