"""Batch statistics in the train state, against a plain loop in NumPy: what they mean is said in `vivit_jax/training/state.py`."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from vivit_jax.training.config import LossConfig, OptimizerConfig, ParallelConfig, TrainingConfig
from vivit_jax.training.devices.executors import make_executor
from vivit_jax.training.evaluation import Evaluator, Scoring
from vivit_jax.training.forward import Watch
from vivit_jax.training.moving_average import warmed_up
from vivit_jax.training.optimizer import make_optimizer
from vivit_jax.training.state import create_state
from vivit_jax.training.step import make_train_step

MOMENTUM, STEPS, BATCH, CLASSES = 0.9, 3, 16, 4


class Statistics(nn.Module):
    """Mean pixel a channel, normalised by the batch, and a linear head."""

    axis_name: str | None = None

    @nn.compact
    def __call__(self, video, *, train=False):
        x = video.mean(axis=(1, 2, 3))
        x = nn.BatchNorm(not train, momentum=MOMENTUM, axis_name=self.axis_name if train else None, name="norm")(x)
        return nn.Dense(CLASSES, name="head")(x)


def trained(parallel, *, accumulation=1, sam_rho=0.0, ema_decay=0.0, steps=STEPS):
    """The state on the host after a few steps of plain descent, and the batches it saw."""
    executor = make_executor(ParallelConfig(**parallel))
    model = Statistics(axis_name=executor.axis_name)
    variables = jax.device_get(Statistics().init(jax.random.key(0), jnp.zeros((1, *tiny.CLIP, 3))))
    config = OptimizerConfig(name="sgd", momentum=0.0, weight_decay=0.0, sam_rho=sam_rho)
    optimizer = make_optimizer(config, optax.constant_schedule(0.1), variables["params"], None)
    training = TrainingConfig(accumulation=accumulation)
    create = functools.partial(create_state, optimizer=optimizer, averaged=bool(ema_decay))
    state = executor.place(create, variables)
    step = make_train_step(
        model,
        tiny.PREPROCESS,
        optimizer,
        LossConfig(),
        training,
        average_decay=warmed_up(ema_decay),
        axis_name=executor.axis_name,
        gather=executor.gather,
    )
    step, seed, batches, seen = executor.compile_train(step, state), executor.place_whole(np.uint32(0)), tiny.Batches(BATCH), []
    for _ in range(steps):
        seen.append(next(batches))
        state, _ = step(state, executor.to_devices(seen[-1]), seed)
    return executor.to_host(state), seen


def running(batches, accumulation=1):
    """The running mean and variance by a plain loop: every microbatch in its turn, each of every `accumulation`-th row."""
    mean, var = np.zeros(3), np.ones(3)
    for batch in batches:
        pixels = (batch["video"] / 127.5 - 1).mean(axis=(1, 2, 3))
        for part in range(accumulation):
            rows = pixels[part::accumulation]
            mean = MOMENTUM * mean + (1 - MOMENTUM) * rows.mean(axis=0)
            var = MOMENTUM * var + (1 - MOMENTUM) * rows.var(axis=0)
    return {"mean": mean, "var": var}


PARALLEL = [{"data": 1}, {"data": 4}, {"data": 2, "fsdp": 2}, {"mode": "pmap", "data": 4}]


@pytest.mark.parametrize("parallel", PARALLEL, ids=["one", "data", "fsdp", "pmap"])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_statistics_are_of_the_whole_batch_on_any_devices(parallel, accumulation):
    state, batches = trained(parallel, accumulation=accumulation)
    expected = running(batches, accumulation)
    for name, values in state.collections["batch_stats"]["norm"].items():
        np.testing.assert_allclose(values, expected[name], rtol=2e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("parallel", PARALLEL[1:], ids=["data", "fsdp", "pmap"])
def test_parameters_are_those_of_one_device(parallel):
    alone, spread = trained(PARALLEL[0])[0], trained(parallel)[0]
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=2e-5, atol=1e-6), spread.params, alone.params)


def test_the_second_pass_of_sharpness_aware_steps_moves_no_statistics():
    state, batches = trained(PARALLEL[0], sam_rho=0.5)
    plain, _ = trained(PARALLEL[0])
    for name, values in state.collections["batch_stats"]["norm"].items():
        np.testing.assert_allclose(values, running(batches)[name], rtol=2e-5, atol=1e-6)
    assert not np.allclose(state.params["head"]["kernel"], plain.params["head"]["kernel"], rtol=1e-3)


def test_the_moving_average_of_the_statistics_is_saved_with_that_of_the_parameters():
    state, batches = trained(PARALLEL[0], ema_decay=0.5)
    expected = np.zeros(3)
    for number in range(STEPS):
        kept = min(0.5, (1 + number) / (10 + number))
        expected = kept * expected + (1 - kept) * running(batches[: number + 1])["mean"]
    variables = state.model_variables
    np.testing.assert_allclose(variables["batch_stats"]["norm"]["mean"], expected, rtol=2e-5, atol=1e-6)
    assert variables["params"] is state.average


def test_evaluation_uses_the_running_statistics_and_changes_none():
    state, batches = trained(PARALLEL[0])
    variables = state.model_variables
    executor = make_executor(ParallelConfig(data=1))
    batch = batches[0]
    rows = batch | {"video": batch["video"][:, None], "index": np.arange(BATCH), "valid": np.ones(BATCH, bool)}
    scoring = Scoring(tuple(f"class {i}" for i in range(CLASSES)))
    evaluator = Evaluator(Statistics(), tiny.PREPROCESS, executor, scoring)
    scores = evaluator(executor.place_variables(variables), [rows], Watch(shown=False))
    statistics = {name: np.asarray(values) for name, values in variables["batch_stats"]["norm"].items()}
    norm, head = variables["params"]["norm"], variables["params"]["head"]
    pixels = (batch["video"] / 127.5 - 1).mean(axis=(1, 2, 3))
    x = (pixels - statistics["mean"]) / np.sqrt(statistics["var"] + 1e-5) * norm["scale"] + norm["bias"]
    np.testing.assert_allclose(scores.logits[""], x @ head["kernel"] + head["bias"], rtol=1e-4, atol=1e-5)
