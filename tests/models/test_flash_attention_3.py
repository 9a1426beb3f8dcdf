"""FlashAttention-3: where it is chosen, what is said where it cannot run, and what surrounds its kernels.

The kernels run on Hopper GPUs alone: there `test_attention.py` holds them to the definition, and `benchmarks/attention.py` at the shapes of
ViViT. Here the definition stands in their place, on each device's part of the arrays.
"""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from vivit_jax import extras
from vivit_jax.errors import UserError
from vivit_jax.models.families import create_model
from vivit_jax.models.kernels import attention as backends
from vivit_jax.models.kernels import flash_attention_3
from vivit_jax.models.kernels.attention import choose_backend, dot_product_attention, padded_length
from vivit_jax.models.kernels.platform import Machine, this_machine

HOPPER = Machine("gpu", "9.0")
AMPERE, ROCM, CPU, TPU = Machine("gpu", "8.0"), Machine("gpu", "gfx942"), Machine("cpu"), Machine("tpu")
WITHOUT_WHEEL = Machine("gpu", "9.0", "needs the extra fa3: pip install 'vivit_jax[fa3]'")
LONG, FRAME = 3137, 197


@pytest.mark.parametrize(
    ("machine", "tokens", "head_dim", "dtype", "chosen"),
    [
        (HOPPER, LONG, 64, jnp.bfloat16, "fa3"),
        (HOPPER, LONG, 64, jnp.float16, "fa3"),
        (HOPPER, backends.FA3_MIN_TOKENS, 64, jnp.bfloat16, "fa3"),
        (HOPPER, backends.FA3_MIN_TOKENS - 1, 64, jnp.bfloat16, "cudnn"),
        (HOPPER, FRAME, 64, jnp.bfloat16, "cudnn"),
        (HOPPER, LONG, 80, jnp.bfloat16, "cudnn"),
        (HOPPER, LONG, 64, jnp.float32, "chunked"),
        (WITHOUT_WHEEL, LONG, 64, jnp.bfloat16, "cudnn"),
        (AMPERE, LONG, 64, jnp.bfloat16, "cudnn"),
        (ROCM, LONG, 64, jnp.bfloat16, "cudnn"),
        (CPU, LONG, 64, jnp.bfloat16, "chunked"),
        (TPU, FRAME, 64, jnp.bfloat16, "xla"),
    ],
)
def test_auto_takes_it_where_it_runs_and_is_faster(machine, tokens, head_dim, dtype, chosen):
    assert choose_backend("auto", tokens, head_dim, dtype, machine) == chosen
    assert padded_length(tokens, "auto", head_dim, dtype, machine) == tokens + (chosen == "cudnn" and tokens % 2)


@pytest.mark.parametrize(
    ("machine", "head_dim", "dtype", "problem"),
    [
        (CPU, 64, jnp.bfloat16, "Hopper GPUs (H100, H200), and jax computes on a cpu"),
        (AMPERE, 64, jnp.bfloat16, "jax computes on a GPU of compute capability 8.0"),
        (WITHOUT_WHEEL, 64, jnp.bfloat16, "pip install 'vivit_jax[fa3]'"),
        (HOPPER, 64, jnp.float32, "the tokens are float32: set model.dtype to bfloat16"),
        (HOPPER, 12, jnp.bfloat16, "and here it is 12"),
        (HOPPER, 264, jnp.bfloat16, "and here it is 264"),
    ],
)
def test_asking_for_it_where_it_cannot_run_is_refused_in_one_line(machine, head_dim, dtype, problem):
    with pytest.raises(UserError, match=re.escape(problem)) as refused:
        choose_backend("fa3", LONG, head_dim, dtype, machine)
    assert str(refused.value).endswith("or set model.attention to auto")
    assert choose_backend("fa3", FRAME, 64, jnp.bfloat16, HOPPER) == "fa3"


@pytest.mark.skipif(this_machine().is_hopper, reason="about machines that it is not built for")
def test_a_model_that_asks_for_it_is_refused_here():
    model = create_model(
        size="Ti", num_layers=1, tubelet=(2, 4, 4), clip=(4, 8, 8), num_classes=3, factorisation="spatio_temporal_attention",
        dtype="bfloat16", attention="fa3",
    )  # fmt: skip
    with pytest.raises(UserError, match=r"model\.attention fa3 runs on NVIDIA's Hopper GPUs"):
        jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 4, 8, 8, 3)))


@pytest.mark.parametrize("content", [None, b"no library"])
def test_a_library_that_cannot_be_loaded_is_told_once(tmp_path, monkeypatch, capsys, content):
    wheel = tmp_path / flash_attention_3.PACKAGE
    wheel.mkdir()
    if content:
        (wheel / flash_attention_3.LIBRARY).write_bytes(content)
    monkeypatch.syspath_prepend(str(tmp_path))
    obstacle = functools.cache(flash_attention_3.obstacle.__wrapped__)  # the cache of this process stays as it is
    assert obstacle() == obstacle()
    assert obstacle().startswith("cannot load dew_flash_attn (")
    assert capsys.readouterr().out.count("warning: FlashAttention-3 cannot load") == 1


def test_what_is_not_installed_names_its_extra(monkeypatch):
    monkeypatch.setattr(flash_attention_3, "PACKAGE", "no_such_package")
    assert extras.install("fa3") in flash_attention_3.obstacle.__wrapped__()


@pytest.fixture
def definition_as_kernels(monkeypatch):
    """The definition in place of the library's two targets, with their arguments and results; the queries each call was given."""
    jax.clear_caches()  # a part of a program that another test has traced calls the kernels of that test
    given = []

    def scores(query, key):
        return jnp.einsum("bnkf,bmkf->bknm", query, key, preferred_element_type=jnp.float32) * query.shape[-1] ** -0.5

    def forward(query, key, value):
        given.append(query.shape)
        return dot_product_attention(query, key, value, backend="xla"), jax.nn.logsumexp(scores(query, key), axis=-1)

    def backward(query, key, value, out, log_sums, gradient):
        weights = jnp.exp(scores(query, key) - log_sums[..., None])
        dweights = jnp.einsum("bnkf,bmkf->bknm", gradient, value, preferred_element_type=jnp.float32)
        rows = jnp.einsum("bnkf,bnkf->bkn", gradient, out, preferred_element_type=jnp.float32)
        dscores = weights * (dweights - rows[..., None]) * query.shape[-1] ** -0.5
        gradients = (
            jnp.einsum("bknm,bmkf->bnkf", dscores, key),
            jnp.einsum("bknm,bnkf->bmkf", dscores, query),
            jnp.einsum("bknm,bnkf->bmkf", weights, gradient),
        )
        return tuple(x.astype(query.dtype) for x in gradients)

    monkeypatch.setattr(flash_attention_3, "_forward_part", forward)
    monkeypatch.setattr(flash_attention_3, "_backward_part", backward)
    return given


def draw(shape, dtype=jnp.float32):
    return [jax.random.normal(key, shape, dtype) for key in jax.random.split(jax.random.key(0), 3)]


def loss(attend, query, key, value):
    return (attend(query, key, value) ** 2).sum()


@pytest.mark.skipif(jax.device_count() < 8, reason="eight devices, virtual or real")
def test_each_device_attends_within_its_part(definition_as_kernels):
    """Batch and heads may be divided: nothing is gathered, and the gradients are those of one device."""
    mesh = jax.make_mesh((4, 2), ("data", "tensor"), axis_types=(AxisType.Auto,) * 2)
    arrays = draw((4, 7, 2, 16))
    expected = jax.grad(functools.partial(loss, functools.partial(dot_product_attention, backend="xla")), argnums=(0, 1, 2))(*arrays)
    gradients = jax.grad(functools.partial(loss, flash_attention_3.flash_attention_3), argnums=(0, 1, 2))
    divided = [jax.device_put(x, NamedSharding(mesh, PartitionSpec("data", None, "tensor"))) for x in arrays]
    compiled = jax.jit(gradients).lower(*divided).compile()
    assert not re.findall(r"all-gather\(|all-to-all\(|collective-permute\(", compiled.as_text())
    assert (1, 7, 1, 16) in definition_as_kernels
    replicated = jax.pmap(gradients)(*(x.reshape(4, 1, *x.shape[1:]) for x in arrays))
    for values in (compiled(*divided), replicated):
        for actual, wanted in zip(values, expected, strict=True):
            np.testing.assert_allclose(actual.reshape(wanted.shape), wanted, rtol=1e-4, atol=1e-5)


WIDTHS = {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "mlp_dim": 16, "factorisation": "spatio_temporal_attention"}
NINE_TOKENS = WIDTHS | {"tubelet": (2, 4, 4), "clip": (2, 12, 12), "pool": "mean", "num_classes": None, "dtype": "bfloat16"}


def gradients_of_model(**arguments):
    """A function of the parameters, and the parameters."""
    model = create_model(**NINE_TOKENS | arguments)
    video = jax.random.uniform(jax.random.key(0), (2, *model.config.clip, 3), minval=-1)
    plain = create_model(**NINE_TOKENS | arguments | {"attention": "xla"})
    return jax.grad(lambda params: (model.apply({"params": params}, video) ** 3).sum()), lambda: plain.init(jax.random.key(1), video)


@pytest.mark.parametrize(("attention", "tokens", "target"), [("fa3", 9, flash_attention_3.FORWARD), ("cudnn", 10, None)])
def test_a_model_pads_nothing_for_it(monkeypatch, attention, tokens, target):
    """The program that a Hopper GPU would be given for a model of nine tokens, and what cuDNN is asked for in its place."""
    asked = []
    monkeypatch.setattr(backends, "this_machine", lambda: HOPPER)
    monkeypatch.setattr(backends, "_cudnn_attention", lambda query, key, value, length: asked.append((query.shape[-3], length)) or query)
    gradients, init = gradients_of_model(attention=attention)
    program = jax.jit(gradients).lower(jax.eval_shape(init)["params"]).as_text()
    if target:
        operands = re.search(rf"@{target}\(.*? : \((.*?)\) -> ", program).group(1)
        assert operands == ", ".join([f"tensor<2x{tokens}x2x8xbf16>"] * 3)
        assert "stablehlo.pad" not in program
    else:
        assert set(asked) == {(tokens, 9)}


@pytest.mark.slow
@pytest.mark.parametrize("how", [{}, {"num_layers": 2, "scan_layers": True, "remat": True}])
def test_a_models_gradients_are_those_of_the_definition(definition_as_kernels, monkeypatch, how):
    monkeypatch.setattr(backends, "this_machine", lambda: HOPPER)

    def flat(attention):
        gradients, init = gradients_of_model(attention=attention, **how)
        return jnp.concatenate([x.ravel() for x in jax.tree.leaves(jax.jit(gradients)(init()["params"]))])

    actual, expected = flat("fa3"), flat("xla")
    assert set(definition_as_kernels) == {(2, 9, 2, 8)}
    assert np.linalg.norm(actual - expected) < 0.02 * np.linalg.norm(expected)


def test_the_librarys_targets_are_called_with_what_they_declare():
    """Their operands, results and attributes, as the program has them; the wheel's `dew_flash_attn/__init__.py` declares them."""
    arrays = [jax.ShapeDtypeStruct((2, 37, 3, 64), jnp.bfloat16)] * 3
    attend = functools.partial(loss, flash_attention_3.flash_attention_3)
    program = jax.jit(jax.grad(attend, argnums=(0, 1, 2))).lower(*arrays).as_text()
    calls = {
        target: re.search(rf"@{target}\(.*?mhlo.backend_config = {{(.*?)}}.*? : \((.*?)\) -> \((.*?)\)", program).groups()
        for target in (flash_attention_3.FORWARD, flash_attention_3.BACKWARD)
    }
    heads, sums = "tensor<2x37x3x64xbf16>", "tensor<2x3x37xf32>"
    scratch = f"tensor<{3 * (2 * 37 + 128 * 3)}xf32>"
    expected = {
        flash_attention_3.FORWARD: ([heads] * 3, [heads, sums, "tensor<1x1x1x1xf32>", "tensor<1x1x1xf32>"]),
        flash_attention_3.BACKWARD: ([heads] * 5 + [sums], [heads] * 3 + [scratch] * 2),
    }
    for target, (attributes, operands, results) in calls.items():
        assert (operands.split(", "), results.split(", ")) == expected[target]
        assert sorted(attributes.split(", ")) == [
            "is_causal = false", "softmax_scale = 1.250000e-01 : f64", "window_size_left = -1 : i64", "window_size_right = -1 : i64",
        ]  # fmt: skip


def test_a_padded_sequence_goes_where_it_was_padded_for(definition_as_kernels, monkeypatch):
    """A length just below the least is padded for cuDNN, and the padded length must not change who computes it."""
    asked = []
    monkeypatch.setattr(backends, "this_machine", lambda: HOPPER)
    monkeypatch.setattr(backends, "_cudnn_attention", lambda query, key, value, length: asked.append((query.shape[-3], length)) or query)
    tokens = backends.FA3_MIN_TOKENS - 1
    padded = padded_length(tokens, "auto", 64, jnp.bfloat16)
    dot_product_attention(*draw((1, padded, 1, 64), jnp.bfloat16), length=tokens)
    assert asked == [(tokens + 1, tokens)]
    assert not definition_as_kernels


@pytest.mark.parametrize("length", [None, 5])
def test_it_attends_to_the_given_length_of_several_leading_axes(definition_as_kernels, monkeypatch, length):
    monkeypatch.setattr(backends, "this_machine", lambda: HOPPER)
    arrays = draw((2, 3, 6, 2, 16), jnp.bfloat16)
    actual, expected = (dot_product_attention(*arrays, backend=backend, length=length) for backend in ("fa3", "xla"))
    assert definition_as_kernels == [(6, length or 6, 2, 16)]
    np.testing.assert_allclose(actual[..., :length, :, :].astype(float), expected[..., :length, :, :].astype(float), atol=1e-2)
