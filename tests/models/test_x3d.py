"""X3D: the published costs, the grid of its features, depthwise convolutions as sums, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vivit_jax.analysis import complexity
from vivit_jax.errors import UserError
from vivit_jax.models.convolutional.shifts import sum_of_shifts
from vivit_jax.models.families import build, create_model, family_of, make_config
from vivit_jax.weights.initialise import fresh_variables
from vivit_jax.weights.parameters import variable_shapes


@pytest.mark.parametrize(
    ("architecture", "clip", "millions", "gmac"),  # Feichtenhofer 2020, Table 4 and Sec. 4.2: X3D-XS, S, M and L
    [
        ("x3d_s", (13, 160, 160), 3.79, 1.96),
        pytest.param("x3d_xs", (4, 160, 160), 3.79, 0.60, marks=pytest.mark.slow),
        pytest.param("x3d_m", (16, 224, 224), 3.79, 4.73, marks=pytest.mark.slow),
        pytest.param("x3d_l", (16, 312, 312), 6.15, 18.37, marks=pytest.mark.slow),
    ],
)
def test_costs_are_the_papers(architecture, clip, millions, gmac):
    config = make_config("x3d", {"architecture": architecture, "clip": clip, "num_classes": 400})
    assert complexity.count_parameters(config) / 1e6 == pytest.approx(millions, abs=0.005)
    assert complexity.count_arithmetic(config).products / 1e9 == pytest.approx(gmac, abs=0.01)


@pytest.mark.parametrize("kernel", [(3, 3, 3), (5, 1, 1)])
@pytest.mark.parametrize("stride", [(1, 1, 1), (1, 2, 2)])
@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_a_sum_of_shifts_is_the_convolution(kernel, stride, platform, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: platform)  # which decides how the kernel's gradient is summed
    rng = np.random.default_rng(0)
    x, weights = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in ((2, 4, 6, 7, 3), (*kernel, 1, 3)))

    def convolution(x, weights, stride):
        padding = [(extent // 2, extent // 2) for extent in kernel]
        layouts = ("NTHWC", "THWIO", "NTHWC")
        return jax.lax.conv_general_dilated(x, weights, stride, padding, dimension_numbers=layouts, feature_group_count=3)

    def value_and_gradients(function):
        return jax.value_and_grad(lambda x, weights: jnp.sin(function(x, weights, stride)).sum(), (0, 1))(x, weights)

    for actual, expected in zip(
        jax.tree.leaves(value_and_gradients(sum_of_shifts)), jax.tree.leaves(value_and_gradients(convolution)), strict=True
    ):
        np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("clip", [(4, 64, 64), (2, 37, 50)])
def test_cells_are_the_grid_of_the_last_stage(clip):
    config = make_config("x3d", {"clip": clip, "width": 8, "num_classes": None})
    _, state = jax.eval_shape(
        lambda: build(config).init_with_output(
            jax.random.key(0), jnp.zeros((1, *clip, 3)), capture_intermediates=True, mutable=["params", "batch_stats", "intermediates"]
        )
    )
    (features,) = state["intermediates"]["stage_4"]["__call__"]
    (clip_features,) = state["intermediates"]["__call__"]
    cells = family_of(config).cells(config)
    assert features.shape[1:4] == cells.shape
    assert clip_features.shape == (1, config.feature_size)
    assert (cells.rows[-1], cells.columns[-1]) == clip[1:]


def test_a_block_starts_as_its_shortcut():
    config = make_config("x3d", {"clip": (2, 32, 32), "width": 8, "num_classes": 2})
    scales = [path for path in variable_shapes(config) if path.endswith("/scale")]
    drawn = fresh_variables(config, 0, scales)
    assert sum(path.endswith("norm_3/scale") for path in drawn) == 26
    assert all(values.tolist() == [float(not path.endswith("norm_3/scale"))] * values.size for path, values in drawn.items())
    paths = {"stem/norm/scale": 0, "stage_1/block_00/conv_1/kernel": 1, "stage_4/block_06/conv_1/kernel": 26, "neck/conv/kernel": 27}
    assert {path: family_of(config).height(config, path) for path in paths} == paths
    assert family_of(config).height(config, "head_verb/kernel") == 28


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"architecture": "x3d"}, "unknown model.architecture"),
        ({"clip": (13, 160)}, "must be"),
        ({"clip": (13, 0, 160)}, "clip h must be a whole number"),
        ({"width": 12}, "multiple of 8"),
        ({"num_classes": {"verb": 0}}, "num_classes.verb"),
        ({"dropout": 1.0}, "dropout"),
        ({"frozen_statistics": 1}, "frozen_statistics"),
        ({"convolutions": "2d"}, "convolutions"),
    ],
)
def test_what_cannot_be_built_is_refused(options, told):
    with pytest.raises(UserError, match=told):
        create_model(family="x3d", **options)
