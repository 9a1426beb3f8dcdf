"""Reading untrusted videos in processes of their own, which are stopped when they hang or take too much memory."""

import functools
import os
import typing
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from vivit_jax.data import sampling
from vivit_jax.data.container import LIMITS, Limits
from vivit_jax.data.workers import Failure, available_cpus, map_in_order
from vivit_jax.errors import UserError
from vivit_jax.preprocess import Preprocess

Path = str | os.PathLike
T, R = typing.TypeVar("T"), typing.TypeVar("R")


def decode_views(
    videos: Sequence[Path],
    preprocess: Preprocess,
    views: tuple[int, int] = (1, 1),
    *,
    workers: int | None = None,
    limits: Limits = LIMITS,
) -> Iterator[np.ndarray | UserError]:
    """Decodes the views of many videos in worker processes, lazily and a few videos ahead.

    Args:
      videos: paths.
      preprocess: frames, stride, scale and crop of a clip.
      views: (temporal clips, spatial crops) of each video.
      workers: processes; None is one a CPU, and never more than there are videos.
      limits: what each video may cost.

    Yields:
      For each video in order its views, uint8 (v, t, h, w, 3) with v = temporal * spatial, or the error that names it.
    """
    function = functools.partial(sampling.views_of_video, preprocess=preprocess, views=sampling.check_views(views))
    count = min(workers or available_cpus(), len(videos))
    if not count:
        return
    for video, result in map_in_order(function, videos, workers=count, seconds=limits.seconds, memory=limits.memory):
        yield _named(video, result) if isinstance(result, Failure) else result


def guarded(function: Callable[[T], R], item: T, *, limits: Limits = LIMITS) -> R:
    """`function(item)`, computed in a worker process.

    Args:
      function: a module's function, or a partial of one; it, the item and the result are pickled.
      item: usually a video's path, by which errors name it.
      limits: what it may cost.

    Raises:
      UserError: naming the item, if `function` raises anything, takes too long, or takes too much memory.
    """
    ((_, result),) = map_in_order(function, [item], workers=1, seconds=limits.seconds, memory=limits.memory)
    if isinstance(result, Failure):
        raise _named(item, result)
    return result


def _named(item: object, failure: Failure) -> UserError:
    """The failure as an error that begins with the item's name, once."""
    reason = failure.reason.removeprefix(f"{item}: ")
    return UserError(f"{item}: {reason}")
