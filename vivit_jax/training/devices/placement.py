"""Where each parameter lies on the mesh: a table from parameter paths to the axes that divide them."""

import dataclasses
import itertools
import math
import re
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vivit_jax.training.paths import map_named, named_leaves

DATA, FSDP, TENSOR = "data", "fsdp", "tensor"

# (pattern searched in the path, mesh axes of the last dimensions); the first match wins. The state of an optimiser has the paths of the
# parameters it belongs to, behind its own. Scanned layers have one more dimension in front, which is never divided.
RULES: tuple[tuple[str, tuple[str | None, ...]], ...] = (
    (r"/(query|key|value)/kernel$", (FSDP, TENSOR, None)),  # (d, k, f)
    (r"/(query|key|value)/bias$", (TENSOR, None)),  # (k, f)
    (r"attention\w*/out/kernel$", (TENSOR, None, FSDP)),  # (k, f, d)
    (r"/mlp/in/kernel$", (FSDP, TENSOR)),  # (d, m)
    (r"/mlp/in/bias$", (TENSOR,)),  # (m)
    (r"/mlp/out/kernel$", (TENSOR, FSDP)),  # (m, d)
    (r"tokenizer/kernel$", (None, None, None, None, FSDP)),  # (t, h, w, 3, d)
    (r"/position$", (FSDP,)),  # (..., d)
    (r"(^|/)head\w*/kernel$", (FSDP, None)),  # (d, classes)
    (r"kernel$", (FSDP,)),  # of any other model: (..., out)
    (r".*", ()),  # norms, biases, cls tokens, counters: whole on every device
)


def rule_of(path: str) -> int:
    """The number of the rule in `RULES` that places a parameter."""
    return next(number for number, (pattern, _) in enumerate(RULES) if re.search(pattern, path))


def spec_of(path: str, shape: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
    """How a parameter is divided; a dimension that its mesh axis does not divide evenly stays whole."""
    axes = RULES[rule_of(path)][1]
    axes = axes[len(axes) - min(len(axes), len(shape)) :]
    axes = (None,) * (len(shape) - len(axes)) + axes
    return PartitionSpec(*(axis if axis and size % mesh.shape[axis] == 0 else None for axis, size in zip(axes, shape, strict=True)))


def shardings_of(tree: Any, mesh: Mesh) -> Any:
    """The sharding of each leaf of a tree of parameters, or of a whole training state."""
    return map_named(lambda path, leaf: NamedSharding(mesh, spec_of(path, leaf.shape, mesh)), tree)


def gathered_over_fsdp(params: Any, mesh: Mesh) -> Any:
    """The parameters as a step uses them: what `fsdp` divides is put together, what `tensor` divides stays divided.

    The compiler is told so, because otherwise it may divide the activations instead.
    """

    def gather(path: str, leaf: Any) -> Any:
        spec = PartitionSpec(*(None if axis == FSDP else axis for axis in spec_of(path, leaf.shape, mesh)))
        return jax.lax.with_sharding_constraint(leaf, NamedSharding(mesh, spec))

    return map_named(gather, params)


def bytes_per_device(tree: Any) -> int:
    """Bytes that the arrays of a tree, or the arrays of its shapes, take on one device of this process."""
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(tree)
        if isinstance(leaf, jax.Array | jax.ShapeDtypeStruct)
    )


@dataclasses.dataclass(frozen=True)
class Placed:
    """The parameters that one rule divides in one way.

    Attributes:
      pattern: the rule's pattern; `all others` for parameters that lie whole on every device, whatever their rule.
      axes: the mesh axes of the last dimensions.
      largest: shape of the largest of these parameters.
      on_device: shape of the part of it that a device holds.
      bytes: bytes that they all take on a device, with their share of the optimiser's state and the average.
    """

    pattern: str
    axes: tuple[str | None, ...]
    largest: tuple[int, ...]
    on_device: tuple[int, ...]
    bytes: int


def placed(state: Any, mesh: Mesh) -> list[Placed]:
    """How the parameters of a state lie on the mesh, in the order of the rules."""
    groups: dict[tuple, list] = {}
    for path, leaf in named_leaves(state):
        axes = [axis if axis and mesh.shape[axis] > 1 else None for axis in spec_of(path, leaf.shape, mesh)]
        axes = tuple(itertools.dropwhile(lambda axis: axis is None, axes))
        groups.setdefault((rule_of(path) if axes else len(RULES), axes), []).append(leaf)
    return [_placed(*key, groups[key]) for key in sorted(groups, key=lambda key: key[0])]


def _placed(rule: int, axes: tuple[str | None, ...], leaves: list) -> Placed:
    pattern = RULES[rule][0] if axes else "all others"
    largest = max(leaves, key=lambda leaf: leaf.size)
    return Placed(pattern, axes, largest.shape, largest.sharding.shard_shape(largest.shape), bytes_per_device(leaves))
