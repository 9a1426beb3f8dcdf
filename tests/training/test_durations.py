"""A duration is the same in whichever unit it is given, and given in one alone."""

import pytest
import tiny

from vivit_jax.errors import UserError
from vivit_jax.runs.plan import Plan
from vivit_jax.training.config import CheckpointConfig, EvaluationConfig, ScheduleConfig, TrainingConfig

EXAMPLES = 640  # 40 steps of 16 an epoch


def plan(**sections):
    training = {"steps": None, "epochs": 5.0}
    sections = {"training": training, "evaluation": {"every_steps": None}, "checkpoint": {"every_steps": None}} | sections
    return Plan.of(tiny.experiment(**sections), EXAMPLES)


@pytest.mark.parametrize("length", [{"epochs": 5.0}, {"steps": 200}, {"examples": 3200}], ids=str)
def test_the_length_of_the_run(length):
    assert plan(training={"steps": None} | length).total == 200


@pytest.mark.parametrize("unit", [{"epochs": 0.5}, {"steps": 20}, {"examples": 320}, {"percent": 10.0}], ids=str)
def test_warm_up_and_intervals(unit):
    every = {"every_steps": None} | {f"every_{name}": value for name, value in unit.items()}
    found = plan(schedule={f"warmup_{name}": value for name, value in unit.items()}, evaluation=every, checkpoint=every)
    assert (found.total, found.warmup, found.evaluate_every, found.save_every) == (200, 20, 20, 20)


def test_epochs_count_where_no_other_unit_is_given():
    found = plan()
    assert (found.total, found.warmup, found.evaluate_every, found.save_every) == (200, 0, 40, 40)


def test_a_unit_of_zero_is_given_all_the_same():
    assert plan(schedule={"warmup_epochs": 2.0, "warmup_steps": 0}).warmup == 0


def test_epochs_of_few_steps_share_a_checkpoint():
    assert plan(training={"steps": None, "epochs": 1000.0}).save_every == 400  # a hundredth of 40,000 steps, in place of an epoch of 40
    every = {"every_steps": None, "every_epochs": 1.0}
    assert plan(training={"steps": None, "epochs": 1000.0}, checkpoint=every).save_every == 40


def test_an_interval_is_at_least_a_step():
    every = {"every_steps": None, "every_percent": 0.1}
    assert plan(evaluation=every).evaluate_every == 1


def test_a_run_without_a_step_is_refused():
    with pytest.raises(UserError, match="the run is shorter than a step of 16 clips"):
        plan(training={"steps": None, "examples": 7})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ScheduleConfig(warmup_steps=5, warmup_percent=2.0), "schedule.warmup_steps and schedule.warmup_percent give one"),
        (lambda: TrainingConfig(steps=5, examples=7), "training.steps and training.examples give one duration twice"),
        (lambda: EvaluationConfig(every_percent=101.0), "evaluation.every_percent is a share of the run, at most 100, got 101"),
        (lambda: CheckpointConfig(every_examples=0), "checkpoint.every_examples must be above 0, got 0"),
        (lambda: TrainingConfig(epochs=0.0), "training.epochs must be above 0, got 0"),
        (lambda: ScheduleConfig(warmup_epochs=-1.0), "schedule.warmup_epochs must be at least 0, got -1"),
    ],
)
def test_what_is_no_duration_is_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()
