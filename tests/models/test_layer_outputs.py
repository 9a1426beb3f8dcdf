"""What layers give to a probe: against models that end there or see one frame, and torch's attention and pooling."""

import dataclasses

import jax
import numpy as np
import pytest
import torch

from vivit_jax.models.layer_outputs import LayerOutput, sequence, statistic
from vivit_jax.models.probe.attentive import AttentivePool
from vivit_jax.models.vivit.config import ViViTConfig
from vivit_jax.models.vivit.model import ViViT
from vivit_jax.weights.layers import stack_layers

SMALL = {"hidden_size": 16, "num_heads": 2, "mlp_dim": 32, "clip": (4, 16, 16), "tubelet": (2, 8, 8)}


def with_variables(**options):
    config = ViViTConfig(**(SMALL | options))
    shapes = jax.eval_shape(ViViT(config).init, jax.random.key(0), np.zeros((1, *config.clip, 3), np.float32))
    rng = np.random.default_rng(0)
    return config, jax.tree.map(lambda leaf: rng.normal(0, 0.5, leaf.shape).astype(np.float32), shapes)


def layer_outputs(config, variables, video, layers):
    return ViViT(config).apply(variables, video, layers, method="layer_outputs")


VIDEO = np.random.default_rng(1).uniform(-1, 1, (2, 4, 16, 16, 3)).astype(np.float32)


@pytest.mark.parametrize(
    "options",
    [
        {"factorisation": "spatio_temporal_attention", "pool": "token"},
        pytest.param({"factorisation": "spatio_temporal_attention", "pool": "mean_then_norm"}, marks=pytest.mark.slow),
        {"factorisation": "factorised_encoder", "temporal_layers": 0},
        pytest.param({"factorisation": "factorised_self_attention", "pool": "max"}, marks=pytest.mark.slow),
        pytest.param({"factorisation": "factorised_dot_product_attention"}, marks=pytest.mark.slow),
    ],
)
def test_a_layer_gives_what_a_model_that_ends_there_gives(options):
    config, variables = with_variables(num_layers=2, **options)
    below, last = layer_outputs(config, variables, VIDEO, (-2, -1))
    np.testing.assert_allclose(last.pooled, ViViT(config).apply(variables, VIDEO), atol=1e-5)
    shorter = jax.tree.map(lambda leaf: leaf, variables)
    for encoder in shorter["params"]["transformer"].values():
        if isinstance(encoder, dict):
            encoder.pop("block_01", None)
    np.testing.assert_allclose(below.pooled, ViViT(dataclasses.replace(config, num_layers=1)).apply(shorter, VIDEO), atol=1e-5)
    stacked = {"params": stack_layers(variables["params"])}
    (scanned,) = layer_outputs(dataclasses.replace(config, scan_layers=True, remat=True), stacked, VIDEO, (-2,))
    np.testing.assert_allclose(scanned.pooled, below.pooled, atol=1e-5)
    assert below.patches.shape == (2, 2, 2, 2, 16)


def test_layers_of_a_temporal_encoder_stand_on_those_of_the_spatial_one():
    config, variables = with_variables(factorisation="factorised_encoder", num_layers=2, temporal_layers=1)
    top, spatial, low = layer_outputs(config, variables, VIDEO, (-1, -2, -3))
    np.testing.assert_allclose(top.pooled, ViViT(config).apply(variables, VIDEO), atol=1e-5)
    assert top.patches.shape == (2, 2, 1, 1, 16)
    _, state = ViViT(config).apply(variables, VIDEO, mutable=["intermediates"])
    frames = state["intermediates"]["transformer"]["frames"][0]
    np.testing.assert_allclose(spatial.times, frames, atol=1e-5)
    np.testing.assert_allclose(spatial.pooled, frames.mean(1), atol=1e-5)
    assert low.cls.shape == (2, 2, 16)


def test_statistics_over_time_are_those_of_single_frames():
    config, variables = with_variables(
        factorisation="factorised_encoder", num_layers=2, temporal_layers=0, tokenizer="frames", tubelet=(1, 8, 8)
    )
    alone = ViViT(dataclasses.replace(config, clip=(1, 16, 16)))
    frames = np.stack([alone.apply(variables, VIDEO[:, t : t + 1]) for t in range(4)], axis=1)
    (output,) = layer_outputs(config, variables, VIDEO, (-1,))
    np.testing.assert_allclose(output.times, frames, atol=1e-5)
    np.testing.assert_allclose(statistic("mean", output), frames.mean(1), atol=1e-5)
    np.testing.assert_allclose(statistic("deviation", output), frames.std(1), atol=1e-4)
    differences = np.abs(frames[:, 1:] - frames[:, :-1]).mean(1)
    np.testing.assert_allclose(statistic("difference", output), differences, atol=1e-5)


@pytest.mark.parametrize("side", [0, 3, 4, 9])
def test_patches_are_averaged_as_torch_does(side):
    rng = np.random.default_rng(0)
    patches, cls = rng.normal(size=(2, 3, 7, 5, 4)).astype(np.float32), rng.normal(size=(2, 3, 4)).astype(np.float32)
    tokens, index = sequence(LayerOutput(None, None, patches, cls), side)
    height, width = (min(side or n, n) for n in (7, 5))
    pooled = torch.nn.functional.adaptive_avg_pool2d(torch.tensor(patches).permute(0, 1, 4, 2, 3).flatten(0, 1), (height, width))
    expected = pooled.flatten(2).transpose(1, 2).reshape(2, 3 * height * width, 4)
    np.testing.assert_allclose(tokens[:, :-3], expected, atol=1e-6)
    np.testing.assert_array_equal(tokens[:, -3:], cls)
    assert index.tolist() == [t for t in range(3) for _ in range(height * width)] + [0, 1, 2]


def test_attentive_pooling_is_torchs_attention():
    rng = np.random.default_rng(0)
    tokens, index = rng.normal(size=(2, 7, 12)).astype(np.float32), np.array([0, 0, 0, 1, 1, 1, -1])
    module = AttentivePool(times=2, queries=3, num_heads=4, mlp_dim=0)
    shapes = jax.eval_shape(module.init, jax.random.key(0), tokens, index)
    params = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes)["params"]
    reference = torch.nn.MultiheadAttention(12, 4, batch_first=True)
    with torch.no_grad():
        flat = [np.eye(12, dtype=np.float32), *(params[name]["kernel"].reshape(12, 12).T for name in ("key", "value"))]
        reference.in_proj_weight.copy_(torch.tensor(np.concatenate(flat)))
        reference.in_proj_bias.copy_(torch.tensor(np.concatenate([np.zeros(24, np.float32), params["value"]["bias"].reshape(12)])))
        reference.out_proj.weight.copy_(torch.tensor(params["out"]["kernel"].reshape(12, 12).T.copy()))
        reference.out_proj.bias.copy_(torch.tensor(params["out"]["bias"]))
        x = torch.nn.functional.layer_norm(torch.tensor(tokens), (12,), eps=1e-6)
        x = x + torch.tensor(np.concatenate([params["time"], np.zeros((1, 12), np.float32)])[index])
        query = torch.tensor(params["query"].reshape(1, 3, 12)).expand(2, 3, 12)
        expected = reference(query, x, x)[0].mean(1)
    np.testing.assert_allclose(module.apply({"params": params}, tokens, index), expected, atol=2e-5)
