"""Names of the leaves of a tree, as `transformer/encoder/block_00/mlp/in/kernel`."""

import re
from collections.abc import Callable
from typing import Any

import jax

from vivit_jax.errors import UserError


def name_of(key_path: tuple) -> str:
    """The names along a key path, joined by slashes."""
    return jax.tree_util.keystr(key_path, simple=True, separator="/")


def named_leaves(tree: Any) -> list[tuple[str, Any]]:
    """(path, leaf) of each leaf, in the order of `jax.tree.leaves`."""
    return [(name_of(key_path), leaf) for key_path, leaf in jax.tree_util.tree_leaves_with_path(tree)]


def leaf_names(tree: Any) -> list[str]:
    """The path of each leaf, in the order of `jax.tree.leaves`."""
    return [path for path, _ in named_leaves(tree)]


def some_names(tree: Any) -> str:
    """Names from all over a tree, for the message about a pattern that matches none."""
    names = leaf_names(tree)
    return ", ".join(names[:: max(1, len(names) // 4)][:4])


def map_named(function: Callable, tree: Any) -> Any:
    """`function(path, leaf)` of each leaf."""
    return jax.tree_util.tree_map_with_path(lambda key_path, leaf: function(name_of(key_path), leaf), tree)


def compiled(field: str, pattern: str) -> re.Pattern:
    """A pattern of a config for such names.

    Raises:
      UserError: naming the field, for a pattern that is not a regular expression.
    """
    try:
        return re.compile(pattern)
    except re.error as error:
        raise UserError(f"{field} {pattern!r} is not a regular expression: {error}") from None


def layer_names(path: str, shape: tuple[int, ...]) -> list[str]:
    """The path by layer: scanned layers hold one parameter `blocks/...` for `block_00/...`, `block_01/...`; any other is itself."""
    before, scanned, after = path.partition("/blocks/")
    if not scanned:
        return [path]
    return [f"{before}/block_{layer:02d}/{after}" for layer in range(shape[0])]
