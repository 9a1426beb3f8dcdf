"""A model whose LayerNorms and GELUs are our kernels' has the outputs and the gradients of the plain one."""

import dataclasses
import functools

import jax
import numpy as np

from vivit_jax.models.families import create_model
from vivit_jax.models.kernels import gelu
from vivit_jax.models.kernels import layer_norm as normalisation
from vivit_jax.models.vivit.model import ViViT


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
