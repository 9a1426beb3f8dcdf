"""The training loop.

What happens at step n happens in this order, and everything about resuming follows from it:
  1. Batch n is taken and the step dispatched; the loop waits for the result only in the first step of a run.
  2. The metrics of earlier steps arrive, a few steps late. Each is checked to be finite, and where a row is due it is written.
  3. If anything more is due at n (evaluation, checkpoint, the end, a signal), all metrics up to n are awaited, checked and written first.
  4. The evaluation runs, its row is written, and the model is saved if it is the best so far.
  5. The checkpoint is saved: the state after n, the position of the data after batch n, and what was evaluated and best so far.
So a checkpoint never holds a step that was not finite, all rows up to n are on disk before the checkpoint n is, and a run that resumes from
n drops the rows past n and writes them again, equal to those of a run that was never interrupted. An interruption between a step and its
evaluation is the one exception: the checkpoint is then saved without the evaluation. A resumed run first makes the evaluation, and adds it
to the checkpoint's facts.
"""

import collections
import contextlib
import json
import math
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import psutil
from jax.experimental import multihost_utils

from vivit_jax import console
from vivit_jax.config import to_dict
from vivit_jax.data.identity import differences
from vivit_jax.data.workers import available_cpus
from vivit_jax.errors import UserError, unknown_name
from vivit_jax.heads import by_head
from vivit_jax.runs.checkpoint import Checkpoints, Policy
from vivit_jax.runs.clock import Clock, Lap
from vivit_jax.runs.interval import Interval
from vivit_jax.runs.kept_model import KeptModel
from vivit_jax.runs.patience import Patience
from vivit_jax.runs.plan import Plan
from vivit_jax.runs.profiler import Profiler
from vivit_jax.runs.run import Run
from vivit_jax.runs.stopping import NOTHING_TO_SAVE, Interrupted, Interruption, Stopped
from vivit_jax.runs.workdir import Workdir
from vivit_jax.runs.writers import Writers, make_writers
from vivit_jax.training.devices.compilation import watched
from vivit_jax.training.devices.executors import check_batch_size
from vivit_jax.training.evaluation import Evaluation, Evaluator, metrics_of
from vivit_jax.training.feed import Feed, positions_of_all_hosts
from vivit_jax.training.setup import set_up
from vivit_jax.training.state import TrainState, saved_fields
from vivit_jax.training.step import checked_names

# Steps whose metrics may still be on their way: enough to keep the device busy, few enough to bound what is queued on it.
STEPS_IN_FLIGHT = 2

# A run warns, and names the keys to raise, once it has spent this share of its time, and this many seconds, waiting for data.
SHARE_WORTH_TELLING, SECONDS_WORTH_TELLING = 0.3, 10.0


class Loop:
    """One run in one work directory, from its newest checkpoint or from the beginning.

    Attributes:
      plan: the run's length and intervals.
      evaluator: scores the model; compiled once for the whole run.
      best: step and validation score of the best model so far; empty before the first evaluation.
    """

    def __init__(self, run: Run, workdir: Workdir, interruption: Interruption) -> None:
        experiment = run.experiment
        check_batch_size(experiment.training.batch_size, run.executor, accumulation=experiment.training.accumulation)
        self.run, self.workdir, self.interruption = run, workdir, interruption
        self.plan = Plan.of(experiment, run.examples)
        options = {"multi_label": experiment.multi_label, "average": experiment.evaluation.average}
        self.evaluator = Evaluator(run.model, run.preprocess, run.executor, run.labels, **options)
        if experiment.best not in (known := metrics_of(by_head(run.labels), multi_label=experiment.multi_label)):
            raise unknown_name("evaluation.best", experiment.best, known)
        self.best: dict[str, float] = {}
        self._evaluated = 0
        self._step = 0
        self._interval = Interval()
        self._patience = Patience.of(experiment.evaluation)
        self._kept = KeptModel(run, workdir)
        self._told_of_waiting = False
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
        self._checked = checked_names(run.variables["params"])
        self._pending: collections.deque[tuple[int, Any]] = collections.deque()
        self._writers = Writers({})
        policy = Policy(experiment.checkpoint.keep, self.plan.keep_every, experiment.checkpoint.keep_best)
        self._checkpoints = Checkpoints(workdir.checkpoints, policy, workdir.note_saved)

    def train(self) -> None:
        """Trains to the last step, or until patience ends; then the checkpoint is whole and the models are saved.

        Raises:
          Interrupted: after a signal, once everything is saved.
          Stopped: if the run cannot go on.
        """
        step = self._step
        self._writers = make_writers(self.run.experiment, self.workdir.path, step, self._evaluated)
        if self.plan.evaluates(step) and self._evaluated < step:  # interrupted between a step and its evaluation
            self._make_up_for_evaluation(step)
        self._feed = Feed(self.run.batches, self.run.executor.to_devices, self.run.experiment.training.prefetch)
        self._clock = Clock()
        self._profiler = Profiler(self.run.experiment.training.profile_steps, self.workdir.path, step)
        try:
            with console.progress_bar() as bar:
                self._bar, self._task = bar, bar.add_task(self.run.experiment.name, total=self.plan.total, completed=step, note="")
                while step < self.plan.total and not self._patience.exhausted:
                    step += 1
                    self._take(step)
            self._checkpoints.finish()
            if step < self.plan.total:
                console.say(f"ends early, after step {step} of {self.plan.total}: {self._patience.reason(self.run.experiment.best)}")
        finally:
            self._profiler.stop()
            self._feed.close()
            self._checkpoints.close()
        self._save_last_model(step)
        if not self._kept.ensure(self.best, step, lambda: self._state.model_variables, last=True):
            self._forget_best(step)
            self._save_last_model(step)

    def close(self) -> None:
        """Closes the writers of metrics."""
        self._writers.close()

    def write(self, step: int, row: dict[str, float]) -> None:
        """Writes a row of metrics."""
        if jax.process_index() == 0:
            self._writers.write(step, row)

    @property
    def model_step(self) -> int:
        """The step of the model to use: the best so far, or the last if none was evaluated."""
        return int(self.best.get("step", self._step))

    @property
    def step(self) -> int:
        """The last step that was taken."""
        return self._step

    @property
    def state(self) -> TrainState:
        """The current training state, on the devices."""
        return self._state

    def _take(self, step: int) -> None:
        if not self.interruption.unsaved:
            self.interruption.check()
        try:
            with self._profiled(step):
                with self._clock.waiting_for("data"):
                    batch, self._position = self._feed.next(self._leave)
                self._dispatch(step, batch)
        except Interrupted:
            self._end(step - 1)
        self._step = step
        self._checkpoints.poll()
        interrupted = self._interrupted(step)
        evaluates, saves = self.plan.evaluates(step), self.plan.saves(step)
        if not (evaluates or saves or interrupted):
            return
        self._settle(0)
        with self._clock.stopped():
            if evaluates and not interrupted:
                interrupted = self._evaluate(step)
            saves |= self._patience.exhausted or (self.run.experiment.checkpoint.keep_best and self.best.get("step") == step)
            if saves and not interrupted:
                self._save(step)
        if interrupted:
            self._end(step)

    def _end(self, step: int) -> None:
        """Saves what was trained up to `step`, after a signal, and raises Interrupted."""
        self._settle(0)
        if step == 0:
            raise Interrupted(NOTHING_TO_SAVE)
        with self._clock.stopped():
            self._save(step)
        self._checkpoints.finish()
        raise Interrupted(f"interrupted after step {step} of {self.plan.total}; all of it is saved")

    def _leave(self) -> None:
        """Raises Interrupted if a signal came; several hosts leave together, which they agree on elsewhere."""
        if jax.process_count() == 1:
            self.interruption.check()

    def _dispatch(self, step: int, batch: dict[str, Any]) -> None:
        """Dispatches the step. In the first step of a run it waits for the result, and prints how long it took to get there."""
        first = not self._clock.started
        if first:
            console.say("compiling the step, or reading it from the compilation cache ...")
        with watched() if first else contextlib.nullcontext() as compilation, jax.profiler.StepTraceAnnotation("train", step_num=step):
            self._state, metrics = self._train_step(self._state, batch, self._seed)
        self._pending.append((step, metrics))
        self._settle(0 if first else STEPS_IN_FLIGHT)
        if first:
            console.say(f"first step {time.time() - psutil.Process().create_time():.1f} s after the start, {compilation}")

    @contextlib.contextmanager
    def _profiled(self, step: int) -> Iterator[None]:
        """Begins or ends the profile with this step if one is due, with no other step in flight."""
        if self._profiler.begins(step):
            self._settle(0)
            with self._clock.stopped():
                self._profiler.start()
        yield
        if self._profiler.ends(step):
            self._settle(0)
            with self._clock.stopped():
                self._profiler.stop()

    def _settle(self, in_flight: int) -> None:
        """Takes in the metrics of all steps but the newest `in_flight`: checks them and writes the due rows."""
        while len(self._pending) > in_flight:
            step, on_device = self._pending.popleft()
            with self._clock.waiting_for("device"):
                metrics = self.run.executor.metrics(on_device)
            self.interruption.unsaved = True
            self._clock.count(self.run.experiment.training.batch_size)
            self._advance(step, metrics)
            self._interval.add(metrics)
            finite = bool(metrics["finite"].all())
            if self.plan.logs(step) or not finite:
                self._log(step)
            if not finite:
                self._checkpoints.finish()
                raise Stopped(self._not_finite(step, metrics))

    def _log(self, step: int) -> None:
        row = self._interval.row()
        lap = self._clock.lap()
        self.write(step, row | lap.row())
        if not self._bar.console.is_terminal:
            console.say(f"step {step}/{self.plan.total}  loss {row['train/loss']:.4f}  {lap.clips_per_second:.1f} clips/s")
        self._tell_of_waiting(lap)

    def _tell_of_waiting(self, lap: Lap) -> None:
        """Warns once if reading is the bottleneck."""
        if lap.data > SHARE_WORTH_TELLING and self._clock.waited["data"] > SECONDS_WORTH_TELLING and not self._told_of_waiting:
            self._told_of_waiting = True
            console.warn(
                f"the step waits for data {lap.data:.0%} of the time: raise data.processes or data.readers (this machine has "
                f"{available_cpus()} CPUs), or data.cache_gigabytes, which keeps the frames of a small set in memory"
            )

    def _advance(self, step: int, metrics: dict[str, Any]) -> None:
        note = f"loss {metrics['loss']:.3f}  lr {metrics['learning_rate']:.2e}  {self._clock.clips_per_second:.0f} clips/s"
        self._bar.update(self._task, completed=step, note=note)

    def _not_finite(self, step: int, metrics: dict[str, Any]) -> str:
        bad = [name for name, finite in zip(self._checked, metrics["finite"], strict=True) if not finite]
        others = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        saved = self._checkpoints.steps()
        kept = f"the checkpoint of step {saved[-1]} is kept" if saved else "there was no checkpoint yet"
        return (
            f"step {step}: {bad[-1]}{others} is not finite; {kept} in {self.workdir.checkpoints}. Lower optimizer.learning_rate, lengthen "
            "the warm-up, or set optimizer.clip_norm"
        )

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
            scores = self.evaluator(self._state.model_variables, self.run.val_batches, title="validating", between=self._leave)
        except Interrupted:
            return True
        self._evaluated = step
        summary = scores.summary()
        waited = self._patience.note(self.run.experiment.best, summary.get(self.run.experiment.best, math.nan))
        self.write(step, {f"val/{name}": value for name, value in summary.items()} | waited)
        console.say(f"step {step}/{self.plan.total}  val {scores.headline}  loss {scores.loss:.4f}")
        self._keep_best(step, scores)
        return False

    def _keep_best(self, step: int, scores: Evaluation) -> None:
        name, summary = self.run.experiment.best, scores.summary()
        if name not in summary:
            raise UserError(
                f"evaluation.best {name!r} is not defined on the validation split, all of whose labels are the same: set another"
            )
        if not self.best or _is_better(name, summary[name], self.best[name]):
            self.best = {"step": step, name: summary[name]}
            self._kept.save(self.run.executor.to_host(self._state.model_variables), self.best)

    def _save_last_model(self, step: int) -> None:
        if not self.best:
            self._kept.save(self.run.executor.to_host(self._state.model_variables), {"step": step})
        elif self.best["step"] != step:
            self._kept.save(self.run.executor.to_host(self._state.model_variables), {"step": step}, self.workdir.last_model)

    def _make_up_for_evaluation(self, step: int) -> None:
        if self._evaluate(step):
            raise Interrupted(f"interrupted after step {step} of {self.plan.total}; all of it is saved")
        if self._evaluated == step:
            self._checkpoints.amend(step, self._facts())

    def _save(self, step: int) -> None:
        self._checkpoints.save(step, saved_fields(self.run.executor.saved_form(self._state)), self._facts())

    def _facts(self) -> dict[str, Any]:
        """The plain values that a checkpoint holds beside its arrays."""
        return {
            "data": positions_of_all_hosts(self._position),
            "best": self.best,
            "evaluated": self._evaluated,
            "model": self._kept.digest,
            "interval": self._interval.saved(),
            "patience": self._patience.saved(),
            "experiment": to_dict(self.run.experiment),
            "dataset": self.run.identity,
        }

    def _check_facts(self, facts: dict[str, Any]) -> None:
        """Refuses the checkpoint of another run."""
        self.workdir.check_facts(facts, self.run.experiment)
        before, now = facts.get("dataset"), self.run.identity
        if before and now and (difference := differences(before, now)):
            raise UserError(
                f"data set {self.run.experiment.data.name} is not the one that the run in {self.workdir.path} was trained on so far: "
                f"{difference}; put the old one back, or give a new --workdir"
            )
        if len(facts["data"]) != jax.process_count():
            raise UserError(
                f"the checkpoint was saved by {len(facts['data'])} processes and this run has {jax.process_count()}: use as many"
            )

    def restore(self) -> None:
        """Restores the newest whole checkpoint, if there is one. Call it before `train`.

        Raises:
          UserError: if it is of another run, or the best model so far is damaged and cannot be made again.
          Refused: if there are checkpoints and none is whole.
        """
        restored = self._checkpoints.restore_latest(saved_fields(self.run.executor.saved_form(self._state)), self._check_facts)
        if restored is None:
            return
        state, facts = restored
        self._state = self.run.executor.from_saved_form(TrainState(**state))
        self._position = facts["data"][jax.process_index()]
        self.run.batches.set_state(json.loads(self._position))
        self.best, self._evaluated = facts["best"], facts["evaluated"]
        self._interval = Interval(facts.get("interval"))
        self._patience.restore(facts.get("patience"))
        step = self._step = int(self.run.executor.to_host(self._state.step))
        console.say(f"going on after step {step} of {self.plan.total}, from {self.workdir.checkpoints / str(step)}")
        self._kept.digest = facts.get("model")
        if not self._kept.ensure(self.best, step, lambda: self._state.model_variables):
            self._forget_best(step)

    def _forget_best(self, step: int) -> None:
        """Goes on as if there had been no best model yet, and records that in the checkpoint of `step`."""
        self.best, self._kept.digest = {}, None
        self._checkpoints.amend(step, self._facts())


def _is_better(name: str, score: float, than: float) -> bool:
    return score < than if name == "loss" else score > than
