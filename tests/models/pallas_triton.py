"""Our kernels are written in Pallas for Triton, which some jax will not have; not even interpreted do they run there."""

import pytest

from vivit_jax.models.kernels import triton

NEEDS_TRITON = pytest.mark.skipif(not triton.AVAILABLE, reason="this jax has no Triton for Pallas, which our kernels are written in")
