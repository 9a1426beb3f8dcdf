"""Keeps `model/`, the best model on the validation split so far. If it is lost or damaged it is made again from a checkpoint."""

import enum
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

from vivit_jax import console
from vivit_jax.errors import UserError
from vivit_jax.files import first_free, sha256
from vivit_jax.runs.manifest import damage
from vivit_jax.runs.restore import model_variables
from vivit_jax.runs.run import Run
from vivit_jax.runs.workdir import Workdir
from vivit_jax.training.devices.hosts import of_first_host
from vivit_jax.versions import version_of
from vivit_jax.weights.model_dir import check_replaceable, load_model_dir, save_pretrained
from vivit_jax.weights.model_json import WEIGHTS

Best = Mapping[str, Any]


class Repair(enum.IntEnum):
    """What to do about `model/`."""

    NOTHING = 0
    FROM_STATE = 1  # make it again: the best step is that of the state
    FROM_CHECKPOINT = 2  # make it again from the checkpoint of the best step
    FORGET = 3  # it is gone, and it cannot be made again
    REFUSE = 4


class KeptModel:
    """The model directories of a run.

    Attributes:
      digest: SHA-256 of the weights in `model/`, which checkpoints record; None before there is one, and on all hosts but the first.
    """

    def __init__(self, run: Run, workdir: Workdir) -> None:
        self.digest: str | None = None
        self._run, self._workdir = run, workdir
        self._wrong = ""

    def save(self, variables: Any, best: Best, path: Path | None = None) -> None:
        """Writes a model directory.

        Args:
          variables: `params` and the other collections, on the host.
          best: the step of these variables, and its score if it has one.
          path: the directory to write; None is `model/`.
        """
        if jax.process_index() != 0:
            return
        run = self._run
        self._clear(path or self._workdir.model)
        save_pretrained(
            path or self._workdir.model,
            run.model.config,
            variables,
            run.preprocess,
            run.labels,
            multi_label=run.experiment.multi_label,
            provenance={**best, "data": run.identity, "vivit_jax": version_of("vivit_jax")},
            average=run.experiment.evaluation.average,
        )
        if path is None:
            self.digest = sha256(self._workdir.model / WEIGHTS)

    def ensure(self, best: Best, step: int, variables: Callable[[], Any], *, last: bool = False) -> bool:
        """Ensures that `model/` holds the best model so far.

        Args:
          best: its step and score; empty before the first evaluation.
          step: the step that the run is at.
          variables: returns the variables after `step`, on the devices.
          last: whether no better model can come, so that `model/` must be exactly this one.

        Returns:
          False if it is gone and cannot be made again: then the best of the later evaluations takes its place.

        Raises:
          UserError: if it is damaged and cannot be made again.
        """
        if not best:
            return True
        repair = Repair(of_first_host(lambda: self._repair(best, step, last=last)))
        if repair == Repair.FROM_STATE:
            self._make_again(self._run.executor.to_host(variables()), best)
        elif repair == Repair.FROM_CHECKPOINT and jax.process_index() == 0:
            self._make_again(model_variables(self._workdir.path, best["step"]), best)
        elif repair == Repair.REFUSE:
            raise UserError(
                f"{self._told(best)} {self._wrong}, and there is no checkpoint to make it again from: put back a copy, or move it away "
                "and give the same command, which then does without it"
            )
        elif repair == Repair.FORGET:
            console.warn(
                f"{self._told(best)} {self._wrong}, and there is no checkpoint to make it again from: the best of the models from here "
                "on, or else the last, takes its place"
            )
            self._put_aside()
        return repair != Repair.FORGET

    def _repair(self, best: Best, step: int, *, last: bool) -> Repair:
        missing = not self._workdir.model.exists()
        self._wrong = "is gone" if missing else self._damage(last=last)
        if not self._wrong:
            return Repair.NOTHING
        if best["step"] == step:
            return Repair.FROM_STATE
        if damage(self._workdir.checkpoints / str(best["step"])) is None:
            return Repair.FROM_CHECKPOINT
        return Repair.REFUSE if not missing and self._broken() else Repair.FORGET

    def _damage(self, *, last: bool) -> str:
        """What is wrong with `model/`; empty if nothing is. Being the model of another step is wrong only at the end of the run."""
        if broken := self._broken():
            return broken
        other = self.digest is not None and sha256(self._workdir.model / WEIGHTS) != self.digest
        return "is that of another step" if other and last else ""

    def _broken(self) -> str:
        try:
            load_model_dir(self._workdir.model)
        except UserError as error:
            return f"is damaged ({error})"
        return ""

    def _make_again(self, variables: Any, best: Best) -> None:
        console.warn(f"{self._told(best)} {self._wrong}: it is made again from the checkpoint of that step")
        self._put_aside()
        self.save(variables, best)

    def _clear(self, model: Path) -> None:
        """Moves aside a folder that is no model of ours, or holds other files too, so that a run does not end because of it."""
        try:
            check_replaceable(model)
        except UserError:
            self._put_aside(model)

    def _put_aside(self, model: Path | None = None) -> None:
        """Renames what is in the place of a model, by default `model/`, to `refused-model-N` beside it."""
        model = model or self._workdir.model
        if jax.process_index() == 0 and model.exists():
            model.rename(first_free(lambda number: model.with_name(f"refused-model-{number}")))

    def _told(self, best: Best) -> str:
        score = "".join(f", val {name} {value:.4f}" for name, value in best.items() if name != "step")
        return f"the best model so far, {self._workdir.model} (step {best['step']}{score}),"
