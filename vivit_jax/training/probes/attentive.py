"""Trains attentive heads on frozen tokens: several learning rates at once, on a CPU, the number of epochs chosen with the rate.

The rate is constant after a short warm-up and the weights are averaged over steps, so that a shorter training is the beginning of a longer
one: one pass through the epochs scores all their numbers. All draws use one seed: the same data give the same bits.
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from vivit_jax import console
from vivit_jax.models.probe.attentive import AttentivePool
from vivit_jax.training.moving_average import moved, warmed_up
from vivit_jax.training.probes.examples import folds, present_classes
from vivit_jax.training.probes.settings import Setting, Tried, tried_in_order

RATES = (3e-4, 1e-3, 3e-3)
DECAYS = (0.01, 0.3)
EPOCHS = (2, 4, 8, 16, 32)
BATCH = 32
WARM_UP = 20  # steps
AVERAGE = 0.99
SEED = 0


@dataclasses.dataclass(frozen=True)
class TokenRows:
    """Frozen tokens of videos, and their labels.

    Attributes:
      tokens: float16 (n, v, tokens, d), for each of v views; it may lie in a file.
      index: (tokens,) the time index of each token, -1 for one of the whole clip.
      label: class numbers (n,); or (n, classes) of zeros and ones where a video may have several.
      groups: (n,) names; videos of one group are never on both sides of a fold.
    """

    tokens: np.ndarray
    index: np.ndarray
    label: np.ndarray
    groups: np.ndarray


class AttentiveHead(nn.Module):
    """Attentive pooling and a linear layer. Parameters: `pool` and `head`."""

    pool: AttentivePool
    classes: int

    @nn.compact
    def __call__(self, tokens: Float[Array, "b n d"], index: np.ndarray) -> Float[Array, "b classes"]:
        """Logits."""
        return nn.Dense(self.classes, kernel_init=nn.initializers.zeros, name="head")(self.pool(tokens, index))


def choose_attentive(head: AttentiveHead, examples: TokenRows, train: np.ndarray, val: np.ndarray | None) -> tuple[Tried, ...]:
    """Trains with every rate and decay on some rows of the examples, and scores each after several numbers of epochs on others.

    Args:
      head: what is trained.
      examples: the tokens and labels of all rows.
      train: (m,) the numbers of the rows to train on.
      val: (k,) those to score on; None scores on folds of `train`, groups kept together.

    Returns:
      All that was tried, the best first; see `training.probes.kinds.choose`.

    Raises:
      UserError: for rows of one class, or without `val` of one group.
    """
    parts = (
        [(train, val)]
        if val is not None
        else [(train[fit], train[held]) for fit, held in folds(examples.label[train], examples.groups[train])]
    )
    settings = [{"rate": rate, "decay": decay} for rate, decay in itertools.product(RATES, DECAYS)]
    logits: dict[int, list[np.ndarray]] = {epochs: [] for epochs in EPOCHS}
    for number, (fit, held) in enumerate(parts):
        title = "trying settings" + (f", fold {number + 1} of {len(parts)}" if len(parts) > 1 else "")
        for epochs, params in _train(head, examples, fit, settings, EPOCHS, title):
            logits[epochs].append(_logits(head, params, examples, held))
    label = examples.label[np.concatenate([held for _, held in parts])]
    scored = [
        ({**setting, "epochs": epochs}, np.concatenate([part[number] for part in logits[epochs]]))
        for number, setting in enumerate(settings)
        for epochs in EPOCHS
    ]
    return tried_in_order(scored, label, head.classes)


def fit_attentive(head: AttentiveHead, examples: TokenRows, rows: np.ndarray, setting: Setting) -> Any:
    """The parameters of the head, trained on the rows with these numbers, (m,)."""
    epochs = int(setting["epochs"])
    ((_, params),) = _train(head, examples, rows, [setting], (epochs,), "fitting")
    return jax.tree.map(lambda leaf: np.asarray(leaf[0]), params)


def logits_of(head: AttentiveHead, params: Any, examples: TokenRows, rows: np.ndarray) -> Float[np.ndarray, "b classes"]:
    """The logits of a trained head for the rows with these numbers, (b,), averaged over the views."""
    return _logits(head, jax.tree.map(lambda leaf: leaf[None], params), examples, rows)[0]


def _train(
    head: AttentiveHead, examples: TokenRows, rows: np.ndarray, settings: Sequence[Setting], marks: Sequence[int], title: str
) -> Iterator[tuple[int, Any]]:
    """Yields (epochs, parameters averaged over steps), with a leading axis of settings, after each number of epochs in `marks`."""
    if examples.label.ndim == 1:
        present_classes(examples.label[rows])
    optimizer = optax.inject_hyperparams(optax.adamw, static_args="mask")(0.0, weight_decay=0.0, mask=_decays)
    first = jnp.asarray(examples.tokens[rows[:1], 0], jnp.float32)
    params = head.init(jax.random.key(SEED), first, examples.index)["params"]
    rates, decays = (jnp.asarray([setting[name] for setting in settings], jnp.float32) for name in ("rate", "decay"))
    carried = jax.tree.map(lambda leaf: jnp.stack([leaf] * len(settings)), (params, optimizer.init(params), params))
    step = _stepper(head, optimizer, examples.index)
    count, batch = 0, min(BATCH, len(rows))
    for epoch in console.tracked(range(1, marks[-1] + 1), title, marks[-1], shown=True):
        rng = np.random.default_rng([SEED, epoch])
        order = np.resize(rng.permutation(rows), -(-len(rows) // batch) * batch)
        views = rng.integers(examples.tokens.shape[1], size=len(order))
        for start in range(0, len(order), batch):
            taken = order[start : start + batch]
            part = examples.tokens[taken, views[start : start + batch]]
            carried = step(carried, rates, decays, part, examples.label[taken], np.int32(count))
            count += 1
        if epoch in marks:
            yield epoch, carried[2]


def _stepper(model: nn.Module, optimizer: optax.GradientTransformation, index: np.ndarray) -> Any:
    """One step of every setting on the same batch."""

    average_decay = warmed_up(AVERAGE)

    def loss(params: Any, tokens: Array, label: Array) -> Array:
        logits = model.apply({"params": params}, tokens, index)
        if label.ndim == 2:
            return optax.sigmoid_binary_cross_entropy(logits, label.astype(jnp.float32)).mean()
        return optax.softmax_cross_entropy_with_integer_labels(logits, label).mean()

    def of_setting(carried: tuple, rate: Array, decay: Array, tokens: Array, label: Array, count: Array) -> tuple:
        params, state, average = carried
        state.hyperparams.update(learning_rate=rate * jnp.minimum(1.0, (count + 1) / WARM_UP), weight_decay=decay)
        updates, state = optimizer.update(jax.grad(loss)(params, tokens, label), state, params)
        params = optax.apply_updates(params, updates)
        return params, state, moved(average, params, average_decay(count))

    @functools.partial(jax.jit, donate_argnums=0)
    def step(carried: tuple, rates: Array, decays: Array, tokens: Array, label: Array, count: Array) -> tuple:
        each = jax.vmap(of_setting, in_axes=(0, 0, 0, None, None, None))
        return each(carried, rates, decays, tokens.astype(jnp.float32), label, count)

    return step


def _decays(params: Any) -> Any:
    """Marks the parameters that weight decay applies to: kernels and queries."""
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key in ("kernel", "query"), params)


def _logits(head: AttentiveHead, params: Any, examples: TokenRows, rows: np.ndarray) -> Float[np.ndarray, "s b classes"]:
    parts = []
    for start in range(0, len(rows), BATCH):
        taken = rows[start : start + BATCH]
        padded = np.resize(taken, BATCH)
        views = [
            np.asarray(_forward(head, params, examples.tokens[padded, view], examples.index)) for view in range(examples.tokens.shape[1])
        ]
        parts.append(np.mean(views, axis=0, dtype=np.float64)[:, : len(taken)])
    return np.concatenate(parts, axis=1)


@functools.partial(jax.jit, static_argnums=0)
def _forward(model: nn.Module, params: Any, tokens: Array, index: Array) -> Float[Array, "s b classes"]:
    """The logits of the heads of every setting."""
    return jax.vmap(lambda one: model.apply({"params": one}, tokens.astype(jnp.float32), index))(params)
