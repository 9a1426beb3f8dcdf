"""Counts the parameters and the arithmetic of a model without running it.

Arithmetic is counted on the traced program, so it is that of the code that runs, with its loops, scans and rematerialisation. Nothing is
allocated, so a model that would not fit into memory can be counted.
"""

import dataclasses
import functools
import math
import re
from collections.abc import Callable, Iterator, Mapping

import flax
import jax
import jax.numpy as jnp
from jax.extend import core

from vivit_jax.models.families import ModelConfig, build, family_of

ELEMENTWISE = frozenset({"add", "sub", "mul", "div", "max", "min", "neg", "abs", "square", "integer_pow", "select_n"})
REDUCTIONS = frozenset({"reduce_sum", "reduce_max", "reduce_min"})


def video_of(config: ModelConfig, batch: int = 1) -> jax.ShapeDtypeStruct:
    """The shape of a batch of a model's clips."""
    return jax.ShapeDtypeStruct((batch, *config.clip, 3), jnp.float32)


@functools.lru_cache(maxsize=32)
def variable_tree(config: ModelConfig) -> Mapping[str, dict]:
    """The tree of a model's variables as `jax.ShapeDtypeStruct`s: `params`, and its other collections by name. It is traced once."""
    return jax.eval_shape(build(config).init, jax.random.key(0), video_of(config))


def parameter_tree(config: ModelConfig) -> dict:
    """The tree of a model's parameters as `jax.ShapeDtypeStruct`s."""
    return variable_tree(config)["params"]


def count_parameters(config: ModelConfig) -> int:
    """Parameters of the model, its head included."""
    return sum(leaf.size for leaf in jax.tree.leaves(parameter_tree(config)))


@dataclasses.dataclass(frozen=True)
class ParameterGroup:
    """One part of a model, summed over its layers.

    Attributes:
      name: path of the module, such as `transformer/encoder/blocks/attention`.
      tensors: number of its arrays, as they are stored.
      parameters: how many numbers they hold.
    """

    name: str
    tensors: int
    parameters: int


def parameter_groups(config: ModelConfig) -> list[ParameterGroup]:
    """The parameters by module, in the order in which a video meets them; the layers of an encoder are one group each."""
    return groups_of(parameter_tree(family_of(config).plain(config)), config)


def groups_of(params: dict, config: ModelConfig) -> list[ParameterGroup]:
    """`parameter_groups` of a tree of parameters or of their shapes. A tensor that holds several scanned layers counts once."""
    order = family_of(config).order
    totals: dict[str, tuple[int, int]] = {}
    for path, leaf in flax.traverse_util.flatten_dict(params, sep="/").items():
        name = _group_name(path)
        tensors, parameters = totals.get(name, (0, 0))
        totals[name] = (tensors + 1, parameters + leaf.size)
    return [ParameterGroup(name, *totals[name]) for name in sorted(totals, key=lambda name: _order_of_use(name, order))]


@dataclasses.dataclass(frozen=True)
class Arithmetic:
    """The work of a program.

    Attributes:
      products: multiply-accumulates in matrix products and convolutions.
      elementwise: all other floating-point operations: of softmax, GELU, LayerNorm, biases and residuals. As XLA counts, exp and tanh are
        left out.
    """

    products: int = 0
    elementwise: int = 0

    @property
    def multiply_accumulates(self) -> int:
        """Half of all floating-point operations, which the paper's Table 2 calls FLOPs."""
        return self.products + self.elementwise // 2

    @property
    def gmac(self) -> float:
        """The multiply-accumulates in billions."""
        return self.multiply_accumulates / 1e9

    def __add__(self, other: "Arithmetic") -> "Arithmetic":
        return Arithmetic(self.products + other.products, self.elementwise + other.elementwise)

    def __mul__(self, times: int) -> "Arithmetic":
        return Arithmetic(self.products * times, self.elementwise * times)


@functools.lru_cache(maxsize=32)
def count_arithmetic(config: ModelConfig, *, as_run: bool = False) -> Arithmetic:
    """The work of one forward pass over one view; the same for every attention backend.

    Args:
      config: the model's config.
      as_run: whether to leave out the tokens of the last layer that a head on the cls token does not use. The paper counts them, but the
        model does not compute them.
    """
    config = (family_of(config).plain if as_run else family_of(config).outline)(config)
    apply = functools.partial(build(config).apply, mutable=() if as_run else ("intermediates",))
    return arithmetic(jax.make_jaxpr(apply)(variable_tree(config), video_of(config)).jaxpr)


def as_trained(config: ModelConfig) -> ModelConfig:
    """The plain model, which leaves out in training what `config` leaves out."""
    family = family_of(config)
    return (family.as_trained or family.plain)(config)


def count_training_products(config: ModelConfig, clips: int, *, parts: int = 1, frozen: Callable[[str], bool] | None = None) -> int:
    """Multiply-accumulates in the matrix products of a training step's forward and backward pass over `clips` clips.

    Training leaves out the patches that `patch_dropout` drops and, under `stochastic_depth_skips`, examples: as many in each of the `parts`
    of the batch. A backward pass has two products for each of the forward pass, but one where no gradient of the input is needed: that of
    the video never is. Of parameters that are `frozen`, by their paths in `as_trained`, no gradient is needed either, nor is that of what
    lies below the lowest that is not.
    """
    plain = as_trained(config)
    variables = variable_tree(plain)
    collections = {name: tree for name, tree in variables.items() if name != "params"}
    params = flax.traverse_util.flatten_dict(variables["params"], sep="/")
    still = {path: leaf for path, leaf in params.items() if frozen and frozen(path)}
    trained = {path: leaf for path, leaf in params.items() if path not in still}

    def total(trained: dict, still: dict, collections: dict, video: jax.Array, key: jax.Array) -> jax.Array:
        params = flax.traverse_util.unflatten_dict(trained | still, sep="/")
        module, rngs = build(plain, batch_parts=parts), {"dropout": key}
        logits, _ = module.apply({"params": params, **collections}, video, train=True, rngs=rngs, mutable=list(collections))
        return sum(leaf.sum() for leaf in jax.tree.leaves(logits))

    arguments = trained, still, collections, video_of(plain, clips), jax.random.key(0)
    return arithmetic(jax.make_jaxpr(jax.value_and_grad(total))(*arguments).jaxpr).products


def arithmetic(jaxpr: core.Jaxpr) -> Arithmetic:
    """The work of a traced program, through every call, scan and branch in it (the dearest branch of a `cond`).

    Raises:
      ValueError: for a `while` loop with work in it, as the program does not tell its number of rounds.
    """
    return sum((_equation_arithmetic(equation) for equation in jaxpr.eqns), start=Arithmetic())


def _group_name(path: str) -> str:
    modules = path.split("/")
    if modules[-1] in ("kernel", "bias", "scale"):
        modules.pop()
    modules = ["blocks" if re.fullmatch(r"block_\d+", module) else module for module in modules]
    if "blocks" in modules:
        modules = modules[: modules.index("blocks") + 2]
    return "/".join(modules)


def _order_of_use(name: str, order: tuple[str, ...]) -> tuple[int, int]:
    part = next((i for i, part in enumerate(order) if part in name), len(order))
    step = next((i for i, step in enumerate(("_cls", "/position", "/blocks/")) if step in name), 3)
    return part, step


def _equation_arithmetic(equation: core.JaxprEqn) -> Arithmetic:
    name = equation.primitive.name
    if name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        left = equation.invars[0].aval.shape
        return Arithmetic(products=_outputs(equation) * math.prod(left[axis] for axis in contracted))
    if name == "conv_general_dilated":
        kernel = equation.invars[1].aval.shape
        features = kernel[equation.params["dimension_numbers"].rhs_spec[0]]
        spread = math.prod(equation.params["lhs_dilation"])  # of the gradient of a stride, whose zeros between count as nothing
        return Arithmetic(products=_outputs(equation) * math.prod(kernel) // features // spread)
    inner = [arithmetic(jaxpr) for jaxpr in _inner_programs(equation)]
    if inner:
        return _call_arithmetic(name, equation.params, inner)
    if not jnp.issubdtype(equation.outvars[0].aval.dtype, jnp.floating):
        return Arithmetic()
    if name in ELEMENTWISE:
        return Arithmetic(elementwise=_outputs(equation))
    return Arithmetic(elementwise=equation.invars[0].aval.size if name in REDUCTIONS else 0)


def _call_arithmetic(name: str, params: dict, inner: list[Arithmetic]) -> Arithmetic:
    if name == "cond":
        return max(inner, key=lambda branch: branch.multiply_accumulates)
    if name == "while" and any(part.multiply_accumulates for part in inner):
        raise ValueError("a while loop does its work an unknown number of times: this program cannot be counted")
    return sum(inner, start=Arithmetic()) * (params["length"] if name == "scan" else 1)


def _outputs(equation: core.JaxprEqn) -> int:
    return equation.outvars[0].aval.size


def _inner_programs(equation: core.JaxprEqn) -> Iterator[core.Jaxpr]:
    for parameter in equation.params.values():
        for value in parameter if isinstance(parameter, tuple | list) else (parameter,):
            if isinstance(value, core.ClosedJaxpr):
                yield value.jaxpr
            elif isinstance(value, core.Jaxpr):
                yield value
