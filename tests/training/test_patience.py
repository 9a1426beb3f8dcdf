"""A run that ends early: at the step that a loop over the scores of a whole run finds, and again there if it is interrupted."""

import json
import math
import signal

import numpy as np
import pytest
import tiny
from processes import arrays_of

from vivit_jax.runs.patience import Patience
from vivit_jax.training.config import EvaluationConfig
from vivit_jax.training.metrics import is_better

# Steps so long that the score wanders.
WANDERING = (
    "--config.training.steps=36",
    "--config.evaluation.every_steps=2",
    "--config.optimizer.learning_rate=0.3",
    "--config.schedule.name=constant",
    "--config.checkpoint.every_steps=5",
)


def end_of(scores, patience, delta=0.0, sign=1):
    """The number of the evaluation after which training ends, by looking back over all scores each time; None if it does not."""
    for now in range(len(scores)):
        best = None
        for number in range(now + 1):
            if best is None or sign * (scores[number] - scores[best]) > delta:
                best = number
        if now - best >= patience:
            return now
    return None


@pytest.mark.parametrize("name", ["top1", "loss"])
@pytest.mark.parametrize("delta", [0.0, 0.05])
def test_it_ends_where_a_loop_over_all_scores_says(name, delta):
    generator = np.random.default_rng(0)
    for _ in range(50):
        scores, limit = generator.random(40).round(2).tolist(), int(generator.integers(1, 8))
        patience, ended = Patience.of(EvaluationConfig(patience=limit, patience_delta=delta)), None
        for number, score in enumerate(scores):
            after = Patience.of(EvaluationConfig(patience=limit, patience_delta=delta))
            after.restore(json.loads(json.dumps(patience.saved())))
            after.note(name, score)
            patience = after
            if patience.exhausted:
                ended = number
                break
        assert ended == end_of(scores, limit, delta, -1 if name == "loss" else 1)


def test_without_patience_a_run_never_ends_early():
    patience = Patience.of(EvaluationConfig())
    assert all(patience.note("top1", 0.5) == {} for _ in range(100))
    assert not patience.exhausted


@pytest.mark.parametrize("name", ["top1", "loss"])
def test_a_score_that_is_nan_is_never_the_best(name):
    patience = Patience.of(EvaluationConfig(patience=3))
    for score in (math.nan, 0.5, math.nan):
        patience.note(name, score)
    assert (patience.best, patience.waited) == (0.5, 1)
    assert is_better(name, 0.5, math.nan) and not is_better(name, math.nan, 0.5) and not is_better(name, math.nan, math.nan)


@pytest.mark.slow
def test_a_run_whose_patience_ends_with_its_last_step_did_not_end_early(start, tmp_path):
    flags = ("--config.training.steps=4", "--config.evaluation.every_steps=2", "--config.optimizer.learning_rate=0")
    run = start(tmp_path / "run", *flags, "--config.evaluation.patience=1")
    assert run.wait() == 0, run.output()
    assert "ends early" not in run.output()
    assert "ended early" not in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.fault(
    promise="A run that ends early ends at the same step with the same bits if it is interrupted",
    provoked="SIGTERM before the step at which patience ends, then the same command again; jit and pmap",
    seen="the step that a loop over its scores gives, with its test, model and report; parameters and metrics.jsonl are the same bytes",
    trials=2,
)
@pytest.mark.slow
@pytest.mark.parametrize("mode", ["jit", "pmap"])
def test_a_run_ends_early_and_in_the_same_bits_if_it_is_interrupted(start, tmp_path, mode):
    flags = (*WANDERING, f"--config.parallel.mode={mode}", "--config.evaluation.patience=2", "--config.evaluation.best=loss")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    uninterrupted = start(whole, *flags, devices=2)
    assert uninterrupted.wait() == 0, uninterrupted.output()
    scores = [row["val/loss"] for row in tiny.rows(whole) if "val/loss" in row]
    assert end_of(scores, 2, sign=-1) == len(scores) - 1, scores
    step = 2 * len(scores)
    assert step < 36, "it ended with its last step"
    assert f"ends early, after step {step} of 36: val/loss has not improved in 2 evaluations" in uninterrupted.output()
    interrupted = start(cut, *flags, devices=2, TINY_TERMINATE_AT=str(step - 1))
    assert interrupted.wait() == 128 + signal.SIGTERM, interrupted.output()
    resumed = start(cut, *flags, devices=2)
    assert resumed.wait() == 0, resumed.output()

    (expected, facts), (actual, resumed_facts) = arrays_of(whole, step), arrays_of(cut, step)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(actual, expected, strict=True))
    assert resumed_facts == facts
    assert tiny.rows(cut) == tiny.rows(whole)
    for workdir in (whole, cut):
        assert json.loads((workdir / "evaluation.json").read_text())["step"] == 2 * (1 + int(np.argmin(scores)))
        assert f"The run ended early, after step {step}" in (workdir / "report.html").read_text()
