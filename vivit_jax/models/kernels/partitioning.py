"""Operations that XLA's partitioner cannot look into, run by each device on its own part of the arrays.

XLA divides what it compiles over a mesh by itself, but a kernel of ours would first be given the whole batch on every device. On one
device, and under `pmap`, nothing changes.
"""

from collections.abc import Callable, Sequence

import jax
from jax.experimental.custom_partitioning import custom_partitioning
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float


def per_device(function: Callable, axes: str, divided: str = "b") -> Callable:
    """`function`, run by each device on its part of the arrays.

    How its first argument lies on the devices decides: every axis of the others, and of the results, that has the letter of a divided axis
    of the first is divided alike. All other axes are put together before the call.

    Args:
      function: what runs on each part; its results do not depend on how the axes are divided.
      axes: a letter for each axis of its arguments and of its results, as `"btskf btskf -> btskf"`.
      divided: the letters of the axes that may be divided; the batch alone by default.
    """
    partitioned = custom_partitioning(function)
    arguments, results = (side.split() for side in axes.split("->"))

    def shardings(arrays: Sequence[str], mesh: jax.sharding.Mesh, first: NamedSharding) -> tuple[NamedSharding, ...]:
        """The shardings of arrays with these letters, from that of the first argument, whose spec may leave out its last axes."""
        spec = (*first.spec, *(None,) * (len(arguments[0]) - len(first.spec)))
        parts = {letter: part for letter, part in zip(arguments[0], spec, strict=True) if letter in divided}
        return tuple(NamedSharding(mesh, PartitionSpec(*map(parts.get, array))) for array in arrays)

    def infer(mesh: jax.sharding.Mesh, given: tuple, result: object) -> NamedSharding | tuple[NamedSharding, ...]:
        inferred = shardings(results, mesh, given[0].sharding)
        return inferred if len(results) > 1 else inferred[0]

    def partition(mesh: jax.sharding.Mesh, given: tuple, result: object) -> tuple:
        return mesh, function, infer(mesh, given, result), shardings(arguments, mesh, given[0].sharding)

    # GSPMD asks `infer`; Shardy, its successor, reads the rule, the same letters spelt `b n d, d -> b n d`. Both then call `partition`.
    partitioned.def_partition(
        partition=partition,
        infer_sharding_from_operands=infer,
        sharding_rule=" -> ".join(", ".join(" ".join(array) for array in side) for side in (arguments, results)),
        need_replication_factors=tuple(letter for letter in dict.fromkeys("".join(arguments + results)) if letter not in divided),
    )
    return partitioned


def flat(x: Float[Array, "b *n d"]) -> Float[Array, "b n d"]:
    """The tokens of each example in one row, for kernels that take them one by one."""
    return x.reshape(x.shape[0], -1, x.shape[-1])
