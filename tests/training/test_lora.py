"""Low-rank adapters: the formula, what they train, and runs that resume and save ordinary models."""

import dataclasses

import flax.linen as nn
import jax
import numpy as np
import pytest
import tiny
from steps import initial_params

from vivit_jax.analysis.training_memory import trained_parameters, training_bytes
from vivit_jax.errors import UserError
from vivit_jax.models.vivit.attention import ToHeads
from vivit_jax.models.vivit.encoder import Dense
from vivit_jax.models.vivit.model import ViViT
from vivit_jax.runs.restore import model_variables
from vivit_jax.training.config import LoraConfig
from vivit_jax.training.devices.executors import make_executor
from vivit_jax.training.lora import merged, trained_by, with_adapters
from vivit_jax.training.optimizer import make_optimizer
from vivit_jax.training.paths import named_leaves
from vivit_jax.training.setup import set_up
from vivit_jax.weights.layers import flatten, stack_layers
from vivit_jax.weights.model_dir import load_model_dir
from vivit_jax.weights.parameters import variable_shapes

LORA = LoraConfig(rank=3, alpha=6.0)


def random_adapters(params, seed=0):
    """Adapters none of whose factors are zero."""
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        return rng.normal(0, 0.1, leaf.shape).astype(np.float32) if path[-1].key in ("a", "b") else leaf

    return jax.tree_util.tree_map_with_path(draw, with_adapters(params, LORA, seed))


def apart(next_call, args, kwargs, context):
    """A layer's product and its adapter's, added afterwards instead of before."""
    module = context.module
    lora = module.variables.get("params", {}).get("lora")
    if lora is None or context.method_name != "__call__":
        return next_call(*args, **kwargs)
    kernel, bias, (a, b) = module.variables["params"]["kernel"], module.variables["params"]["bias"], (lora["a"], lora["b"])
    if isinstance(module, Dense):
        return module.add_bias(args[0] @ kernel + lora["scale"] * (args[0] @ a) @ b, bias)
    if isinstance(module, ToHeads):
        return np.einsum("...d,dkf->...kf", args[0], kernel) + lora["scale"] * np.einsum("...d,dr,rkf->...kf", args[0], a, b) + bias
    (mixed,) = args[0]
    return np.einsum("...kf,kfd->...d", mixed, kernel) + lora["scale"] * np.einsum("...kf,kfr,rd->...d", mixed, a, b) + bias


def test_merged_parameters_are_the_sum_and_give_the_same_logits():
    experiment = tiny.experiment()
    params = initial_params(experiment)
    params = jax.tree.map(lambda leaf: np.random.default_rng(1).normal(0, 0.3, leaf.shape).astype(np.float32), params)
    adapted = random_adapters(params)
    before, flat, after = flatten(params), flatten(adapted), flatten(merged(adapted))
    changed = [path for path in before if not np.array_equal(before[path], after[path])]
    assert len(changed) == 2 * 6, "four kernels of attention and two of the MLP in each of two blocks"
    for path in changed:
        a, b = (np.asarray(flat[path.replace("kernel", f"lora/{name}")], np.float64) for name in "ab")
        np.testing.assert_allclose(after[path], before[path] + 6.0 / 3 * np.tensordot(a, b, 1), atol=1e-6, err_msg=path)
    scanned = merged({**adapted, "transformer": stack_layers(adapted["transformer"])})
    for path, leaf in flatten(scanned).items():
        np.testing.assert_allclose(leaf, after[path], atol=1e-6, err_msg=path)
    model = ViViT(dataclasses.replace(experiment.model, attention="xla"))
    video = np.random.default_rng(0).uniform(-1, 1, (2, *tiny.CLIP, 3)).astype(np.float32)
    with nn.intercept_methods(apart):
        expected = model.apply({"params": adapted}, video)
    np.testing.assert_allclose(model.apply({"params": merged(adapted)}, video), expected, atol=2e-5)
    assert np.abs(expected - model.apply({"params": params}, video)).max() > 1e-2


def trained(steps=3, **sections):
    """The adapted parameters before and after some steps, on the host."""
    experiment = tiny.experiment(optimizer={"name": "sgd", "learning_rate": 0.1}, **sections)
    executor = make_executor(experiment.parallel)
    params = initial_params(experiment)
    params = {**params, "transformer": stack_layers(params["transformer"])} if experiment.model.scan_layers else params
    adapted = with_adapters(params, experiment.training.lora, 0)
    module = ViViT(experiment.model)
    state, step = set_up(experiment, module, {"params": adapted}, tiny.PREPROCESS, executor, total=20, warmup=0)
    compiled, batches, seed = executor.compile_train(step, state), tiny.Batches(16), executor.place_whole(np.uint32(0))
    for _ in range(steps):
        state, _ = compiled(state, executor.to_devices(next(batches)), seed)
    return flatten(adapted), flatten(executor.to_host(state.params)), flatten(executor.to_host(state.model_variables["params"]))


def lora(**keys):
    return {"lora": {"rank": 3, "alpha": 6.0} | keys}


@pytest.mark.slow
def test_only_adapters_and_the_head_are_trained_and_jit_and_pmap_agree():
    before, after, model = trained(parallel={"data": 1}, training=lora())
    moved = {path for path in before if not np.array_equal(before[path], after[path])}
    assert {path for path in moved if "/lora/" not in path} == {"head/bias", "head/kernel"}
    assert {path.rpartition("/")[2] for path in moved if "/lora/" in path} >= {"b"}
    assert not any(path.endswith("scale") and "/lora/" in path for path in moved)
    assert set(model) == {path for path in before if "/lora/" not in path}
    for other in ({"parallel": {"mode": "pmap"}}, {"parallel": {"data": 2}, "model": {"scan_layers": True, "remat": True}}):
        _, _, same = trained(training=lora(), **other)
        for path, leaf in model.items():
            np.testing.assert_allclose(same[path], leaf, atol=1e-5, err_msg=f"{other} {path}")


def test_counted_parameters_and_memory():
    experiment = tiny.experiment(training=lora(), model={"remat": True})
    d, m, r, classes = 16, 32, 3, 4
    of_block = 4 * (d * r + r * d) + (d * r + r * m) + (m * r + r * d)
    count, frozen = trained_parameters(experiment)
    assert count == 2 * of_block + d * classes + classes
    plain = training_bytes(tiny.experiment())
    thin = training_bytes(experiment)
    assert thin["gradients"] == 4 * count
    assert 8 * count <= thin["optimiser"] < 8 * count + 64, "two moments of what is trained, and counters"
    assert plain["optimiser"] > 3 * thin["optimiser"]
    assert frozen + d * classes + classes == trained_parameters(tiny.experiment())[0]
    assert thin["parameters"] == 4 * (count + frozen + 2 * 6), "a scale for each adapter"


def test_patterns_that_are_wrong_are_named():
    params = initial_params(tiny.experiment())
    for layers, told in (("attentoin", "matches no kernel"), ("(", "not a regular expression")):
        with pytest.raises(UserError, match=told):
            with_adapters(params, LoraConfig(rank=2, layers=layers), 0)
    with pytest.raises(UserError, match="rank must be at least 0"):
        LoraConfig(rank=-1)
    with pytest.raises(UserError, match=r"training.lora.full '\^haed' matches no parameter \(parameters are named as head/bias, "):
        trained(0, training=lora(full="^haed"))


def test_no_multiplier_is_without_effect_beside_adapters():
    for pattern, factor, told in (
        ("transformer", 0.0, r"freezes the adapter transformer/\S+/lora, which would do nothing"),
        ("block_00/mlp", 0.0, r"freezes the adapter transformer/encoder/block_00/mlp/in/lora"),
        ("tokenizer", 2.0, "matches only parameters that are not trained"),
    ):
        with pytest.raises(UserError, match=told):
            optimizer_of(((pattern, factor),))
    factors = optimizer_of((("tokenizer", 0.0), ("lora", 2.0), ("transformer", 0.0)))
    assert {factors[path] for path in factors if path.endswith(("/lora/a", "/lora/b"))} == {2.0}
    alone = optimizer_of((), full=None)
    assert {path.rpartition("/")[2] for path, factor in alone.items() if factor} == {"a", "b"}


def optimizer_of(multipliers, **keys):
    """The factor of each parameter."""
    experiment = tiny.experiment(optimizer={"multipliers": multipliers}, training=lora(**keys))
    adapted, config = with_adapters(initial_params(experiment), experiment.training.lora, 0), experiment.training.lora
    optimizer = make_optimizer(experiment.optimizer, lambda step: 0.1, adapted, experiment.model, trained_by(config, experiment.model))
    return dict(named_leaves(optimizer.factors))


def test_patterns_see_one_path_per_layer_where_layers_are_scanned_too():
    experiment = tiny.experiment(training=lora(full=r"^head|block_01/norm_mlp"), model={"scan_layers": True})
    params, config = initial_params(experiment), experiment.training.lora
    params = {**params, "transformer": stack_layers(params["transformer"])}
    adapted = with_adapters(params, config, 0)
    optimizer = make_optimizer(experiment.optimizer, lambda step: 0.1, adapted, experiment.model, trained_by(config, experiment.model))
    factors = {path: np.ravel(factor).tolist() for path, factor in named_leaves(optimizer.factors)}
    assert {path: factor for path, factor in factors.items() if any(factor) and not path.endswith(("/lora/a", "/lora/b"))} == {
        "head/bias": [1.0],
        "head/kernel": [1.0],
        "transformer/encoder/blocks/norm_mlp/bias": [0.0, 1.0],
        "transformer/encoder/blocks/norm_mlp/scale": [0.0, 1.0],
    }
    with pytest.raises(UserError, match=r"matches 1 of the 2 layers of transformer/encoder/blocks/.*scan_layers"):
        with_adapters(params, LoraConfig(rank=2, layers=r"block_01/.*kernel$"), 0)


@pytest.mark.slow
def test_a_run_with_adapters_resumes_to_the_same_bits_and_saves_an_ordinary_model(start, tmp_path):
    flags = ["--config.training.lora.rank=2", "--config.optimizer.learning_rate=0.05", "--config.model.scan_layers=True"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    uninterrupted = start(whole, *flags)
    interrupted = start(cut, *flags, TINY_TERMINATE_AT="9")
    assert interrupted.wait() == 143, interrupted.output()
    resumed = start(cut, *flags)
    assert (uninterrupted.wait(), resumed.wait()) == (0, 0), resumed.output()
    assert "resuming after step" in resumed.output()
    assert "are frozen" in uninterrupted.output()
    model = load_model_dir(whole / "model")
    assert {path: leaf.shape for path, leaf in flatten(model.variables["params"]).items()} == variable_shapes(model.model.config)
    assert (cut / "model" / "model.safetensors").read_bytes() == (whole / "model" / "model.safetensors").read_bytes()
    saved = model_variables(whole, 20)["params"]
    last = load_model_dir(whole / ("model_last" if (whole / "model_last").exists() else "model")).variables["params"]
    jax.tree.map(lambda one, two: np.testing.assert_allclose(one, two, atol=1e-6), saved, last)
