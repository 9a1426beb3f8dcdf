"""What a run tells at its start: true, and short enough for a screen."""

import functools
import types

import jax
import pytest
from mesh_shapes import shapes_on

from vivit_jax.analysis.complexity import count_arithmetic, count_parameters, parameter_tree
from vivit_jax.config import resolve
from vivit_jax.runs import overview
from vivit_jax.training.devices.executors import make_executor
from vivit_jax.training.optimizer import make_optimizer
from vivit_jax.training.state import create_state

MODEL = {
    "hidden_size": 64,
    "num_layers": 4,
    "num_heads": 4,
    "mlp_dim": 256,
    "temporal_layers": 2,
    "clip": (8, 32, 32),
    "tubelet": (2, 8, 8),
}


def told(capsys, *, parallel, factorisation="factorised_encoder", num_classes=10):
    model = MODEL | {"factorisation": factorisation, "num_classes": num_classes}
    experiment = resolve({"model": model, "parallel": parallel, "name": "something"})
    executor, params = make_executor(experiment.parallel), parameter_tree(experiment.model)
    optimizer = make_optimizer(experiment.optimizer, lambda step: 0.0, params, experiment.model)
    shapes = jax.eval_shape(functools.partial(create_state, optimizer=optimizer, averaged=True), {"params": params})
    run = types.SimpleNamespace(experiment=experiment, executor=executor, variables={"params": params}, examples=100)
    loop = types.SimpleNamespace(state=shapes_on(executor.mesh, shapes), plan=types.SimpleNamespace(total=7))
    overview.tell(run, loop, ())
    return experiment.model, capsys.readouterr().out


@pytest.mark.parametrize("factorisation", ["factorised_encoder", "factorised_self_attention"])
def test_one_device_is_told_of_in_a_screen(capsys, factorisation):
    model, output = told(capsys, parallel={"data": 1}, factorisation=factorisation, num_classes={"verb": 3, "noun": 4})
    assert len(output.splitlines()) <= 15
    assert max(map(len, output.splitlines())) <= 120
    assert f"{count_parameters(model):,}" in output
    assert f"{count_arithmetic(model).multiply_accumulates / 1e9:.4g} GMAC a view of 8 x 32 x 32 pixels, 4 x 4 x 4 tokens" in output
    megabytes = 4 * count_parameters(model) / 1e6
    assert f"holds {megabytes:.1f} MB of parameters, {2 * megabytes:.1f} MB of optimiser state, {megabytes:.1f} MB of moving" in output
    assert "mesh" not in output


def test_a_mesh_is_told_of_by_rule_with_shapes_and_bytes(capsys):
    _, output = told(capsys, parallel={"fsdp": 4, "tensor": 2})
    assert "mesh of data 1 x fsdp 4 x tensor 2" in output
    rows = {line.split()[0]: line.split()[1:] for line in output.splitlines() if line.split()}
    six_layers = 6 * 4 * 4  # float32 of the parameters, two moments and an average
    assert rows["/mlp/in/kernel$"] == ["fsdp,", "tensor", "64x256", "16x128", f"{six_layers * 16 * 128 / 1e6:.1f}"]
    assert rows[r"attention\w*/out/kernel$"] == ["tensor,", "-,", "fsdp", "4x16x64", "2x16x16", f"{six_layers * 2 * 16 * 16 / 1e6:.1f}"]
    assert len(output.splitlines()) <= 26


def test_parameters_that_are_whole_everywhere_need_no_table(capsys):
    _, output = told(capsys, parallel={"data": 8})
    assert "mesh of data 8 x fsdp 1 x tensor 1: the batch is divided, every parameter is whole on each device" in output
