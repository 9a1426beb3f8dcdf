"""Whether a directory holds a part of this run."""

import contextlib
import dataclasses
import datetime
import json

import pytest
import tiny

from vivit_jax.errors import UserError
from vivit_jax.models.families import make_config
from vivit_jax.runs import evaluations
from vivit_jax.runs.workdir import Workdir


@pytest.fixture
def begun(tmp_path):
    """A work directory with a checkpoint of the tiny experiment, and a way to change what its `config.json` says."""
    workdir = Workdir(tmp_path / "run")
    workdir.record(tiny.experiment())
    (workdir.checkpoints / "2").mkdir(parents=True)

    def change(edit):
        recorded = json.loads(workdir.config.read_text())
        edit(recorded["config"])
        workdir.config.write_text(json.dumps(recorded))

    yield workdir, change
    workdir.release()


def test_more_microbatches_may_go_on_only_where_none_is_normalised_by_itself(begun):
    workdir, _ = begun
    workdir.check(tiny.experiment(training={"accumulation": 2}))
    with_statistics = {"family": "resnet3d", "clip": tiny.CLIP, "num_classes": 4, "frozen_statistics": False}
    for frozen, fails in ((True, False), (False, True)):
        model = with_statistics | {"frozen_statistics": frozen}
        workdir.record(replaced(model))
        with pytest.raises(UserError, match=r"\(training\.accumulation: 1 there, 2 now\)") if fails else contextlib.nullcontext():
            workdir.check(replaced(model, accumulation=2))


def test_the_classes_of_a_checkpoint_are_those_that_it_was_trained_on_whatever_it_is_scored_on(begun, monkeypatch):
    workdir, _ = begun
    facts = workdir.checkpoints / "2" / "facts"
    facts.mkdir()
    (facts / "metadata").write_text(json.dumps({"dataset": tiny.DataSet().identity}))
    monkeypatch.setattr(evaluations, "model_variables", lambda path, step: {})
    other = tiny.DataSet(name="other", labels=tiny.CLASSES[::-1])
    monkeypatch.setattr(evaluations, "ensure_dataset", lambda name, data_dir: other)
    plan = evaluations.plan_for_run(workdir.path, evaluations.EvaluationRequest(name="other", step=2))
    assert plan.split_pass.pretrained.labels == tiny.CLASSES
    assert plan.split_pass.dataset is other


def replaced(model, accumulation=1):
    """The tiny experiment with another family's model."""
    model = make_config(model["family"], {name: value for name, value in model.items() if name != "family"})
    return dataclasses.replace(tiny.experiment(training={"accumulation": accumulation}), model=model)


def before_the_loss_had_a_name(config):
    del config["loss"]["name"], config["loss"]["class_weights"], config["optimizer"]["sam_rho"], config["evaluation"]["best"]


def test_a_run_begun_before_a_key_existed_goes_on_where_the_key_has_its_default(begun):
    workdir, change = begun
    workdir.check(tiny.experiment())
    change(before_the_loss_had_a_name)
    workdir.check(tiny.experiment())
    with pytest.raises(UserError, match=r"\(loss\.name: 'softmax' there, 'sigmoid' now\)"):
        workdir.check(tiny.experiment(loss={"name": "sigmoid"}))


def test_a_key_that_is_gone_is_named(begun):
    workdir, change = begun
    change(lambda config: config["training"].update(microbatches=2))
    with pytest.raises(UserError, match=r"cannot resume: .*microbatches.*; give another --workdir"):
        workdir.check(tiny.experiment())
    workdir.config.write_text("[]")
    with pytest.raises(UserError, match=r"is not the config\.json of a run"):
        workdir.check(tiny.experiment())


def test_a_run_that_goes_on_keeps_the_date_of_its_first_start(begun):
    workdir, _ = begun
    recorded = json.loads(workdir.config.read_text())
    assert abs(datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(recorded["started"])).total_seconds() < 60
    workdir.config.write_text(json.dumps(recorded | {"started": "2026-01-02T03:04:05+00:00"}))
    workdir.record(tiny.experiment())
    assert json.loads(workdir.config.read_text())["started"] == "2026-01-02T03:04:05+00:00"
