"""The configs of the paper's data sets: its Table 7, and models that are shaped without being made."""

import dataclasses
import functools
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from flax.core import FrozenDict
from mesh_shapes import shapes_on

from vivit_jax.analysis.complexity import count_parameters, parameter_tree
from vivit_jax.analysis.training_memory import bytes_of
from vivit_jax.config_file import read_config
from vivit_jax.errors import UserError
from vivit_jax.models.vivit.config import FACTORISATIONS, ViViTConfig
from vivit_jax.models.vivit.model import ViViT
from vivit_jax.preprocess import Preprocess
from vivit_jax.recipes.vivit import paper_recipe
from vivit_jax.training.config import OptimizerConfig, ParallelConfig
from vivit_jax.training.devices.executors import make_executor
from vivit_jax.training.devices.placement import bytes_per_device
from vivit_jax.training.optimizer import make_optimizer
from vivit_jax.training.state import create_state
from vivit_jax.training.step import make_train_step

CONFIGS = Path(__file__).parents[1] / "configs"

# Table 7: learning rate, epochs, colour jitter, RandAugment's layers and magnitude, stochastic depth, label smoothing, mixup; and classes.
TABLE = {
    "kinetics400": (0.1, 30, 0.8, 0, None, 0.0, 0.0, 0.0, 400),
    "kinetics600": (0.1, 30, 0.8, 0, None, 0.0, 0.0, 0.0, 600),
    "moments": (0.25, 10, 0.8, 0, None, 0.0, 0.0, 0.0, None),
    "epic_kitchens100": (0.5, 50, 0.0, 2, 15, 0.2, 0.2, 0.1, None),
    "ssv2": (0.5, 35, 0.0, 2, 20, 0.3, 0.3, 0.3, 174),
}


ABLATION = ("augmentation", "image_weights", "stochastic_depth", "randaugment", "label_smoothing", "mixup")


def experiment_of(name, model=""):
    path = CONFIGS / f"{name if name.startswith('drone_ir') else f'vivit_{name}'}.py"
    return read_config(f"{path}:{model}" if model else str(path), {})


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.py")), ids=lambda path: path.stem)
def test_no_config_takes_an_argument_that_it_does_not_know(path):
    with pytest.raises(UserError, match="nonsense"):
        read_config(f"{path}:nonsense", {})


@pytest.mark.parametrize("name", TABLE)
def test_recipes_are_those_of_table_7(name):
    experiment = experiment_of(name)
    rate, epochs, colour, layers, magnitude, depth, smoothing, mixup, classes = TABLE[name]
    assert experiment.data.name == name
    assert (experiment.optimizer.name, experiment.optimizer.momentum, experiment.optimizer.learning_rate) == ("sgd", 0.9, rate)
    assert (experiment.training.batch_size, experiment.training.epochs, experiment.schedule.warmup_epochs) == (64, epochs, 2.5)
    assert experiment.schedule.name == "cosine"
    augment = experiment.augment
    assert (augment.scale_jitter, augment.colour_jitter, augment.randaugment_layers) == ((0.9, 1.33), colour, layers)
    assert augment.flip == (0.0 if name == "ssv2" else 0.5)  # the table's is 0.5; left and right are labels of ssv2
    assert magnitude in (None, augment.randaugment_magnitude)
    assert (experiment.model.stochastic_depth, experiment.loss.label_smoothing, experiment.training.mixup) == (depth, smoothing, mixup)
    assert (experiment.model.clip, experiment.data.resize, experiment.evaluation.test_views) == ((32, 224, 224), 256, (4, 3))
    assert experiment.model.num_classes == classes


@pytest.mark.parametrize(
    ("model", "millions"),
    [
        ("B/16x2,spatio_temporal_attention", 88.954),
        ("B/16x2,2", 115.063),
        ("B/16x2,3", 117.319),
        ("B/16x2,4", 88.952),
        ("L/16x2,factorised_encoder", 354.9),
    ],
)
def test_models_of_kinetics_have_the_parameters_of_the_paper(model, millions):
    assert count_parameters(experiment_of("kinetics400", model).model) / 1e6 == pytest.approx(millions, abs=0.05)


def test_the_huge_model_is_shaped_without_being_made():
    model = experiment_of("kinetics400", "H/14x2,2").model
    shapes = parameter_tree(model)
    assert all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(shapes))
    assert shapes["tokenizer"]["kernel"].shape == (2, 14, 14, 3, 1280)
    assert model.grid == (16, 16, 16)
    # 32 spatial and 4 temporal layers, each of 12 d^2 in its kernels, make up nearly all of it.
    assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes)) == pytest.approx(36 * 12 * 1280**2, rel=0.01)


@pytest.mark.parametrize("name", TABLE)
def test_every_default_model_is_shaped_with_its_heads(name):
    model = experiment_of(name).model
    heads = {"verb": 97, "noun": 300} if name == "epic_kitchens100" else model.num_classes or 339
    shapes = parameter_tree(dataclasses.replace(model, num_classes=FrozenDict(heads) if isinstance(heads, dict) else heads))
    kernels = (
        {head: shapes[f"head_{head}"]["kernel"].shape for head in heads} if isinstance(heads, dict) else shapes["head"]["kernel"].shape
    )
    width = model.hidden_size
    assert kernels == ({"verb": (width, 97), "noun": (width, 300)} if isinstance(heads, dict) else (width, heads))


MODELS = ("B/16x2,1", "B/16x2,2", "B/16x2,3", "B/16x2,4", "L/16x2,2", "H/14x2,2")
CLASSES = {"moments": 339, "epic_kitchens100": {"verb": 97, "noun": 300}}  # those that the data sets decide
DEFAULT_MODELS = [(name, "") for name in TABLE]
MESHES = {"fsdp": ParallelConfig(fsdp=8), "mesh": ParallelConfig(data=2, fsdp=2, tensor=2)}


def check_train_step(name, model, parallel, **options):
    """Places the state on eight devices and runs the whole step on it, all in shapes; bytes of state on a device, and of it all."""
    experiment = experiment_of(name, model)
    classes = CLASSES.get(name, experiment.model.num_classes)
    classes = FrozenDict(classes) if isinstance(classes, dict) else classes
    config = dataclasses.replace(experiment.model, num_classes=classes, **options)
    executor, params = make_executor(parallel), parameter_tree(config)
    optimizer = make_optimizer(experiment.optimizer, lambda step: jnp.float32(experiment.optimizer.learning_rate), params, config)
    create = functools.partial(create_state, optimizer=optimizer, averaged=bool(experiment.training.ema_decay))
    state = shapes_on(executor.mesh, jax.eval_shape(create, {"params": params}))
    data = experiment.data
    preprocess = Preprocess(config.clip[0], data.stride, data.resize, config.clip[1:])
    step = make_train_step(
        ViViT(config), preprocess, optimizer, experiment.loss, experiment.training, axis_name=None, gather=executor.gather
    )
    size, heads = experiment.training.batch_size, config.heads
    label = {head: jax.ShapeDtypeStruct((size,), jnp.int32) for head in heads}
    batch = {"video": jax.ShapeDtypeStruct((size, *config.clip, 3), jnp.uint8), "label": label if "" not in heads else label[""]}
    new_state, metrics = executor.compile_train(step, state).eval_shape(state, batch, jax.ShapeDtypeStruct((), jnp.uint32))
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype, leaf.sharding), new_state) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype, leaf.sharding), state
    )
    assert (metrics["loss"].shape, metrics["finite"].shape) == ((), (len(jax.tree.leaves(params)) + 1,))
    return bytes_per_device(state), bytes_of(state)


@pytest.mark.parametrize(("name", "model"), [("kinetics400", model) for model in MODELS] + DEFAULT_MODELS)
def test_every_recipe_is_divided_over_eight_devices_and_its_step_keeps_all_shapes(name, model):
    """The layers scanned, which are traced once."""
    on_device, whole = check_train_step(name, model, MESHES["fsdp"], scan_layers=True)
    assert on_device == pytest.approx(whole / 8, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("parallel", MESHES)
@pytest.mark.parametrize(("name", "model"), [("ssv2", model) for model in MODELS] + DEFAULT_MODELS)
def test_every_recipe_as_it_is_keeps_all_shapes(name, model, parallel):
    on_device, whole = check_train_step(name, model, MESHES[parallel])
    if parallel == "fsdp":
        assert on_device == pytest.approx(whole / 8, rel=0.1)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("size", ["Ti", "B"])
def test_fsdp_leaves_an_eighth_of_parameters_and_of_the_optimisers_state_on_each_device(size, optimizer):
    config = ViViTConfig(size=size, clip=(32, 224, 224), tubelet=(2, 16, 16), num_classes=400, scan_layers=True)
    params = parameter_tree(config)
    made = make_optimizer(OptimizerConfig(optimizer), lambda step: 0.1, params, config)
    state = jax.eval_shape(functools.partial(create_state, optimizer=made, averaged=True), {"params": params})
    on_devices = shapes_on(make_executor(MESHES["fsdp"]).mesh, state)
    for part in ("params", "opt_state", "average"):
        assert bytes_per_device(getattr(on_devices, part)) == pytest.approx(bytes_of(getattr(state, part)) / 8, rel=0.1), part


def test_a_factorisation_goes_by_name_or_by_the_papers_number():
    for number, name in enumerate(FACTORISATIONS, start=1):
        assert experiment_of("ssv2", f"B/16x2,{number}").model == experiment_of("ssv2", f"B/16x2,{name}").model


@pytest.mark.parametrize("model", ["B/16", "B/16x2", "X/16x2,2", "B/16x2,5", "B/16x2,factorized"])
def test_a_model_that_cannot_be_read_is_refused(model):
    with pytest.raises(UserError):
        paper_recipe("x", model, learning_rate=0.1, epochs=1.0)


def test_each_row_of_the_ablation_adds_one_regulariser_to_those_above():
    rows = [experiment_of("drone_ir_ablation", row) for row in ABLATION]
    switches = [
        (
            row.optimizer.layer_decay < 1,
            row.model.stochastic_depth,
            row.augment.randaugment_layers,
            row.loss.label_smoothing,
            row.training.mixup,
        )
        for row in rows
    ]
    whole = (True, 0.2, 2, 0.2, 0.1)  # of Epic-Kitchens-100 in Table 7
    assert switches == [tuple(value if j < i else type(value)(0) for j, value in enumerate(whole)) for i in range(len(ABLATION))]
    assert [row.augment.colour_jitter for row in rows] == [0.8] * 3 + [0.0] * 3  # RandAugment is in its place
    assert len({(row.data, row.schedule, row.training.epochs, row.evaluation, row.seed) for row in rows}) == 1
    with pytest.raises(UserError, match="mixup"):
        experiment_of("drone_ir_ablation", "mixpu")
