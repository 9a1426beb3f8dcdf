"""The train step and the eval step: pure functions, which an executor runs on any number of devices.

A step sees the batch it is given: under `jit` the whole one, under `pmap` a device's part, with the name of the axis to average over.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, UInt32

from vivit_jax.heads import by_head
from vivit_jax.preprocess import Preprocess
from vivit_jax.training.averaging import OverViews, mean_of_views
from vivit_jax.training.colours import seen_video
from vivit_jax.training.config import LossConfig, TrainingConfig
from vivit_jax.training.gradients import accumulated, sharpness_aware
from vivit_jax.training.lora import merged
from vivit_jax.training.losses import ClassWeights, cross_entropy, targets_of
from vivit_jax.training.mixing import mix, paired
from vivit_jax.training.moving_average import Decay, moved
from vivit_jax.training.optimizer import Optimizer
from vivit_jax.training.paths import leaf_names
from vivit_jax.training.state import TrainState

Batch = dict[str, Any]
TrainStep = Callable[[TrainState, Batch, Any], tuple[TrainState, dict]]
EvalStep = Callable[[Any, Batch], dict]


def checked_names(params: Any) -> list[str]:
    """The names of what the entries of a train step's `finite` are about: the gradient of each parameter, then the loss."""
    return [*(f"the gradient of {name}" for name in leaf_names(params)), "the loss"]


def keys_of(seed: int | UInt32[Array, ""], step: int | Int[Array, ""]) -> tuple[jax.Array, jax.Array]:
    """The keys of a step's mixing and of its dropout; `step` counts the steps before it."""
    mixing, dropout = jax.random.split(jax.random.fold_in(jax.random.key(seed), step))
    return mixing, dropout


def make_train_step(
    model: nn.Module,
    preprocess: Preprocess,
    optimizer: Optimizer,
    loss: LossConfig,
    training: TrainingConfig,
    *,
    average_decay: Decay = lambda step: 0.0,
    axis_name: str | None = None,
    gather: Callable = lambda params: params,
    class_weights: ClassWeights | None = None,
) -> TrainStep:
    """The one train step.

    Args:
      model: takes (b, t, h, w, 3) and `train`, gives logits.
      preprocess: normalises the uint8 video.
      optimizer: updates the parameters.
      loss: the loss.
      training: accumulation and mixing.
      average_decay: the decay of the moving average, for states that hold one.
      axis_name: the axis of `pmap` to average over.
      gather: applied to the parameters before they are used, to say how they are laid out there.
      class_weights: the weight of each class in the loss, by head; None weights all by 1.

    Returns:
      (state, batch, seed) to (state, metrics). The seed, uint32 (), is that of every draw, together with the step's number: an input, so
      that runs of several seeds are one program. Metrics are `loss`, `top1`, `grad_norm`, `learning_rate`, and `finite` as in
      `checked_names`.
    """
    loss_of = _loss_of(model, preprocess, loss, mixes=training.mixes, gather=gather, class_weights=class_weights)
    gradients_of_part = accumulated(jax.value_and_grad(loss_of, has_aux=True), training.accumulation)

    def gradients_over_devices(params: Any, collections: Any, batch: Batch, key: jax.Array) -> tuple:
        value, gradients = gradients_of_part(params, collections, batch, key)
        if axis_name:
            value, gradients = jax.lax.pmean((value, gradients), axis_name)
        return value, optimizer.without_frozen(gradients)

    gradients_of = sharpness_aware(gradients_over_devices, optimizer.sam_rho)

    def train_step(state: TrainState, batch: Batch, seed: UInt32[Array, ""]) -> tuple[TrainState, dict]:
        """The state after a batch of `video` uint8 (b, t, h, w, 3), `label` and maybe `colours`, and the metrics before it."""
        mix_key, dropout_key = keys_of(seed, state.step)
        batch = {"video": seen_video(batch), "label": batch["label"]}
        if training.mixes:
            batch = paired(batch, mix_key, training, axis_name)
        if axis_name:
            dropout_key = jax.random.fold_in(dropout_key, jax.lax.axis_index(axis_name))

        (value, (top1, collections)), gradients = gradients_of(state.params, state.collections, batch, dropout_key)
        updates, opt_state = optimizer.transform.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        metrics = _metrics(value, top1, gradients, optimizer.learning_rate(state.step))
        return _after(state, params, opt_state, collections, decay=average_decay(state.step)), metrics

    return train_step


def _loss_of(
    model: nn.Module, preprocess: Preprocess, loss: LossConfig, *, mixes: bool, gather: Callable, class_weights: ClassWeights | None
) -> Callable:
    """(params, collections, batch, key) to the loss of a batch, with its top-1 and the collections after it beside."""

    def loss_of(params: Any, collections: Any, batch: Batch, key: jax.Array) -> tuple[jax.Array, tuple[jax.Array, Any]]:
        video = preprocess.normalise(batch["video"])
        if mixes:
            weights = batch["own_weight"]
            video = mix(video, preprocess.normalise(batch["partner_video"]), weights[:, None, :, :, None])
        variables = {"params": merged(gather(params)), **collections}
        logits, collections = model.apply(variables, video, train=True, rngs={"dropout": key}, mutable=list(collections))
        targets = targets_of(batch["label"], logits)
        top1 = _top1(logits, targets)
        if mixes:
            others = targets_of(batch["partner_label"], logits)
            targets = {name: mix(own, others[name], weights.mean(axis=(1, 2))[:, None]) for name, own in targets.items()}
        return cross_entropy(logits, targets, loss, class_weights), (top1, collections)

    return loss_of


def _metrics(loss: jax.Array, top1: jax.Array, gradients: Any, learning_rate: jax.Array) -> dict[str, jax.Array]:
    """The metrics of a step; the norm of each parameter's gradient tells whether all of it is finite."""
    norms = jnp.stack([jnp.sqrt(jnp.square(gradient).sum()) for gradient in jax.tree.leaves(gradients)])
    return {
        "loss": loss,
        "top1": top1,
        "grad_norm": jnp.linalg.norm(norms),
        "learning_rate": learning_rate,
        "finite": jnp.isfinite(jnp.append(norms, loss)),
    }


def _after(state: TrainState, params: Any, opt_state: Any, collections: Any, *, decay: float | jax.Array) -> TrainState:
    """The state after a step, whose averages keep the share `decay` of what they were."""
    return state.replace(
        step=state.step + 1,
        params=params,
        opt_state=opt_state,
        average=moved(state.average, params, decay),
        collections=collections,
        average_collections=moved(state.average_collections, collections, decay),
    )


def make_eval_step(
    model: nn.Module,
    preprocess: Preprocess,
    *,
    axis_name: str | None = None,
    over_views: OverViews = mean_of_views,
) -> EvalStep:
    """The one eval step.

    Returns:
      (variables, batch) to the batch's `label`, `index` and `valid`, and `logits`. The views of a clip are computed one after another, so
      that memory does not depend on their number; `over_views` then makes one output of their logits, float32 (v, b, classes).
    """

    def eval_step(variables: Any, batch: Batch) -> dict:
        def logits_of(view: jax.Array) -> Any:
            return model.apply(variables, preprocess.normalise(view))

        logits = jax.lax.map(logits_of, batch["video"].swapaxes(0, 1))
        result = {name: batch[name] for name in ("label", "index", "valid")}
        result["logits"] = jax.tree.map(lambda x: over_views(x.astype(jnp.float32)), logits)
        if axis_name:
            result = jax.tree.map(lambda x: jax.lax.all_gather(x, axis_name, tiled=True), result)
        return result

    return eval_step


def _top1(logits: Any, targets: dict[str, jax.Array]) -> jax.Array:
    """Share of examples for which the most probable class of every head is right."""
    best = {name: jax.nn.one_hot(values.argmax(axis=-1), values.shape[-1]) for name, values in by_head(logits).items()}
    right = [(best[name] * target).sum(axis=-1) for name, target in targets.items()]
    return jnp.stack(right).min(axis=0).mean()
