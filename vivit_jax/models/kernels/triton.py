"""What our kernels use of Pallas's Triton, in the one place that imports it.

jax deprecates it since 0.11, and names no version that will be without it. `AVAILABLE` tells whether this one has it.
"""

try:
    from jax.experimental.pallas.triton import CompilerParams, dot, load, store
except ImportError:
    AVAILABLE = False
else:
    AVAILABLE = True

__all__ = ["AVAILABLE", "CompilerParams", "dot", "load", "store"]
