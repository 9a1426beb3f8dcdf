"""Operations that XLA's partitioner cannot look into, run on each device's part of the batch and of the heads.

Without this, a kernel of our own would first be given the whole batch on every device. On one device, and under `pmap`, it changes nothing.
"""

from collections.abc import Callable

import jax
from jax.experimental.custom_partitioning import custom_partitioning
from jax.sharding import NamedSharding, PartitionSpec


def over_batch(function: Callable, *, inputs: int, outputs: int, axes: str, divided: str = "b") -> Callable:
    """`function` of arrays that all have the same axes, divided over devices along some of them alone.

    Args:
      function: what runs on each part; its results do not depend on how the axes are divided.
      inputs: number of its arguments.
      outputs: number of its results.
      axes: a letter for each axis, as `"btskf"`.
      divided: the letters of those that may be divided.
    """
    partitioned = custom_partitioning(function)

    def sharding(mesh: jax.sharding.Mesh, given: NamedSharding) -> NamedSharding:
        spec = (*given.spec, *(None,) * (len(axes) - len(given.spec)))
        return NamedSharding(mesh, PartitionSpec(*(part if letter in divided else None for letter, part in zip(axes, spec, strict=True))))

    def results(one: NamedSharding) -> NamedSharding | tuple[NamedSharding, ...]:
        return one if outputs == 1 else (one,) * outputs

    def infer(mesh: jax.sharding.Mesh, arguments: tuple, _: object) -> NamedSharding | tuple[NamedSharding, ...]:
        return results(sharding(mesh, arguments[0].sharding))

    def partition(mesh: jax.sharding.Mesh, arguments: tuple, _: object) -> tuple:
        one = sharding(mesh, arguments[0].sharding)
        return mesh, function, results(one), (one,) * inputs

    factors = " ".join(axes)
    partitioned.def_partition(
        partition=partition,
        infer_sharding_from_operands=infer,
        sharding_rule=f"{', '.join([factors] * inputs)} -> {', '.join([factors] * outputs)}",
        need_replication_factors=tuple(letter for letter in axes if letter not in divided),
    )
    return partitioned
