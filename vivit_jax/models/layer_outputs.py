"""The outputs of a frozen backbone's layer, as a probe takes them: a feature of the clip, one of each time index, and all tokens."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


class LayerOutput(NamedTuple):
    """The output of one layer for a batch of clips, in float32.

    Attributes:
      pooled: one feature of each clip, as the model's own head takes it from the last layer.
      times: one feature of each time index.
      patches: the tokens of each time index on their grid; (b, t, 1, 1, d) after a temporal encoder, which has no grid any more.
      cls: the other tokens: none (m = 0), one of the clip (m = 1), or one of each time index (m = t).
    """

    pooled: Float[Array, "b d"]
    times: Float[Array, "b t d"]
    patches: Float[Array, "b t h w d"]
    cls: Float[Array, "b m d"]


def statistic(name: str, output: LayerOutput) -> Float[Array, "b d"]:
    """A statistic over time by its name: `mean`, `deviation` or `difference`.

    `mean` is the layer's own feature of the clip, which is the mean of its frames' only where the model takes it so.
    """
    return STATISTICS[name](output)


def _deviation(output: LayerOutput) -> Float[Array, "b d"]:
    variance = output.times.var(axis=1)
    return jnp.sqrt(variance + 1e-10)  # so that a clip that stands still has a gradient, for explanations


STATISTICS = {
    "mean": lambda output: output.pooled,
    "deviation": _deviation,
    "difference": lambda output: jnp.abs(jnp.diff(output.times, axis=1)).mean(axis=1),
}


def sequence(output: LayerOutput, side: int) -> tuple[Float[Array, "b n d"], Int[np.ndarray, " n"]]:
    """All tokens in a row: the patches of each time index, averaged to a grid of `side` x `side` (0: as they are), then the others.

    Returns:
      The tokens, and the time index of each; -1 where it belongs to the whole clip.
    """
    batch, count, height, width, size = output.patches.shape
    rows, columns = (_averages(n, min(side or n, n)) for n in (height, width))
    patches = jnp.einsum("ih,jw,bthwd->btijd", rows, columns, output.patches, precision="highest")
    others = output.cls.shape[1]
    times = np.repeat(np.arange(count), len(rows) * len(columns))
    times = np.concatenate([times, np.arange(count) if others == count and others > 1 else np.full(others, -1)])
    return jnp.concatenate([patches.reshape(batch, -1, size), output.cls], axis=1), times


def _averages(count: int, parts: int) -> Float[np.ndarray, "parts count"]:
    """Weights that average `count` places to `parts`, which overlap where they do not divide evenly (adaptive average pooling)."""
    weights = np.zeros((parts, count), np.float32)
    for part in range(parts):
        start, stop = part * count // parts, -(-(part + 1) * count // parts)
        weights[part, start:stop] = 1 / (stop - start)
    return weights
