"""The training loop.

What happens at step n happens in this order, and everything about resuming follows from it:
  1. Batch n is taken and the step dispatched; the loop waits for the result only in the first step of a run.
  2. The metrics of earlier steps arrive, a few steps late. Each is checked to be finite, and where a row is due it is written.
  3. If anything more is due at n (evaluation, checkpoint, the end, a signal), all metrics up to n are awaited, checked and written first.
  4. The evaluation runs, its row is written, and the model is saved if it is the best so far.
  5. The checkpoint is saved: the state after n, the position of the data after batch n, and what was evaluated and best so far.
So a checkpoint never holds a step that was not finite, all rows up to n are on disk before the checkpoint n is, and a run that resumes from
n drops the rows past n and writes them again, equal to those of a run that was never interrupted. An interruption between a step and its
evaluation, or data that cannot be read, is the one exception: the checkpoint is then saved without it. A resumed run first makes
the evaluation, and adds it to the checkpoint's facts.
"""

import contextlib
import dataclasses
import math
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from vivit_jax import console
from vivit_jax.errors import UserError
from vivit_jax.runs.checkpoint import Checkpoints, Policy
from vivit_jax.runs.in_flight import InFlight, NotFiniteError
from vivit_jax.runs.kept_model import KeptModel
from vivit_jax.runs.patience import Patience
from vivit_jax.runs.plan import Plan
from vivit_jax.runs.profiler import Profiler
from vivit_jax.runs.progress import RunProgress, check_facts
from vivit_jax.runs.run import Run
from vivit_jax.runs.stopping import NOTHING_TO_SAVE, Interrupted, Interruption, Stopped
from vivit_jax.runs.workdir import Workdir
from vivit_jax.runs.writers import Writers, make_writers
from vivit_jax.training.config import LAST
from vivit_jax.training.devices.compilation import watched
from vivit_jax.training.evaluation import Evaluation, Evaluator
from vivit_jax.training.forward import Watch
from vivit_jax.training.metrics import is_better
from vivit_jax.training.setup import set_up
from vivit_jax.training.state import TrainState, saved_fields

# Steps whose metrics may still be on their way: enough to keep the device busy, few enough to bound what is queued on it.
STEPS_IN_FLIGHT = 2


@dataclasses.dataclass(frozen=True)
class UnderWay:
    """What a run has only while it trains: the steps whose metrics have not arrived, and the profiler."""

    steps: InFlight
    profiler: Profiler


class Loop:
    """One run in one work directory, from its newest checkpoint or from the beginning.

    Attributes:
      plan: the run's length and intervals.
      evaluator: scores the model; compiled once for the whole run.
    """

    def __init__(self, run: Run, workdir: Workdir, interruption: Interruption, began: float) -> None:
        """`began` is the time by `time.monotonic` at which the run began."""
        experiment = run.experiment
        self.run, self.workdir, self.interruption, self._began = run, workdir, interruption, began
        self.plan = Plan.of(experiment, run.examples)
        self.evaluator = Evaluator(run.model, run.preprocess, run.executor, run.scoring)
        self._state, step = set_up(
            experiment,
            run.model,
            run.variables,
            run.preprocess,
            run.executor,
            total=self.plan.total,
            warmup=self.plan.warmup,
            class_weights=run.class_weights,
        )
        self._train_step = run.executor.compile_train(step, self._state)
        self._seed = run.executor.place_whole(np.uint32(experiment.seed))
        self._progress = RunProgress(Patience.of(experiment.evaluation))
        self._kept = KeptModel(run, workdir)
        policy = Policy(experiment.checkpoint.keep, self.plan.keep_every, experiment.checkpoint.keep_best)
        self._checkpoints = Checkpoints(workdir.checkpoints, policy, workdir.note_saved)
        self._writers = Writers({})  # those of the run once it trains, as they drop the rows past the step that it goes on from

    def restore(self) -> None:
        """Restores the newest whole checkpoint, if there is one. Call it before `train`.

        Raises:
          UserError: if it is of another run, or the best model so far is damaged and cannot be made again.
          Refused: if there are checkpoints and none is whole.
        """
        like = saved_fields(self.run.executor.saved_form(self._state))
        restored = self._checkpoints.restore_latest(like, lambda facts: check_facts(facts, self.run, self.workdir))
        if restored is None:
            return
        state, facts = restored
        self._state = self.run.executor.from_saved_form(TrainState(**state))
        progress = self._progress = RunProgress.of(facts, int(self.run.executor.to_host(self._state.step)), self._progress.patience)
        self.run.feed.go_to(progress.position)
        console.say(f"resuming after step {progress.step} of {self.plan.total}, from {self.workdir.checkpoints / str(progress.step)}")
        self._kept.digest = facts.get("model")
        if not self._kept.ensure(progress.best, progress.step, lambda: self._state.model_variables):
            self._forget_best()

    def train(self) -> None:
        """Trains to the last step, or until patience ends; then the checkpoint is whole and the models are saved.

        Raises:
          Interrupted: after a signal, once everything is saved.
          Stopped: if the run cannot go on.
        """
        self._writers = make_writers(self.run.experiment, self.workdir.path, self._progress)
        self._make_up_for_evaluation()
        try:
            with self._under_way() as under_way:
                try:
                    while self._progress.step < self.plan.total and not self._progress.patience.exhausted:
                        self._take(self._progress.step + 1, under_way)
                except UserError:  # such as of a data set that has gone away
                    self._save_before_leaving(under_way.steps)
                    raise
            self._checkpoints.finish()
        except NotFiniteError as error:
            self._checkpoints.finish()
            raise Stopped(self._explained(error)) from error
        finally:
            self._checkpoints.close()
        if self.step < self.plan.total:
            console.say(
                f"ends early, after step {self.step} of {self.plan.total}: {self._progress.patience.reason(self.run.experiment.best)}"
            )
        self._save_last_models()

    def close(self) -> None:
        """Closes the writers of metrics."""
        self._writers.close()

    def write(self, step: int, row: dict[str, float]) -> None:
        """Writes a row of metrics."""
        self._progress.rows += 1
        if jax.process_index() == 0:
            self._writers.write(step, row)

    @property
    def best(self) -> dict[str, float]:
        """Step and validation score of the best model so far; empty before the first evaluation."""
        return self._progress.best

    @property
    def model_step(self) -> int:
        """The step of the model to use: the best so far, or the last if none was evaluated."""
        return int(self.best.get("step", self._progress.step))

    @property
    def step(self) -> int:
        """The last step that was taken."""
        return self._progress.step

    @property
    def state(self) -> TrainState:
        """The current training state, on the devices."""
        return self._state

    @contextlib.contextmanager
    def _under_way(self) -> Iterator[UnderWay]:
        """Shows the progress until training ends."""
        profiler = Profiler(self.run.experiment.training.profile_steps, self.workdir.path, self._progress.step)
        try:
            with console.progress_bar() as bar:
                steps = InFlight(self.run, self.plan, self._progress, self.write, self.interruption, bar)
                yield UnderWay(steps, profiler)
        finally:
            profiler.stop()
            self.run.feed.close()

    def _take(self, step: int, under_way: UnderWay) -> None:
        """Does all that happens at a step, in the order that this module states."""
        steps = under_way.steps
        if not self.interruption.unsaved:
            self.interruption.check()
        try:
            with _profiled(step, under_way):
                with steps.clock.waiting_for("data"):
                    batch, self._progress.position = next(self.run.feed)
                self._dispatch(step, batch, steps)
        except Interrupted:
            self._end(steps)
        self._progress.step = step
        self._checkpoints.poll()
        interrupted = self._interrupted(step)
        evaluates, saves = self.plan.evaluates(step), self.plan.saves(step)
        if not (evaluates or saves or interrupted):
            return
        steps.settle()
        with steps.clock.stopped():
            if evaluates and not interrupted:
                interrupted = self._evaluate(step)
            saves |= self._progress.patience.exhausted or (self.run.experiment.checkpoint.keep_best and self.best.get("step") == step)
            if saves and not interrupted:
                self._save(step)
        if interrupted:
            self._end(steps)

    def _dispatch(self, step: int, batch: dict[str, Any], steps: InFlight) -> None:
        """Dispatches the step. In the first step of a run it waits for the result, and prints how long it took to get there."""
        first = not steps.clock.started
        if first:
            console.say("compiling the step, or reading it from the compilation cache ...")
        with watched() if first else contextlib.nullcontext() as compilation, jax.profiler.StepTraceAnnotation("train", step_num=step):
            self._state, metrics = self._train_step(self._state, batch, self._seed)
        steps.add(step, metrics)
        steps.settle(but=0 if first else STEPS_IN_FLIGHT)
        if first:
            console.say(f"first step {time.monotonic() - self._began:.1f} s after the start, {compilation}")

    def _interrupted(self, step: int) -> bool:
        """Whether to end after this step, decided for all hosts alike; several hosts exchange this only when they log."""
        if jax.process_count() == 1:
            return self.interruption.requested
        if not self.plan.logs(step):
            return False
        return bool(np.any(multihost_utils.process_allgather(np.asarray(self.interruption.requested))))

    def _evaluate(self, step: int) -> bool:
        """Scores the validation split and saves the model if it is the best; True if a signal came meanwhile, and nothing was done."""
        if self.run.val_batches is None:
            return False
        try:
            watch = Watch("validating", between=self.interruption.check_alone)
            scores = self.evaluator(self._state.model_variables, self.run.val_batches, watch)
        except Interrupted:
            return True
        self._progress.evaluated = step
        name, summary = self.run.experiment.best, scores.summary()
        waited = self._progress.patience.note(name, summary.get(name, math.nan))
        if step == self.plan.total:
            waited = {}  # such a run does not end early, and its report finds that out by these rows
        self.write(step, {f"val/{name}": value for name, value in summary.items()} | waited)
        console.say(f"step {step}/{self.plan.total}  val {scores.headline}  loss {scores.loss:.4f}{scores.beside_headline(name)}")
        self._keep_best(step, scores)
        return False

    def _keep_best(self, step: int, scores: Evaluation) -> None:
        name, summary = self.run.experiment.best, scores.summary()
        if name == LAST:
            return
        if name not in summary:
            raise UserError(
                f"evaluation.best {name!r} is not defined on the validation split, all of whose labels are the same: set another"
            )
        if not self.best or is_better(name, summary[name], self.best[name]):
            self._progress.best = {"step": step, name: summary[name]}
            self._kept.save(self.run.executor.to_host(self._state.model_variables), self.best)

    def _save(self, step: int) -> None:
        self._checkpoints.save(step, saved_fields(self.run.executor.saved_form(self._state)), self._facts())

    def _facts(self) -> dict[str, Any]:
        return self._progress.facts(self.run, self._kept.digest)

    def _make_up_for_evaluation(self) -> None:
        """Makes the evaluation that is due at the step restored, if the run was interrupted between the two."""
        step = self._progress.step
        if not self.plan.evaluates(step) or self._progress.evaluated >= step:
            return
        if self._evaluate(step):
            raise Interrupted(self._all_saved())
        if self._progress.evaluated == step:
            self._checkpoints.amend(step, self._facts())

    def _save_before_leaving(self, steps: InFlight) -> None:
        """Saves what was trained so far, after an error that is not of the training; several hosts, which save together, do not."""
        if self._progress.step == 0 or jax.process_count() > 1:
            return
        self._save_now(steps)
        console.say(f"step {self._progress.step} of {self.plan.total} is saved, and the same command resumes from it")

    def _save_now(self, steps: InFlight) -> None:
        steps.settle()
        with steps.clock.stopped():
            self._save(self._progress.step)
        self._checkpoints.finish()

    def _end(self, steps: InFlight) -> None:
        """Saves what was trained so far, after a signal, and raises Interrupted."""
        if self._progress.step == 0:
            raise Interrupted(NOTHING_TO_SAVE)
        self._save_now(steps)
        raise Interrupted(self._all_saved())

    def _all_saved(self) -> str:
        return f"interrupted after step {self._progress.step} of {self.plan.total}; all of it is saved"

    def _save_last_models(self) -> None:
        """Saves the model after the last step, and ensures that the best model is whole; if it cannot be, the last takes its place."""
        self._save_last_model()
        if not self._kept.ensure(self.best, self._progress.step, lambda: self._state.model_variables, last=True):
            self._forget_best()
            self._save_last_model()

    def _save_last_model(self) -> None:
        if not self.best:
            self._kept.save(self.run.executor.to_host(self._state.model_variables), {"step": self._progress.step})
        elif self.best["step"] != self._progress.step:
            self._kept.save(self.run.executor.to_host(self._state.model_variables), {"step": self._progress.step}, self.workdir.last_model)

    def _forget_best(self) -> None:
        """Goes on as if there had been no best model yet, and records that in the checkpoint of this step."""
        self._progress.best, self._kept.digest = {}, None
        self._checkpoints.amend(self._progress.step, self._facts())

    def _explained(self, error: NotFiniteError) -> str:
        others = f" (and {len(error.names) - 1} more)" if len(error.names) > 1 else ""
        saved = self._checkpoints.steps()
        kept = f"the checkpoint of step {saved[-1]} is kept" if saved else "there was no checkpoint yet"
        return (
            f"step {error.step}: {error.names[-1]}{others} is not finite; {kept} in {self.workdir.checkpoints}. Lower "
            "optimizer.learning_rate, lengthen the warm-up, or set optimizer.clip_norm"
        )


@contextlib.contextmanager
def _profiled(step: int, under_way: UnderWay) -> Iterator[None]:
    """Begins or ends the profile with this step if one is due, with no other step in flight."""
    steps, profiler = under_way.steps, under_way.profiler
    if profiler.begins(step):
        steps.settle()
        with steps.clock.stopped():
            profiler.start()
    yield
    if profiler.ends(step):
        steps.settle()
        with steps.clock.stopped():
            profiler.stop()
