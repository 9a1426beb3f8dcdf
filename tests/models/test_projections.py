"""The projections to heads and back are written in one way for a GPU and in another for a CPU: the same numbers and gradients."""

import jax
import numpy as np
import pytest

from vivit_jax.models.vivit import attention
from vivit_jax.models.vivit.attention import SPACE, TIME, MultiHeadAttention


@pytest.mark.parametrize("axes", [(SPACE,), (TIME, SPACE)])
def test_products_of_matrices_and_products_with_heads_are_the_same(axes, monkeypatch):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(2, 3, 5, 16)).astype(np.float32)
    module = MultiHeadAttention(num_heads=4, axes=axes)
    shapes = jax.eval_shape(module.init, jax.random.key(0), x)
    variables = jax.tree.map(lambda leaf: generator.normal(0, 0.3, leaf.shape).astype(np.float32), shapes)

    def computed(as_matrices):
        monkeypatch.setattr(attention, "prefers_matrix_products", lambda: as_matrices)
        program = jax.jit(jax.value_and_grad(lambda variables, x: (module.apply(variables, x) ** 2).sum(), argnums=(0, 1)))
        return str(program.trace(variables, x).jaxpr), program(variables, x)

    (written_for_gpu, on_gpu), (written_for_cpu, on_cpu) = computed(True), computed(False)
    assert written_for_gpu != written_for_cpu
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4), on_gpu, on_cpu)
