"""Where each parameter lies on the mesh: a table from parameter paths to the axes that divide them."""

import re
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vivit_jax.training.paths import map_named

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


def spec_of(path: str, shape: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
    """How a parameter is divided; a dimension that its mesh axis does not divide evenly stays whole."""
    axes = next(axes for pattern, axes in RULES if re.search(pattern, path))
    axes = axes[len(axes) - min(len(axes), len(shape)) :]
    axes = (None,) * (len(shape) - len(axes)) + axes
    return PartitionSpec(*(axis if axis and size % mesh.shape[axis] == 0 else None for axis, size in zip(axes, shape, strict=True)))


def shardings_of(tree: Any, mesh: Mesh) -> Any:
    """The sharding of each leaf of a tree of parameters, or of a whole training state."""
    return map_named(lambda path, leaf: NamedSharding(mesh, spec_of(path, leaf.shape, mesh)), tree)


def gathered_over_fsdp(params: Any, mesh: Mesh) -> Any:
    """The parameters as a step uses them: what `fsdp` divides is put together, what `tensor` divides stays divided.

    Said to the compiler, because left alone it may divide the activations instead.
    """

    def gather(path: str, leaf: Any) -> Any:
        spec = PartitionSpec(*(None if axis == FSDP else axis for axis in spec_of(path, leaf.shape, mesh)))
        return jax.lax.with_sharding_constraint(leaf, NamedSharding(mesh, spec))

    return map_named(gather, params)


def bytes_per_device(tree: Any) -> int:
    """Bytes that the arrays of a tree take on one device of this process."""
    return sum(
        int(np.prod(leaf.sharding.shard_shape(leaf.shape))) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(tree)
        if isinstance(leaf, jax.Array)
    )
