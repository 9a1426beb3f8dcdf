"""What parameters a model has, and the check that a set of parameters is exactly those."""

import functools
from collections.abc import Iterable, Mapping

import jax
import jax.numpy as jnp

from vivit_jax.errors import UserError
from vivit_jax.models.families import ModelConfig, build, family_of
from vivit_jax.weights.layers import COLLECTION, flatten_variables

Shapes = dict[str, tuple[int, ...]]

LISTED = 12


@functools.lru_cache(maxsize=32)
def _shapes(config: ModelConfig) -> tuple[tuple[str, tuple[int, ...]], ...]:
    video = jax.ShapeDtypeStruct((1, *config.clip, 3), jnp.float32)
    key = jax.eval_shape(jax.random.key, 0)  # a key itself would be compiled
    variables = jax.eval_shape(build(config).init, key, video)
    return tuple((path, leaf.shape) for path, leaf in flatten_variables(variables).items())


def variable_shapes(config: ModelConfig) -> Shapes:
    """Shape of every variable by its path as `flatten_variables` names it, layer by layer even if they are scanned. Nothing is computed."""
    return dict(_shapes(family_of(config).outline(config)))


def parameter_shapes(config: ModelConfig) -> Shapes:
    """`variable_shapes` of the parameters alone."""
    return {path: shape for path, shape in variable_shapes(config).items() if COLLECTION not in path}


def check_parameters(given: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]], what: str) -> None:
    """Refuses parameters that are not exactly the expected ones.

    Args:
      given: shapes by path.
      expected: shapes by path.
      what: named at the start of the error, such as the file.

    Raises:
      UserError: listing what is missing, what is left over and what has another shape.
    """
    missing = [f"{path} {shape}" for path, shape in expected.items() if path not in given]
    extra = [f"{path} {shape}" for path, shape in given.items() if path not in expected]
    wrong = [
        f"{path} {tuple(given[path])} where {tuple(shape)} is expected"
        for path, shape in expected.items()
        if path in given and tuple(given[path]) != tuple(shape)
    ]
    problems = [
        f"{len(paths)} {kind}: {listing(paths)}"
        for kind, paths in (("missing", missing), ("left over", extra), ("of another shape", wrong))
        if paths
    ]
    if problems:
        raise UserError(f"{what}: the parameters are not the model's; {'; '.join(problems)}")


def listing(items: Iterable[str]) -> str:
    """The first dozen items, and how many more there are."""
    items = list(items)
    more = f", and {len(items) - LISTED} more" if len(items) > LISTED else ""
    return ", ".join(items[:LISTED]) + more
