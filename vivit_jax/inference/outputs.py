"""A model's outputs for videos, view by view or averaged over the views: logits by head, or features.

Files are decoded in separate processes, so that one that takes too long or too much memory can be stopped.
"""

import dataclasses
import functools
import itertools
import os
from collections.abc import Callable, Iterator, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from vivit_jax.data.video.container import LIMITS
from vivit_jax.data.workers import Failure, available_cpus, map_in_order
from vivit_jax.errors import UserError
from vivit_jax.heads import by_head
from vivit_jax.inference.over_views import Reduction, average_of, each_view
from vivit_jax.inference.views import decode_task, groups
from vivit_jax.preprocess import Preprocess, Views
from vivit_jax.weights import Pretrained

VIEWS_AT_ONCE = 12
SECONDS_A_GROUP = 120.0  # the longest a group of views may take to decode; a decoder that takes longer is stopped

Path = str | os.PathLike

# From the numbers of some of a video's views, how it is preprocessed, and (temporal, spatial) views, to uint8 (v, t, h, w, 3).
Decode = Callable[[range, Preprocess, Views], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Output:
    """A model's outputs for one video: values by head (features under the empty name), or one line that says why there are none."""

    video: str
    values: dict[str, np.ndarray] | None
    error: str | None = None


def logits_of_views(pretrained: Pretrained, decode: Decode, views: Views) -> Iterator[dict[str, Float[np.ndarray, "v classes"]]]:
    """The logits of a video's views by head, a group of at most `VIEWS_AT_ONCE` at a time, in order.

    Raises:
      UserError: for a model without a head, and whatever `decode` raises.
    """
    check_head(pretrained)
    parts = groups(views, VIEWS_AT_ONCE)
    logits = ViewLogits(pretrained, min(views[0] * views[1], VIEWS_AT_ONCE))
    for group in parts:
        yield logits([decode(group, pretrained.preprocess, views)])[0]


def outputs_of(pretrained: Pretrained, videos: Sequence[Path], *, views: Views, per_view: bool = False) -> Iterator[Output]:
    """A model's outputs for many files in order: the mean over the views, (d,), or each view's, (v, d).

    Other processes decode ahead, and one compiled function takes several files at once. A file that cannot be read, or whose decoder is
    stopped, gives an output with its error, and does not hold up the others. Memory does not grow with the number of files or views.
    """
    reduce = each_view if per_view else average_of(pretrained)
    parts = groups(views, VIEWS_AT_ONCE)
    together = min(len(videos), max(1, VIEWS_AT_ONCE // (views[0] * views[1])))
    logits = ViewLogits(pretrained, together * min(views[0] * views[1], VIEWS_AT_ONCE))
    failed: set[int] = set()
    tasks = ((i, os.fspath(video), group) for i, video in enumerate(videos) for group in parts if i not in failed)
    decode = functools.partial(decode_task, preprocess=pretrained.preprocess, views=views)
    workers = max(1, min(available_cpus(), len(videos) * len(parts)))
    decoded = map_in_order(decode, tasks, workers=workers, seconds=SECONDS_A_GROUP, memory=LIMITS.memory)
    waiting: list[tuple[str, np.ndarray | Failure]] = []
    for video, group in itertools.groupby(decoded, key=lambda result: result[0][:2]):
        if len(parts) == 1:
            waiting.append((video[1], next(group)[1]))
            if len(waiting) == together:
                yield from _outputs(logits, waiting, reduce)
                waiting = []
        else:
            yield _output_of_groups(logits, video, (pixels for _, pixels in group), failed, reduce)
    yield from _outputs(logits, waiting, reduce)


def check_head(pretrained: Pretrained) -> None:
    """Raises `UserError` for a model that has no classes to predict."""
    if not pretrained.model.config.heads:
        raise UserError("the model has no head (num_classes is not set), so it has no classes to predict: fit one by `vivit probe`")


@functools.partial(jax.jit, static_argnums=(0, 1))
def forward(
    model: nn.Module, preprocess: Preprocess, variables: dict, pixels: UInt8[Array, "n t h w 3"]
) -> dict[str, Float[Array, "n classes"]]:
    """Logits by head; compiled once for each model and shape."""
    logits = model.apply(variables, preprocess.normalise(pixels))
    return {head: x.astype(jnp.float32) for head, x in by_head(logits).items()}


class ViewLogits:
    """Logits of the views of videos, always through the same compiled function, which takes `rows` views at once."""

    def __init__(self, pretrained: Pretrained, rows: int) -> None:
        self._pretrained, self._rows = pretrained, rows
        self._variables = jax.device_put(pretrained.variables)

    def __call__(self, videos: Sequence[UInt8[np.ndarray, "v t h w 3"]]) -> list[dict[str, Float[np.ndarray, "v classes"]]]:
        """The logits of each video, by head."""
        views = np.concatenate(videos)
        batches = [self._of_batch(views[start : start + self._rows]) for start in range(0, len(views), self._rows)]
        rows = {head: np.concatenate([batch[head] for batch in batches]) for head in batches[0]}
        ends = np.cumsum([len(video) for video in videos])
        return [{head: x[end - len(video) : end] for head, x in rows.items()} for end, video in zip(ends, videos, strict=True)]

    def _of_batch(self, views: np.ndarray) -> dict[str, np.ndarray]:
        padding = np.zeros((self._rows - len(views), *views.shape[1:]), np.uint8)
        logits = forward(self._pretrained.model, self._pretrained.preprocess, self._variables, np.concatenate([views, padding]))
        return {head: x[: len(views)] for head, x in jax.device_get(logits).items()}


def _output_of_groups(
    logits: ViewLogits, video: tuple[int, str], decoded: Iterator[np.ndarray | Failure], failed: set[int], reduce: Reduction
) -> Output:
    """The output for a video whose views come in several groups. After a group that fails, no more of its groups are decoded."""
    number, path = video
    done, error = [], None
    for pixels in decoded:
        if error is None and isinstance(pixels, Failure):
            error = _reason(path, pixels)
            failed.add(number)
        elif error is None:
            done += logits([pixels])
    return Output(path, None, error) if error else Output(path, reduce(done))


def _outputs(logits: ViewLogits, decoded: Sequence[tuple[str, np.ndarray | Failure]], reduce: Reduction) -> Iterator[Output]:
    readable = [pixels for _, pixels in decoded if not isinstance(pixels, Failure)]
    rows = iter(logits(readable) if readable else [])
    for path, pixels in decoded:
        if isinstance(pixels, Failure):
            yield Output(path, None, _reason(path, pixels))
        else:
            yield Output(path, reduce([next(rows)]))


def _reason(path: str, failure: Failure) -> str:
    return failure.reason if path in failure.reason else f"{path}: {failure.reason}"
