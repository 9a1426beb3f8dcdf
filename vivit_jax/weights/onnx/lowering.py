"""A Flax model's forward pass as an ONNX graph: its jaxpr is read, and each primitive becomes a node or two.

To leave the batch free, the model is traced with two and with three clips: a size that differs is a multiple of the batch. So every shape
in the trace is plain numbers, and slices stay slices, which JAX's symbolic shapes would make gathers.
"""

from collections.abc import Callable, Iterable, Sequence

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, Var

from vivit_jax.errors import UserError
from vivit_jax.weights.onnx.graph import Batch, Graph, Shape, Size, Value, known
from vivit_jax.weights.onnx.primitives import BROADCASTING, FREE, MOVING, PRIMITIVES, Equation, unknown

VIDEO = "video"
TWO, THREE = 2, 3

# Calls of a jaxpr inside a jaxpr, which an inference graph has no need of.
CALLS = ("jit", "pjit", "closed_call", "core_call", "checkpoint", "remat", "remat2", "custom_jvp_call", "custom_vjp_call")


def lower(forward: Callable[[object, jax.Array], dict], variables: object, clip: tuple[int, int, int], batch: int | None) -> tuple:
    """The graph of a forward pass in float32.

    Args:
      forward: the function from variables and video (b, t, h, w, 3) to arrays by name.
      variables: the model's variables, which become the graph's constants.
      clip: (t, h, w) of the video.
      batch: clips that the graph takes at once; None for any number.

    Returns:
      The graph, the shape of its input `video`, and its outputs by name.

    Raises:
      UserError: for a computation that has no operator here.
    """

    def traced(count: int) -> ClosedJaxpr:
        return jax.make_jaxpr(forward)(variables, jax.ShapeDtypeStruct((count, *clip, 3), np.float32))

    program = traced(batch or TWO)
    shapes: dict[Var, Shape] = {}
    _find_shapes(program.jaxpr, (traced(THREE) if batch is None else program).jaxpr, shapes)
    graph = Graph(VIDEO)
    video = Value((Batch(1) if batch is None else batch, *clip, 3), VIDEO)
    arguments = [*(known(np.asarray(leaf)) for leaf in jax.tree.leaves(variables)), video]
    results = _Lowering(graph, shapes).run(program.jaxpr, program.consts, arguments)
    names = sorted(jax.eval_shape(forward, variables, jax.ShapeDtypeStruct((1, *clip, 3), np.float32)))
    return graph, video.shape, dict(zip(names, results, strict=True))


class _Lowering:
    def __init__(self, graph: Graph, shapes: dict[Var, Shape]) -> None:
        self.graph, self.shapes = graph, shapes

    def run(self, jaxpr: Jaxpr, constants: Iterable, arguments: Sequence[Value]) -> list[Value]:
        """The results of a jaxpr, with their full shapes."""
        values = dict(zip(jaxpr.constvars, (known(np.asarray(constant)) for constant in constants), strict=True))
        values |= dict(zip(jaxpr.invars, arguments, strict=True))

        def read(variable: Var | Literal) -> Value:
            return known(np.asarray(variable.val)) if isinstance(variable, Literal) else values[variable]

        for equation in jaxpr.eqns:
            results = self._equation(equation, [read(variable) for variable in equation.invars])
            values |= dict(zip(equation.outvars, results, strict=True))
        return [self.graph.whole(read(variable), self._shape(variable)) for variable in jaxpr.outvars]

    def _equation(self, equation: jax.extend.core.JaxprEqn, inputs: list[Value]) -> list[Value]:
        name = equation.primitive.name
        if name in CALLS:
            jaxpr, constants = _called(equation)
            return self.run(jaxpr, constants, inputs)
        if name in FREE:
            return inputs
        shapes = [self._shape(variable) for variable in equation.outvars]
        if all(0 in shape for shape in shapes):  # as `jnp.pad` makes along the axes that it leaves alone
            return [Value(shape, array=np.zeros(0, np.float32)) for shape in shapes]
        if name not in BROADCASTING:
            inputs = [self.graph.whole(value, self._shape(variable)) for value, variable in zip(inputs, equation.invars, strict=True)]
        if name not in MOVING and all(value.array is not None for value in inputs) and not _depends_on_batch(shapes):
            return _computed(equation, inputs)
        if name not in PRIMITIVES:
            raise unknown(f"computes {name}")
        return PRIMITIVES[name](Equation(self.graph, equation.params, inputs, shapes, [v.aval.dtype for v in equation.outvars]))

    def _shape(self, variable: Var | Literal) -> Shape:
        return variable.aval.shape if isinstance(variable, Literal) else self.shapes[variable]


def _computed(equation: jax.extend.core.JaxprEqn, inputs: Sequence[Value]) -> list[Value]:
    """The results of a primitive of known values."""
    arrays = [value.array for value in inputs]
    if equation.primitive.name in BROADCASTING:
        arrays = np.broadcast_arrays(*arrays)
    results = equation.primitive.bind(*map(jax.numpy.asarray, arrays), **equation.params)
    return [known(np.asarray(result)) for result in (results if equation.primitive.multiple_results else [results])]


def _called(equation: jax.extend.core.JaxprEqn) -> tuple[Jaxpr, Sequence]:
    jaxpr = equation.params.get("call_jaxpr", equation.params.get("jaxpr"))
    return (jaxpr.jaxpr, jaxpr.consts) if isinstance(jaxpr, ClosedJaxpr) else (jaxpr, ())


def _find_shapes(two: Jaxpr, three: Jaxpr, shapes: dict[Var, Shape]) -> None:
    """Notes the shape of every variable of a jaxpr, and of those it calls, from its traces with two and with three clips."""
    ours, theirs = (_variables(jaxpr) for jaxpr in (two, three))
    for one, other in zip(ours, theirs, strict=True):
        shapes[one] = tuple(map(_size, one.aval.shape, other.aval.shape))
    for one, other in zip(two.eqns, three.eqns, strict=True):
        if one.primitive.name in CALLS:
            _find_shapes(_called(one)[0], _called(other)[0], shapes)


def _variables(jaxpr: Jaxpr) -> list[Var]:
    return [*jaxpr.constvars, *jaxpr.invars, *(variable for equation in jaxpr.eqns for variable in equation.outvars)]


def _size(of_two: int, of_three: int) -> Size:
    if of_two == of_three:
        return of_two
    if of_two * THREE == of_three * TWO:
        return Batch(of_two // TWO)
    raise UserError(f"the model has a size that does not grow with the batch alone ({of_two} of 2, {of_three} of 3 clips): give --batch")


def _depends_on_batch(shapes: Iterable[Shape]) -> bool:
    return any(isinstance(size, Batch) for shape in shapes for size in shape)
