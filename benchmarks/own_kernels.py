"""How fast is each kernel of our own, beside what XLA and for attention cuDNN make of the same definition? On an NVIDIA GPU.

  python benchmarks/own_kernels.py --json own_kernels.json

The shapes are those of ViViT-B/16x2 with 32 clips of 32x224x224. A figure is the sum of the kernels of a call, by torch's profiler.
Where jax-triton is installed, the same kernels written in Triton itself (`triton_kernels.py`) are another way.
"""

import functools
import importlib.util
from collections.abc import Callable

import torch.profiler  # noqa: F401  before jax: the profiler then sees its kernels

# isort: split
import jax
import jax.numpy as jnp
from kernels import milliseconds_of
from script import add_json, make_parser, write_json

from vivit_jax.analysis.environment import environment
from vivit_jax.models.kernels.attention import dot_product_attention, time_attention
from vivit_jax.models.kernels.gelu import biased_gelu
from vivit_jax.models.kernels.layer_norm import fork, normalised

BATCH, TIMES, PLACES, WIDTH, HEADS, HIDDEN = 32, 16, 196, 768, 12, 3072
EPSILON = 1e-6


def main() -> None:
    parser = make_parser(__doc__)
    add_json(parser)
    arguments = parser.parse_args()
    if jax.default_backend() != "gpu":
        parser.error("our kernels are for NVIDIA GPUs, and jax finds none here")
    rows = []
    for what, (ways, inputs) in cases().items():
        for way, function in (ways | by_jax_triton(what)).items():
            for direction, call in directions(function, inputs).items():
                rows.append({"what": what, "way": way, "direction": direction, "milliseconds": milliseconds_of(call).total()})
                print(f"{what:22}{way:12}{direction:10}{rows[-1]['milliseconds']:8.3f} ms", flush=True)
    write_json(arguments.json, {"environment": environment(), "rows": rows})


def cases() -> dict[str, tuple[dict[str, Callable], list[jax.Array]]]:
    """For each computation, by name: the functions that compute it, by name, and their inputs."""
    tokens, hidden, grid = (BATCH, TIMES * PLACES, WIDTH), (BATCH, TIMES * PLACES, HIDDEN), (BATCH, TIMES, PLACES, HEADS, WIDTH // HEADS)
    gelu = functools.partial(biased_gelu, activation="gelu_tanh")
    return {
        "LayerNorm and residual": (
            {"ours": lambda *x: fork(*x, EPSILON), "XLA": lambda *x: (x[0], normalised(*x, EPSILON))},
            [draw(0, tokens), draw(1, (WIDTH,), jnp.float32), draw(2, (WIDTH,), jnp.float32)],
        ),
        "GELU after a bias": (
            {"ours": functools.partial(gelu, backend="auto"), "XLA": functools.partial(gelu, backend="xla")},
            [draw(0, hidden), draw(1, (HIDDEN,), jnp.float32)],
        ),
        "attention over time": (
            {
                "ours": functools.partial(time_attention, backend="auto"),
                "XLA": functools.partial(time_attention, backend="xla"),
                "cuDNN": lambda *x: dot_product_attention(*(grid.swapaxes(1, 2) for grid in x), backend="cudnn").swapaxes(1, 2),
            },
            [draw(seed, grid) for seed in range(3)],
        ),
    }


def by_jax_triton(what: str) -> dict[str, Callable]:
    """The kernel written in Triton itself; none where jax-triton is not installed."""
    if importlib.util.find_spec("jax_triton") is None:
        return {}
    import triton_kernels

    kernels = {
        "LayerNorm and residual": lambda *x: triton_kernels.fork(*x, EPSILON),
        "GELU after a bias": triton_kernels.biased_gelu,
        "attention over time": triton_kernels.attend_over_time,
    }
    return {"jax-triton": kernels[what]}


def directions(function: Callable, inputs: list[jax.Array]) -> dict[str, Callable]:
    """The forward pass, and the backward pass from what the forward pass keeps."""
    results, pullback = jax.jit(lambda *x: jax.vjp(function, *x))(*inputs)
    forward, backward = jax.jit(function), jax.jit(lambda pullback, gradients: pullback(gradients))
    return {"forward": lambda: forward(*inputs), "backward": lambda: backward(pullback, results)}


def draw(seed: int, shape: tuple[int, ...], dtype: jnp.dtype = jnp.bfloat16) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape, dtype)


if __name__ == "__main__":
    main()
