"""The optimiser of a config: an optax chain, with a learning rate of its own for each parameter where the config asks for it.

Patterns see one name per layer whether or not the layers are scanned; the factor of scanned layers may be an array along the layer axis.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vivit_jax.errors import UserError
from vivit_jax.models.families import ModelConfig, family_of
from vivit_jax.training.config import OptimizerConfig
from vivit_jax.training.lora import ADAPTERS
from vivit_jax.training.paths import compiled, layer_names, map_named, some_names

Tree = Any


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """An optax transformation and what else the step asks of it.

    Attributes:
      transform: makes updates of gradients.
      factors: what each parameter's learning rate is multiplied by; 0 where it is frozen.
      learning_rate: the learning rate as a function of the step, before the factors.
      sam_rho: radius of sharpness-aware minimisation; 0 is off.
    """

    transform: optax.GradientTransformation
    factors: Tree
    learning_rate: optax.Schedule
    sam_rho: float

    def without_frozen(self, gradients: Tree) -> Tree:
        """The gradients with zeros for frozen parameters, so that they count in no norm and are not even computed."""
        return jax.tree.map(lambda gradient, factor: jnp.where(factor == 0, 0, gradient), gradients, self.factors)


def make_optimizer(
    config: OptimizerConfig,
    learning_rate: optax.Schedule,
    params: Tree,
    model: ModelConfig,
    trained: Callable[[str], bool] | None = None,
) -> Optimizer:
    """Builds the optimiser for `params` (arrays or their shapes) of `model`, a model's config.

    `trained` tells by a parameter's path whether it may be trained at all, beside the factors of `config`; None trains all. Like patterns,
    it sees one path per layer.

    Raises:
      UserError: for a pattern that matches no parameter.
    """
    factors = _factors(config, params, model, trained or (lambda name: True))
    trainable = jax.tree.map(lambda factor: bool(np.any(factor)), factors)
    if not any(jax.tree.leaves(trainable)):
        raise UserError("optimizer.multipliers, training.lora or the model's family freeze every parameter: there is nothing to train")
    decay = _decay(config, params)
    stages = [
        *([optax.clip_by_global_norm(config.clip_norm)] if config.clip_norm else []),
        *_stages(config, decay if config.weight_decay else optax.identity(), params),
        optax.stateless(lambda updates, _: _scaled(updates, factors)),
        optax.scale_by_learning_rate(learning_rate),
    ]
    # Masked, a frozen parameter takes no optimiser state; its update is then its gradient, which `without_frozen` made zero.
    return Optimizer(optax.masked(optax.chain(*stages), trainable), factors, learning_rate, config.sam_rho)


def trained_leaves(params: Tree, optimizer: Optimizer) -> list[Any]:
    """The parameters that are not frozen; scanned layers, which are one, if any of them is not."""
    pairs = zip(jax.tree.leaves(params), jax.tree.leaves(optimizer.factors), strict=True)
    return [leaf for leaf, factor in pairs if np.any(factor)]


def count_trained(params: Tree, optimizer: Optimizer) -> int:
    """How many numbers are not frozen, each of scanned layers by itself."""
    pairs = zip(jax.tree.leaves(params), jax.tree.leaves(optimizer.factors), strict=True)
    return sum(leaf.size * np.count_nonzero(factor) // np.size(factor) for leaf, factor in pairs)


def _stages(config: OptimizerConfig, decay: optax.GradientTransformation, params: Tree) -> tuple[optax.GradientTransformation, ...]:
    if config.name == "sgd":
        return decay, optax.trace(config.momentum, config.nesterov) if config.momentum else optax.identity()
    if config.name == "lion":
        return optax.scale_by_lion(config.b1, config.b2), decay
    if config.name == "lamb":
        return optax.scale_by_adam(config.b1, config.b2, eps=1e-6), decay, _trust_ratio_by_layer(params)
    return optax.scale_by_adam(config.b1, config.b2), decay


def _scaled(updates: Tree, factors: Tree) -> Tree:
    """Multiplies each update by its factor; masked updates stay as they are."""
    return jax.tree.map(
        lambda update, factor: update if _is_masked(update) else update * factor,
        updates,
        factors,
        is_leaf=_is_masked,
    )


def _trust_ratio_by_layer(params: Tree) -> optax.GradientTransformation:
    """LAMB's trust ratio, one for each layer, also where the layers are scanned."""
    ratio = optax.scale_by_trust_ratio()
    scanned = map_named(lambda path, _: "/blocks/" in path, params)

    def scale_layer(update: Any, parameter: Any) -> Any:
        return ratio.update(update, optax.EmptyState(), parameter)[0]

    def scale(update: Any, parameter: Any, is_scanned: bool) -> Any:
        if _is_masked(update):
            return update
        return jax.vmap(scale_layer)(update, parameter) if is_scanned else scale_layer(update, parameter)

    return optax.stateless(lambda updates, parameters: jax.tree.map(scale, updates, parameters, scanned, is_leaf=_is_masked))


def _is_masked(node: Any) -> bool:
    return isinstance(node, optax.MaskedNode)


def _decay(config: OptimizerConfig, params: Tree) -> optax.GradientTransformation:
    """Adds weight decay to what the pattern matches: of scanned layers, to those that it matches alone."""
    expression = compiled("optimizer.weight_decay_pattern", config.weight_decay_pattern)
    shares = map_named(
        lambda path, leaf: _by_layer([bool(expression.search(name)) for name in layer_names(path, leaf.shape)], leaf), params
    )
    matches = jax.tree.map(lambda share: bool(np.any(share)), shares)
    if not any(jax.tree.leaves(matches)):
        raise _unmatched("optimizer.weight_decay_pattern", config.weight_decay_pattern, params)

    def decayed(update: Any, share: bool | np.ndarray, parameter: Any) -> Any:
        return update if _is_masked(update) else update + config.weight_decay * share * parameter

    added = optax.stateless(lambda updates, params: jax.tree.map(decayed, updates, shares, params, is_leaf=_is_masked))
    return optax.masked(added, matches)


def _factors(config: OptimizerConfig, params: Tree, model: ModelConfig, trained: Callable[[str], bool]) -> Tree:
    """The factor of each parameter, 0 where it is not `trained`: a number, or (l, 1, ...) where scanned layers have different ones."""
    rules = [(compiled("optimizer.multipliers", pattern), factor) for pattern, factor in config.multipliers]
    used, useful = set(), set()
    height = family_of(model).height if config.layer_decay != 1.0 else None

    def factor_of(name: str) -> float:
        decay = config.layer_decay ** (height(model, "head") - height(model, name)) if height else 1.0
        for i, (expression, factor) in enumerate(rules):
            if expression.search(name):
                used.add(i)
                if trained(name):
                    useful.add(i)
                    _check_adapter(name, config.multipliers[i])
                return factor * decay
        return decay

    def factor_of_leaf(path: str, leaf: Any) -> float | np.ndarray:
        return _by_layer([factor_of(name) * trained(name) for name in layer_names(path, leaf.shape)], leaf)

    factors = map_named(factor_of_leaf, params)
    for i, (pattern, factor) in enumerate(config.multipliers):
        if i not in used:
            raise _unmatched("optimizer.multipliers", pattern, params)
        if i not in useful and factor:
            raise UserError(
                f"optimizer.multipliers {pattern!r} matches only parameters that are not trained: with LoRA, only the "
                "adapters and what training.lora.full matches are trained"
            )
    return factors


def _by_layer(values: list[Any], leaf: Any) -> Any:
    """One value where all layers of a leaf have the same, else an array of them that broadcasts over it."""
    if len(set(values)) == 1:
        return values[0]
    return np.asarray(values, np.float32).reshape(-1, *(1,) * (len(leaf.shape) - 1))


def _check_adapter(name: str, rule: tuple[str, float]) -> None:
    pattern, factor = rule
    if not factor and name.endswith(ADAPTERS):
        raise UserError(
            f"optimizer.multipliers {pattern!r} freezes the adapter {name.rpartition('/')[0]}, which would do nothing: LoRA freezes the "
            "kernels that it adapts anyway; leave the pattern out, or choose the adapters by training.lora.layers"
        )


def _unmatched(field: str, pattern: str, params: Tree) -> UserError:
    left = "matches no parameter that an earlier pattern left"
    return UserError(f"{field} {pattern!r} {left} (parameters are named as {some_names(params)})")
