"""The same numbers however the step is spread, cut or compiled."""

import functools

import jax
import numpy as np
import pytest
import tiny
from steps import EIGHT_DEVICES, SGD, assert_close, initial_params, sgd, train

from vivit_jax.data.augment.colour import random_colours
from vivit_jax.data.config import AugmentConfig
from vivit_jax.errors import UserError
from vivit_jax.training.colours import recoloured
from vivit_jax.training.config import ParallelConfig
from vivit_jax.training.devices.executors import check_batch_size, make_executor
from vivit_jax.training.devices.placement import bytes_per_device
from vivit_jax.training.optimizer import make_optimizer
from vivit_jax.training.state import create_state
from vivit_jax.weights.layers import flatten, stack_layers

ONE_LAYER = {"num_layers": 1, "temporal_layers": 1}


@pytest.mark.slow
@pytest.mark.fault(
    promise="The step computes the same with jit, with pmap and without either",
    provoked="two steps of SGD by jit, by pmap on two devices, and one operation after another under jax.disable_jit",
    seen="parameters within 1e-5",
    trials=2,
    subject="numbers",
)
def test_jit_and_pmap_compute_what_single_operations_do():
    with jax.disable_jit():
        alone = train(sgd(parallel={"data": 1}, model=ONE_LAYER), steps=2)[0]
    moved = flatten(initial_params(sgd(model=ONE_LAYER)))
    assert max(np.abs(alone[name] - moved[name]).max() for name in alone) > 1e-3
    for parallel in ({"data": 1}, {"mode": "pmap", "data": 2}):
        assert_close(train(sgd(parallel=parallel, model=ONE_LAYER), steps=2)[0], alone)


MIXED = {"mixup": 0.3, "cutmix": 1.0, "ema_decay": 0.9}
MIXED_BY_EXAMPLE = {"mixup": 0.3, "cutmix": 1.0, "mix_per": "example"}
SAM = SGD | {"sam_rho": 0.05, "multipliers": (("tokenizer", 0.0),)}


@pytest.fixture(scope="module")
def one_device():
    """Parameters trained on one device."""
    return train(sgd(parallel={"data": 1}))[0]


@pytest.fixture(scope="module")
def one_device_mixed():
    """Averaged parameters trained on one device with mixup and cutmix."""
    return train(sgd(parallel={"data": 1}, training=MIXED))[0]


@pytest.fixture(scope="module")
def one_device_sharpness_aware():
    """Parameters trained on one device with SAM, clips mixed one by one and the tokenizer frozen."""
    return train(tiny.experiment(optimizer=SAM, parallel={"data": 1}, training=MIXED_BY_EXAMPLE))[0]


def with_colours(batch):
    generator = np.random.default_rng(int(batch["index"].sum()))
    augment = AugmentConfig(colour_jitter=0.8, greyscale=0.2)
    return batch | {"colours": np.stack([random_colours(generator, augment) for _ in batch["index"]])}


@pytest.mark.slow
@pytest.mark.parametrize("parallel", [EIGHT_DEVICES["mesh"], EIGHT_DEVICES["pmap"]], ids=["mesh", "pmap"])
def test_colours_change_in_the_step_as_they_would_before_it(parallel):
    def beforehand(batch):
        return batch | {"video": np.asarray(recoloured(batch["video"], with_colours(batch)["colours"]))}

    expected = train(sgd(parallel={"data": 1}), change=beforehand)[0]
    # Compiled within the step, jax 0.12 rounds one pixel in ten thousand to the next level.
    assert_close(train(sgd(parallel=parallel), change=with_colours)[0], expected, tolerance=1e-4)


@pytest.mark.fault(
    promise="Any layout of devices trains the parameters of one device",
    provoked="data, fsdp, tensor, all three, and pmap on eight devices",
    seen="parameters within 1e-5",
    trials=5,
)
@pytest.mark.parametrize(
    "parallel",
    [pytest.param(each, id=name, marks=[] if name in ("mesh", "pmap") else pytest.mark.slow) for name, each in EIGHT_DEVICES.items()],
)
def test_eight_devices_train_the_parameters_of_one(one_device, parallel):
    assert_close(train(sgd(parallel=parallel))[0], one_device)


@pytest.mark.slow
@pytest.mark.parametrize("parallel", [{"data": 8}, {"mode": "pmap"}], ids=["data", "pmap"])
def test_clips_are_mixed_across_devices_as_on_one(one_device_mixed, parallel):
    assert_close(train(sgd(parallel=parallel, training=MIXED))[0], one_device_mixed)


@pytest.mark.fault(
    promise="Accumulated microbatches are one batch",
    provoked="four microbatches of a quarter, jit and pmap, with mixup and cutmix",
    seen="parameters within 1e-5",
    trials=2,
)
@pytest.mark.parametrize("parallel", [{"data": 4}, pytest.param({"mode": "pmap", "data": 2}, marks=pytest.mark.slow)], ids=["data", "pmap"])
def test_accumulated_microbatches_are_one_batch(one_device_mixed, parallel):
    assert_close(train(sgd(parallel=parallel, training=MIXED | {"accumulation": 4}))[0], one_device_mixed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parallel", "accumulation"), [({"fsdp": 8}, 1), ({"mode": "pmap", "data": 2}, 4)], ids=["fsdp", "pmap_accumulated"]
)
def test_sharpness_aware_steps_on_clips_mixed_one_by_one_are_those_of_one_device(one_device_sharpness_aware, parallel, accumulation):
    training = MIXED_BY_EXAMPLE | {"accumulation": accumulation}
    trained = train(tiny.experiment(optimizer=SAM, parallel=parallel, training=training))[0]
    assert_close(trained, one_device_sharpness_aware)
    kernel = "tokenizer/kernel"
    np.testing.assert_array_equal(trained[kernel], flatten(initial_params(tiny.experiment()))[kernel])


@pytest.mark.fault(
    promise="Scanned and rematerialised layers train as unrolled and kept ones",
    provoked="a training run each, from the same parameters",
    seen="parameters within 1e-5",
    trials=3,
)
@pytest.mark.parametrize(
    ("scan_layers", "remat"),
    [pytest.param(True, False, marks=pytest.mark.slow), pytest.param(False, True, marks=pytest.mark.slow), (True, True)],
    ids=["scan", "remat", "both"],
)
def test_scanned_and_rematerialised_layers_train_as_unrolled_and_kept_ones(one_device, scan_layers, remat):
    experiment = sgd(parallel={"data": 1}, model={"scan_layers": scan_layers, "remat": remat})
    params = initial_params(experiment)
    assert_close(train(experiment, jax.device_get(stack_layers(params)) if scan_layers else params)[0], one_device)


def test_fsdp_divides_the_bytes_of_the_state():
    def bytes_of_state(parallel):
        experiment = tiny.experiment(model={"hidden_size": 192, "mlp_dim": 768}, parallel=parallel)
        optimizer = make_optimizer(experiment.optimizer, lambda step: 1e-3, initial_params(experiment), experiment.model)
        create = functools.partial(create_state, optimizer=optimizer, averaged=True)
        return bytes_per_device(make_executor(experiment.parallel).place(create, {"params": initial_params(experiment)}))

    assert bytes_of_state({"fsdp": 8}) < 1.1 * bytes_of_state({"data": 1}) / 8


def test_a_second_compilation_is_an_error():
    experiment = tiny.experiment(parallel={"data": 1})
    executor = make_executor(experiment.parallel)
    double = executor.compile_eval(lambda params, batch: {"x": params["a"] * batch["x"]}, executor.place_variables({"a": np.ones(())}))
    params = executor.place_variables({"a": np.ones(())})
    double(params, {"x": np.ones(4)})
    double(params, {"x": np.ones(4)})
    with pytest.raises(AssertionError, match="second time"):
        double(params, {"x": np.ones(8)})


def test_a_batch_that_does_not_divide_is_refused_with_sizes_that_do():
    with pytest.raises(UserError, match=r"training\.batch_size 12 cannot be divided over 8 devices: set it to 8 or 16"):
        check_batch_size(12, make_executor(ParallelConfig()))
    check_batch_size(32, make_executor(ParallelConfig()), accumulation=4)


@pytest.mark.parametrize("parallel", [{"data": 16}, {"fsdp": 3}, {"data": 5, "tensor": 2}, {"mode": "pmap", "data": 9}])
def test_axes_that_do_not_fit_the_devices_are_refused(parallel):
    with pytest.raises(UserError, match="8 devices"):
        make_executor(ParallelConfig(**parallel))
