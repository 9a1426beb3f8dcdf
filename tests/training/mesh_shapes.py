"""Training states of which only the shapes exist, as they would lie on a mesh."""

from typing import Any

import jax
from jax.sharding import Mesh

from vivit_jax.training.devices.placement import shardings_of


def shapes_on(mesh: Mesh, shapes: Any) -> Any:
    """The shapes with the shardings that arrays of these shapes would have on the mesh."""
    return jax.tree.map(lambda leaf, on: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=on), shapes, shardings_of(shapes, mesh))
