"""Operations that XLA's partitioner cannot look into, run on each device's part of the batch and of the heads.

Without this, a kernel of our own would first be given the whole batch on every device. On one device, and under `pmap`, it changes nothing.
"""

from collections.abc import Callable, Sequence

import jax
from jax.experimental.custom_partitioning import custom_partitioning
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float


def over_batch(function: Callable, axes: str, divided: str = "b") -> Callable:
    """`function`, run by each device on its part of the arrays; they are divided along some axes, as the first argument is.

    Args:
      function: what runs on each part; its results do not depend on how the axes are divided.
      axes: a letter for each axis of its arguments and of its results, as `"btskf btskf -> btskf"`.
      divided: the letters of the axes that may be divided.
    """
    partitioned = custom_partitioning(function)
    arguments, results = (side.split() for side in axes.split("->"))

    def shardings(arrays: Sequence[str], mesh: jax.sharding.Mesh, first: NamedSharding) -> tuple[NamedSharding, ...]:
        spec = (*first.spec, *(None,) * (len(arguments[0]) - len(first.spec)))
        parts = {letter: part for letter, part in zip(arguments[0], spec, strict=True) if letter in divided}
        return tuple(NamedSharding(mesh, PartitionSpec(*map(parts.get, array))) for array in arrays)

    def infer(mesh: jax.sharding.Mesh, given: tuple, result: object) -> NamedSharding | tuple[NamedSharding, ...]:
        inferred = shardings(results, mesh, given[0].sharding)
        return inferred if len(results) > 1 else inferred[0]

    def partition(mesh: jax.sharding.Mesh, given: tuple, result: object) -> tuple:
        return mesh, function, infer(mesh, given, result), shardings(arguments, mesh, given[0].sharding)

    partitioned.def_partition(
        partition=partition,
        infer_sharding_from_operands=infer,
        sharding_rule=" -> ".join(", ".join(" ".join(array) for array in side) for side in (arguments, results)),
        need_replication_factors=tuple(letter for letter in dict.fromkeys("".join(arguments + results)) if letter not in divided),
    )
    return partitioned


def flat(x: Float[Array, "b *n d"]) -> Float[Array, "b n d"]:
    """The tokens of each example in one row, as kernels that take them one by one have them."""
    return x.reshape(x.shape[0], -1, x.shape[-1])
