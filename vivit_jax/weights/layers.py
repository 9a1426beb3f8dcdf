"""The two shapes of an encoder's parameters, layer by layer or stacked for a scan, and the flat form that files use.

A model with `scan_layers` keeps its blocks stacked along a leading axis under `blocks`; without it, and in every file, they lie one by one
as `block_00`, `block_01`, ... Leaves may be arrays of NumPy or JAX, or `jax.ShapeDtypeStruct`.
"""

import re
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from vivit_jax.models.families import ModelConfig

BLOCK = re.compile(r"block_(\d+)")

COLLECTION = ":"  # between a collection's name and a path in it


def stack_layers(params: Mapping) -> dict:
    """`block_00`, `block_01`, ... of every encoder as one `blocks` with a leading layer axis."""
    if not isinstance(params, Mapping):
        return params
    layers = sorted((name for name in params if BLOCK.fullmatch(name)), key=lambda name: int(name.removeprefix("block_")))
    stacked = {name: stack_layers(child) for name, child in params.items() if name not in layers}
    if layers:
        stacked["blocks"] = jax.tree.map(lambda *leaves: _stack(leaves), *(params[name] for name in layers))
    return stacked


def unstack_layers(params: Mapping) -> dict:
    """The inverse of `stack_layers`; parameters that are not stacked come back as they are."""
    if not isinstance(params, Mapping):
        return params
    unstacked = {name: unstack_layers(child) for name, child in params.items() if name != "blocks"}
    if "blocks" in params:
        depth = jax.tree.leaves(params["blocks"])[0].shape[0]
        for layer in range(depth):
            unstacked[block_name(layer)] = jax.tree.map(lambda leaf, layer=layer: _layer(leaf, layer), params["blocks"])
    return unstacked


def block_name(layer: int) -> str:
    """The name of an encoder's block, counted from 0."""
    return f"block_{layer:02d}"


def flatten(params: Mapping) -> dict:
    """Layer by layer, as {"transformer/encoder/block_00/mlp/in/kernel": leaf, ...}, sorted by path."""
    return dict(sorted(traverse_util.flatten_dict(unstack_layers(params), sep="/").items()))


def unflatten(flat: Mapping, *, scan_layers: bool = False) -> dict:
    """The inverse of `flatten`: the parameter tree of a model, stacked for one with `scan_layers`."""
    params = traverse_util.unflatten_dict(dict(flat), sep="/")
    return stack_layers(params) if scan_layers else params


def flatten_variables(variables: Mapping) -> dict:
    """A model's variables by path: parameters as `flatten` gives them, what is in another collection as `batch_stats:stem/norm/mean`."""
    return {
        path if name == "params" else f"{name}{COLLECTION}{path}": leaf
        for name, tree in sorted(variables.items(), key=lambda item: item[0] != "params")
        for path, leaf in flatten(tree).items()
    }


def unflatten_variables(flat: Mapping, config: ModelConfig | None = None) -> dict:
    """The inverse of `flatten_variables`; layers are stacked if the model of `config` scans them."""
    scan_layers = getattr(config, "scan_layers", False)
    collections: dict[str, dict] = {"params": {}}
    for name, leaf in flat.items():
        collection, _, path = name.rpartition(COLLECTION)
        collections.setdefault(collection or "params", {})[path] = leaf
    return {name: unflatten(tree, scan_layers=scan_layers) for name, tree in collections.items()}


def _stack(leaves: tuple) -> object:
    if isinstance(leaves[0], jax.ShapeDtypeStruct):
        return jax.ShapeDtypeStruct((len(leaves), *leaves[0].shape), leaves[0].dtype)
    return np.stack(leaves) if isinstance(leaves[0], np.ndarray) else jnp.stack(leaves)


def _layer(leaf: object, layer: int) -> object:
    return jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype) if isinstance(leaf, jax.ShapeDtypeStruct) else leaf[layer]
