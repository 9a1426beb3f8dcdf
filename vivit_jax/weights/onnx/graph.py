"""An ONNX graph under construction: values, their shapes where the batch is free, and nodes.

A value that is known while exporting (a parameter, or what is computed from parameters alone) stays a NumPy array until a node takes it.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET, IR_VERSION = 18, 9  # what onnxruntime reads since 1.14, of February 2023


@dataclasses.dataclass(frozen=True)
class Batch:
    """A size that is so many times the batch."""

    times: int


Size = int | Batch
Shape = tuple[Size, ...]


@dataclasses.dataclass(frozen=True)
class Value:
    """A tensor of the graph.

    Attributes:
      shape: its sizes in the graph. Where the program broadcasts, an axis here may have size 1, since ONNX's operators broadcast too.
      name: its name in the graph, or None.
      array: what it is, if that is known while exporting.
    """

    shape: Shape
    name: str | None = None
    array: np.ndarray | None = None


def known(array: np.ndarray) -> Value:
    """A value that is known while exporting."""
    return Value(array.shape, array=array)


class Graph:
    """Nodes in the order in which they run. All names that it makes begin with `/`, which the name of no output does.

    Attributes:
      nodes: what was added so far.
      constants: the arrays that nodes take, by name.
    """

    def __init__(self, video: str) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}
        self._video = video
        self._named: dict[int, tuple[str, np.ndarray]] = {}  # with the array, whose id would else be given to another
        self._batches: dict[int, str] = {}

    def node(self, operator: str, inputs: Sequence[Value | str], shape: Shape, **attributes: object) -> Value:
        """Adds a node of one output, which has that shape."""
        return self.node_of_several(operator, inputs, [shape], **attributes)[0]

    def node_of_several(self, operator: str, inputs: Sequence[Value | str], shapes: Sequence[Shape], **attributes: object) -> list[Value]:
        """Adds a node with an output of each of these shapes."""
        names = [f"/{len(self.nodes)}{f'.{number}' if number else ''}" for number in range(len(shapes))]
        taken = [value if isinstance(value, str) else self.name_of(value) for value in inputs]
        self.nodes.append(helper.make_node(operator, taken, names, **attributes))
        return [Value(tuple(shape), name) for shape, name in zip(shapes, names, strict=True)]

    def name_of(self, value: Value) -> str:
        """The name of a value; what is known becomes a constant of the graph."""
        if value.name is not None:
            return value.name
        return self.constant(value.array)

    def constant(self, array: np.ndarray) -> str:
        """The name of a constant, the same for the same array."""
        if id(array) not in self._named:
            self._named[id(array)] = (f"/constant_{len(self._named)}", array)
            self.constants[self._named[id(array)][0]] = array
        return self._named[id(array)][0]

    def integers(self, *values: int) -> str:
        """The name of a constant vector, as operators take axes and sizes."""
        name = "/integers_" + "_".join(map(str, values)).replace("-", "minus")
        self.constants.setdefault(name, np.array(values, np.int64))
        return name

    def whole(self, value: Value, shape: Shape) -> Value:
        """The value with its full shape, where broadcast axes have size 1."""
        if value.shape == shape:
            return value
        if value.array is not None and all(isinstance(size, int) for size in shape):
            return known(np.broadcast_to(value.array, shape))
        return self.node("Expand", [value, self._sizes(shape)], shape)

    def reshape(self, value: Value, shape: Shape) -> Value:
        """The value in another shape."""
        if value.shape == shape:
            return value
        if value.array is not None:
            return known(value.array.reshape(shape))
        sizes = [-1 if isinstance(size, Batch) else size for size in shape]
        return self.node("Reshape", [value, self.integers(*sizes)], shape)

    def transpose(self, value: Value, axes: Sequence[int]) -> Value:
        """The value with its axes in another order."""
        if list(axes) == sorted(axes):
            return value
        if value.array is not None:
            return known(value.array.transpose(axes))
        return self.node("Transpose", [value], tuple(value.shape[axis] for axis in axes), perm=list(axes))

    def _sizes(self, shape: Shape) -> str:
        """The name of a vector of sizes."""
        if all(isinstance(size, int) for size in shape):
            return self.integers(*shape)
        parts = [self._times_batch(size.times) if isinstance(size, Batch) else self.integers(size) for size in shape]
        return self.name_of(self.node("Concat", parts, (len(shape),), axis=0))

    def _times_batch(self, times: int) -> str:
        if times not in self._batches:
            batch = self.node("Shape", [self._video], (1,), start=0, end=1) if times == 1 else self._times_batch(1)
            product = batch if times == 1 else self.node("Mul", [batch, self.integers(times)], (1,))
            self._batches[times] = self.name_of(product) if isinstance(product, Value) else product
        return self._batches[times]

    def model(self, video: Shape, outputs: dict[str, Value]) -> onnx.ModelProto:
        """The finished model: `video`, and outputs by name."""
        for name, value in outputs.items():
            self.nodes.append(helper.make_node("Identity", [self.name_of(value)], [name]))
        graph = helper.make_graph(
            self.nodes,
            "vivit_jax",
            [_described(self._video, video)],
            [_described(name, value.shape) for name, value in outputs.items()],
            [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in self.constants.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="vivit_jax")

    @property
    def constant_bytes(self) -> int:
        """Bytes of all constants."""
        return sum(math.prod(array.shape) * array.itemsize for array in self.constants.values())


def _described(name: str, shape: Shape) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch" if isinstance(size, Batch) else size for size in shape])
