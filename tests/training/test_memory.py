"""A device that is out of memory: one line that says what to change."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
import tiny

from vivit_jax.models.families import make_config
from vivit_jax.runs import memory
from vivit_jax.runs.memory import advice, is_out_of_memory, warn_of_large_step
from vivit_jax.training.devices.executors import make_executor

STAYS = "the numbers stay the same"
EVALUATING = "; or, if it came while evaluating, lower evaluation.batch_size, now "


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"parallel": {"data": 1}}, "add --config.training.accumulation=2 or --config.model.remat=True or --config.parallel.fsdp=8"),
        (
            {"parallel": {"data": 4, "tensor": 2}, "training": {"batch_size": 4}, "model": {"remat": True}},
            "add --config.parallel.data=1 --config.parallel.fsdp=4, and",
        ),
        ({"training": {"batch_size": 24}}, "add --config.training.accumulation=3 or"),  # three clips a device
        ({"training": {"batch_size": 8}}, "add --config.model.remat=True or --config.parallel.fsdp=8, and"),  # one clip a device
        ({"parallel": {"fsdp": 4, "tensor": 2}, "model": {"remat": True}}, "add --config.training.accumulation=2, and"),
        ({"parallel": {"mode": "pmap"}, "model": {"remat": True}}, "add --config.training.accumulation=2, and"),
    ],
)
def test_what_trains_the_same_in_less_memory_is_offered(sections, expected):
    experiment = tiny.experiment(**({"training": {"batch_size": 32}} | sections))
    said = advice(experiment, make_executor(experiment.parallel))
    assert said.startswith(expected)
    assert said.endswith(f"{STAYS}{EVALUATING}{experiment.training.batch_size}")


@pytest.mark.parametrize(
    ("frozen", "parallel", "expected"),
    [
        (False, {}, "add --config.parallel.fsdp=8, and the numbers stay the same"),
        (False, {"fsdp": 8}, "add --config.training.accumulation=2, and each part of the batch is normalised by its own statistics"),
        (True, {"fsdp": 8}, "add --config.training.accumulation=2, and the numbers stay the same"),
    ],
)
def test_parts_of_a_batch_that_is_normalised_as_a_whole_do_not_stay_the_same(frozen, parallel, expected):
    model = {"family": "resnet3d", "width": 8, "clip": (4, 16, 16), "num_classes": 4, "frozen_statistics": frozen}
    experiment = tiny.experiment(training={"batch_size": 32}, parallel=parallel)
    experiment = dataclasses.replace(experiment, model=make_config(model.pop("family"), model))
    assert advice(experiment, make_executor(experiment.parallel)).startswith(expected)


@pytest.mark.parametrize(("batch_size", "expected"), [(16, "lower training.batch_size, now 16"), (8, "use more devices, or a smaller")])
def test_where_nothing_is_left_it_says_what_changes_the_numbers(batch_size, expected):
    experiment = tiny.experiment(
        training={"batch_size": batch_size, "accumulation": batch_size // 8}, parallel={"fsdp": 8}, model={"remat": True}
    )
    assert advice(experiment, make_executor(experiment.parallel)).startswith(expected)


def test_an_allocation_that_fails_is_told_from_other_errors():
    with pytest.raises(jax.errors.JaxRuntimeError) as error:
        jax.jit(lambda x: jnp.sin(x[:, None] + x).sum(0) + jnp.sin(x[None] * x[:, None]))(jnp.ones(2**23)).block_until_ready()
    assert is_out_of_memory(error.value)
    assert not is_out_of_memory(jax.errors.JaxRuntimeError("INTERNAL: something else"))
    assert not is_out_of_memory(ValueError("RESOURCE_EXHAUSTED"))


@pytest.mark.slow
def test_a_run_that_does_not_fit_ends_in_one_line(start, tmp_path):
    """A hidden layer of a million units over a thousand clips of a thousand tokens: 4 TB."""
    flags = ("--config.model.mlp_dim=1000000", "--config.model.tubelet=(1, 1, 1)", "--config.training.batch_size=1024")
    run = start(tmp_path / "run", *flags, "--config.optimizer.name=sgd", "--config.model.factorisation=factorised_encoder")
    assert run.wait() == 1, run.output()
    last = run.output().splitlines()[-1]
    assert last.startswith("train: out of memory on cpu (RESOURCE_EXHAUSTED: ")
    assert "add --config.training.accumulation=2 or --config.model.remat=True, and the numbers stay the same; or, if" in last
    assert "the same command resumes" in last
    assert "Traceback" not in run.output()


def test_a_step_larger_than_the_device_is_told_before_it_is_compiled(monkeypatch, capsys):
    experiment = tiny.experiment(training={"batch_size": 32})
    executor = make_executor(experiment.parallel)
    warn_of_large_step(experiment, executor)
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(memory, "memory_of_device", lambda: 10_000)
    warn_of_large_step(experiment, executor)
    assert f"likely to run out of memory: {advice(experiment, executor).split(';')[0]}" in capsys.readouterr().out
