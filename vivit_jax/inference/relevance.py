"""Finds the parts of a clip that speak for a class: integrated gradients of its log-odds, one number a token (Sundararajan et al. 2017).

Attention weights alone tell little here: the factorisations attend over different axes, and Models 3 and 4 have no token whose attention
could be followed. Integrated gradients need only the function from video to score, so that one method serves all four models, and they are
complete: the relevances of a clip's tokens add up to how far its score lies above that of a blank clip, one still image of the clip's mean
colour. The tokenizer is linear, so the sum over a token's pixels is the relevance of the token itself.
"""

import dataclasses
import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from vivit_jax.models.cells import Cells

FIRST_PARTS = 4

Score = Callable[..., Float[Array, " b"]]


@dataclasses.dataclass(frozen=True)
class Relevance:
    """The evidence for a class in a clip.

    Attributes:
      tokens: (n_t, n_h, n_w) float64; positive where a token speaks for the class, negative where against it.
      times: (n_t,) float64, the clip frame at each token's centre.
      score: the clip's score.
      blank: the score of the blank clip; `tokens` add up to about `score - blank`.
    """

    tokens: np.ndarray
    times: np.ndarray
    score: float
    blank: float


def log_odds(logits: Float[Array, "b classes"], label: int | Int[Array, ""]) -> Float[Array, " b"]:
    """log(p / (1 - p)) of a class. Unlike the logit it counts evidence against the other classes; unlike p it does not level off.

    The only class of a model is certain whatever the clip shows, for which there is no evidence: 0.
    """
    if logits.shape[-1] == 1:
        return jnp.zeros_like(logits[:, 0])
    others = jnp.where(jnp.arange(logits.shape[-1]) == label, -jnp.inf, logits)
    return logits[:, label] - jax.nn.logsumexp(others, axis=-1)


def integrated_gradients(
    score: Score, video: Float[Array, "t h w 3"], cells: Cells, *, arguments: tuple = (), tolerance: float = 0.02, max_steps: int = 64
) -> Relevance:
    """Attributes a score to the tokens of one clip.

    The gradient is integrated along the straight path from the blank clip to the clip. A score can rise within a hundredth of that path, so
    the part where the relevances miss the score's rise by most is halved again and again.

    Args:
      score: maps normalised clips (b, t, h, w, 3) and `arguments` to one number a clip. It is compiled once for each function object.
      video: the clip, normalised.
      cells: how the model's features lie over the pixels.
      arguments: arrays that `score` takes after the clips, such as a model's variables; other values of them compile nothing anew.
      tolerance: stop when the parts miss the score's rise by no more than this share of it.
      max_steps: the most gradients to compute, in any case.
    """
    blank = jnp.broadcast_to(video.mean(axis=(0, 1, 2)), video.shape)

    def part(start: float, stop: float, low: float, high: float) -> _Part:
        middle, gradient = _value_and_gradient(score, blank + (start + stop) / 2 * (video - blank), *arguments)
        pixels = np.asarray((video - blank) * gradient, np.float64).sum(-1) * (stop - start)
        return _Part(start, stop, low, float(middle), high, cells.sums(pixels))

    points = [i / FIRST_PARTS for i in range(FIRST_PARTS + 1)]
    scores = [float(_value(score, blank + point * (video - blank), *arguments)) for point in points]
    parts = [part(*span, *ends) for span, ends in zip(itertools.pairwise(points), itertools.pairwise(scores), strict=True)]
    steps = len(parts)
    while sum(p.error for p in parts) > tolerance * abs(scores[-1] - scores[0]) and steps + 2 <= max_steps:
        worst = parts.pop(max(range(len(parts)), key=lambda i: parts[i].error))
        halfway = (worst.start + worst.stop) / 2
        parts.append(part(worst.start, halfway, worst.low, worst.middle))
        parts.append(part(halfway, worst.stop, worst.middle, worst.high))
        steps += 2
    return Relevance(sum(p.tokens for p in parts), cells.times, score=scores[-1], blank=scores[0])


def _one(score: Score, clip: Float[Array, "t h w 3"], *arguments: object) -> Float[Array, ""]:
    return score(clip[None], *arguments)[0]


_value = jax.jit(_one, static_argnums=0)
_value_and_gradient = jax.jit(jax.value_and_grad(_one, argnums=1), static_argnums=0)


@dataclasses.dataclass(frozen=True)
class _Part:
    """A part of the path: its ends, the score at its ends and in its middle, and the relevances by the gradient in its middle."""

    start: float
    stop: float
    low: float
    middle: float
    high: float
    tokens: np.ndarray

    @property
    def error(self) -> float:
        return abs(self.tokens.sum() - (self.high - self.low))
