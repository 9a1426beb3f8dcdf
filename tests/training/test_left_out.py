"""Steps that leave patches and examples out, on any layout of devices."""

import jax
import numpy as np
import pytest
import tiny
from steps import EIGHT_DEVICES, SGD, assert_close, initial_params, sgd, train

from vivit_jax.models.families import build
from vivit_jax.training.devices.executors import make_executor
from vivit_jax.training.optimizer import make_optimizer
from vivit_jax.training.state import create_state
from vivit_jax.training.step import make_train_step
from vivit_jax.weights.layers import stack_layers

DROPPING = {"patch_dropout": 0.5}
ONE_LAYER = DROPPING | {"num_layers": 1}
SKIPPING = {"stochastic_depth": 0.5, "stochastic_depth_skips": True}


@pytest.fixture(scope="module")
def one_device():
    """Parameters trained on one device."""
    return train(sgd(parallel={"data": 1}, model=ONE_LAYER), steps=2)[0]


@pytest.mark.parametrize(
    "parallel",
    [pytest.param(EIGHT_DEVICES[name], id=name, marks=[] if name == "mesh" else pytest.mark.slow) for name in ("mesh", "data", "fsdp")],
)
def test_eight_devices_leave_out_the_patches_of_one(one_device, parallel):
    assert_close(train(sgd(parallel=parallel, model=ONE_LAYER), steps=2)[0], one_device)


@pytest.mark.slow
def test_scanned_and_rematerialised_layers_leave_out_the_same_patches(one_device):
    experiment = sgd(parallel={"data": 1}, model=ONE_LAYER | {"scan_layers": True, "remat": True})
    assert_close(train(experiment, jax.device_get(stack_layers(initial_params(experiment))), steps=2)[0], one_device)


@pytest.mark.slow
def test_single_operations_compute_what_jit_does():
    """Also where gradients are accumulated and sharpness-aware, and clips mixed."""
    how = {"optimizer": SGD | {"sam_rho": 0.05}, "model": DROPPING | SKIPPING, "training": {"accumulation": 2, "mixup": 0.3}}
    expected = train(tiny.experiment(parallel={"data": 1}, **how), steps=1)[0]
    with jax.disable_jit():
        assert_close(train(tiny.experiment(parallel={"data": 1}, **how), steps=1)[0], expected)


def compiled_step(parallel, model):
    """The program of a train step of 16 clips."""
    experiment = sgd(parallel=parallel, model=model)
    executor, params = make_executor(experiment.parallel), initial_params(sgd())
    optimizer = make_optimizer(experiment.optimizer, lambda step: 0.1, params, experiment.model)
    state = executor.place(lambda tree: create_state(tree, optimizer, averaged=False), {"params": params})
    module = build(experiment.model, axis_name=executor.axis_name, batch_parts=executor.batch_parts)
    step = make_train_step(
        module, tiny.PREPROCESS, optimizer, experiment.loss, experiment.training, axis_name=executor.axis_name, gather=executor.gather
    )
    batch, seed = executor.to_devices(next(tiny.Batches(16))), executor.place_whole(np.uint32(0))
    return executor.compile_train(step, state).lower(state, batch, seed).compile().as_text()


@pytest.mark.parametrize("parallel", [{"data": 2}, pytest.param({"mode": "pmap", "data": 2}, marks=pytest.mark.slow)], ids=["jit", "pmap"])
def test_devices_exchange_gradients_and_nothing_else(parallel):
    program = compiled_step(parallel, DROPPING | SKIPPING)
    assert "all-reduce" in program
    for exchange in ("all-gather", "all-to-all", "collective-permute", "reduce-scatter"):
        assert exchange not in program
