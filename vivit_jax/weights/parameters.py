"""The shapes of a model's parameters, and the check that a set of parameters is exactly the model's."""

import functools
from collections.abc import Iterable, Mapping, Sequence

import jax
import jax.numpy as jnp

from vivit_jax.errors import UserError
from vivit_jax.models.families import ModelConfig, build, family_of
from vivit_jax.weights.layers import COLLECTION, block_name, flatten_variables

Shapes = dict[str, tuple[int, ...]]

LISTED = 12


@functools.lru_cache(maxsize=32)
def _shapes(config: ModelConfig) -> tuple[tuple[str, tuple[int, ...]], ...]:
    family = family_of(config)
    traced, blocks = family.one_block(config) if family.one_block else (family.outline(config), {})
    video = jax.ShapeDtypeStruct((1, *config.clip, 3), jnp.float32)
    key = jax.eval_shape(jax.random.key, 0)  # a key itself would be compiled
    variables = jax.eval_shape(build(traced).init, key, video)
    paths = [(path, leaf.shape) for path, leaf in flatten_variables(variables).items()]
    return tuple((each, shape) for path, shape in paths for each in _repeated(path, blocks))


def _repeated(path: str, blocks: Mapping[str, int]) -> Iterable[str]:
    """A path in `block_00`, in each of the blocks that its encoder has; any other path as it is."""
    encoder, _, inside = path.partition(f"/{block_name(0)}/")
    depth = blocks.get(encoder.rpartition("/")[-1], 0) if inside else 0
    return [f"{encoder}/{block_name(layer)}/{inside}" for layer in range(depth)] or [path]


def variable_shapes(config: ModelConfig) -> Shapes:
    """Shape of every variable by its path as `flatten_variables` names it, layer by layer even if they are scanned. Nothing is computed."""
    return dict(sorted(_shapes(config), key=lambda item: (COLLECTION in item[0], item[0])))


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
    extra = [f"{path} {shape}" for path, shape in given.items() if path not in expected]
    if problems := summary({"missing": missing(given, expected), "left over": extra, "of another shape": misshapen(given, expected)}):
        raise UserError(f"{what}: the parameters are not the model's; {problems}")


def missing(given: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]) -> list[str]:
    """The parameters that are expected and not given, with their shapes."""
    return [f"{path} {shape}" for path, shape in expected.items() if path not in given]


def misshapen(given: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]) -> list[str]:
    """The parameters that are given in another shape, with both."""
    return [
        f"{path} {tuple(given[path])} where {tuple(shape)} is expected"
        for path, shape in expected.items()
        if path in given and tuple(given[path]) != tuple(shape)
    ]


def summary(problems: Mapping[str, Sequence[str]]) -> str:
    """Each kind of problem with its number and its items; empty if there are none."""
    return "; ".join(f"{len(items)} {kind}: {listing(items)}" for kind, items in problems.items() if items)


def listing(items: Iterable[str]) -> str:
    """The first dozen items, and how many more there are."""
    items = list(items)
    more = f", and {len(items) - LISTED} more" if len(items) > LISTED else ""
    return ", ".join(items[:LISTED]) + more
