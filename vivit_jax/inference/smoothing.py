"""A moving average of scores along a video."""

import collections
import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from vivit_jax.inference.windows import WindowScores


def smoothed(batches: Iterable[Sequence[WindowScores]], seconds: float) -> Iterator[list[WindowScores]]:
    """Each window's probabilities averaged over all windows whose middle is at most half of `seconds` from its own.

    A window comes as soon as those after it within reach have come, so that only those within reach are kept.
    """
    reach = seconds / 2 + 1e-9
    near, waiting = collections.deque(), collections.deque()
    for batch in batches:
        ready = []
        for scores in batch:
            near.append(scores)
            waiting.append(scores)
            while _middle(waiting[0]) + reach < _middle(scores):
                ready.append(_averaged(waiting.popleft(), near, reach))
                while _middle(near[0]) + reach < _middle(waiting[0]):
                    near.popleft()
        yield ready
    yield [_averaged(scores, near, reach) for scores in waiting]


def _middle(scores: WindowScores) -> float:
    return (scores.start + scores.end) / 2


def _averaged(scores: WindowScores, near: Iterable[WindowScores], reach: float) -> WindowScores:
    within = [other.probabilities for other in near if abs(_middle(other) - _middle(scores)) <= reach]
    return dataclasses.replace(
        scores, probabilities={head: np.mean([by_head[head] for by_head in within], axis=0) for head in scores.probabilities}
    )
