"""Would our kernels work in Triton itself, called by jax-triton? The way on if Pallas drops Triton: LayerNorm, GELU, attention over time.

They compute what those of `vivit_jax/models/kernels` compute, in the same blocks, and `own_kernels.py` times them beside these. Nothing in
the package uses them. Held to their definitions on a CPU by Triton's interpreter, which needs torch:

  TRITON_INTERPRET=1 python benchmarks/triton_kernels.py
"""

import functools
import os

import jax
import jax.numpy as jnp
import triton
import triton.language as tl

# What a program takes, as in the package: tokens whose gradients of scale and bias it sums; hidden units, of tokens, some at a time.
NORM_TOKENS = 32
GELU_UNITS, GELU_TOKENS, GELU_TOGETHER = 256, 64, 8
USUAL_ROWS = 64


@triton.jit
def normalise(x, scale, bias, y, width: tl.constexpr, epsilon: tl.constexpr, block: tl.constexpr) -> None:
    """One token a program."""
    column = tl.arange(0, block)
    inside = column < width
    place = tl.program_id(0).to(tl.int64) * width + column
    value = tl.load(x + place, mask=inside, other=0.0).to(tl.float32)
    centred = tl.where(inside, value - tl.sum(value) / width, 0.0)
    standard = centred / tl.sqrt(tl.sum(centred * centred) / width + epsilon)
    standard = standard * tl.load(scale + column, mask=inside, other=0.0) + tl.load(bias + column, mask=inside, other=0.0)
    tl.store(y + place, standard.to(y.dtype.element_ty), mask=inside)


@triton.jit
def normalise_gradients(
    x, scale, branch, residual, dx, dscale, dbias,
    count: tl.constexpr, width: tl.constexpr, epsilon: tl.constexpr, block: tl.constexpr, together: tl.constexpr,
) -> None:  # fmt: skip
    """Some tokens a program, each fetched while the one before is worked on; past the last come zeros, which add nothing."""
    column = tl.arange(0, block)
    inside = column < width
    weight = tl.load(scale + column, mask=inside, other=0.0)
    token = tl.program_id(0) * together
    place = token.to(tl.int64) * width + column
    next_x = tl.load(x + place, mask=inside, other=0.0)
    next_dy = tl.load(branch + place, mask=inside, other=0.0)
    next_residual = tl.load(residual + place, mask=inside, other=0.0)
    scale_sum = tl.zeros((block,), tl.float32)
    bias_sum = tl.zeros((block,), tl.float32)
    for _ in range(together):
        value, dy, added = next_x.to(tl.float32), next_dy.to(tl.float32), next_residual.to(tl.float32)
        here, place = place, place + width
        stored = inside & (token < count)
        token += 1
        fetched = inside & (token < count)
        next_x = tl.load(x + place, mask=fetched, other=0.0)
        next_dy = tl.load(branch + place, mask=fetched, other=0.0)
        next_residual = tl.load(residual + place, mask=fetched, other=0.0)
        centred = tl.where(inside, value - tl.sum(value) / width, 0.0)
        deviation = tl.sqrt(tl.sum(centred * centred) / width + epsilon)
        standard = centred / deviation
        slope = dy * weight
        slope = (slope - tl.sum(slope) / width - standard * (tl.sum(slope * standard) / width)) / deviation + added
        tl.store(dx + here, slope.to(dx.dtype.element_ty), mask=stored)
        scale_sum += dy * standard
        bias_sum += dy
    part = tl.program_id(0).to(tl.int64) * width + column
    tl.store(dscale + part, scale_sum, mask=inside)
    tl.store(dbias + part, bias_sum, mask=inside)


@triton.jit
def gelu_gradients(
    argument, gradient, dx, parts,
    count: tl.constexpr, hidden: tl.constexpr, units: tl.constexpr, tokens: tl.constexpr, together: tl.constexpr,
) -> None:  # fmt: skip
    """Some hidden units of some tokens a program."""
    column = tl.program_id(1) * units + tl.arange(0, units)
    total = tl.zeros((together, units), tl.float32)
    for step in range(tokens // together):
        token = tl.program_id(0) * tokens + step * together + tl.arange(0, together)
        place = token[:, None].to(tl.int64) * hidden + column[None, :]
        inside = (token[:, None] < count) & (column[None, :] < hidden)
        x = tl.load(argument + place, mask=inside, other=0.0).to(tl.float32)
        dy = tl.load(gradient + place, mask=inside, other=0.0).to(tl.float32)
        # sqrt(2 / pi) = 0.79788456 and log2(e) = 1.44269504
        sigmoid = 1 / (1 + tl.exp2(-2 * 0.7978845608028654 * 1.4426950408889634 * x * (1 + 0.044715 * x * x)))
        slope = dy * sigmoid * (1 + 2 * 0.7978845608028654 * x * (1 - sigmoid) * (1 + 3 * 0.044715 * x * x))
        tl.store(dx + place, slope.to(dx.dtype.element_ty), mask=inside)
        total += slope
    tl.store(parts + tl.program_id(0).to(tl.int64) * hidden + column, tl.sum(total, axis=0), mask=column < hidden)


@triton.jit
def _over_time(query, key, scale: tl.constexpr, together: tl.constexpr, rows: tl.constexpr) -> tl.tensor:
    place = tl.arange(0, rows) % together
    scores = tl.dot(query, tl.trans(key)) * (scale * 1.4426950408889634)
    scores = tl.where(place[:, None] == place[None, :], scores, -1e30)
    weights = tl.exp2(scores - tl.max(scores, axis=1)[:, None])
    return weights / tl.sum(weights, axis=1)[:, None]


@triton.jit
def attend(
    query, key, value, out,
    places: tl.constexpr, heads: tl.constexpr, width: tl.constexpr, times: tl.constexpr, together: tl.constexpr, scale: tl.constexpr,
) -> None:  # fmt: skip
    """All times of some places of a head a program."""
    rows: tl.constexpr = times * together
    row, column = tl.arange(0, rows), tl.arange(0, width)
    token = (tl.program_id(0) * times + row // together) * places + tl.program_id(1) * together + row % together
    at = (token.to(tl.int64) * heads + tl.program_id(2))[:, None] * width + column[None, :]
    values = tl.load(value + at)
    weights = _over_time(tl.load(query + at), tl.load(key + at), scale, together, rows)
    tl.store(out + at, tl.dot(weights.to(values.dtype), values).to(out.dtype.element_ty))


@triton.jit
def attend_gradients(
    query, key, value, gradient, dquery, dkey, dvalue,
    places: tl.constexpr, heads: tl.constexpr, width: tl.constexpr, times: tl.constexpr, together: tl.constexpr, scale: tl.constexpr,
) -> None:  # fmt: skip
    """All times of some places of a head a program."""
    rows: tl.constexpr = times * together
    row, column = tl.arange(0, rows), tl.arange(0, width)
    token = (tl.program_id(0) * times + row // together) * places + tl.program_id(1) * together + row % together
    at = (token.to(tl.int64) * heads + tl.program_id(2))[:, None] * width + column[None, :]
    queries, keys, dy = tl.load(query + at), tl.load(key + at), tl.load(gradient + at)
    weights = _over_time(queries, keys, scale, together, rows)
    dweights = tl.dot(dy, tl.trans(tl.load(value + at)))
    dscores = (weights * (dweights - tl.sum(dweights * weights, axis=1)[:, None]) * scale).to(queries.dtype)
    tl.store(dvalue + at, tl.dot(tl.trans(weights.to(dy.dtype)), dy).to(dvalue.dtype.element_ty))
    tl.store(dquery + at, tl.dot(dscores, keys).to(dquery.dtype.element_ty))
    tl.store(dkey + at, tl.dot(tl.trans(dscores), queries).to(dkey.dtype.element_ty))


def _call(
    kernel: triton.JITFunction, results: list[jax.ShapeDtypeStruct], grid: tuple[int, ...], *arrays: jax.Array, **sizes: object
) -> list:
    import jax_triton

    return list(jax_triton.triton_call(*arrays, kernel=kernel, out_shape=tuple(results), grid=grid, num_stages=1, **sizes))


def _like(x: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype)


def norm_sizes(count: int, width: int, epsilon: float) -> tuple[dict, dict]:
    """What the kernels of LayerNorm are specialised to: forward and backward."""
    sizes = {"width": width, "epsilon": epsilon, "block": triton.next_power_of_2(width)}
    return sizes, sizes | {"count": count, "together": NORM_TOKENS}


def gelu_sizes(count: int, hidden: int) -> dict:
    """What GELU's kernel is specialised to."""
    return {"count": count, "hidden": hidden, "units": GELU_UNITS, "tokens": GELU_TOKENS, "together": GELU_TOGETHER}


def time_sizes(times: int, places: int, heads: int, width: int) -> dict:
    """What the kernels of attention over time are specialised to."""
    together = 1
    while places % (2 * together) == 0 and 2 * together * times <= USUAL_ROWS:
        together *= 2
    return {"places": places, "heads": heads, "width": width, "times": times, "together": together, "scale": width**-0.5}


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def fork(x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float) -> tuple[jax.Array, jax.Array]:
    """As `models.kernels.layer_norm.fork`."""
    count, width = x.size // x.shape[-1], x.shape[-1]
    return x, _call(normalise, [_like(x)], (count,), x, scale, bias, num_warps=1, **norm_sizes(count, width, epsilon)[0])[0]


def _fork_backward(epsilon: float, saved: tuple[jax.Array, jax.Array], gradients: tuple[jax.Array, jax.Array]) -> tuple:
    x, scale = saved
    residual, branch = gradients
    count, width = x.size // x.shape[-1], x.shape[-1]
    programs = triton.cdiv(count, NORM_TOKENS)
    parts = jax.ShapeDtypeStruct((programs, width), jnp.float32)
    sizes = norm_sizes(count, width, epsilon)[1]
    dx, dscale, dbias = _call(normalise_gradients, [_like(x), parts, parts], (programs,), x, scale, branch, residual, num_warps=1, **sizes)
    return dx, dscale.sum(0).astype(scale.dtype), dbias.sum(0).astype(scale.dtype)


fork.defvjp(lambda x, scale, bias, epsilon: (fork(x, scale, bias, epsilon), (x, scale)), _fork_backward)


@jax.custom_vjp
def biased_gelu(x: jax.Array, bias: jax.Array) -> jax.Array:
    """As `models.kernels.gelu.biased_gelu` by tanh."""
    return jax.nn.gelu(x + bias.astype(x.dtype), approximate=True)


def _gelu_forward(x: jax.Array, bias: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    argument = x + bias.astype(x.dtype)
    return jax.nn.gelu(argument, approximate=True), (argument, bias)


def _gelu_backward(saved: tuple[jax.Array, jax.Array], gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    argument, bias = saved
    count, hidden = argument.size // argument.shape[-1], argument.shape[-1]
    programs = triton.cdiv(count, GELU_TOKENS)
    results = [_like(argument), jax.ShapeDtypeStruct((programs, hidden), jnp.float32)]
    grid = (programs, triton.cdiv(hidden, GELU_UNITS))
    dx, parts = _call(gelu_gradients, results, grid, argument, gradient, num_warps=4, **gelu_sizes(count, hidden))
    return dx, parts.sum(0).astype(bias.dtype)


biased_gelu.defvjp(_gelu_forward, _gelu_backward)


@jax.custom_vjp
def attend_over_time(query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
    """As `models.kernels.time_attention.attend_over_time`."""
    return _over_grid(attend, 1, query, key, value)[0]


def _over_grid(kernel: triton.JITFunction, results: int, *grids: jax.Array) -> list[jax.Array]:
    batch, times, places, heads, width = grids[0].shape
    sizes = time_sizes(times, places, heads, width)
    return _call(kernel, [_like(grids[0])] * results, (batch, places // sizes["together"], heads), *grids, num_warps=4, **sizes)


attend_over_time.defvjp(
    lambda *grids: (attend_over_time(*grids), grids),
    lambda grids, gradient: tuple(_over_grid(attend_gradients, 3, *grids, gradient)),
)


def check() -> None:
    """Prints how far each kernel, interpreted, is from its definition.

    Raises:
      AssertionError: if one is farther than rounding explains.
    """
    import numpy as np
    import torch

    from vivit_jax.models.kernels.attention import time_attention
    from vivit_jax.models.kernels.gelu import GELU
    from vivit_jax.models.kernels.layer_norm import normalised

    generator = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return generator.standard_normal(shape, np.float32)

    def compare(name: str, actual: list, expected: list) -> None:
        distances = [
            float(np.linalg.norm(a.numpy() - np.asarray(b)) / np.linalg.norm(np.asarray(b))) for a, b in zip(actual, expected, strict=True)
        ]
        print(f"{name:22}" + "  ".join(f"{distance:.1e}" for distance in distances))
        assert max(distances) < 1e-5, name

    def run(kernel: triton.JITFunction, grid: tuple[int, ...], arrays: list, results: list[tuple[int, ...]], sizes: dict) -> list:
        out = [torch.full(shape, float("nan")) for shape in results]
        kernel[grid](*(torch.from_numpy(np.array(array)) for array in arrays), *out, **sizes)
        return out

    count, width, epsilon = 37, 24, 1e-6
    x, scale, bias, branch, residual = draw(count, width), draw(width), draw(width), draw(count, width), draw(count, width)
    y, backward = jax.vjp(lambda *arrays: normalised(*arrays, epsilon), x, scale, bias)
    forward_sizes, backward_sizes = norm_sizes(count, width, epsilon)
    compare("LayerNorm", run(normalise, (count,), [x, scale, bias], [x.shape], forward_sizes), [y])
    programs = triton.cdiv(count, NORM_TOKENS)
    results = [x.shape, (programs, width), (programs, width)]
    dx, dscale, dbias = run(normalise_gradients, (programs,), [x, scale, branch, residual], results, backward_sizes)
    expected = backward(jnp.asarray(branch))
    compare("its gradients", [dx, dscale.sum(0), dbias.sum(0)], [expected[0] + residual, *expected[1:]])

    count, hidden = 70, 300
    argument, gradient = draw(count, hidden), draw(count, hidden)
    (slope,) = jax.vjp(GELU["gelu_tanh"], jnp.asarray(argument))[1](jnp.asarray(gradient))
    programs = triton.cdiv(count, GELU_TOKENS)
    grid = (programs, triton.cdiv(hidden, GELU_UNITS))
    dx, parts = run(gelu_gradients, grid, [argument, gradient], [argument.shape, (programs, hidden)], gelu_sizes(count, hidden))
    compare("GELU's gradients", [dx, parts.sum(0)], [slope, slope.sum(0)])

    shape = (2, 16, 4, 2, 16)
    grids = [draw(*shape) for _ in range(4)]
    sizes = time_sizes(*shape[1:])
    out, backward = jax.vjp(functools.partial(time_attention, backend="xla"), *grids[:3])
    grid = (shape[0], shape[2] // sizes["together"], shape[3])
    compare("attention over time", run(attend, grid, grids[:3], [shape], sizes), [out])
    compare("its gradients", run(attend_gradients, grid, grids, [shape] * 3, sizes), list(backward(jnp.asarray(grids[3]))))


if __name__ == "__main__":
    if os.environ.get("TRITON_INTERPRET") != "1":
        raise SystemExit("set TRITON_INTERPRET=1")
    check()
