"""Reads the checkpoints of a run without resuming it: verifies them all, or takes the model's variables from one."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from vivit_jax.errors import UserError
from vivit_jax.heads import Labels
from vivit_jax.runs.checkpoint import STATE
from vivit_jax.runs.manifest import damage, is_cut_off, read_facts, step_dirs
from vivit_jax.training.lora import merged

CHECKPOINTS = "checkpoints"


@dataclasses.dataclass(frozen=True)
class SavedStep:
    """A checkpoint as it lies on disk.

    Attributes:
      step: steps taken.
      damage: what is wrong with it, or None if every byte is as it was written.
      bytes: size of all its files.
      evaluated: the last evaluated step up to it; 0 if there was none, None if its facts cannot be read.
      best: whether this step has the best model so far, according to the newest whole checkpoint.
    """

    step: int
    damage: str | None
    bytes: int
    evaluated: int | None
    best: bool

    @property
    def whole(self) -> bool:
        """Whether it can be restored."""
        return self.damage is None


def verify(workdir: str | os.PathLike) -> list[SavedStep]:
    """Checks every byte of the checkpoints of a run; changes nothing.

    Args:
      workdir: the run's work directory, or the folder `checkpoints` in it.

    Returns:
      The steps, ascending; empty if there are none.
    """
    directory = _checkpoints(workdir)
    steps = [int(path.name) for path in step_dirs(directory)]
    wrong = {step: _damage(directory / str(step)) for step in steps}
    facts = {step: read_facts(directory / str(step)) for step in steps}
    newest = max((step for step in steps if wrong[step] is None), default=None)
    best = facts[newest].get("best", {}).get("step") if newest is not None else None
    return [SavedStep(step, wrong[step], _bytes(directory / str(step)), facts[step].get("evaluated"), step == best) for step in steps]


def model_variables(workdir: str | os.PathLike, step: int) -> dict[str, Any]:
    """Reads the model's variables of a checkpoint, without the optimiser's state.

    Args:
      workdir: the run's work directory, or the folder `checkpoints` in it.
      step: the checkpoint's step.

    Returns:
      `params` and the model's other collections by name: trees of NumPy arrays as the run's model takes them. If the run keeps moving
      averages these are returned, as it evaluates them.

    Raises:
      UserError: if there is no such checkpoint, or it is damaged.
    """
    directory = _checkpoints(workdir)
    step_dir = directory / str(step)
    if not step_dir.is_dir():
        known = ", ".join(str(saved.step) for saved in verify(directory)) or "none"
        raise UserError(f"{directory} has no checkpoint of step {step} (those there: {known})")
    if reason := _damage(step_dir):
        raise UserError(f"checkpoint {step} in {directory} is damaged and refused: {reason}; choose another")
    path = (step_dir / STATE).absolute()
    with ocp.PyTreeCheckpointer() as checkpointer:
        saved = checkpointer.metadata(path).item_metadata.tree
        params, others = ("average", "average_collections") if saved.get("average") else ("params", "collections")
        wanted = {name: saved[name] for name in (params, others) if name in saved}
        as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), wanted)
        arguments = ocp.args.PyTreeRestore(item=wanted, restore_args=as_numpy, partial_restore=True)
        restored = checkpointer.restore(path, args=arguments)
        return {"params": jax.device_get(merged(restored[params])), **restored.get(others, {})}


def class_names(workdir: str | os.PathLike, step: int) -> Labels | None:
    """The classes of the data set that a checkpoint's run is trained on, in its order; None in a checkpoint of an older version."""
    identity = read_facts(_checkpoints(workdir) / str(step)).get("dataset") or {}
    labels = {head: tuple(names) for head, names in identity.get("labels", {}).items()}
    return labels.get("", labels) or None


def _checkpoints(workdir: str | os.PathLike) -> Path:
    path = Path(workdir)
    return path if path.name == CHECKPOINTS else path / CHECKPOINTS


def _damage(step_dir: Path) -> str | None:
    if is_cut_off(step_dir):
        return "its save was cut off, or is under way"
    return damage(step_dir)


def _bytes(step_dir: Path) -> int:
    return sum(path.stat().st_size for path in step_dir.rglob("*") if path.is_file())
