"""A model of our kernels, or on a jax without Triton, has the outputs and the gradients of the plain one."""

import dataclasses
import functools
import subprocess
import sys

import jax
import numpy as np
from pallas_triton import NEEDS_TRITON

from vivit_jax.models.families import create_model
from vivit_jax.models.kernels import gelu
from vivit_jax.models.kernels import layer_norm as normalisation
from vivit_jax.models.vivit.model import ViViT


@NEEDS_TRITON
def test_a_model_by_our_kernels_is_the_plain_one(monkeypatch):
    widths = {"hidden_size": 24, "num_layers": 1, "num_heads": 2, "mlp_dim": 48, "factorisation": "factorised_self_attention"}
    model = create_model(**widths, tubelet=(2, 4, 4), clip=(4, 8, 8), num_classes=3, attention="xla")
    video = jax.random.uniform(jax.random.key(0), (2, 4, 8, 8, 3), minval=-1)
    params = model.init(jax.random.key(1), video)["params"]

    def loss(config, params):
        return (ViViT(config).apply({"params": params}, video) ** 2).sum()

    expected = jax.jit(jax.value_and_grad(functools.partial(loss, model.config)))(params)
    interpreted = jax.default_backend() != "gpu"
    for module, kernel in ((normalisation, "fork"), (gelu, "gelu_gradients")):
        monkeypatch.setattr(module, "runs_our_kernels", lambda *_: True)
        monkeypatch.setattr(module, kernel, functools.partial(getattr(module, kernel), interpret=interpreted))
    actual = jax.jit(jax.value_and_grad(functools.partial(loss, dataclasses.replace(model.config, attention="chunked"))))(params)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-5), actual, expected)


ON_A_GPU_WITHOUT_TRITON = """
import sys
sys.modules["jax.experimental.pallas.triton"] = None
import jax
import numpy as np
import vivit_jax

jax.default_backend = lambda: "gpu"
widths = dict(hidden_size=32, num_layers=1, num_heads=2, mlp_dim=64, factorisation="factorised_self_attention", dtype="bfloat16")
video = jax.random.uniform(jax.random.key(0), (2, 8, 16, 16, 3), minval=-1)
computed = {}
for attention in ("auto", "xla"):
    model = vivit_jax.create_model(**widths, tubelet=(2, 4, 4), clip=(8, 16, 16), num_classes=3, attention=attention)
    def loss(variables):
        logits = model.apply(variables, video)
        return (logits ** 2).sum(), logits
    variables = jax.jit(model.init)(jax.random.key(1), video)
    computed[attention] = jax.jit(jax.value_and_grad(loss, has_aux=True))(variables)
jax.tree.map(np.testing.assert_array_equal, computed["auto"], computed["xla"])
"""


def test_a_jax_without_triton_computes_the_definitions_and_tells_so_once():
    """The grid is one that the kernel over time takes, so that on a jax with Triton all three would be launched."""
    run = subprocess.run([sys.executable, "-c", ON_A_GPU_WITHOUT_TRITON], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == [
        f"warning: jax {jax.__version__} has no Triton for our kernels, so that XLA computes in their place, with the same results: "
        "training is 2 to 13 % slower than with jax 0.12"
    ]
