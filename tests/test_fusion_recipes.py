"""The configs of Karpathy et al. 2014: what they say, and that each transfer setting trains exactly the layers it names."""

import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from vivit_jax.config_file import read_config
from vivit_jax.errors import UserError
from vivit_jax.models.families import build
from vivit_jax.models.fusion_cnn.config import FUSIONS, FusionCNNConfig
from vivit_jax.training.config import ParallelConfig
from vivit_jax.training.devices.executors import make_executor
from vivit_jax.training.setup import set_up
from vivit_jax.weights.initialise import initialise
from vivit_jax.weights.model_dir import load_model_dir, save_pretrained

CONFIGS = Path(__file__).parents[1] / "configs"
SMALL = {"model.filters": "(4, 4, 4, 4, 4)", "model.hidden": "(6, 5)", "model.clip": "(1, 22, 22)"}


def experiment_of(name, argument, **overrides):
    return read_config(f"{CONFIGS / name}_cnn.py:{argument}", {key: str(value) for key, value in overrides.items()})


@pytest.mark.parametrize("multiresolution", [False, True])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_network_is_trained_as_the_paper_does(fusion, multiresolution):
    experiment = experiment_of("sports1m", f"{fusion}{',multiresolution' if multiresolution else ''}")
    optimizer, evaluation, preprocess = experiment.optimizer, experiment.evaluation, experiment.preprocess
    assert experiment.model == FusionCNNConfig(fusion=fusion, multiresolution=multiresolution)
    assert (optimizer.name, optimizer.learning_rate, optimizer.momentum, optimizer.weight_decay) == ("sgd", 1e-3, 0.9, 5e-4)
    assert (experiment.training.batch_size, experiment.augment.flip) == (32, 0.5)
    assert (preprocess.resize, preprocess.crop) == (200, (178, 178) if multiresolution else (170, 170))
    assert (preprocess.frames, preprocess.stride) == {"single_frame": (1, 1), "late": (2, 15)}.get(fusion, (10, 1))
    views = evaluation.test_views[0] * evaluation.test_views[1] * (1 + evaluation.test_flip)
    assert (evaluation.test_views[0], views) == (20, 80)  # twenty clips, each seen four times


@pytest.mark.parametrize(
    ("argument", "fusion", "frozen"),
    [
        ("top_3", "slow", 1),
        ("all,late", "late", 0),
        ("scratch,single_frame", "single_frame", 0),
        ("top_layer,early,multiresolution", "early", 1),
    ],
)
def test_the_argument_of_ucf101_says_what_is_trained_and_of_which_network(argument, fusion, frozen):
    experiment = experiment_of("ucf101", argument)
    assert experiment.model.fusion == fusion
    assert experiment.model.multiresolution == argument.endswith("multiresolution")
    assert len(experiment.optimizer.multipliers) == frozen
    assert experiment.init.source == (None if argument.startswith("scratch") else "runs/sports1m/model")
    assert experiment.init.head == "fresh"


@pytest.mark.parametrize(
    ("name", "argument", "told"),
    [
        ("sports1m", "sloww", "'sloww'.*slow"),
        ("sports1m", "slow,multi", "slow,multiresolution"),
        ("ucf101", "top3", "'top3'.*top_3"),
        ("ucf101", "slow", "unknown transfer"),
    ],
)
def test_an_argument_that_cannot_be_read_is_refused(name, argument, told):
    with pytest.raises(UserError, match=told):
        experiment_of(name, argument)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A small single-frame network with two classes, as a run on the other data set leaves it."""
    experiment = experiment_of("sports1m", "single_frame", **SMALL)
    model = dataclasses.replace(experiment.model, num_classes=2)
    variables = initialise(model, experiment.init, 7).variables
    return save_pretrained(tmp_path_factory.mktemp("models") / "sports", model, variables, experiment.preprocess, ("run", "row"))


FULLY_CONNECTED = {"fc6", "fc7", "head"}
CONVOLUTIONS = {f"conv{number}" for number in range(1, 6)}


@pytest.mark.parametrize(
    ("how", "trained"),
    [
        ("top_layer", {"head"}),
        ("top_3", FULLY_CONNECTED),
        ("all", FULLY_CONNECTED | CONVOLUTIONS),
        ("scratch", FULLY_CONNECTED | CONVOLUTIONS),
    ],
)
def test_a_transfer_trains_the_layers_it_names_and_no_others(how, trained, source):
    """After three steps; biases tell, since kernels decay where they have no gradient too. The new head is zero before the first."""
    overrides = SMALL | {"model.num_classes": 3, "model.dropout": (0.0, 0.0)}
    overrides |= {} if how == "scratch" else {"init.source": source}
    experiment = experiment_of("ucf101", f"{how},single_frame", **overrides)
    start = initialise(experiment.model, experiment.init, 0)
    executor = make_executor(ParallelConfig(data=1))
    state, step = set_up(experiment, build(start.model), start.variables, experiment.preprocess, executor, total=10, warmup=0)
    before = flatten_dict(start.variables["params"])
    if how != "scratch":
        theirs = flatten_dict(load_model_dir(source).variables["params"])
        assert all(np.array_equal(before[path], value) for path, value in theirs.items() if path[0] != "head")
    assert not np.any(before["head", "kernel"])
    rng = np.random.default_rng(0)
    batch = {"video": rng.integers(0, 256, (8, 1, 22, 22, 3), np.uint8), "label": rng.integers(0, 3, 8).astype(np.int32)}
    train = executor.compile_train(step, state)
    for _ in range(3):
        state, _ = train(state, executor.to_devices(batch), executor.place_whole(np.uint32(0)))
    after = flatten_dict(jax.device_get(state.params))
    moved = {path for path in after if not np.array_equal(after[path], before[path])}
    assert {path[-2] for path in moved if path[-1] == "bias"} == trained
    assert {path[-2] for path in moved} == trained
