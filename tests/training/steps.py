"""Trains a tiny model for a few steps on any layout of devices, so that the results can be compared."""

import dataclasses
import functools

import jax
import numpy as np
import tiny

from vivit_jax.models.vivit.model import ViViT
from vivit_jax.training.devices.executors import make_executor
from vivit_jax.training.devices.placement import bytes_per_device
from vivit_jax.training.moving_average import make_decay
from vivit_jax.training.optimizer import make_optimizer
from vivit_jax.training.schedule import make_schedule
from vivit_jax.training.state import create_state
from vivit_jax.training.step import make_train_step
from vivit_jax.weights.layers import flatten

EIGHT_DEVICES = {
    "data": {"data": 8},
    "fsdp": {"fsdp": 8},
    "tensor": {"data": 4, "tensor": 2},
    "mesh": {"data": 2, "fsdp": 2, "tensor": 2},
    "pmap": {"mode": "pmap"},
}

STEPS = 20
TOLERANCE = 1e-5  # of parameters of size 1, after 20 steps of SGD that halve the loss
SGD = {"name": "sgd", "learning_rate": 0.1, "weight_decay": 0.01, "clip_norm": 1.0}


def initial_params(experiment):
    return _initial_params(dataclasses.replace(experiment.model, scan_layers=False, remat=False))


@functools.cache
def _initial_params(model):
    initialise = jax.jit(ViViT(model).init)
    return jax.device_get(initialise(jax.random.key(0), np.zeros((1, *tiny.CLIP, 3), np.float32))["params"])


def train(experiment, params=None, steps=STEPS, change=lambda batch: batch):
    """The state on the host, the parameters layer by layer, and bytes of state a device; `change` is made to each batch."""
    executor = make_executor(experiment.parallel)
    model = ViViT(experiment.model)
    params = initial_params(experiment) if params is None else params
    learning_rate = make_schedule(experiment.schedule, experiment.optimizer.learning_rate, total=STEPS, warmup=2)
    optimizer = make_optimizer(experiment.optimizer, learning_rate, params, experiment.model)
    state = executor.place(lambda v: create_state(v, optimizer, averaged=bool(experiment.training.ema_decay)), {"params": params})
    pure = make_train_step(
        model,
        tiny.PREPROCESS,
        optimizer,
        experiment.loss,
        experiment.training,
        average_decay=make_decay(experiment.training, total=STEPS),
        axis_name=executor.axis_name,
        gather=executor.gather,
    )
    step, seed = executor.compile_train(pure, state), executor.place_whole(np.uint32(0))
    batches = tiny.Batches(16)
    losses = []
    for _ in range(steps):
        state, metrics = step(state, executor.to_devices(change(next(batches))), seed)
        losses.append(float(executor.metrics(metrics)["loss"]))
    assert steps < STEPS or losses[-1] < losses[0]
    return flatten(executor.to_host(state.model_variables["params"])), bytes_per_device(state)


def assert_close(actual, expected, tolerance=TOLERANCE):
    assert actual.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(actual[name], expected[name], atol=tolerance, err_msg=name)


def sgd(**sections):
    return tiny.experiment(optimizer=SGD, **sections)
