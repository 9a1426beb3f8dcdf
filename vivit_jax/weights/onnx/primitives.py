"""JAX's primitives in ONNX's operators: those that an image or video network has when it only infers."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from onnx import helper

from vivit_jax.errors import UserError
from vivit_jax.weights.onnx.graph import Batch, Graph, Shape, Size, Value, known


@dataclasses.dataclass(frozen=True)
class Equation:
    """One application of a primitive.

    Attributes:
      graph: the graph that the nodes are added to.
      params: the primitive's parameters.
      inputs: the values that it is applied to.
      shapes: the shapes of its results.
      dtypes: the types of its results.
    """

    graph: Graph
    params: Mapping
    inputs: Sequence[Value]
    shapes: Sequence[Shape]
    dtypes: Sequence[np.dtype]


Rule = Callable[[Equation], list[Value]]


def unknown(what: str) -> UserError:
    """The error to raise for what no rule expresses."""
    return UserError(f"the model {what}, which the export to onnx does not know: export to stablehlo")


def elementwise(*operators: str) -> Rule:
    """The rule of a primitive that is an operator, then others on its result."""

    def rule(e: Equation) -> list[Value]:
        shape = _broadcast([value.shape for value in e.inputs])
        result = e.graph.node(operators[0], e.inputs, shape)
        for operator in operators[1:]:
            result = e.graph.node(operator, [result], shape)
        return [result]

    return rule


def _square(e: Equation) -> list[Value]:
    (x,) = e.inputs
    return [e.graph.node("Mul", [x, x], x.shape)]


def _integer_pow(e: Equation) -> list[Value]:
    (x,), power = e.inputs, e.params["y"]
    if power < 1:
        return [e.graph.node("Pow", [x, known(np.array(power, np.float32))], x.shape)]
    return [functools.reduce(lambda product, _: e.graph.node("Mul", [product, x], x.shape), range(power - 1), x)]


def _erfc(e: Equation) -> list[Value]:
    (x,) = e.inputs
    return [e.graph.node("Sub", [known(np.array(1, np.float32)), e.graph.node("Erf", [x], x.shape)], x.shape)]


def _not_equal(e: Equation) -> list[Value]:
    shape = _broadcast([value.shape for value in e.inputs])
    return [e.graph.node("Not", [e.graph.node("Equal", e.inputs, shape)], shape)]


def _select_n(e: Equation) -> list[Value]:
    which, *cases = e.inputs
    if len(cases) != 2:
        raise unknown(f"selects among {len(cases)} cases")
    return [e.graph.node("Where", [which, *reversed(cases)], _broadcast([value.shape for value in e.inputs]))]


def _convert(e: Equation) -> list[Value]:
    (x,) = e.inputs
    return [e.graph.node("Cast", [x], x.shape, to=helper.np_dtype_to_tensor_dtype(np.dtype(e.dtypes[0])))]


def _broadcast_in_dim(e: Equation) -> list[Value]:
    """Only adds the axes, with size 1: every operator of two tensors broadcasts."""
    x, sizes = e.inputs[0], [1] * len(e.shapes[0])
    for axis, size in zip(e.params["broadcast_dimensions"], x.shape, strict=True):
        sizes[axis] = size
    return [e.graph.reshape(x, tuple(sizes))]


def _reshape(e: Equation) -> list[Value]:
    if e.params.get("dimensions") is not None:
        raise unknown("reshapes in another order of its axes")
    return [e.graph.reshape(e.inputs[0], e.shapes[0])]


def _transpose(e: Equation) -> list[Value]:
    return [e.graph.transpose(e.inputs[0], e.params["permutation"])]


def _concatenate(e: Equation) -> list[Value]:
    parts = [value for value in e.inputs if 0 not in value.shape]
    return [e.graph.node("Concat", parts, e.shapes[0], axis=e.params["dimension"])] if len(parts) > 1 else parts


def _split(e: Equation) -> list[Value]:
    sizes = e.graph.integers(*e.params["sizes"])
    return e.graph.node_of_several("Split", [e.inputs[0], sizes], e.shapes, axis=e.params["axis"])


def _slice(e: Equation) -> list[Value]:
    (x,), strides = e.inputs, e.params["strides"]
    bounds = zip(e.params["start_indices"], e.params["limit_indices"], strides or (1,) * len(x.shape), strict=True)
    cut = [(axis, *of) for axis, (of, size, taken) in enumerate(zip(bounds, x.shape, e.shapes[0], strict=True)) if size != taken]
    if not cut:
        return [x]
    axes, starts, ends, steps = zip(*cut, strict=True)
    return [e.graph.node("Slice", [x, *(e.graph.integers(*values) for values in (starts, ends, axes, steps))], e.shapes[0])]


def _pad(e: Equation) -> list[Value]:
    x, value = e.inputs
    low, high, interior = zip(*e.params["padding_config"], strict=True)
    if any(interior) or min(*low, *high, 0) < 0:
        raise unknown("pads between values, or by less than nothing")
    return [e.graph.node("Pad", [x, e.graph.integers(*low, *high), value], e.shapes[0])]


def reduction(operator: str) -> Rule:
    """The rule of a reduction over axes."""

    def rule(e: Equation) -> list[Value]:
        return [e.graph.node(operator, [e.inputs[0], e.graph.integers(*e.params["axes"])], e.shapes[0], keepdims=0)]

    return rule


def _dot_general(e: Equation) -> list[Value]:
    """A MatMul: the axes of the batch, those of one side or the other, and those summed over, merged where there are several."""
    (left, right), ((sum_left, sum_right), (batch_left, batch_right)) = e.inputs, e.params["dimension_numbers"]
    free_left, free_right = _rest(left, (*sum_left, *batch_left)), _rest(right, (*sum_right, *batch_right))
    left = e.graph.transpose(left, (*batch_left, *free_left, *sum_left))
    right = e.graph.transpose(right, (*batch_right, *sum_right, *free_right))
    batch, places = left.shape[: len(batch_left)], left.shape[len(batch_left) : len(left.shape) - len(sum_left)]
    features = right.shape[len(batch) + len(sum_right) :]
    summed = math.prod(right.shape[len(batch) : len(batch) + len(sum_right)])
    # Without axes of the batch MatMul takes the places as they are; with them, there must be one.
    rows = (_product(places),) if batch or not places else places
    left = e.graph.reshape(left, (*batch, *rows, summed))
    right = e.graph.reshape(right, (*batch, summed, _product(features)))
    product = e.graph.node("MatMul", [left, right], (*batch, *rows, _product(features)))
    return [e.graph.reshape(product, (*batch, *places, *features))]


def _convolution(e: Equation) -> list[Value]:
    (x, kernel), params = e.inputs, e.params
    layout = params["dimension_numbers"]
    if any(step != 1 for step in params["lhs_dilation"]) or params["batch_group_count"] != 1:
        raise unknown("has a transposed convolution")
    low, high = zip(*params["padding"], strict=True)
    shape = tuple(e.shapes[0][axis] for axis in layout.out_spec)
    result = e.graph.node(
        "Conv",
        [e.graph.transpose(x, layout.lhs_spec), e.graph.transpose(kernel, layout.rhs_spec)],
        shape,
        strides=list(params["window_strides"]),
        dilations=list(params["rhs_dilation"]),
        pads=[*low, *high],
        group=params["feature_group_count"],
    )
    return [e.graph.transpose(result, np.argsort(layout.out_spec).tolist())]


def _window_max(e: Equation) -> list[Value]:
    """A MaxPool, which wants the batch and the channels first: the first and the last axis here."""
    (x,), params = e.inputs, e.params
    window, strides, padding = (params[name] for name in ("window_dimensions", "window_strides", "padding"))
    if window[0] != 1 or window[-1] != 1 or any(step != 1 for step in (*params["base_dilation"], *params["window_dilation"])):
        raise unknown("takes maxima over the batch, over channels or with gaps")
    order = (0, len(window) - 1, *range(1, len(window) - 1))
    low, high = zip(*padding[1:-1], strict=True)
    shape = tuple(e.shapes[0][axis] for axis in order)
    pooled = e.graph.node(
        "MaxPool", [e.graph.transpose(x, order)], shape, kernel_shape=list(window[1:-1]), strides=list(strides[1:-1]), pads=[*low, *high]
    )
    return [e.graph.transpose(pooled, np.argsort(order).tolist())]


def _top_k(e: Equation) -> list[Value]:
    values, places = e.graph.node_of_several("TopK", [e.inputs[0], e.graph.integers(e.params["k"])], e.shapes, axis=-1)
    return [values, e.graph.node("Cast", [places], places.shape, to=helper.np_dtype_to_tensor_dtype(np.dtype(np.int32)))]


def _gather(e: Equation) -> list[Value]:
    """Rows of a table by number along one axis, `table[:, numbers]`; no other gather."""
    (table, numbers), layout, taken = e.inputs, e.params["dimension_numbers"], e.shapes[0]
    (axis, *others), several = layout.start_index_map, len(numbers.shape) - 1
    offsets = (*range(axis), *range(axis + several, len(taken)))
    is_along_axis = not others and layout.collapsed_slice_dims == (axis,) and layout.offset_dims == offsets
    if not is_along_axis or tuple(taken[offset] for offset in offsets) != (*table.shape[:axis], *table.shape[axis + 1 :]):
        raise unknown("gathers otherwise than along one axis")
    return [e.graph.node("Gather", [table, e.graph.reshape(numbers, numbers.shape[:-1])], taken, axis=axis)]


def _broadcast(shapes: Sequence[Shape]) -> Shape:
    rank = max(map(len, shapes))
    full = ((1,) * (rank - len(shape)) + shape for shape in shapes)
    return tuple(next((size for size in sizes if size != 1), 1) for sizes in zip(*full, strict=True))


def _product(sizes: Shape) -> Size:
    times = math.prod(size.times if isinstance(size, Batch) else size for size in sizes)
    return Batch(times) if any(isinstance(size, Batch) for size in sizes) else times


def _rest(value: Value, axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(axis for axis in range(len(value.shape)) if axis not in axes)


ELEMENTWISE: dict[str, Rule] = {
    "add": elementwise("Add"),
    "add_any": elementwise("Add"),
    "sub": elementwise("Sub"),
    "mul": elementwise("Mul"),
    "div": elementwise("Div"),
    "max": elementwise("Max"),
    "min": elementwise("Min"),
    "pow": elementwise("Pow"),
    "neg": elementwise("Neg"),
    "abs": elementwise("Abs"),
    "sign": elementwise("Sign"),
    "floor": elementwise("Floor"),
    "exp": elementwise("Exp"),
    "log": elementwise("Log"),
    "tanh": elementwise("Tanh"),
    "logistic": elementwise("Sigmoid"),
    "sqrt": elementwise("Sqrt"),
    "rsqrt": elementwise("Sqrt", "Reciprocal"),
    "erf": elementwise("Erf"),
    "erfc": _erfc,
    "square": _square,
    "integer_pow": _integer_pow,
    "eq": elementwise("Equal"),
    "ne": _not_equal,
    "lt": elementwise("Less"),
    "le": elementwise("LessOrEqual"),
    "gt": elementwise("Greater"),
    "ge": elementwise("GreaterOrEqual"),
    "and": elementwise("And"),
    "or": elementwise("Or"),
    "not": elementwise("Not"),
    "select_n": _select_n,
    "convert_element_type": _convert,
}
PRIMITIVES: dict[str, Rule] = ELEMENTWISE | {
    "broadcast_in_dim": _broadcast_in_dim,
    "reshape": _reshape,
    "squeeze": lambda e: [e.graph.reshape(e.inputs[0], e.shapes[0])],
    "expand_dims": lambda e: [e.graph.reshape(e.inputs[0], e.shapes[0])],
    "transpose": _transpose,
    "concatenate": _concatenate,
    "split": _split,
    "slice": _slice,
    "pad": _pad,
    "reduce_sum": reduction("ReduceSum"),
    "reduce_max": reduction("ReduceMax"),
    "reduce_min": reduction("ReduceMin"),
    "dot_general": _dot_general,
    "conv_general_dilated": _convolution,
    "reduce_window_max": _window_max,
    "top_k": _top_k,
    "gather": _gather,
}
# Those whose inputs may have size 1 along an axis where the program has the full size.
BROADCASTING = (*ELEMENTWISE, "broadcast_in_dim")
# Those that move the values of a known array, which NumPy does without compiling anything.
MOVING = ("broadcast_in_dim", "reshape", "squeeze", "expand_dims", "transpose")
# Those that change nothing when a model only infers.
FREE = ("stop_gradient", "copy", "copy_p", "optimization_barrier", "name", "sharding_constraint")
